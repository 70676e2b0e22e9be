"""Word error rates of each recogniser and of their consensus on human speech: called by the benchmark `accuracy`.

**Material**: LibriSpeech test-other; AN4 (names spelled, numbers, commands); AN4 with babble of five other speakers at
10 dB, the level of speech taken over its active frames. Seeded, so that all runs hear the same.

**Text** is compared after OpenAI's English normaliser (`whisper-normalizer`), the same for all systems. Before it,
hyphens part words, and capitals with digits part into letters; after it, digits stand alone, and a word that is part of
a name the reference spells is taken letter by letter. So CMU, C-M-U and C M U are equal, and 51 and five one.

**Intervals** are 95 % percentiles of 10,000 draws of speakers; the difference is paired, consensus less the best single
system by its total. The weights of `VoteRule` were chosen on every other speaker: the rest is shown by itself.
"""

import hashlib
import inspect
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from json import dumps, loads
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from figure import Figure, Goal, at_least, at_most
from spelangy.backends import asr_clips
from spelangy.backends.load import create, find_backend, identity
from spelangy.backends.protocols import Audio
from spelangy.core.random import stream
from spelangy.core.records import HypothesisWord
from spelangy.core.settings import BackendChoice
from spelangy.core.spans import SAMPLE_RATE_HZ
from spelangy.curate.config import CurateSettings
from spelangy.curate.rover import VoteRule, combine

SNR_DB = 10.0
MIN_GAIN = 0.15
NUM_DRAWS = 10_000
BLOCK_CLIPS = 20
FRAME_SAMPLES = SAMPLE_RATE_HZ // 50
ACTIVE_RANGE_DB = 35.0
"""Frames this far below the loudest are silence."""

CAPITALS = re.compile(r"(?<![\w'])(?=\w*[A-Z])[A-Z0-9]{2,}(?![\w'])")
MIXED = re.compile(r"(?<=\d)(?=[^\W\d_])(?!(?:st|nd|rd|th)\b)|(?<=[^\W\d_])(?=\d)")
CONSENSUS = "consensus"


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """One clip with what was said, and by whom."""

    name: str
    speaker: str
    reference: str
    audio_S: Audio


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Errors of each system and words, by speaker; shapes [speakers]."""

    speakers: Sequence[str]
    errors: Mapping[str, NDArray[np.int64]]
    num_words: NDArray[np.int64]

    def of(self, speakers: Sequence[int]) -> "Counts":
        """The same of some speakers only."""
        chosen = list(speakers)
        return Counts(
            speakers=[self.speakers[index] for index in chosen],
            errors={system: errors[chosen] for system, errors in self.errors.items()},
            num_words=self.num_words[chosen],
        )

    def rate(self, system: str) -> float:
        """Word error rate in percent."""
        return 100.0 * float(self.errors[system].sum()) / float(self.num_words.sum())

    @property
    def best_single(self) -> str:
        """The system, consensus aside, with fewest errors."""
        return min((system for system in self.errors if system != CONSENSUS), key=self.rate)


def wer_figures(folder: Path) -> Iterator[Figure]:
    """Figures of the default systems and their consensus.

    Args:
        folder: Holds `librispeech_test_other` and `an4_test`. Hypotheses are kept in the system's temporary folder,
            under names that tell model, adapter and sound, and taken from there when asked again.
    """
    libri, an4 = list(read_librispeech(folder)), list(read_an4(folder))
    yield from _corpus_figures("LibriSpeech test-other", libri, is_noisy=False)
    yield from _corpus_figures("AN4", an4, is_noisy=False)
    yield from _corpus_figures("AN4 + babble 10 dB", list(with_babble(an4, libri)), is_noisy=True)


def read_librispeech(folder: Path) -> Iterator[Utterance]:
    """LibriSpeech's utterances: ``ref.tsv`` and ``audio/*.flac``."""
    for line in (folder / "librispeech_test_other" / "ref.tsv").read_text().splitlines():
        name, reference = line.split("\t")
        audio_S, _ = soundfile.read(folder / "librispeech_test_other" / "audio" / f"{name}.flac", dtype="float32")
        yield Utterance(name=name, speaker=name.partition("-")[0], reference=reference, audio_S=audio_S)


