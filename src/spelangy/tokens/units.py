"""Steps ``speech-tokenizer`` and ``units``: speech → a codebook → units, once per turn.

A turn's units lie on its recording's own 80 ms grid. Neighbouring turns share the silence between them at its midpoint,
so each frame belongs to one turn, and any chunk takes the slice that its span covers.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from spelangy.backends.protocols import Audio, SpeechTokenizer
from spelangy.core.errors import UserError
from spelangy.core.plugins import find_backend
from spelangy.core.random import uniform
from spelangy.core.records import Chunk, Units
from spelangy.core.spans import FRAME_SAMPLES, Span, nearest_frame, samples, seconds, tile
from spelangy.core.splits import is_heldout
from spelangy.engine.items import attach, nest
from spelangy.engine.step import ArtefactStep, Inputs, Item, Produced, TableStep
from spelangy.store.audio import AudioStore
from spelangy.tokens.config import TokensSettings

MAX_MARGIN_S = 1.0
"""Silence on either side that goes to a turn; two turns merged over a 2 s gap thus leave no frame out."""


def turns_with_recordings(inputs: Inputs, tables: Mapping[str, str]) -> pa.Table:
    """Recordings with their turns nested: id, audio, num_samples, turns.

    Args:
        tables: Name of the recordings table by name of the turns table.
    """
    parts = []
    for turns, recordings in tables.items():
        nested = nest(
            inputs.table(turns), by="recording_id", name="turns", columns=["id", "recording_id", "start", "end"]
        )
        rows = attach(inputs.table(recordings).select(["id", "audio", "num_samples"]), nested, "turns")
        parts.append(rows.filter(rows["turns"].is_valid()))
    return pa.concat_tables(parts)


class EncodeTurns:
    """Units of all turns of one recording."""

    def __init__(self, audio: AudioStore, backend: str, directory: Path) -> None:
        self.audio = audio
        self.tokenizer: SpeechTokenizer = find_backend("speech-tokenizer", backend).load().load(directory)

    def __call__(self, item: Item) -> Produced:
        turns = item["turns"]
        whole = Span(0, item["num_samples"])
        spans = tile([Span(turn["start"], turn["end"]) for turn in turns], whole, samples(MAX_MARGIN_S))
        return Produced(
            records={"units": [self._encode(item, turn, span) for turn, span in zip(turns, spans, strict=True)]}
        )

    def _encode(self, item: Item, turn: Item, span: Span) -> Units:
        first, last = nearest_frame(span.start), nearest_frame(span.end)
        frames = Span(first * FRAME_SAMPLES, max(first, last) * FRAME_SAMPLES).clip(Span(0, item["num_samples"]))
        units = self.tokenizer.encode(self.audio.read(item["audio"], frames))
        return Units(id=turn["id"], recording_id=item["id"], first_frame=first, units=tuple(units.tolist()))


def units_step(
    name: str, tables: Mapping[str, str], settings: TokensSettings, audio: AudioStore, tokenizer: str
) -> TableStep:
    """Units of the turns of some tables.

    Args:
        name: The step's name.
        tables: Name of the recordings table by name of the turns table.
        tokenizer: Name of the step that trained the tokenizer.
    """
    backend = settings.speech_tokenizer.name
    return TableStep(
        name=name,
        version=1,
        config={"speech_tokenizer": backend},
        inputs=tuple(name for pair in tables.items() for name in pair),
        shared=(tokenizer,),
        outputs={"units": Units},
        items=lambda inputs: turns_with_recordings(inputs, tables),
        worker=lambda inputs: partial(EncodeTurns, audio, backend, inputs.directory(tokenizer)),
        loads_model=True,
        shard_items=64,
    )


def speech_tokenizer_step(
    chunks: Sequence[str], settings: TokensSettings, audio: AudioStore, seed: int
) -> ArtefactStep:
    """Trains the recipe's speech tokenizer on a draw of training chunks; held-out documents are never heard."""
    backend = settings.speech_tokenizer.name

    def build(inputs: Inputs, directory: Path, report: Callable[[int, int], None]) -> Mapping[str, Any]:
        found = [chunk for table in chunks for chunk in inputs.records(table, Chunk)]
        training = [chunk for chunk in found if not is_heldout(chunk.document_id, settings.heldout_share, seed)]
        drawn = draw_chunks(training, settings.max_tokenizer_hours, seed)
        if not drawn:
            raise UserError("no speech to train a speech tokenizer on", hint="see the drop reasons of earlier steps")
        trained = (
            find_backend("speech-tokenizer", backend)
            .load()
            .train(_audio_of(drawn, audio, report), codebook_size=settings.codebook_size, seed=seed)
        )
        trained.save(directory)
        return {"num_chunks": len(drawn), "hours": seconds(sum(chunk.span.num_samples for chunk in drawn)) / 3600}

    return ArtefactStep(
        name="speech-tokenizer",
        version=1,
        config={
            "backend": backend,
            "codebook_size": settings.codebook_size,
            "max_hours": settings.max_tokenizer_hours,
            "heldout_share": settings.heldout_share,
        },
        inputs=tuple(chunks),
        seed=seed,
        build=build,
    )


def draw_chunks(chunks: Sequence[Chunk], max_hours: float, seed: int) -> list[Chunk]:
    """Chunks in an order drawn by their ids, up to `max_hours`: more speech added later does not reorder the rest."""
    left = samples(max_hours * 3600)
    drawn: list[Chunk] = []
    for chunk in sorted(chunks, key=lambda chunk: uniform(seed, chunk.id, "tokenizer")):
        left -= chunk.span.num_samples
        if left < 0 and drawn:
            break
        drawn.append(chunk)
    return drawn


def _audio_of(chunks: Sequence[Chunk], audio: AudioStore, report: Callable[[int, int], None]) -> Iterator[Audio]:
    for done, chunk in enumerate(chunks):
        report(done, len(chunks))
        yield audio.read(chunk.audio, chunk.span)
    report(len(chunks), len(chunks))
