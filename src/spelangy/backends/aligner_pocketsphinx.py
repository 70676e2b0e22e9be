"""Role ``aligner``: PocketSphinx, its US English model and dictionary, over a grammar of all ways to say the words.

    tokens    "Dr."               "paid"     "$5"
    grammar   ──doctor──┐
              ──drive───┼──sil?──paid──sil?──┬──five──dollars──┐
              ──dr──────┘                    └──five───────────┘          Viterbi: one path, 10 ms frames → spans

Shape legend: S samples at 16 kHz, W spoken words.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spelangy.backends.aligner_phones import LetterToSound
from spelangy.backends.aligner_readings import Reading, readings
from spelangy.backends.asr_clips import is_silence
from spelangy.backends.protocols import Audio, ModelInfo
from spelangy.backends.weights import ResolvedWeights, resolve
from spelangy.core.spans import SAMPLE_RATE_HZ, Span, samples

WEIGHTS = "pocketsphinx-en-us"
FRAME_SAMPLES = SAMPLE_RATE_HZ // 100
WINDOW_SAMPLES = samples(0.025625)
"""Length of the window that a frame describes. Source: PocketSphinx's default `wlen`."""

WINDOW_SHIFT_SAMPLES = (WINDOW_SAMPLES - FRAME_SAMPLES) // 2
"""Frame t describes the window [10 t, 10 t + 25.6) ms, so the 10 ms it stands for lie in that window's middle."""

PADDING_SAMPLES = samples(0.2)
"""Silence put before and after a clip, so that one cut tightly still has its silences to be matched."""

MIN_PHONE_FRAMES = 3
"""A phone is a chain of three states without skips."""

MAX_COST = 1.8
"""Above this the words are not what is heard. Cost: -log10 of the acoustic score a frame, against the frame's best
state, over a word and the two words on either side. Source: ours, LibriSpeech test-other: with its own text 99.9 % of
words lie below 1.44 (babble at 10 dB: 98 % below 1.8), with another utterance's text the median is 2.2."""

MAX_REFUSED_RATIO = 0.5
"""With more words refused than this, the text belongs to other sound, and the rest lies where it lies by chance."""

MAX_ADDED_WORDS = 20_000
"""Unknown words that one decoder takes on before it is made anew: its dictionary only grows."""

_COST_WORDS = 5
_UNSURE_TOKENS = 2
"""Where the search loses its way (in loud noise; wider beams do not help), the last tokens it reached are not kept."""

_VARIANT = re.compile(r"\(\d+\)$")
_FILLERS = ("<", "[", "+", "(")


@dataclass(frozen=True, kw_only=True)
class _Said:
    """One spoken word of the best path: its name, frames [start, end), and its cost, summed over the frames."""

    name: str
    start: int
    end: int
    cost: float


class PocketSphinxAligner:
    """Viterbi alignment with pronunciation variants, optional silences and every reading of a token (`readings`).

    Words that the dictionary lacks get a pronunciation by `LetterToSound`. A token for which nothing is said (a dash,
    an emoji) has no span. Where the sound does not match the words (`MAX_COST`), they have none either. Each clip is
    aligned on its own: cepstral means are those of the clip, and nothing of an earlier one is kept.

    About 0.013 s of one core for a second of sound.

    Args:
        max_cost: Words that cost more than this are refused.
        path: Directory with the model's files and dictionary, to take instead of the pinned ones.

    Raises:
        UserError: When the weights are missing or are not the pinned ones.

    Source: Huggins-Daines et al. 2006, "PocketSphinx".
    """

    def __init__(self, *, max_cost: float = MAX_COST, path: str | Path | None = None) -> None:
        self._weights = resolve(WEIGHTS, path=path)
        self.info = self._weights.info("aligner")
        self.max_cost = max_cost
        self._letters_to_sound = LetterToSound()
        self._search = _Search(self._weights)

    @classmethod
    def describe(cls, *, path: str | Path | None = None, allow_network: bool = False, **_options: object) -> ModelInfo:
        """Which model this would be with these options; nothing is loaded."""
        return resolve(WEIGHTS, path=path, allow_network=allow_network).info("aligner")

    def align(self, audio_S: Audio, words: Sequence[str]) -> list[Span | None]:
        """Where each word is said; see `ForcedAligner.align`. Spans of different words are disjoint."""
        if self._search.num_added > MAX_ADDED_WORDS:
            self._search = _Search(self._weights)
        spans: list[Span | None] = [None] * len(words)
        if is_silence(audio_S):
            return spans
        tokens = [(index, said) for index, word in enumerate(words) if (said := self._pronounced(word))]
        grammar = [list(said) for _, said in tokens]
        padded_S = np.pad(audio_S, PADDING_SAMPLES)
        num_frames = max(0, padded_S.size - WINDOW_SAMPLES) // FRAME_SAMPLES
        if grammar and self._min_frames(said for _, said in tokens) <= num_frames:
            placed = self._place(padded_S, grammar)
            for (index, _), span in zip(tokens, placed, strict=True):
                spans[index] = span and _in_clip(span, audio_S.size)
        return spans

    def _place(self, padded_S: Audio, grammar: list[list[Reading]]) -> list[Span | None]:
        said = self._search.best_path(padded_S, grammar)
        counts = _words_by_token([word.name for word in said], grammar)
        spans = _spans(said, counts, self.max_cost)
        if len(spans) < len(grammar):
            spans = spans[: max(0, len(spans) - _UNSURE_TOKENS)]
        return spans + [None] * (len(grammar) - len(spans))

    def _pronounced(self, token: str) -> dict[Reading, int]:
        """Readings of `token` in names of the decoder's dictionary, and how many phones each has."""
        found: dict[Reading, int] = {}
        for reading in readings(token):
            named = [self._name(word) for word in reading]
            if all(name for name, _ in named):
                found[tuple(name for name, _ in named)] = sum(num_phones for _, num_phones in named)
        return found

    def _name(self, word: str) -> tuple[str, int]:
        known = self._search.phones(word)
        if known:
            return word, len(known.split())
        phones = self._letters_to_sound(word)
        name = "_".join(phones).lower()
        if phones:
            self._search.add(name, " ".join(phones))
        return name, len(phones)

    def _min_frames(self, tokens: Iterator[dict[Reading, int]]) -> int:
        return MIN_PHONE_FRAMES * sum(min(said.values()) for said in tokens)


