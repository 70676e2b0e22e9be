"""Takes recordings out of a store for good: out of every table, shard, artefact and audio file; and proves it.

    takedowns/<recording id>.json    what may never come back: hashes alone, no name and no place; written first
    shards, tables                   rows of the recording removed; other rows, and lineage keys, stay
    artefacts                        rewritten where somebody knows how (the span store), else deleted when they name it
    audio, reports                   deleted
    proof                            every file of the store is read again and searched for the recording's ids

The next run makes again, from shards and without a model, what stands behind a changed table; what was trained on the
recording is trained again. Killed half-way, the command is simply given again.
"""

import fnmatch
import io
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from spelangy.core.errors import UserError
from spelangy.core.hashing import digest_bytes
from spelangy.store.files import Files
from spelangy.store.mentions import mentioning
from spelangy.store.objects import COMMITTED, Store, StoredFile, StoredObject, _parse
from spelangy.store.refused import FOLDER, Refused, RefusedRecordings
from spelangy.store.tables import read_table, table_bytes

RECORDINGS = "recordings.parquet"

Rewriter = Callable[[Path, Callable[[str], bool]], int]
"""Removes, from an artefact's folder, the documents whose id is refused; returns how many."""


@dataclass(kw_only=True)
class Takedown:
    """What one takedown did.

    Attributes:
        rows: Rows removed by table.
        trained_on: Steps whose objects were made from the recording and hold no copy of it: the next run makes them
            again.
        remaining: Files that still name the recording; empty when the takedown is complete.
    """

    recordings: tuple[str, ...]
    rows: dict[str, int] = field(default_factory=dict)
    num_shards: int = 0
    num_documents: int = 0
    num_audio_files: int = 0
    num_reports: int = 0
    deleted_objects: list[str] = field(default_factory=list)
    trained_on: list[str] = field(default_factory=list)
    num_files_searched: int = 0
    remaining: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "is_complete": not self.remaining}


def take_down(store: Store, sources: Sequence[str], rewriters: Mapping[str, Rewriter]) -> Takedown:
    """Removes recordings, and all recordings with the very same sound.

    Args:
        sources: Recording ids, uris, or globs of uris.
        rewriters: By step: what removes documents from that step's artefact.

    Raises:
        UserError: When a source names no recording of the store, or the store cannot be written.
    """
    known = RefusedRecordings(store.files.root).all()
    unfinished = [entry for entry in known if not entry.is_done]
    targets = {entry.recording_id: entry for entry in (*unfinished, *_find(store, sources, known))}
    for entry in targets.values():
        _write(store, entry)
    removal = _Removal(store, list(targets.values()), rewriters)
    report = removal.run()
    if not report.remaining:
        for entry in targets.values():
            _write(store, entry, is_done=True)
    return report


def _write(store: Store, entry: Refused, *, is_done: bool = False) -> None:
    text = json.dumps({**asdict(entry), "is_done": is_done or entry.is_done}, sort_keys=True)
    store.files.write(f"{FOLDER}/{entry.recording_id}.json", text.encode())


# ------------------------------------------------------------------------------------------------- which recordings


@dataclass
class _Seen:
    audio: set[str] = field(default_factory=set)
    uris: set[str] = field(default_factory=set)
    metadata: set[str] = field(default_factory=set)


def _find(store: Store, sources: Sequence[str], known: Sequence[Refused]) -> list[Refused]:
    seen = _recordings(store)
    chosen: set[str] = set()
    for source in sources:
        found = {name for name, entry in seen.items() if _is_named(source, name, entry)}
        if not found and not _is_refused(source, known):
            hint = "give a recording's id, its uri as `spelangy data export --format jsonl` shows it, or a glob of uris"
            raise UserError(f"takedown: the store has no recording {source!r}", hint=hint)
        chosen |= found
    chosen |= _of_the_same_sound(seen, chosen)
    return [
        Refused(
            recording_id=name,
            audio=tuple(sorted(seen[name].audio)),
            uri_digests=tuple(sorted(digest_bytes(uri.encode()) for uri in seen[name].uris)),
        )
        for name in sorted(chosen)
    ]


def _of_the_same_sound(seen: Mapping[str, _Seen], chosen: set[str]) -> set[str]:
    """Recordings with the very same sound, and those whose metadata say that they were cut out of a chosen one."""
    heard = {key for name in chosen for key in seen[name].audio}
    named = re.compile("|".join(map(re.escape, chosen)) or "(?!)")
    return {
        name
        for name, entry in seen.items()
        if entry.audio & heard or any(named.search(text) for text in entry.metadata)
    }


def _is_named(source: str, recording_id: str, entry: _Seen) -> bool:
    return source == recording_id or source in entry.uris or any(fnmatch.fnmatchcase(uri, source) for uri in entry.uris)


