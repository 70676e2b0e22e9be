"""Chunks, units and page texts to documents: no unit lost, none twice, held-out text unseen by the tokenizer."""

from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spelangy.core.records import Chunk, Script, Units
from spelangy.core.spans import FRAME_SAMPLES, Span, nearest_frame, samples, tile
from spelangy.core.splits import group_of
from spelangy.tokens.documents import TEXT_SOURCE, documents_of_chunks, documents_of_texts, slice_units
from spelangy.tokens.text_tokenizer import leading_space, train_text_tokenizer
from spelangy.tokens.units import MAX_MARGIN_S
from tiny_run import TinyRun


def a_chunk(index: int, span: Span, recording: str = "r", document: str = "d") -> Chunk:
    return Chunk(
        id=f"{document}-{index:05d}", document_id=document, recording_id=recording, audio="", index=index,
        start=span.start, end=span.end, text=f"chunk {index}", speaker="S0", role="speech", source="crawl",
        licence="", min_vote_ratio=1.0, confidence=1.0, dissent=(),
    )  # fmt: skip


def units_of(turns: list[Span], outer: Span) -> list[Units]:
    """Units as `tokens.units` makes them, each named by its own frame so that it can be told where it went."""
    rows = []
    for place, span in enumerate(tile(turns, outer, samples(MAX_MARGIN_S))):
        first, last = nearest_frame(span.start), nearest_frame(span.end)
        rows.append(
            Units(id=f"t{place:02d}", recording_id="r", first_frame=first, units=tuple(range(first, max(first, last))))
        )
    return rows


@st.composite
def turns_in_chunks(draw: st.DrawFn) -> list[list[Span]]:
    """Disjoint turns, each cut into chunks longer than a frame."""
    start, turns = 0, []
    for _ in range(draw(st.integers(1, 5))):
        start += draw(st.integers(0, 60_000))
        lengths = draw(st.lists(st.integers(FRAME_SAMPLES + 1, 30_000), min_size=1, max_size=5))
        borders = (start + np.cumsum([0, *lengths])).tolist()
        turns.append([Span(a, b) for a, b in pairwise(borders)])
        start = borders[-1]
    return turns


@given(turns_in_chunks(), st.integers(0, 40_000))
def test_the_slices_of_a_turn_are_its_units_in_order(turns: list[list[Span]], tail: int) -> None:
    outer = Span(0, turns[-1][-1].end + tail)
    rows = units_of([Span(chunks[0].start, chunks[-1].end) for chunks in turns], outer)
    spans = [span for chunks in turns for span in chunks]
    slices = slice_units([a_chunk(index, span) for index, span in enumerate(spans)], rows)
    place = 0
    for chunks, row in zip(turns, rows, strict=True):
        own = slices[place : place + len(chunks)]
        place += len(chunks)
        assert np.concatenate(own).tolist() == list(row.units)
        for span, frames in zip(chunks[1:], own[1:], strict=True):
            assert not frames.size or abs(int(frames[0]) * FRAME_SAMPLES - span.start) <= FRAME_SAMPLES // 2


@given(st.lists(st.integers(1, 30), min_size=1, max_size=10))
def test_chunks_of_whole_frames_get_exactly_their_frames(counts: list[int]) -> None:
    """Synthetic speech: a turn a chunk, however short."""
    borders = np.cumsum([0, *counts]).tolist()
    spans = [Span(a * FRAME_SAMPLES, b * FRAME_SAMPLES) for a, b in pairwise(borders)]
    slices = slice_units([a_chunk(i, span) for i, span in enumerate(spans)], units_of(spans, Span(0, spans[-1].end)))
    assert [frames.tolist() for frames in slices] == [list(range(a, b)) for a, b in pairwise(borders)]


def test_a_chunk_before_any_units_gets_none() -> None:
    late = Units(id="t", recording_id="r", first_frame=100, units=(1, 2, 3))
    early, own = slice_units([a_chunk(0, Span(0, 16_000)), a_chunk(1, Span(128_000, 131_840))], [late])
    assert early.size == 0 and own.tolist() == [1, 2, 3]