def read_an4(folder: Path) -> Iterator[Utterance]:
    """AN4's utterances: ``etc/an4_test.transcription`` and ``wav/**/*.wav``."""
    paths = {path.stem: path for path in (folder / "an4_test" / "wav").rglob("*.wav")}
    for line in (folder / "an4_test" / "etc" / "an4_test.transcription").read_text().splitlines():
        reference, name = re.fullmatch(r"(.*) \((.*)\)", line).groups()  # type: ignore[union-attr]  # the corpus is fixed
        audio_S, _ = soundfile.read(paths[name], dtype="float32")
        yield Utterance(name=name, speaker=name.split("-")[1], reference=reference.lower(), audio_S=audio_S)


def with_babble(utterances: Sequence[Utterance], talkers: Sequence[Utterance]) -> Iterator[Utterance]:
    """The same with all speakers of `talkers` talking at once in the background, each as loud as the others."""
    by_speaker: dict[str, list[Audio]] = {}
    for talker in talkers:
        by_speaker.setdefault(talker.speaker, []).append(talker.audio_S / np.sqrt(active_power(talker.audio_S)))
    assert len(by_speaker) >= 4, "fewer than four talkers are no babble"
    speech = {speaker: np.concatenate(parts) for speaker, parts in by_speaker.items()}
    for utterance in utterances:
        random = stream(0, "babble", utterance.name)
        size = utterance.audio_S.size
        babble_S = sum(np.roll(sound_S, -int(random.integers(sound_S.size)))[:size] for sound_S in speech.values())
        noise_power = active_power(utterance.audio_S) / 10 ** (SNR_DB / 10)
        noise_S = babble_S * np.sqrt(noise_power / np.mean(babble_S**2))
        audio_S = np.clip(utterance.audio_S + noise_S, -1.0, 1.0).astype(np.float32)
        yield Utterance(
            name=f"{utterance.name}+babble", speaker=utterance.speaker, reference=utterance.reference, audio_S=audio_S
        )