def _is_refused(source: str, known: Sequence[Refused]) -> bool:
    wanted = digest_bytes(source.encode())
    return any(source == entry.recording_id or wanted in entry.uri_digests for entry in known)


def _recordings(store: Store) -> dict[str, _Seen]:
    """All recordings of all tables and shards by id, with every audio key and place they have there."""
    seen: dict[str, _Seen] = {}
    for table in _recording_tables(store.files):
        for row in table.to_pylist():
            entry = seen.setdefault(row["id"], _Seen())
            entry.metadata.add(row.get("metadata", ""))
            entry.audio |= {row["audio"]} - {""}
            entry.uris.add(row["uri"])
    return seen


def _recording_tables(files: Files) -> Iterator[pa.Table]:
    for name in _all_files(files, "objects"):
        if name.endswith(f"/{RECORDINGS}"):
            yield read_table(files.read(name))
    for name in _all_files(files, "shards"):
        shard = pq.ParquetFile(io.BytesIO(files.read(name)))
        if "recordings" in shard.schema_arrow.names:
            nested = shard.read(columns=["recordings"])["recordings"].combine_chunks()
            yield pa.Table.from_struct_array(pc.list_flatten(nested))


def _all_files(files: Files, folder: str) -> list[str]:
    if not files.exists(folder):
        return []
    base = files.path("")
    return sorted(str(path).removeprefix(base) for path in files.fs.find(files.path(folder), refresh=True))


# ---------------------------------------------------------------------------------------------------------- removing