def test_documents_come_by_id_with_their_chunks_in_order() -> None:
    spans = [Span(0, 12_800), Span(12_800, 25_600)]
    chunks = [a_chunk(index, span, document=name) for name in ("b", "a") for index, span in enumerate(spans)]
    documents = list(documents_of_chunks(chunks[::-1], units_of(spans, Span(0, 25_600))))
    assert [document.id for document in documents] == ["a", "b"]
    assert [[span.text for span in document.spans] for document in documents] == [["chunk 0", "chunk 1"]] * 2


def test_a_document_none_of_whose_turns_has_units_stays_out() -> None:
    assert list(documents_of_chunks([a_chunk(0, Span(0, 16_000))], [])) == []


def test_every_chunk_of_the_run_is_stored_with_the_units_of_its_span(tiny: TinyRun) -> None:
    summary = tiny.finished["span-store"].stored.circumstances["summary"]
    assert summary["chunks_without_units"] == 0
    chunks = sorted(tiny.records("speech", "chunks", Chunk), key=lambda chunk: (chunk.document_id, chunk.index))
    stored = {tiny.spans.document_id(number): number for number in range(tiny.spans.num_documents)}
    for document, group in groupby(chunks, key=lambda chunk: chunk.document_id):
        members, row = list(group), tiny.spans.docs[stored[document]]
        spans = range(row["spans_start"], row["spans_end"])
        assert [tiny.spans.text(span, span + 1) for span in spans] == [leading_space(chunk.text) for chunk in members]
        assert [tiny.spans.unit_counts[span] for span in spans] == [
            chunk.span.num_samples // FRAME_SAMPLES for chunk in members
        ]


def test_every_page_stands_in_the_store_as_text_and_as_speech_under_one_group(tiny: TinyRun) -> None:
    store = tiny.spans
    groups = {
        source: {group_of(store.document_id(int(number))) for number in store.documents_of(source)}
        for source in store.sources
    }
    assert set(groups) == {"crawl", "krist", "quest", TEXT_SOURCE}
    assert groups["krist"] == groups[TEXT_SOURCE] and len(groups["krist"]) == 4
    assert groups["quest"] <= groups["krist"] and not groups["crawl"] & groups["krist"]


def test_text_documents_have_a_span_a_sentence_and_no_units(tiny: TinyRun) -> None:
    texts = tiny.records("krist", "texts", Script)
    documents = list(documents_of_texts(texts))
    assert [document.id for document in documents] == [f"{text.page_id}-{text.id}" for text in texts]
    assert [len(document.spans) for document in documents] == [len(text.segments) for text in texts]
    assert not any(span.units.size for document in documents for span in document.spans)


def test_the_text_tokenizer_never_saw_a_held_out_page(tiny: TinyRun, tmp_path: Path) -> None:
    chunks = [*tiny.records("chunks-fine", "chunks", Chunk), *tiny.records("speech", "chunks", Chunk)]
    found = [(chunk.document_id, chunk.text) for chunk in chunks]
    scripts = tiny.records("krist", "texts", Script)
    found += [(script.page_id, segment.text) for script in scripts for segment in script.segments]
    training = [text for document, text in found if not tiny.is_heldout(document)]
    assert 0 < len(training) < len(found)
    trained = train_text_tokenizer(map(leading_space, training), tiny.recipe.tokens.text_vocabulary_size, tmp_path)
    stored = tiny.directory("text-tokenizer") / "tokenizer.json"
    assert stored.read_bytes() == (tmp_path / "tokenizer.json").read_bytes()
    assert trained.size == 300


def test_the_frames_of_a_dropped_chunk_in_the_middle_go_to_nobody() -> None:
    frames = 30
    row = Units(id="r-000000", recording_id="r", first_frame=0, units=tuple(range(frames)))
    kept = [
        a_chunk(0, Span(0, 10 * FRAME_SAMPLES)),
        a_chunk(1, Span(14 * FRAME_SAMPLES, frames * FRAME_SAMPLES)),
    ]
    first, second = slice_units(kept, [row])
    assert first.tolist() == list(range(10))
    assert second.tolist() == list(range(14, frames))