def active_power(audio_S: Audio) -> float:
    """Mean power of the frames of 20 ms that are not silence."""
    frames = audio_S[: audio_S.size // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    power = np.mean(frames.astype(np.float64) ** 2, axis=1)
    return float(power[power >= power.max() * 10 ** (-ACTIVE_RANGE_DB / 10)].mean())


def hypotheses(choice: BackendChoice, utterances: Sequence[Utterance]) -> list[list[HypothesisWord]]:
    """What a system hears in each utterance."""
    path = Path(tempfile.gettempdir()) / "spelangy-accuracy" / f"{_cache_key(choice, utterances)}.json"
    if path.exists():
        return [[HypothesisWord(**word) for word in words] for words in loads(path.read_text())]
    recognizer = create("asr", choice)
    heard: list[list[HypothesisWord]] = []
    for begin in range(0, len(utterances), BLOCK_CLIPS):
        clips = [utterance.audio_S for utterance in utterances[begin : begin + BLOCK_CLIPS]]
        heard += [list(clip.words) for clip in recognizer.transcribe(clips)]
    path.parent.mkdir(exist_ok=True)
    path.write_text(dumps([[asdict(word) for word in words] for words in heard]))
    return heard


def _cache_key(choice: BackendChoice, utterances: Sequence[Utterance]) -> str:
    """Changes with the model, its options, the code of the adapters and the sound."""
    digest = hashlib.sha256(dumps([identity("asr", choice), BLOCK_CLIPS], sort_keys=True, default=str).encode())
    adapter = inspect.getsourcefile(find_backend("asr", choice.name).load())
    for path in (adapter, asr_clips.__file__):
        digest.update(Path(str(path)).read_bytes())
    for utterance in utterances:
        digest.update(utterance.audio_S.tobytes())
    return digest.hexdigest()


def _corpus_figures(corpus: str, utterances: Sequence[Utterance], *, is_noisy: bool) -> Iterator[Figure]:
    settings = CurateSettings()
    heard = {choice.name: hypotheses(choice, utterances) for choice in settings.asr}
    rule = VoteRule(**settings.rover.model_dump())
    voted = [combine(list(turn), rule).words for turn in zip(*heard.values(), strict=True)]
    texts = {system: [_text(words) for words in found] for system, found in heard.items()}
    texts[CONSENSUS] = [" ".join(word.text for word in words) for words in voted]
    counts = count_errors(utterances, texts)
    for system in texts:
        low, high = _interval(counts, lambda part, system=system: part.rate(system), corpus)  # type: ignore[misc]
        yield Figure(name=f"WER {corpus}, {system}", value=counts.rate(system), unit=f"% ({low:.1f}-{high:.1f})",
                     goals=_goals(system, is_noisy),
                     **_peer(counts, system))  # fmt: skip
    yield from _differences(corpus, counts, is_noisy)
    yield Figure(name=f"WER {corpus}, best system of each utterance", value=_oracle(utterances, texts), unit="%")


def _goals(system: str, is_noisy: bool) -> tuple[Goal, ...]:
    return at_most([None]) if system == CONSENSUS and not is_noisy else ()


def _peer(counts: Counts, system: str) -> dict[str, Any]:
    if system != CONSENSUS:
        return {}
    return {"peer": f"best single, {counts.best_single}", "peer_value": counts.rate(counts.best_single)}


def _differences(corpus: str, counts: Counts, is_noisy: bool) -> Iterator[Figure]:
    parts = {"": counts, ", speakers not tuned on": counts.of(range(1, len(counts.speakers), 2))}
    for title, part in parts.items():
        single = part.best_single
        low, high = _interval(part, lambda drawn, single=single: drawn.rate(CONSENSUS) - drawn.rate(single), corpus)  # type: ignore[misc]
        difference = part.rate(CONSENSUS) - part.rate(single)
        yield Figure(name=f"WER {corpus}, consensus - {single}{title}", value=difference,
                     unit=f"% points ({low:.1f}-{high:.1f})")  # fmt: skip
        gain = 1.0 - part.rate(CONSENSUS) / part.rate(single)
        goals = at_least([MIN_GAIN if is_noisy else 0.0])
        yield Figure(name=f"WER {corpus}, relative gain{title}", value=gain, unit="ratio", goals=goals)


def count_errors(utterances: Sequence[Utterance], texts: Mapping[str, Sequence[str]]) -> Counts:
    """Word errors of each system's texts, summed by speaker."""
    speakers = sorted({utterance.speaker for utterance in utterances})
    num_words = np.zeros(len(speakers), np.int64)
    errors = {system: np.zeros(len(speakers), np.int64) for system in texts}
    for index, utterance in enumerate(utterances):
        at = speakers.index(utterance.speaker)
        num_words[at] += len(normalised(utterance.reference))
        for system, found in texts.items():
            errors[system][at] += num_errors(utterance.reference, found[index])
    return Counts(speakers=speakers, errors=errors, num_words=num_words)


def num_errors(reference: str, text: str) -> int:
    """Substitutions, insertions and deletions between a reference and what was heard, both normalised."""
    words = normalised(reference)
    return int(Levenshtein.distance(words, _as_spelled(normalised(text), words)))


@cache
def normalised(text: str) -> tuple[str, ...]:
    """The words that are compared."""
    apart = CAPITALS.sub(lambda found: " ".join(found[0]), re.sub(r"[-/_]", " ", text))
    plain = _normaliser()(MIXED.sub(" ", apart))
    return tuple(re.sub(r"\d", lambda found: f" {found[0]} ", plain).split())


@cache
def _normaliser() -> Callable[[str], str]:
    from whisper_normalizer.english import EnglishTextNormalizer

    normaliser: Callable[[str], str] = EnglishTextNormalizer()
    return normaliser


def _as_spelled(words: Sequence[str], reference: Sequence[str]) -> list[str]:
    """Words that are part of a name which the reference spells, letter by letter: "gftu" where it has g f t u."""
    spelled = re.findall(r"\S{2,}", "".join(word if len(word) == 1 else " " for word in reference))
    return [
        letter
        for word in words
        for letter in (word if word.isalpha() and any(word in run for run in spelled) else [word])
    ]


def _text(words: Sequence[HypothesisWord]) -> str:
    return " ".join(word.text for word in words)


def _oracle(utterances: Sequence[Utterance], texts: Mapping[str, Sequence[str]]) -> float:
    """What choosing the best single system for each utterance would reach."""
    singles = [found for system, found in texts.items() if system != CONSENSUS]
    errors = sum(
        min(num_errors(utterance.reference, found[index]) for found in singles)
        for index, utterance in enumerate(utterances)
    )
    return 100.0 * errors / sum(len(normalised(utterance.reference)) for utterance in utterances)


def _interval(counts: Counts, measure: Callable[[Counts], float], purpose: str) -> tuple[float, float]:
    """Percentile bootstrap over speakers, 95 %: what one of them says errs together."""
    draws = stream(0, "accuracy_wer", purpose).integers(0, len(counts.speakers), (NUM_DRAWS, len(counts.speakers)))
    low, high = np.percentile([measure(counts.of(draw)) for draw in draws.tolist()], [2.5, 97.5])
    return float(low), float(high)