class _Removal:
    def __init__(self, store: Store, targets: Sequence[Refused], rewriters: Mapping[str, Rewriter]) -> None:
        self.store = store
        self.files = store.files
        self.targets = targets
        self.rewriters = rewriters
        self.ids = [entry.recording_id for entry in targets]
        self.audio = sorted({key for entry in targets for key in entry.audio})
        self.pattern = "|".join(map(re.escape, (*self.ids, *self.audio)))
        self.needles = [needle.encode() for needle in (*self.ids, *self.audio)]
        self.report = Takedown(recordings=tuple(self.ids))

    def run(self) -> Takedown:
        if not self.targets:
            return self.report
        for name in _all_files(self.files, "shards"):
            self._clean_shard(name)
        changed = [stored for stored in self._objects() if self._clean_object(stored)]
        self.report.trained_on = sorted(self._made_from({stored.key for stored in changed}))
        self._delete_leftovers()
        self._delete_audio()
        self._delete_reports()
        self.report.remaining = self._search()
        return self.report

    def _objects(self) -> list[StoredObject]:
        names = [name for name in _all_files(self.files, "objects") if name.endswith(f"/{COMMITTED}")]
        return [_parse(json.loads(self.files.read(name))) for name in names]

    def _clean_shard(self, name: str) -> None:
        table = pq.read_table(io.BytesIO(self.files.read(name)))
        mentions = mentioning(table, self.pattern)
        if not pc.any(mentions).as_py():
            return
        own = pc.match_substring_regex(table["item_id"].combine_chunks(), self.pattern)
        rows = [self._without(row) for row in table.filter(pc.invert(own)).to_pylist()]
        self.report.num_shards += 1
        if not rows:
            self.files.fs.rm(self.files.path(name))
            return
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), sink, compression="zstd")
        self.files.write(name, sink.getvalue())

    def _without(self, row: dict[str, Any]) -> dict[str, Any]:
        """The row of a shard without the records that name a target."""
        gone = re.compile(self.pattern)
        return {
            name: [part for part in value if not gone.search(json.dumps(part, ensure_ascii=False, default=str))]
            if isinstance(value, list)
            else value
            for name, value in row.items()
        }

    def _clean_object(self, stored: StoredObject) -> bool:
        files = {file.name: file for file in stored.files}
        changed = dict(files)
        for name in files:
            if name.endswith(".parquet") and "/" not in name:
                changed[name] = self._clean_table(stored, files[name])
        if changed != files:
            self._commit(stored, changed)
            return True
        return self._clean_artefact(stored) if not all(name.endswith(".parquet") for name in files) else False

    def _clean_table(self, stored: StoredObject, file: StoredFile) -> StoredFile:
        place = f"objects/{stored.key}/{file.name}"
        table = read_table(self.files.read(place))
        mentions = mentioning(table, self.pattern)
        num_gone = pc.sum(mentions).as_py() or 0
        if not num_gone:
            return file
        kept = table.filter(pc.invert(mentions))
        data = table_bytes(kept)
        label = f"{stored.lineage.step}/{file.name.removesuffix('.parquet')}"
        self.report.rows[label] = self.report.rows.get(label, 0) + num_gone
        self.files.write(place, data)
        return StoredFile(name=file.name, num_bytes=len(data), sha256=digest_bytes(data), num_rows=kept.num_rows)

    def _commit(self, stored: StoredObject, files: Mapping[str, StoredFile]) -> None:
        """The object as it now is, under its old key: what reads it by content sees that it changed."""
        noted = {**stored.circumstances, "takedowns": 1 + int(stored.circumstances.get("takedowns", 0))}
        entry = {**asdict(stored), "files": [asdict(file) for file in files.values()], "circumstances": noted}
        text = json.dumps(entry, indent=1, sort_keys=True, ensure_ascii=False)
        self.files.write(f"objects/{stored.key}/{COMMITTED}", text.encode())

    def _clean_artefact(self, stored: StoredObject) -> bool:
        rewrite = self.rewriters.get(stored.lineage.step)
        if not any(self._names_a_target(f"objects/{stored.key}/{file.name}") for file in stored.files):
            return False
        if rewrite is None:
            self._delete_object(stored)
            return True
        directory = self.store.directory(stored.key)
        # Not an object while it is being rewritten: a run that finds it half done makes it again.
        self.files.fs.rm(self.files.path(f"objects/{stored.key}/{COMMITTED}"))
        self.report.num_documents += rewrite(directory, self._is_target)
        self._recommit(stored, directory)
        return True

    def _recommit(self, stored: StoredObject, directory: Path) -> None:
        if not self.files.is_local:
            self.files.upload(directory, f"objects/{stored.key}")
        files = {}
        for file in stored.files:
            data = (directory / file.name).read_bytes()
            files[file.name] = StoredFile(name=file.name, num_bytes=len(data), sha256=digest_bytes(data))
        self._commit(stored, files)

    def _is_target(self, document_id: str) -> bool:
        return any(name in document_id for name in self.ids)

    def _delete_object(self, stored: StoredObject) -> None:
        self.report.deleted_objects.append(f"{stored.lineage.step} {stored.key[:12]}")
        self.files.fs.rm(self.files.path(f"objects/{stored.key}/{COMMITTED}"))
        self.files.fs.rm(self.files.path(f"objects/{stored.key}"), recursive=True)
        if not self.files.is_local:
            shutil.rmtree(self.store.directory(stored.key), ignore_errors=True)

    def _made_from(self, changed: set[str]) -> set[str]:
        """Steps of artefacts that read a changed object, directly or through others."""
        objects = self._objects()
        cleaned = {stored.lineage.step for stored in objects if stored.key in changed}
        found: set[str] = set()
        while True:
            reached = cleaned | found
            more = {
                stored.lineage.step
                for stored in objects
                if any(name.partition("/")[0] in reached for name in stored.lineage.inputs)
                and not any(file.name.endswith(".parquet") and "/" not in file.name for file in stored.files)
            } - found
            if not more:
                return found - set(self.rewriters)
            found |= more

    def _delete_leftovers(self) -> None:
        """Folders of objects that were never committed, or no longer are: what a run or a takedown broken off left."""
        names = _all_files(self.files, "objects")
        committed = {name.split("/")[1] for name in names if name.endswith(f"/{COMMITTED}")}
        left = {name.split("/")[1] for name in names} - committed
        for key in sorted(left):
            if any(self._names_a_target(name) for name in names if name.split("/")[1] == key):
                self.files.fs.rm(self.files.path(f"objects/{key}"), recursive=True)
                self.report.deleted_objects.append(f"unfinished {key[:12]}")

    def _delete_audio(self) -> None:
        for key in self.audio:
            name = f"audio/{key[:2]}/{key}.flac"
            if self.files.exists(name):
                self.files.fs.rm(self.files.path(name))
                self.report.num_audio_files += 1

    def _delete_reports(self) -> None:
        """Pages quote and play what they report on, so none that could hold the recording may stay."""
        for name in _all_files(self.files, "reports"):
            self.files.fs.rm(self.files.path(name))
            self.report.num_reports += 1

    # ------------------------------------------------------------------------------------------------------ the proof

    def _search(self) -> list[str]:
        """Files that still name a target, in a path, in a table's values or in their bytes."""
        names = [name for name in _all_files(self.files, "") if not name.startswith(f"{FOLDER}/")]
        self.report.num_files_searched = len(names)
        return [name for name in names if self._names_a_target(name)]

    def _names_a_target(self, name: str) -> bool:
        if re.search(self.pattern, name):
            return True
        if name.endswith(".flac"):
            return False  # sound lies under the hash of its samples, which is its name
        if name.endswith(".parquet"):
            table = pq.read_table(io.BytesIO(self.files.read(name)))
            return bool(pc.any(mentioning(table, self.pattern)).as_py())
        return self._bytes_name_a_target(name)

    def _bytes_name_a_target(self, name: str) -> bool:
        overlap = max(map(len, self.needles))
        tail = b""
        with self.files.fs.open(self.files.path(name), "rb") as file:
            while block := file.read(1 << 22):
                data = tail + block
                if any(needle in data for needle in self.needles):
                    return True
                tail = data[-overlap:]
        return False
