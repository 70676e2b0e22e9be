"""Finds the recordings that a recipe names, in whatever form they are listed or packed.

    kind         what a URI names                                       read by
    audio        audio files, folders and globs of them, URLs           here
    urls         a text file of one URL a line                          sources_urls
    feed         an RSS or Atom feed                                    sources_urls
    nemo         a NeMo manifest, with its tars where it is tarred      sources_manifests
    lhotse       a lhotse manifest of recordings or cuts                sources_manifests
    webdataset   tar archives whose .json/.txt members are metadata     sources_archives
    tar          tar archives                                           sources_archives
    hf           a saved Hugging Face dataset, Parquet, Arrow           sources_tables
    auto         any of these, told by name and content                 here

All become `FoundSource`, one per distinct content. Local bytes are hashed while listing, once as long as the file stays
the same (`store.stat_cache`); bytes elsewhere are not asked for: such an entry's id is its URL's, with the version that
a listing states, and its recording gets the id of its bytes when ingest has them.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from glob import has_magic
from pathlib import Path

import pyarrow as pa

from spelangy.core.errors import Quarantined, UserError
from spelangy.core.hashing import record_id
from spelangy.curate.config import AudioSource
from spelangy.curate.fetch import fetch_bytes, is_http, is_remote, list_remote, url_suffix
from spelangy.curate.found import FoundSource, Place, unreadable
from spelangy.curate.sources_archives import ARCHIVE_SUFFIXES, read_archive
from spelangy.curate.sources_manifests import (
    MANIFEST_SUFFIXES,
    expand_shards,
    manifest_kind,
    read_head,
    read_lhotse,
    read_nemo,
    shard_members,
)
from spelangy.curate.sources_tables import (
    TABLE_SUFFIXES,
    dataset_files,
    dataset_licence,
    is_saved_dataset,
    read_table_file,
)
from spelangy.curate.sources_urls import (
    file_path,
    looks_like_feed,
    looks_like_url_list,
    read_feed,
    read_url_list,
    remote_source,
    url_problem,
)
from spelangy.store.inputs import content_ids, find_paths, missing_id, printable

AUDIO_SUFFIXES = tuple(
    f".{name}"
    for name in "aac aif aiff flac m4a mka mkv mov mp3 mp4 oga ogg opus raw sph wav webm wma".split()  # noqa: SIM905
)
"""What a folder is searched for."""

FEED_SUFFIXES = (".rss", ".atom", ".xml")
LIST_SUFFIXES = (".txt", ".urls", ".lst")
_SEARCHED = {
    "auto": (*AUDIO_SUFFIXES, *ARCHIVE_SUFFIXES, ".parquet"),
    "audio": AUDIO_SUFFIXES,
    "urls": LIST_SUFFIXES,
    "feed": FEED_SUFFIXES,
    "nemo": MANIFEST_SUFFIXES,
    "lhotse": MANIFEST_SUFFIXES,
    "webdataset": ARCHIVE_SUFFIXES,
    "tar": ARCHIVE_SUFFIXES,
    "hf": TABLE_SUFFIXES,
}
"""What a folder is searched for, by kind."""

_HEAD_BYTES = 4096


def find_sources(sources: Iterable[AudioSource]) -> list[FoundSource]:
    """All recordings, one entry per distinct content, ordered by id; the first source that has it gives its fields.

    Raises:
        UserError: When a package is not installed, or it cannot be told what kind of source a URI names.
    """
    listed = [
        replace(entry, source=source.source, licence=entry.licence or source.licence)
        for source in sources
        for entry in _listed(source)
    ]
    found: dict[str, FoundSource] = {}
    for entry in _with_ids(listed):
        known = found.get(entry.id)
        found[entry.id] = entry if known is None else _with_copy(known, entry.uri)
    return [found[content] for content in sorted(found)]


def _with_ids(listed: Sequence[FoundSource]) -> Iterator[FoundSource]:
    files = [Path(entry.place.path) for entry in listed if _is_file(entry)]
    hashed = dict(zip(files, content_ids(files), strict=True))
    for entry in listed:
        uri, path = printable(entry.uri), printable(entry.place.path)
        content = entry.id or (hashed.get(Path(entry.place.path)) if _is_file(entry) else None)
        if entry.place.container.startswith("url") and not entry.problem:
            content = record_id("url", uri, entry.place.column)
        yield replace(entry, id=content or missing_id(uri), uri=uri, place=replace(entry.place, path=path))


def _is_file(entry: FoundSource) -> bool:
    return not (entry.id or entry.place.container or entry.problem)


def _with_copy(entry: FoundSource, uri: str) -> FoundSource:
    """`entry` with one more place of the same content; a place it already names is not another copy."""
    return entry if uri in (entry.uri, *entry.copies) else replace(entry, copies=(*entry.copies, uri))


def _listed(source: AudioSource) -> Iterator[FoundSource]:
    if source.kind == "nemo":
        yield from _nemo(source.uris)
        return
    for uri in source.uris:
        if is_remote(uri):
            yield from _remote(uri, source.kind)
            continue
        for place, path, kind in _local(file_path(uri), source.kind):
            yield from _read(place, path, kind)


def _local(uri: str, kind: str) -> Iterator[tuple[str, Path, str]]:
    """(uri, path, kind) of what a local URI names."""
    if kind in ("auto", "hf") and is_saved_dataset(Path(uri)):
        yield uri, Path(uri), "hf"
        return
    for place, path in find_paths([uri], _SEARCHED[kind]):
        yield place, path, recognised(path) if kind == "auto" else kind


def recognised(path: Path) -> str:
    """What kind of source a file is, by its name and its first bytes.

    Raises:
        UserError: When it is JSON of no known kind.
    """
    name = path.name.lower()
    if not path.is_file() or name.endswith(AUDIO_SUFFIXES):
        return "audio"
    if name.endswith(ARCHIVE_SUFFIXES):
        return "webdataset"
    if name.endswith(TABLE_SUFFIXES):
        return "hf"
    head = _head(path)
    if name.endswith(MANIFEST_SUFFIXES):
        return _manifest(path)
    if looks_like_feed(head):
        return "feed"
    return "urls" if name.endswith(LIST_SUFFIXES) and looks_like_url_list(head) else "audio"


def _manifest(path: Path) -> str:
    kind = manifest_kind(read_head(path))
    if kind == "json":
        raise UserError(
            f"{path}: neither a NeMo manifest (audio_filepath) nor a lhotse one (sources, recording, tracks)",
            hint=f"set kind for this source, one of {', '.join(_SEARCHED)}; or name the audio itself",
        )
    return kind or "audio"


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES)
    except OSError:
        return b""


def _read(uri: str, path: Path, kind: str) -> Iterable[FoundSource]:
    """The recordings of one local file (of a saved dataset's folder)."""
    if kind == "audio":
        return [FoundSource(uri=uri, place=Place(path=str(path.absolute())))]
    if kind == "hf" and path.is_dir():
        return _saved_dataset(uri, path)
    if not path.is_file():
        return [unreadable(uri, "not found" if not path.exists() else "not a file", str(path))]
    try:
        return _read_file(uri, path, kind)
    except OSError as error:
        return [unreadable(uri, "not readable", f"{path}: {error.strerror}")]


def read_container(uri: str, path: Path, kind: str) -> Iterable[FoundSource]:
    """The recordings inside one archive or table file: kind ``tar``, ``webdataset`` or ``hf``."""
    return _read(uri, path, kind)


def _read_file(uri: str, path: Path, kind: str) -> list[FoundSource]:
    if kind in ("webdataset", "tar"):
        return read_archive(uri, path, AUDIO_SUFFIXES, sidecars=kind == "webdataset")
    if kind == "hf":
        return read_table_file(uri, path)
    if kind in ("nemo", "lhotse"):
        with path.open("rb") as file:
            return list(read_nemo(uri, file, {}) if kind == "nemo" else read_lhotse(uri, file))
    return _read_list(uri, path.read_bytes(), kind)


def _read_list(uri: str, data: bytes, kind: str) -> list[FoundSource]:
    return list(read_feed(uri, data) if kind == "feed" else read_url_list(uri, data))


def _saved_dataset(uri: str, folder: Path) -> Iterator[FoundSource]:
    for file in dataset_files(folder):
        licence = dataset_licence(file.parent)
        for entry in _read(f"{uri}/{file.relative_to(folder)}", file, "hf"):
            yield replace(entry, licence=licence)


def _nemo(uris: Iterable[str]) -> Iterator[FoundSource]:
    """NeMo manifests with the tars that they speak of: both are named in one source."""
    named = [shard for uri in uris for shard in expand_shards(file_path(uri))]
    tars = [uri for uri in named if uri.lower().endswith(ARCHIVE_SUFFIXES)]
    if any(map(is_remote, tars)):
        raise UserError("a tarred NeMo manifest with remote tars", hint="copy the tars here first, or set kind = 'tar'")
    archives = [
        (place, list(_read(place, path, "tar"))) for uri in tars for place, path in find_paths([uri], ARCHIVE_SUFFIXES)
    ]
    members = shard_members((uri, [entry for entry in found if not entry.problem]) for uri, found in archives)
    yield from (entry for _, found in archives for entry in found if entry.problem)
    for uri in (uri for uri in named if uri not in tars):
        if is_remote(uri):
            yield from _remote(uri, "nemo")
            continue
        for place, path in find_paths([uri], MANIFEST_SUFFIXES):
            if not path.is_file():
                yield unreadable(place, "not found", str(path))
                continue
            with path.open("rb") as file:
                yield from read_nemo(place, file, members)


# ------------------------------------------------------------------------------------------------------------- remote


def _remote(uri: str, kind: str) -> Iterable[FoundSource]:
    """What a URL names: audio that ingest will fetch, or a list, manifest or feed that is read now."""
    kind = _remote_kind(uri) if kind == "auto" else kind
    try:
        if kind == "audio":
            return _remote_audio(uri)
        if kind in ("webdataset", "tar", "hf"):
            return [FoundSource(uri=uri, place=Place(path=uri, container=f"url+{kind}"))]
        data = fetch_bytes(uri)
    except Quarantined as quarantined:
        return [unreadable(uri, quarantined.reason, quarantined.detail)]
    if kind in ("nemo", "lhotse"):
        return list(read_nemo(uri, io.BytesIO(data), {}) if kind == "nemo" else read_lhotse(uri, io.BytesIO(data)))
    return _read_list(uri, data, kind)


def _remote_audio(uri: str) -> list[FoundSource]:
    if not is_http(uri) and (uri.endswith("/") or has_magic(uri)):
        return [remote_source(file.url, file.version) for file in list_remote(uri, AUDIO_SUFFIXES)]
    problem = url_problem(uri)
    return [unreadable(uri, problem)] if problem else [remote_source(uri)]


def _remote_kind(uri: str) -> str:
    name = url_suffix(uri)
    by_suffix = (
        ("feed", FEED_SUFFIXES),
        ("urls", LIST_SUFFIXES),
        ("webdataset", ARCHIVE_SUFFIXES),
        ("hf", TABLE_SUFFIXES),
    )
    if name.endswith(MANIFEST_SUFFIXES):
        raise UserError(
            f"{uri}: which kind of manifest this is cannot be told without reading it",
            hint='set kind = "nemo" or kind = "lhotse" for this source',
        )
    return next((kind for kind, suffixes in by_suffix if name.endswith(suffixes)), "audio")


def sources_table(found: Iterable[FoundSource]) -> pa.Table:
    """The items table of ingest, in the order in which the bytes lie: archives are then read in one pass."""
    ordered = sorted(found, key=lambda entry: (entry.place.path, entry.place.offset, entry.id))
    text, number = pa.string(), pa.int64()
    rows = [
        {
            "id": entry.id,
            "uri": entry.uri,
            "path": entry.place.path,
            "container": entry.place.container,
            "offset": entry.place.offset,
            "num_bytes": entry.place.num_bytes,
            "column": entry.place.column,
            "source": entry.source,
            "licence": entry.licence,
            "metadata": entry.metadata,
            "problem": entry.problem,
            "detail": entry.detail,
            "copies": list(entry.copies),
        }
        for entry in ordered
    ]
    names = ("id", "uri", "path", "container", "column", "source", "licence", "metadata", "problem", "detail")
    numbers = ("offset", "num_bytes")
    columns = [*((name, text) for name in names), *((name, number) for name in numbers), ("copies", pa.list_(text))]
    return pa.Table.from_pylist(rows, schema=pa.schema(columns))
