"""NeMo and lhotse manifests: JSON lines that name audio files, whole or in segments.

A recording is the whole audio file, once, however many segments the manifest cuts it into: segmentation is measured
here again, and what the manifest says of its segments (text, language, speaker) is carried as metadata where it is
small. Shell commands that a lhotse manifest may name as a source are never run.
"""

import gzip
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from spelangy.curate.fetch import is_remote
from spelangy.curate.found import FoundSource, Place, metadata_json, unreadable
from spelangy.curate.sources_urls import file_path, remote_source

MANIFEST_SUFFIXES = (".json", ".jsonl", ".json.gz", ".jsonl.gz")
MAX_MANIFEST_BYTES = 8 << 30
"""What a compressed manifest may unpack to: some forty million lines."""

MAX_LINE_BYTES = 16 << 20
_OPEN_CLOSE = re.compile(r"(?:_OP_|\{)(\d+)\.\.(\d+)(?:_CL_|\})")
_SHARD = re.compile(r"(\d+)\.tar(?:\.gz)?$")
_MAX_SHARDS = 100_000

Row = Mapping[str, Any]


def expand_shards(uri: str) -> list[str]:
    """NeMo's ``audio__OP_0..2_CL_.tar`` or ``audio_{0..2}.tar`` as what it stands for: ``audio_0.tar`` to
    ``audio_2.tar``; any other name as it is."""
    match = _OPEN_CLOSE.search(uri)
    if not match or not 0 <= int(match[2]) - int(match[1]) < _MAX_SHARDS:
        return [uri]
    numbers = range(int(match[1]), int(match[2]) + 1)
    return [f"{uri[: match.start()]}{number}{uri[match.end() :]}" for number in numbers]


def manifest_kind(head: bytes) -> str:
    """``nemo``, ``lhotse`` or, for other JSON objects, ``json``; empty for what is no JSON line."""
    row = _object(head.split(b"\n", 1)[0])
    if row is None:
        return ""
    if "audio_filepath" in row:
        return "nemo"
    return "lhotse" if {"sources", "recording", "tracks"} & row.keys() else "json"


def _object(line: bytes) -> Row | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def read_head(path: Path, num_bytes: int = MAX_LINE_BYTES) -> bytes:
    """The first line of a manifest, plain or gzip."""
    try:
        with path.open("rb") as raw:
            compressed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            with gzip.GzipFile(fileobj=raw) if compressed else io.BytesIO(raw.read(num_bytes)) as file:
                return file.readline(num_bytes)
    except (OSError, EOFError, ValueError):
        return b""


def rows(data: io.BufferedIOBase) -> Iterator[tuple[int, Row | None]]:
    """(line number, object) of each line, None where a line is no JSON object; plain or gzip."""
    compressed = data.read(2) == b"\x1f\x8b"
    data.seek(0)
    file = gzip.GzipFile(fileobj=data) if compressed else data  # type: ignore[arg-type]
    num_bytes = number = 0
    while True:
        try:
            line = file.readline(MAX_LINE_BYTES)
        except (OSError, EOFError):
            yield number + 1, None
            return
        number += 1
        num_bytes += len(line)
        if not line:
            return
        if num_bytes > MAX_MANIFEST_BYTES:
            yield number, None
            return
        if line.strip():
            yield number, _object(line)


@dataclass
class _Named:
    """One audio file as a manifest speaks of it."""

    found: FoundSource
    fields: dict[str, Any] = field(default_factory=dict)
    segments: list[dict[str, Any]] = field(default_factory=list)

    def finished(self) -> FoundSource:
        """With its metadata: its own fields, then its segments as far as they fit."""
        told = {**self.fields}
        if self.segments:
            told |= {"num_segments": len(self.segments), "segments": self.segments}
        return self.found if self.found.problem else replace(self.found, metadata=metadata_json(told))


class _Manifest:
    """Collects what a manifest names, once an audio file."""

    def __init__(self, uri: str, folder: str) -> None:
        self.uri = uri
        self.folder = folder
        self.named: dict[str, _Named] = {}

    def problem(self, number: int, reason: str, detail: str = "") -> None:
        where = f"{self.uri}:{number}"
        self.named[where] = _Named(unreadable(where, reason, detail))

    def audio(self, name: str) -> _Named:
        """The audio file `name`, relative to the manifest's folder as NeMo and lhotse mean it."""
        place = name if is_remote(name) else file_path(name)
        if not is_remote(place) and not Path(place).is_absolute():
            beside = f"{self.folder}/{place}" if self.folder else place
            place = place if not is_remote(beside) and not Path(beside).exists() and Path(place).exists() else beside
        if place not in self.named:
            local = FoundSource(uri=place, place=Place(path=place))
            self.named[place] = _Named(remote_source(place) if is_remote(place) else local)
        return self.named[place]

    def finished(self) -> Iterator[FoundSource]:
        return (entry.finished() for entry in self.named.values())


def _folder(uri: str) -> str:
    return uri.rpartition("/")[0] if is_remote(uri) else str(Path(uri).absolute().parent)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0