class _Search:
    """A decoder, and the words that were added to its dictionary."""

    def __init__(self, weights: ResolvedWeights) -> None:
        # Loads a C library that only users of this model should pay for.
        from pocketsphinx import Decoder

        model, dictionary = weights.files["en-us/mdef"].parent, weights.files["cmudict-en-us.dict"]
        settings = {"hmm": str(model), "dict": str(dictionary), "samprate": SAMPLE_RATE_HZ, "cmn": "batch"}
        self._decoder: Any = Decoder(lm=None, loglevel="FATAL", **settings)
        self._added: set[str] = set()

    @property
    def num_added(self) -> int:
        return len(self._added)

    def phones(self, word: str) -> str | None:
        found: str | None = self._decoder.lookup_word(word)
        return found

    def add(self, name: str, phones: str) -> None:
        """Makes `name` a word of the dictionary."""
        if name not in self._added:
            self._added.add(name)
            self._decoder.add_word(name, phones, False)

    def best_path(self, audio_S: Audio, grammar: list[list[Reading]]) -> list[_Said]:
        """The spoken words of the best path through `grammar`; cut short where the search lost its way."""
        decoder = self._decoder
        # Even with means of the clip's own, the front end keeps something of the clip before: begin anew (0.1 ms).
        decoder.reinit_feat()
        transitions, final = _transitions(grammar)
        decoder.add_fsg("align", decoder.create_fsg("align", 0, final, transitions))
        decoder.activate_search("align")
        decoder.start_utt()
        decoder.process_raw((np.clip(audio_S, -1.0, 1.0) * 32_767).astype("<i2").tobytes(), full_utt=True)
        decoder.end_utt()
        return list(_segments(decoder)) if decoder.hyp() else []


def _segments(decoder: Any) -> Iterator[_Said]:
    # Entries are read while iterating: they live in memory that the decoder frees.
    for entry in decoder.seg() or ():
        if not entry.word.startswith(_FILLERS):
            cost = -np.log10(max(entry.ascore, 1e-320))
            name = _VARIANT.sub("", entry.word)
            yield _Said(name=name, start=entry.start_frame, end=entry.end_frame + 1, cost=float(cost))


def _transitions(grammar: list[list[Reading]]) -> tuple[list[tuple[int, int, float, str]], int]:
    """The grammar as arcs (from, to, probability, word), and its last state: every token's readings side by side."""
    arcs: list[tuple[int, int, float, str]] = []
    state = used = 0
    for said in grammar:
        inner = sum(len(reading) - 1 for reading in said)
        token_end = used + inner + 1
        for reading in said:
            states = [state, *range(used + 1, used + len(reading)), token_end]
            used += len(reading) - 1
            arcs += [(states[i], states[i + 1], 1.0, word) for i, word in enumerate(reading)]
        state = used = token_end
    return arcs, state


def _words_by_token(names: list[str], grammar: list[list[Reading]]) -> list[int]:
    """How many of the path's words each token takes, for the tokens that the path leads through whole."""
    reached: list[dict[int, int]] = [{0: 0}]
    for said in grammar:
        ways: dict[int, int] = {}
        for place in reached[-1]:
            for reading in said:
                end = place + len(reading)
                if tuple(names[place:end]) == reading:
                    ways.setdefault(end, place)
        reached.append(ways)
    while not reached[-1]:
        reached.pop()
    counts, place = [], max(reached[-1])
    for ways in reversed(reached[1:]):
        counts.append(place - ways[place])
        place = ways[place]
    return counts[::-1]


def _spans(said: Sequence[_Said], counts: Sequence[int], max_cost: float) -> list[Span | None]:
    if not counts:
        return []
    refused_W = _local_cost(said) > max_cost
    if refused_W.mean() > MAX_REFUSED_RATIO:
        return [None] * len(counts)
    ends = np.cumsum(counts)
    return [
        None if refused_W[end - count : end].any() else Span(said[end - count].start, said[end - 1].end)
        for count, end in zip(counts, ends.tolist(), strict=True)
    ]


def _local_cost(said: Sequence[_Said]) -> NDArray[np.float64]:
    """Cost a frame over each word and its neighbours, shape [W]."""
    costs_W = np.array([word.cost for word in said])
    frames_W = np.array([word.end - word.start for word in said], np.float64)
    costs, frames = (np.convolve(values, np.ones(_COST_WORDS)) for values in (costs_W, frames_W))
    around = slice(_COST_WORDS // 2, _COST_WORDS // 2 + len(said))
    return np.asarray(costs[around] / frames[around])


def _in_clip(frames: Span, num_samples: int) -> Span | None:
    """Frames of the padded clip as samples of the clip; None where nothing of them lies inside."""
    start, end = (
        min(max(0, frame * FRAME_SAMPLES + WINDOW_SHIFT_SAMPLES - PADDING_SAMPLES), num_samples)
        for frame in (frames.start, frames.end)
    )
    return Span(start, end) if start < end else None
