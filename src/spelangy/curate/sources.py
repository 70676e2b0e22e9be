"""Finds the recordings that a recipe names."""

import glob
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa

from spelangy.core.errors import UserError
from spelangy.core.hashing import ID_HEX_DIGITS, record_id
from spelangy.curate.config import AudioSource

AUDIO_SUFFIXES = tuple(
    f".{name}"
    for name in "aac aif aiff flac m4a mka mkv mov mp3 mp4 oga ogg opus raw sph wav webm wma".split()  # noqa: SIM905
)
"""What a folder is searched for. A file named outright is taken whatever its name."""

PACKAGE = "package:"


@dataclass(frozen=True, kw_only=True)
class FoundSource:
    """One input: its content's id, where it was found, and where the same content was found again."""

    id: str
    uri: str
    path: str
    source: str
    licence: str
    copies: tuple[str, ...]


def find_sources(sources: Iterable[AudioSource]) -> list[FoundSource]:
    """All inputs, one entry per distinct content, ordered by id; the first place it was found in gives its fields.

    An input that is not there gets an entry too: it becomes a quarantined recording.
    """
    found: dict[str, FoundSource] = {}
    for source in sources:
        for uri, path in _paths(source.uris):
            content = _content_id(path) or record_id("missing", uri)
            known = found.get(content)
            found[content] = FoundSource(
                id=content,
                uri=known.uri if known else uri,
                path=known.path if known else str(path),
                source=known.source if known else source.source,
                licence=known.licence if known else source.licence,
                copies=(*known.copies, uri) if known else (),
            )
    return [found[content] for content in sorted(found)]


def sources_table(found: Iterable[FoundSource]) -> pa.Table:
    """The items table of ingest."""
    columns = ("id", "uri", "path", "source", "licence", "copies")
    rows = [{name: getattr(entry, name) for name in columns} for entry in found]
    text = pa.string()
    return pa.Table.from_pylist(
        rows, schema=pa.schema([(name, pa.list_(text) if name == "copies" else text) for name in columns])
    )


def _paths(uris: Iterable[str]) -> Iterator[tuple[str, Path]]:
    for uri in uris:
        if uri.startswith(PACKAGE):
            yield uri, package_file(uri)
        elif Path(uri).is_dir():
            yield from ((str(path), path) for path in _in_folder(Path(uri)))
        elif glob.has_magic(uri) and not Path(uri).exists():
            yield from ((match, Path(match)) for match in sorted(glob.glob(uri, recursive=True)))  # noqa: PTH207
        else:
            yield uri, Path(uri)


def _in_folder(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file())


def package_file(uri: str) -> Path:
    """The file that ``package:NAME/FILE`` names, without importing the package.

    Raises:
        UserError: When the package is not installed.
    """
    package, _, name = uri.removeprefix(PACKAGE).partition("/")
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"{uri}: package {package!r} is not installed", hint=f"pip install {package.replace('_', '-')}")
    return Path(spec.submodule_search_locations[0]) / name


def _content_id(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:ID_HEX_DIGITS]
    except OSError:
        return None
