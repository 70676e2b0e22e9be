"""What it costs to change one's mind: views of 10,000 turns cut again after a threshold changed; no model runs."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa

from figure import Figure, Goal
from spelangy.core.records import LanguageGuess, Recording, Score, Transcript, Turn, Word, turn_id
from spelangy.core.spans import samples
from spelangy.curate.config import CurateSettings, Thresholds, ViewSettings
from spelangy.curate.policy import REASONS
from spelangy.curate.views import ViewTables, chunks_step
from spelangy.engine.daft_runner import RunnerSettings
from spelangy.engine.pipeline import Pipeline
from spelangy.engine.progress import StepProgress
from spelangy.engine.step import Item, Produced, TableStep
from spelangy.store.objects import Store

NUM_RECORDINGS, TURNS_EACH = 100, 100
"""10,000 turns of 20 words, some 20 hours of speech."""

GOAL_S = 10.0
WORDS = "so we went down to the harbour. And then the town was there, waiting for the ship.".split()  # noqa: SIM905
TABLES = ViewTables(recordings="made/recordings", turns="made/turns", transcripts="made/transcripts",
                    scores=("made/scores",), languages=("made/languages",))  # fmt: skip


def figures(quick: bool) -> Iterator[Figure]:  # noqa: ARG001  # the same work either way: it takes seconds
    """All figures of this module."""
    with TemporaryDirectory() as folder:
        yield from _figures(Store(Path(folder)))


def _figures(store: Store) -> Iterator[Figure]:
    first_s, _ = _run(store, Thresholds())
    turns = f"{NUM_RECORDINGS * TURNS_EACH:,} turns"
    for name, thresholds in (("one threshold", Thresholds(max_disagreement_ratio=0.3)),
                             ("another score", Thresholds(min_snr_db=0.1))):  # fmt: skip
        took_s, num_chunks = _run(store, thresholds)
        goals = (Goal(compare="<=", limit=GOAL_S),)
        yield Figure(name=f"three views of {turns}, {name} changed", value=took_s, unit="s", goals=goals)
        assert num_chunks
    unchanged_s, _ = _run(store, Thresholds())
    yield Figure(name=f"three views of {turns}, set back", value=unchanged_s, unit="s")
    yield Figure(name=f"making up {turns} and the first views", value=first_s, unit="s")


def _run(store: Store, thresholds: Thresholds) -> tuple[float, int]:
    views = {
        granularity: ViewSettings(granularity=granularity, thresholds=thresholds)  # type: ignore[arg-type]
        for granularity in ("fine", "coarse", "words")
    }
    settings = CurateSettings(views=views)
    steps = [_made_step(), *(chunks_step(view, settings, TABLES) for view in views)]
    started = time.perf_counter()
    finished = Pipeline("views", steps).run(store, RunnerSettings(), StepProgress(quiet=True))
    took_s = time.perf_counter() - started
    return took_s, finished["chunks-fine"].stored.num_rows("chunks")


def _made_step() -> TableStep:
    outputs = {"recordings": Recording, "turns": Turn, "transcripts": Transcript, "scores": Score,
               "languages": LanguageGuess}  # fmt: skip
    ids = pa.table({"id": [f"{number:032x}" for number in range(NUM_RECORDINGS)]})
    return TableStep(name="made", version=1, config={}, outputs=outputs, items=lambda _: ids,
                     worker=lambda _: partial(_Make))  # fmt: skip


@dataclass(frozen=True)
class _Make:
    """One recording's measurements, made up: turns of 7 s, all scores that a threshold may look at."""

    def __call__(self, item: Item) -> Produced:
        rng = np.random.default_rng(int(item["id"], 16))
        turns = [self._turn(item["id"], index) for index in range(TURNS_EACH)]
        return Produced(
            records={
                "recordings": [self._recording(item["id"])],
                "turns": turns,
                "transcripts": [self._transcript(turn) for turn in turns],
                "scores": [self._score(turn, name, rng) for turn in turns for name in REASONS],
                "languages": [self._language(turn) for turn in turns],
            }
        )

    def _recording(self, name: str) -> Recording:
        return Recording(
            id=name, uri=name, status="ok", reason="", num_samples=samples(8.0 * TURNS_EACH), audio=name, source="made",
            licence="CC0", source_codec="", source_sample_rate_hz=16_000, source_channels=1,
        )  # fmt: skip

    def _turn(self, recording: str, index: int) -> Turn:
        start = samples(8.0 * index)
        return Turn(
            id=turn_id(recording, index), recording_id=recording, audio=recording, start=start,
            end=start + samples(7.0), speaker=f"S{index % 3 // 2}", is_overlap=False, embedding=(1.0,),
        )  # fmt: skip

    def _transcript(self, turn: Turn) -> Transcript:
        length = turn.span.num_samples // len(WORDS)
        words = tuple(
            Word(text=text, start=turn.start + index * length, end=turn.start + (index + 1) * length - 800,
                 vote_ratio=1.0, confidence=0.9)
            for index, text in enumerate(WORDS)
        )  # fmt: skip
        return Transcript(id=turn.id, recording_id=turn.recording_id, systems=("a", "b"), words=words, dissent=())

    def _score(self, turn: Turn, name: str, rng: np.random.Generator) -> Score:
        value = float(rng.random())
        return Score(id=f"{turn.id}-{name}", turn_id=turn.id, recording_id=turn.recording_id, name=name, value=value)

    def _language(self, turn: Turn) -> LanguageGuess:
        found: dict[str, Any] = {"evidence": "audio", "language": "en", "probability": 0.9, "num_windows": 1}
        return LanguageGuess(id=f"{turn.id}-audio", turn_id=turn.id, recording_id=turn.recording_id, **found)
