"""Objects by key, movable names for them, and the lineage that makes the key.

    <root>/objects/<key>/lineage.json     written last: an object without it does not exist
                        /<table>.parquet  or, for an artefact, its files
          /refs/<recipe>/<step>           the key that the recipe's step stands at now
          /shards/<family>/*.parquet      finished work, item by item (the engine's memory)
          /audio/…                        see `store.audio`

key = sha256 of canonical JSON {step, version, config, seed, input content digests}. Unchanged → reused; changed → a new
object. Host, time and worker count are recorded in lineage.json, never hashed. docs/decisions/storage.md says why.
"""

import json
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from platformdirs import user_cache_path

from spelangy.core.errors import UserError
from spelangy.core.hashing import digest, digest_bytes
from spelangy.store.audio import AudioStore
from spelangy.store.files import WRITING, Files, refused_writes
from spelangy.store.tables import read_table, table_bytes

COMMITTED = "lineage.json"


CIRCUMSTANCES = "circumstances/"
"""Folder of an artefact for what differs from run to run (speed, checkpoints, resumes): kept, never hashed."""


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """All that decides the content of an object.

    Attributes:
        config: JSON-able settings of the step, models named by revision.
        inputs: Content digest of each input by name.
    """

    step: str
    version: int
    config: Mapping[str, Any]
    seed: int
    inputs: Mapping[str, str]

    @property
    def key(self) -> str:
        return digest(self)


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """One file of an object."""

    name: str
    num_bytes: int
    sha256: str
    num_rows: int | None = None


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """A committed object: its lineage, its files and what was noted about the run that made it."""

    key: str
    lineage: Lineage
    files: tuple[StoredFile, ...]
    circumstances: Mapping[str, Any] = field(default_factory=dict)

    def digest_of(self, table: str = "") -> str:
        """Content digest of one table, or of all files together but those that only tell how the run went."""
        if table:
            return next(file.sha256 for file in self.files if file.name == f"{table}.parquet")
        return digest({file.name: file.sha256 for file in self.files if not file.name.startswith(CIRCUMSTANCES)})

    def num_rows(self, table: str) -> int:
        return next(file.num_rows or 0 for file in self.files if file.name == f"{table}.parquet")


class Store:
    """One store: tables, artefacts, audio and names below a local path or fsspec URL.

    A relative path is made absolute at once: workers elsewhere have another current directory.
    """

    def __init__(self, root: str | Path) -> None:
        place = str(root) if "://" in str(root) else str(Path(root).absolute())
        self.files = Files(place)
        self.audio = AudioStore(place)

    def find(self, key: str) -> StoredObject | None:
        """The object of `key`, or None when it was never committed."""
        name = f"objects/{key}/{COMMITTED}"
        return _parse(json.loads(self.files.read(name))) if self.files.exists(name) else None

    def commit_tables(
        self, lineage: Lineage, tables: Mapping[str, pa.Table], circumstances: Mapping[str, Any]
    ) -> StoredObject:
        """Writes an object made of tables; readers see all of it or nothing."""
        stored = []
        for name, table in sorted(tables.items()):
            data = table_bytes(table)
            self.files.write(f"objects/{lineage.key}/{name}.parquet", data)
            stored.append(_stored_file(f"{name}.parquet", data, table.num_rows))
        return self._commit(lineage, stored, circumstances)

    def artefact_directory(self, lineage: Lineage) -> Path:
        """A local directory to build an artefact in. It survives interruption, so a build can resume.

        Raises:
            UserError: When the store is read-only.
        """
        directory = self._local_directory(lineage.key)
        with refused_writes(str(directory)):
            directory.mkdir(parents=True, exist_ok=True)
            if not self.files.is_local:
                (directory / COMMITTED).unlink(missing_ok=True)
        return directory

    def commit_artefact(self, lineage: Lineage, circumstances: Mapping[str, Any]) -> StoredObject:
        """Declares the artefact directory finished: hashes its files and makes the object visible."""
        directory = self._local_directory(lineage.key)
        if not self.files.is_local:
            self.files.upload(directory, f"objects/{lineage.key}")
        paths = sorted(path for path in directory.rglob("*") if path.is_file() and not _is_ours(path.name))
        stored = [_stored_file(path.relative_to(directory).as_posix(), path.read_bytes(), None) for path in paths]
        entry = self._commit(lineage, stored, circumstances)
        if not self.files.is_local:
            (directory / COMMITTED).write_bytes(self.files.read(f"objects/{lineage.key}/{COMMITTED}"))
        return entry

    def _commit(self, lineage: Lineage, stored: list[StoredFile], circumstances: Mapping[str, Any]) -> StoredObject:
        noted = {
            "host": platform.node(),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            **circumstances,
        }
        entry = StoredObject(key=lineage.key, lineage=lineage, files=tuple(stored), circumstances=noted)
        text = json.dumps(asdict(entry), indent=1, sort_keys=True, ensure_ascii=False)
        self.files.write(f"objects/{lineage.key}/{COMMITTED}", text.encode())
        return entry

    def table(self, key: str, name: str) -> pa.Table:
        """One table of a committed object.

        Raises:
            UserError: When its bytes are not those that were committed, or are gone.
        """
        found = self.find(key)
        assert found is not None, f"object {key} is not committed"
        file = f"objects/{key}/{name}.parquet"
        data = self.files.read(file) if self.files.exists(file) else b""
        if digest_bytes(data) != found.digest_of(name):
            raise UserError(
                f"{self.files.path(file)} has changed since it was written",
                hint="delete that object's folder; the next run makes it again",
            )
        return read_table(data)

    def directory(self, key: str) -> Path:
        """A committed artefact's files in a local directory (fetched once from a remote store)."""
        built = self._local_directory(key)
        if self.files.is_local or (built / COMMITTED).exists():
            return built
        # Not into `built`: a build that was broken off here, and finished elsewhere, may have left its files there.
        fetched = built.with_name(f"{key}-fetched")
        if not fetched.exists():
            self.files.download(f"objects/{key}", fetched)
        return fetched

    def _local_directory(self, key: str) -> Path:
        if self.files.is_local:
            return Path(self.files.path(f"objects/{key}"))
        cache = Path(os.environ.get("SPELANGY_CACHE") or user_cache_path("spelangy"))
        return cache / "artefacts" / digest(self.files.root)[:16] / key

    def ref(self, recipe: str, name: str) -> str | None:
        """The key that `name` stands at for `recipe`."""
        path = f"refs/{recipe}/{name}"
        return self.files.read(path).decode().strip() if self.files.exists(path) else None

    def set_ref(self, recipe: str, name: str, key: str) -> None:
        self.files.write(f"refs/{recipe}/{name}", f"{key}\n".encode())


def _is_ours(name: str) -> bool:
    """Whether a file in an object's folder is the store's own, no part of the artefact."""
    return name == COMMITTED or name.startswith(WRITING)


def _stored_file(name: str, data: bytes, num_rows: int | None) -> StoredFile:
    return StoredFile(name=name, num_bytes=len(data), sha256=digest_bytes(data), num_rows=num_rows)


def _parse(entry: dict[str, Any]) -> StoredObject:
    return StoredObject(
        key=entry["key"],
        lineage=Lineage(**entry["lineage"]),
        files=tuple(StoredFile(**file) for file in entry["files"]),
        circumstances=entry["circumstances"],
    )
