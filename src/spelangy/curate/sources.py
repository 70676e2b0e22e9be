"""Finds the recordings that a recipe names."""

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from spelangy.curate.config import AudioSource
from spelangy.store.inputs import FoundInput, find_inputs, with_copy

AUDIO_SUFFIXES = tuple(
    f".{name}"
    for name in "aac aif aiff flac m4a mka mkv mov mp3 mp4 oga ogg opus raw sph wav webm wma".split()  # noqa: SIM905
)
"""What a folder is searched for."""


@dataclass(frozen=True, kw_only=True)
class FoundSource:
    """One input with the fields that its recording will carry."""

    file: FoundInput
    source: str
    licence: str


def find_sources(sources: Iterable[AudioSource]) -> list[FoundSource]:
    """All inputs, one entry per distinct content, ordered by id; the first source that has it gives its fields."""
    found: dict[str, FoundSource] = {}
    for source in sources:
        for file in find_inputs(source.uris, AUDIO_SUFFIXES):
            known = found.get(file.id)
            if known is None:
                found[file.id] = FoundSource(file=file, source=source.source, licence=source.licence)
                continue
            merged = known.file
            for uri in (file.uri, *file.copies):
                merged = with_copy(merged, uri)
            found[file.id] = FoundSource(file=merged, source=known.source, licence=known.licence)
    return [found[content] for content in sorted(found)]


def sources_table(found: Iterable[FoundSource]) -> pa.Table:
    """The items table of ingest."""
    text = pa.string()
    rows = [
        {
            "id": entry.file.id,
            "uri": entry.file.uri,
            "path": entry.file.path,
            "source": entry.source,
            "licence": entry.licence,
            "copies": list(entry.file.copies),
        }
        for entry in found
    ]
    names = ("id", "uri", "path", "source", "licence")
    return pa.Table.from_pylist(rows, schema=pa.schema([*((name, text) for name in names), ("copies", pa.list_(text))]))
