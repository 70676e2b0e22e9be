"""Chunks as clips of their own: sound bit for bit that of the store, and the fields that go with it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spelangy.core.records import Chunk
from spelangy.store.audio import AudioStore, flac_bytes, to_pcm
from spelangy.store.exchange.carried import carried_fields, chunk_words, tar_key
from spelangy.store.exchange.dossier import Dossier
from spelangy.store.exchange.folder import ExportFolder

DEFAULT_SHARD_MB = 256
"""Ours: large enough to read a disk or object store in sequence, small enough to shuffle by shard."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where an export goes and where its sound comes from.

    Attributes:
        shard_bytes: Size at which a shard is closed.
    """

    folder: ExportFolder
    audio: AudioStore
    shard_bytes: int = DEFAULT_SHARD_MB * 1_000_000


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One chunk cut out.

    Attributes:
        key: The chunk's id where tar keys can hold it, or else a hash of it.
        words: `chunk_words`.
        fields: `carried_fields`.
    """

    key: str
    chunk: Chunk
    flac: bytes
    words: list[dict[str, Any]]
    fields: Mapping[str, Any]


def clips(dossiers: Iterable[Dossier], audio: AudioStore) -> Iterator[Clip]:
    """All chunks, one after the other; only one is held."""
    for dossier in dossiers:
        for chunk in dossier.chunks:
            yield Clip(
                key=tar_key(chunk.id),
                chunk=chunk,
                flac=flac_bytes(to_pcm(audio.read(chunk.audio, chunk.span))),
                words=chunk_words(dossier, chunk),
                fields=carried_fields(dossier, chunk),
            )
