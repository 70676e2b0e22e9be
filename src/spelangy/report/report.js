"use strict";

// A card's words follow its player: the word being heard is lit; choosing a word plays from it.
function follow(card) {
  const audio = card.querySelector("audio");
  const words = Array.from(card.querySelectorAll(".word"));
  const note = card.querySelector(".word-note");
  if (words.length === 0) return;

  const tell = (word) => { note.textContent = `${word.textContent}: ${word.title}`; };
  const visit = (word) => {
    words.forEach((other) => { other.tabIndex = other === word ? 0 : -1; });
    word.focus();
  };
  const light = () => {
    const now = audio.currentTime;
    const started = now > 0 || !audio.paused;
    words.forEach((word) => {
      word.classList.toggle("heard", started && now >= Number(word.dataset.start) && now < Number(word.dataset.end));
    });
    if (!audio.paused && !audio.ended) requestAnimationFrame(light);
  };
  const hear = (word) => {
    tell(word);
    if (!audio) return;
    audio.currentTime = Number(word.dataset.start);
    audio.play();
  };

  words.forEach((word, index) => {
    word.tabIndex = index === 0 ? 0 : -1;
    if (audio) word.setAttribute("role", "button");
    word.addEventListener("focus", () => tell(word));
    word.addEventListener("mouseenter", () => tell(word));
    word.addEventListener("click", () => { visit(word); hear(word); });
    word.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step && words[index + step]) visit(words[index + step]);
      else if (event.key === "Enter" || event.key === " ") hear(word);
      else return;
      event.preventDefault();
    });
  });
  if (audio) ["play", "seeked", "ended"].forEach((name) => audio.addEventListener(name, light));
}

document.querySelectorAll(".card").forEach(follow);
document.addEventListener("play", (event) => {
  document.querySelectorAll("audio").forEach((audio) => { if (audio !== event.target) audio.pause(); });
}, true);