# -------------------------------------------------------------------------------------------------------------- NeMo


def read_nemo(
    uri: str, data: io.BufferedIOBase, members: Mapping[tuple[int, str], FoundSource]
) -> Iterator[FoundSource]:
    """The audio files of a NeMo manifest.

    Args:
        members: Members of the tars that belong to a tarred manifest, by (shard, name); see `shard_members`.
    """
    manifest = _Manifest(uri, _folder(uri))
    for number, row in rows(data):
        name = row.get("audio_filepath") if row else None
        if row is None or not isinstance(name, str) or not name or "\0" in name:
            manifest.problem(number, "manifest line not readable", "no JSON object with a file name in audio_filepath")
            continue
        _keep_nemo_row(row, _nemo_audio(manifest, row, name, members))
    yield from manifest.finished()


def _nemo_audio(manifest: _Manifest, row: Row, name: str, members: Mapping[tuple[int, str], FoundSource]) -> _Named:
    if not members:
        return manifest.audio(name)
    shard = row.get("shard_id")
    found = members.get((shard if isinstance(shard, int) else -1, name)) or members.get((-1, name))
    if found is None:
        return manifest.named.setdefault(
            name, _Named(unreadable(f"{manifest.uri}#{name}", "not found", "in no archive"))
        )
    return manifest.named.setdefault(found.uri, _Named(found))


def _keep_nemo_row(row: Row, named: _Named) -> None:
    fields = {
        key: value for key, value in row.items() if key not in ("audio_filepath", "offset", "duration", "shard_id")
    }
    if "offset" not in row:
        named.fields.update(fields)
        return
    named.segments.append({"start_s": _number(row["offset"]), "duration_s": _number(row.get("duration")), **fields})


def shard_members(archives: Iterable[tuple[str, Iterable[FoundSource]]]) -> dict[tuple[int, str], FoundSource]:
    """Archive members by (shard, name) and by (-1, name): what a tarred manifest's rows are looked up in."""
    found: dict[tuple[int, str], FoundSource] = {}
    for uri, members in archives:
        match = _SHARD.search(uri)
        for member in members:
            name = member.uri.removeprefix("tar://").rsplit("::", 1)[0]
            if match:
                found[int(match[1]), name] = member
            found.setdefault((-1, name), member)
    return found


# ------------------------------------------------------------------------------------------------------------- lhotse


def read_lhotse(uri: str, data: io.BufferedIOBase) -> Iterator[FoundSource]:
    """The audio files of a lhotse manifest of recordings or cuts; a cut's supervisions are its recording's segments."""
    manifest = _Manifest(uri, _folder(uri))
    for number, row in rows(data):
        if row is None:
            manifest.problem(number, "manifest line not readable", "no JSON object")
            continue
        parts = list(_recordings(row))
        if not parts:
            manifest.problem(number, "no recording in the manifest's line", str(row.get("type") or row.get("id"))[:100])
        for part, recording, segments in parts:
            _keep_recording(manifest, number, part, recording, segments)
    yield from manifest.finished()


def _recordings(row: Row) -> Iterator[tuple[Row, Row, list[dict[str, Any]]]]:
    """(what names it, the recording, segments) of a recording, a cut, or each track of a mixed cut."""
    if isinstance(row.get("sources"), list):
        yield row, row, []
    elif isinstance(row.get("tracks"), list):
        cuts = (track.get("cut") for track in row["tracks"] if isinstance(track, dict))
        yield from (
            found for cut in cuts if isinstance(cut, dict) and "tracks" not in cut for found in _recordings(cut)
        )
    elif isinstance(row.get("recording"), dict) and isinstance(row["recording"].get("sources"), list):
        yield row, row["recording"], list(_supervisions(row))


def _supervisions(cut: Row) -> Iterator[dict[str, Any]]:
    """The supervisions of a cut with times from the recording's start."""
    for said in cut.get("supervisions") or []:
        if isinstance(said, dict):
            fields = {name: said.get(name) for name in ("text", "language", "speaker") if said.get(name)}
            start_s = round(_number(cut.get("start")) + _number(said.get("start")), 6)
            yield {"start_s": start_s, "duration_s": _number(said.get("duration")), **fields}


def _keep_recording(
    manifest: _Manifest, number: int, part: Row, recording: Row, segments: list[dict[str, Any]]
) -> None:
    sources = recording["sources"]
    source = sources[0] if len(sources) == 1 and isinstance(sources[0], dict) else {}
    name = source.get("source")
    if source.get("type") not in ("file", "url") or not isinstance(name, str) or not name or "\0" in name:
        kind = str(source.get("type", f"{len(sources)} sources"))[:40]
        hint = "name its recording.*.tar instead" if kind == "shar" else "only one file or URL a recording is read"
        manifest.problem(number, "manifest source not supported", f"{kind}: {hint}")
        return
    named = manifest.audio(name)
    custom = part.get("custom")
    named.fields["lhotse_id"] = recording.get("id")
    named.fields.update(custom if isinstance(custom, dict) else {})
    named.segments.extend(segments)
