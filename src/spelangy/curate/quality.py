"""Step ``quality``: how good a sample of each recording's turns sounds to a listener, as a model predicts it.

The model costs more than recognising the words, so it hears `curate.quality_windows_per_recording_hour` windows of 9 s
and no more. A hash of their ids decides which turns are heard: the same ones in every run.

scores   turn: the ratings of the turns heard, and of no others · recording: their mean, which stands for all
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from functools import partial

import numpy as np

from spelangy.backends.load import create, identity
from spelangy.backends.protocols import Audio
from spelangy.core.hashing import digest
from spelangy.core.records import Score, Turn, scores_of
from spelangy.core.schema import from_rows
from spelangy.core.settings import BackendChoice
from spelangy.core.spans import Span, samples, seconds
from spelangy.curate.config import CurateSettings
from spelangy.curate.turns import recordings_with_turns
from spelangy.engine.step import Item, Produced, TableStep
from spelangy.store.audio import AudioStore

WINDOW_SAMPLES = samples(9.01)
"""The window of DNSMOS, so that each turn heard costs one run of it."""

MIN_TURN_SAMPLES = samples(1.0)
"""Shorter turns are rated only where a recording has no longer ones: repeated to fill a window they sound odd."""


class Rate:
    """Predicted quality of one recording's sample of turns."""

    def __init__(self, audio: AudioStore, choice: BackendChoice, windows_per_hour: float) -> None:
        self.audio = audio
        self.predictor = create("quality", choice)
        self.windows_per_hour = windows_per_hour

    def __call__(self, item: Item) -> Produced:
        turns = from_rows(item["turns"] or [], Turn)
        heard = sample_turns(turns, num_windows(seconds(item["num_samples"]), self.windows_per_hour))
        values: dict[str, list[float]] = defaultdict(list)
        scores: list[Score] = []
        for turn in heard:
            (ratings,) = self.predictor.rate([self._window(turn)])
            for name, value in ratings.items():
                values[name].append(value)
            scores += scores_of(ratings, turn.recording_id, turn.id)
        scores += scores_of({name: float(np.mean(found)) for name, found in values.items()}, item["id"])
        return Produced(records={"scores": scores})

    def _window(self, turn: Turn) -> Audio:
        """The middle of a turn, or all of it again and again: as many samples as the model takes at once."""
        start = max(turn.start, turn.span.middle - WINDOW_SAMPLES // 2)
        clip = self.audio.read(turn.audio, Span(start, min(turn.end, start + WINDOW_SAMPLES)))
        return np.resize(clip, WINDOW_SAMPLES)


def num_windows(duration_s: float, windows_per_hour: float) -> int:
    """How many windows a recording's length buys; at least one."""
    return max(1, math.ceil(duration_s / 3600 * windows_per_hour))


def sample_turns(turns: Sequence[Turn], size: int) -> list[Turn]:
    """`size` turns (all where there are fewer), by the hash of their ids, those of a second or more first."""
    spoken = [turn for turn in turns if turn.span.num_samples]
    order = sorted(spoken, key=lambda turn: (turn.span.num_samples < MIN_TURN_SAMPLES, digest(turn.id)))
    return sorted(order[:size], key=lambda turn: turn.id)


def quality_step(settings: CurateSettings, audio: AudioStore) -> TableStep:
    """Predicted quality of a sample of all recordings' turns; ``curate.quality`` names the model."""
    choice, windows = settings.quality, settings.quality_windows_per_recording_hour
    assert choice is not None, "the recipe asks for no quality"

    return TableStep(
        name="quality",
        version=1,
        config={"quality": identity("quality", choice), "windows_per_recording_hour": windows},
        inputs=("ingest/recordings", "turns"),
        outputs={"scores": Score},
        items=recordings_with_turns,
        worker=lambda _: partial(Rate, audio, choice, windows),
        loads_model=True,
        shard_items=8,
    )
