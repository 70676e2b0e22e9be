"""Steps ``text-tokenizer`` and ``span-store``: chunks, units and page texts → documents of spans, tokenised once."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spelangy.core.records import Chunk, Script, Units
from spelangy.core.spans import FRAME_SAMPLES, nearest_frame, seconds
from spelangy.core.splits import is_heldout
from spelangy.engine.step import ArtefactStep, Inputs
from spelangy.tokens.config import TokensSettings
from spelangy.tokens.span_store import StoredDocument, StoredSpan
from spelangy.tokens.store_writer import write_span_store
from spelangy.tokens.text_tokenizer import TextTokenizer, leading_space, train_text_tokenizer
from spelangy.tokens.vocabulary import Vocabulary

TEXT_SOURCE = "text"
SPANS_FOLDER = "spans"


def documents_of_chunks(chunks: Sequence[Chunk], units: Sequence[Units]) -> Iterator[StoredDocument]:
    """Speech-text documents, in order of their ids; chunks whose turn has no units stay out."""
    by_recording = {
        recording: list(rows) for recording, rows in groupby(_ordered(units), key=lambda row: row.recording_id)
    }
    ordered = sorted(chunks, key=lambda chunk: (chunk.document_id, chunk.index))
    for document_id, group in groupby(ordered, key=lambda chunk: chunk.document_id):
        members = list(group)
        slices = slice_units(members, by_recording.get(members[0].recording_id, []))
        spans = tuple(_span(chunk, own) for chunk, own in zip(members, slices, strict=True) if own.size)
        if spans:
            yield StoredDocument(id=document_id, source=members[0].source, spans=spans)


def _ordered(units: Sequence[Units]) -> list[Units]:
    return sorted(units, key=lambda row: (row.recording_id, row.first_frame))


def slice_units(chunks: Sequence[Chunk], rows: Sequence[Units]) -> list[NDArray[np.uint16]]:
    """Each chunk's units: the frames of its turn between its borders; a turn's outer chunks take its outer silence.

    Frames between two chunks that do not touch belong to a chunk that was dropped, and stay out.

    Args:
        chunks: Chunks of one recording in time order, each within one turn and longer than a frame.
        rows: Units of the recording's turns in time order.
    """
    starts = [row.first_frame * FRAME_SAMPLES for row in rows]
    turn_of = [bisect_right(starts, chunk.span.middle) - 1 for chunk in chunks]
    slices: list[NDArray[np.uint16]] = []
    for place, group in groupby(zip(turn_of, chunks, strict=True), key=lambda pair: pair[0]):
        members = [chunk for _, chunk in group]
        if place < 0:
            slices.extend(np.zeros(0, np.uint16) for _ in members)
            continue
        units = np.array(rows[place].units, dtype=np.uint16)
        first = rows[place].first_frame
        starts_in_turn = [0, *(nearest_frame(chunk.start) - first for chunk in members[1:])]
        ends_in_turn = [*(nearest_frame(chunk.end) - first for chunk in members[:-1]), len(units)]
        borders = np.clip([starts_in_turn, ends_in_turn], 0, len(units)).T
        slices.extend(units[start:end] for start, end in borders)
    return slices


def _span(chunk: Chunk, units: NDArray[np.uint16]) -> StoredSpan:
    return StoredSpan(
        units=units,
        text=chunk.text,
        start=chunk.start,
        end=chunk.end,
        speaker=chunk.speaker,
        role=chunk.role,
        confidence=chunk.confidence,
    )


def documents_of_texts(texts: Sequence[Script]) -> Iterator[StoredDocument]:
    """Text-only documents, a span a sentence."""
    for script in sorted(texts, key=lambda script: script.id):
        spans = tuple(
            StoredSpan(
                units=np.zeros(0, np.uint16),
                text=segment.text,
                start=0,
                end=0,
                speaker="",
                role=segment.role,
                confidence=1.0,
            )
            for segment in script.segments
        )
        yield StoredDocument(id=f"{script.page_id}-{script.id}", source=TEXT_SOURCE, spans=spans)


def text_tokenizer_step(
    chunks: Sequence[str], texts: Sequence[str], settings: TokensSettings, seed: int
) -> ArtefactStep:
    """Trains the text tokenizer on the training documents of some tables of chunks and of scripts."""

    def training_texts(inputs: Inputs) -> Iterator[str]:
        found: Iterable[tuple[str, str]] = (
            *((chunk.document_id, chunk.text) for table in chunks for chunk in inputs.records(table, Chunk)),
            *(
                (script.page_id, segment.text)
                for table in texts
                for script in inputs.records(table, Script)
                for segment in script.segments
            ),
        )
        return (
            leading_space(text)
            for document_id, text in found
            if not is_heldout(document_id, settings.heldout_share, seed)
        )

    def build(inputs: Inputs, directory: Path, report: Callable[[int, int], None]) -> Mapping[str, Any]:
        tokenizer = train_text_tokenizer(training_texts(inputs), settings.text_vocabulary_size, directory)
        report(1, 1)
        return {"num_tokens": tokenizer.size}

    return ArtefactStep(
        name="text-tokenizer",
        version=1,
        config={"size": settings.text_vocabulary_size, "heldout_share": settings.heldout_share},
        inputs=(*chunks, *texts),
        seed=seed,
        build=build,
    )


def span_store_step(
    chunks: Sequence[str], units: Sequence[str], texts: Sequence[str], settings: TokensSettings
) -> ArtefactStep:
    """Writes the span store of some tables of chunks (with the units of their turns) and of text-only scripts."""

    def build(inputs: Inputs, directory: Path, report: Callable[[int, int], None]) -> Mapping[str, Any]:
        found_chunks = [chunk for table in chunks for chunk in inputs.records(table, Chunk)]
        found_units = [row for table in units for row in inputs.records(table, Units)]
        found_texts = [script for table in texts for script in inputs.records(table, Script)]
        tokenizer = TextTokenizer.load(inputs.directory("text-tokenizer"))
        documents = [*documents_of_chunks(found_chunks, found_units), *documents_of_texts(found_texts)]
        manifest = write_span_store(
            directory / SPANS_FOLDER,
            documents,
            text_tokenizer=tokenizer,
            vocabulary=Vocabulary(text_size=tokenizer.size, codebook_size=settings.codebook_size),
            speech_tokenizer_digest=inputs.digest("speech-tokenizer"),
        )
        report(1, 1)
        stored = sum(len(document.spans) for document in documents if document.source != TEXT_SOURCE)
        return {
            "counts": manifest["counts"],
            "chunks_without_units": len(found_chunks) - stored,
            "speech_hours": seconds(sum(chunk.span.num_samples for chunk in found_chunks)) / 3600,
        }

    return ArtefactStep(
        name="span-store",
        version=1,
        config={"codebook_size": settings.codebook_size},
        inputs=(*chunks, *units, *texts, "text-tokenizer", "speech-tokenizer"),
        build=build,
    )
