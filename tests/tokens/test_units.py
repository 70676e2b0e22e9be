"""Units of turns: every frame of a recording belongs to one turn, on the recording's own grid."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from spelangy.backends.protocols import Audio
from spelangy.core.records import Chunk, Recording, Turn, Units
from spelangy.core.spans import FRAME_SAMPLES, SAMPLE_RATE_HZ, Span, seconds
from spelangy.tokens.kmeans import KMeansTokenizer
from spelangy.tokens.units import MAX_MARGIN_S, EncodeTurns, draw_chunks
from tiny_run import TinyRun

HALF_FRAME = FRAME_SAMPLES // 2


class Silence:
    """Stands in for the audio store: any span of any recording."""

    def read(self, key: str, span: Span) -> Audio:
        return np.zeros(span.num_samples, np.float32)


class Ramp:
    """Stands in for a tokenizer: as many units as there are frames."""

    def encode(self, audio_S: Audio) -> NDArray[np.uint16]:
        return np.arange(-(-audio_S.size // FRAME_SAMPLES), dtype=np.uint16)


@pytest.fixture(scope="module")
def encode(tiny: TinyRun) -> EncodeTurns:
    worker = EncodeTurns(tiny.store.audio, "kmeans-logmel", tiny.directory("speech-tokenizer"))
    worker.audio, worker.tokenizer = Silence(), Ramp()  # type: ignore[assignment]
    return worker


def frames_of(units: Units) -> range:
    return range(units.first_frame, units.first_frame + len(units.units))


def by_recording(rows: list[Units]) -> dict[str, list[Units]]:
    found: dict[str, list[Units]] = {}
    for row in sorted(rows, key=lambda row: (row.recording_id, row.first_frame)):
        found.setdefault(row.recording_id, []).append(row)
    return found


@pytest.mark.parametrize("step", ["units", "question-units"])
def test_units_of_spoken_recordings_tile_them(tiny: TinyRun, step: str) -> None:
    units = by_recording(tiny.records(step, "units", Units))
    source = "speech" if step == "units" else "question-speech"
    recordings = tiny.records(source, "recordings", Recording)
    assert recordings
    for recording in recordings:
        rows = units[recording.id]
        assert [frame for row in rows for frame in frames_of(row)] == list(
            range(recording.num_samples // FRAME_SAMPLES)
        )


def test_units_of_a_crawled_recording_never_overlap_and_take_in_its_speech(tiny: TinyRun) -> None:
    units = by_recording(tiny.records("units", "units", Units))
    turns = tiny.records("turns", "turns", Turn)
    (recording,) = {turn.recording_id for turn in turns}
    rows = units[recording]
    assert all(after.start >= before.stop for before, after in pairwise(map(frames_of, rows)))
    spans = {turn.id: turn.span for turn in turns}
    assert {row.id for row in rows} == set(spans)
    for row in rows:
        assert frames_of(row).start * FRAME_SAMPLES <= spans[row.id].start + HALF_FRAME
        assert frames_of(row).stop * FRAME_SAMPLES >= spans[row.id].end - HALF_FRAME


def test_units_are_those_of_the_saved_tokenizer(tiny: TinyRun) -> None:
    used = {unit for row in tiny.records("units", "units", Units) for unit in row.units}
    assert len(used) > 8 and max(used) < tiny.recipe.tokens.codebook_size


disjoint_spans = st.lists(st.integers(1, 40_000), min_size=2, max_size=16).map(
    lambda steps: [Span(a, b) for a, b in list(pairwise(np.cumsum(steps).tolist()))[::2]]
)


@given(disjoint_spans, st.integers(0, 50_000))
def test_any_turns_take_each_frame_at_most_once(encode: EncodeTurns, turns: list[Span], tail: int) -> None:
    num_samples = turns[-1].end + tail
    named = [{"id": f"t{place:02d}", "start": turn.start, "end": turn.end} for place, turn in enumerate(turns)]
    produced = encode({"id": "r", "audio": "", "num_samples": num_samples, "turns": named})
    rows = [frames_of(row) for row in produced.records["units"]]
    taken = [frame for row in rows for frame in row]
    assert len(rows) == len(turns) and taken == sorted(set(taken))
    margin = MAX_MARGIN_S * SAMPLE_RATE_HZ + HALF_FRAME
    for turn, row in zip(turns, rows, strict=True):
        assert turn.start - margin <= row.start * FRAME_SAMPLES <= turn.start + HALF_FRAME
        # A recording need not end on the grid: its last frame counts where half of it or more is there.
        assert min(turn.end, num_samples) - HALF_FRAME <= row.stop * FRAME_SAMPLES <= turn.end + margin
    for (before, after), (left, right) in zip(pairwise(turns), pairwise(rows), strict=True):
        if after.start - before.end <= 2 * MAX_MARGIN_S * SAMPLE_RATE_HZ:
            assert left.stop == right.start, "a silence of two seconds or less leaves no frame out"


def a_chunk(number: int) -> Chunk:
    return Chunk(
        id=f"chunk-{number}", document_id="d", recording_id="r", audio="", index=number, start=0, end=SAMPLE_RATE_HZ,
        text="", speaker="S0", role="speech", source="crawl", licence="", min_vote_ratio=1.0, confidence=1.0,
        dissent=(),
    )  # fmt: skip


def test_the_tokenizer_hears_no_more_than_it_may_in_an_order_of_its_own() -> None:
    chunks = [a_chunk(number) for number in range(40)]
    drawn = draw_chunks(chunks, 10 / 3600, seed=1)
    assert seconds(sum(chunk.span.num_samples for chunk in drawn)) == 10
    assert drawn == draw_chunks(chunks[::-1], 10 / 3600, seed=1)
    assert [chunk.id for chunk in drawn] != sorted(chunk.id for chunk in drawn)
    assert drawn != draw_chunks(chunks, 10 / 3600, seed=2)


def test_more_speech_does_not_reorder_what_was_drawn() -> None:
    few, many = [a_chunk(number) for number in range(20)], [a_chunk(number) for number in range(60)]
    everything = draw_chunks(many, 1.0, seed=0)
    assert [chunk for chunk in everything if chunk in few] == draw_chunks(few, 1.0, seed=0)


def test_the_tokenizer_never_heard_a_held_out_page(tiny: TinyRun, tmp_path: Path) -> None:
    chunks = [*tiny.records("chunks-fine", "chunks", Chunk), *tiny.records("speech", "chunks", Chunk)]
    training = [chunk for chunk in chunks if not tiny.is_heldout(chunk.document_id)]
    assert 0 < len(training) < len(chunks)
    tokens, seed = tiny.recipe.tokens, tiny.recipe.seed
    heard = (
        tiny.store.audio.read(row.audio, row.span) for row in draw_chunks(training, tokens.max_tokenizer_hours, seed)
    )
    KMeansTokenizer.train(heard, codebook_size=tokens.codebook_size, seed=seed).save(tmp_path)
    for file in tmp_path.iterdir():
        assert file.read_bytes() == (tiny.directory("speech-tokenizer") / file.name).read_bytes()
