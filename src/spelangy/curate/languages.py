"""Step ``languages``: turns → which language each sounds like; and which language a transcript reads like.

    turn       |-----------------------------------------|
    windows        |--- 5 s ---|         |--- 5 s ---|        spread evenly; fewer where the turn is shorter
    guess      the language with the highest mean probability, and that mean

Whisper reads six seconds for the price of one, so a speaker's turns below 2 s, too short to tell much each, are heard
end to end in shared windows: they get one guess together, at a fraction of the price.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa

from spelangy.backends.load import create, identity
from spelangy.backends.protocols import Audio
from spelangy.backends.text_language import language_probabilities
from spelangy.core.records import LanguageGuess
from spelangy.core.settings import BackendChoice
from spelangy.core.spans import Span, samples
from spelangy.curate.config import CurateSettings
from spelangy.curate.transcribe import turn_blocks
from spelangy.engine.step import Inputs, Item, Produced, TableStep
from spelangy.store.audio import AudioStore

SHORT_TURN_SAMPLES = samples(2.0)
"""Source: ours. Of LibriSpeech test-other, 2 s are found English in 21 of 25 cases, 5 s in 23 (30 s of padding: 23)."""

UNKNOWN_LANGUAGE = "und"
"""ISO 639-2 for undetermined: silence, or a text without letters."""


@dataclass(frozen=True, kw_only=True)
class WindowPlan:
    """How much of a turn is heard.

    Attributes:
        num_windows: Most windows a turn.
        window_samples: Length of a window.
    """

    num_windows: int
    window_samples: int


@dataclass(frozen=True, kw_only=True)
class _Listening:
    """One window to hear: parts of recordings put end to end, and the turns (positions in the block) it speaks for."""

    turns: tuple[int, ...]
    spans: tuple[Span, ...]


class GuessLanguages:
    """The spoken language of the turns of one block of a recording."""

    def __init__(self, audio: AudioStore, choice: BackendChoice, plan: WindowPlan) -> None:
        self.audio = audio
        self.plan = plan
        self.lid = create("lid", choice)

    def __call__(self, item: Item) -> Produced:
        turns = item["turns"]
        listenings = list(plan_windows(turns, self.plan))
        clips = [self._sound(turns[window.turns[0]]["audio"], window.spans) for window in listenings]
        heard: dict[int, list[Mapping[str, float]]] = {}
        for window, probabilities in zip(listenings, self.lid.identify(clips), strict=True):
            for turn in window.turns:
                heard.setdefault(turn, []).append(probabilities)
        return Produced(records={"languages": [guess(turns[index], windows) for index, windows in heard.items()]})

    def _sound(self, key: str, spans: Sequence[Span]) -> Audio:
        return np.concatenate([self.audio.read(key, span) for span in spans])


def plan_windows(turns: Sequence[Item], plan: WindowPlan) -> Iterator[_Listening]:
    """Which windows tell the languages of a block's turns; every turn is in one or more."""
    short: dict[tuple[str, str], list[int]] = {}
    for index, turn in enumerate(turns):
        span = Span(turn["start"], turn["end"])
        if span.num_samples < min(SHORT_TURN_SAMPLES, plan.window_samples):
            short.setdefault((turn["audio"], turn["speaker"]), []).append(index)
        else:
            yield from (_Listening(turns=(index,), spans=(window,)) for window in spread_windows(span, plan))
    for indices in short.values():
        yield from _shared_windows(indices, turns, plan)


def spread_windows(span: Span, plan: WindowPlan) -> list[Span]:
    """As many windows as fit in `span`, one to `num_windows`, each in the middle of an equal part of it."""
    count = max(1, min(plan.num_windows, span.num_samples // plan.window_samples))
    length = min(plan.window_samples, span.num_samples)
    middles = [span.start + (2 * part + 1) * span.num_samples // (2 * count) for part in range(count)]
    return [Span(middle - length // 2, middle - length // 2 + length) for middle in middles]


def _shared_windows(indices: Sequence[int], turns: Sequence[Item], plan: WindowPlan) -> Iterator[_Listening]:
    taken: list[int] = []
    room = plan.window_samples
    for index in indices:
        length = turns[index]["end"] - turns[index]["start"]
        if taken and length > room:
            yield _shared(taken, turns)
            taken, room = [], plan.window_samples
        taken.append(index)
        room -= length
    yield _shared(taken, turns)


def _shared(indices: Sequence[int], turns: Sequence[Item]) -> _Listening:
    return _Listening(
        turns=tuple(indices), spans=tuple(Span(turns[index]["start"], turns[index]["end"]) for index in indices)
    )


def guess(turn: Item, windows: Sequence[Mapping[str, float]]) -> LanguageGuess:
    """The language with the highest mean probability over the windows that held sound.

    `num_windows` counts those: 0 says that the turn is silent and the language unknown.
    """
    heard = [window for window in windows if window]
    means = {
        language: sum(window.get(language, 0.0) for window in heard) / len(heard)
        for language in sorted({language for window in heard for language in window})
    }
    language = max(means, key=lambda code: means[code], default=UNKNOWN_LANGUAGE)
    return LanguageGuess(
        id=f"{turn['id']}-audio",
        turn_id=turn["id"],
        recording_id=turn["recording_id"],
        evidence="audio",
        language=language,
        probability=min(1.0, means.get(language, 0.0)),
        num_windows=len(heard),
    )


def text_language(text: str) -> tuple[str, float]:
    """The likeliest language of a transcript, and its probability; ``und`` with 0 where there is no text."""
    return next(iter(language_probabilities(text).items()), (UNKNOWN_LANGUAGE, 0.0))


def languages_step(settings: CurateSettings, audio: AudioStore) -> TableStep:
    """Spoken language of all turns; only where the recipe names an identifier."""
    choice = settings.lid
    assert choice is not None, "no language identifier is chosen"
    plan = WindowPlan(num_windows=settings.lid_windows_per_turn, window_samples=samples(settings.lid_window_s))

    def items(inputs: Inputs) -> pa.Table:
        return turn_blocks(inputs.table("turns"), settings.asr_block_s, ("speaker",))

    return TableStep(
        name="languages",
        version=1,
        config={
            "lid": identity("lid", choice),
            "block_s": settings.asr_block_s,
            "windows_per_turn": settings.lid_windows_per_turn,
            "window_s": settings.lid_window_s,
        },
        inputs=("turns",),
        outputs={"languages": LanguageGuess},
        items=items,
        worker=lambda _: partial(GuessLanguages, audio, choice, plan),
        loads_model=True,
        shard_items=4,
    )
