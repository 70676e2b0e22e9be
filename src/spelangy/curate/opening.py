"""The bytes of a found source as a file to decode, with the hash that names the recording."""

import hashlib
import tarfile
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pyarrow as pa

from spelangy.core.errors import Quarantined
from spelangy.core.hashing import ID_HEX_DIGITS
from spelangy.curate.decode import open_file
from spelangy.curate.fetch import FetchLimits, fetch
from spelangy.curate.found import FoundSource, Place
from spelangy.curate.sources_archives import ArchiveReader
from spelangy.curate.sources_tables import TableReader
from spelangy.curate.sources_urls import looks_like_feed

IN_MEMORY_BYTES = 32 << 20
"""Longer sources wait in a temporary file while they are decoded."""

_CHANGED = (tarfile.TarError, EOFError, zlib.error, pa.ArrowException, LookupError, OSError)


@dataclass(frozen=True)
class SourceOpener:
    """Opens sources of all kinds. Keeps the archive or table that it read last open, one a thread."""

    limits: FetchLimits
    archives: ArchiveReader = field(default_factory=ArchiveReader)
    tables: TableReader = field(default_factory=TableReader)

    @contextmanager
    def open(self, found: FoundSource) -> Iterator[tuple[IO[bytes], str]]:
        """A seekable file and the id of its bytes.

        Raises:
            Quarantined: When there is none, it is too large or too slow, or it changed since it was listed.
        """
        if found.problem:
            raise Quarantined(found.problem, detail=found.detail or found.uri)
        if not found.place.container:
            with open_file(Path(found.place.path)) as file:
                yield file, found.id
            return
        with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES) as spool:
            content = self._fill(found, spool)
            spool.seek(0)
            yield spool, content

    def _fill(self, found: FoundSource, spool: IO[bytes]) -> str:
        if found.place.container == "url":
            content = fetch(found.place.path, spool, self.limits)
            _refuse_feed(found, spool)
            return content
        self._check_size(found)
        content = self._copied(found, spool)
        if content != found.id:
            raise Quarantined("changed since it was listed", detail=found.uri)
        return content

    def _check_size(self, found: FoundSource) -> None:
        if found.place.num_bytes > self.limits.max_bytes:
            size, most = found.place.num_bytes, self.limits.max_bytes
            raise Quarantined("too large to unpack", value=size, threshold=most, detail=found.uri)

    def _copied(self, found: FoundSource, spool: IO[bytes]) -> str:
        digest = hashlib.sha256()
        try:
            for block in self._blocks(found.place):
                digest.update(block)
                spool.write(block)
        except _CHANGED as error:
            self.archives.close()
            self.tables.close()
            raise Quarantined("changed since it was listed", detail=f"{found.uri}: {error}") from error
        return digest.hexdigest()[:ID_HEX_DIGITS]

    def _blocks(self, place: Place) -> Iterable[bytes | pa.Buffer]:
        return self.archives.blocks(place) if place.container.startswith("tar") else [self.tables.sound(place)]


def _refuse_feed(found: FoundSource, spool: IO[bytes]) -> None:
    spool.seek(0)
    if looks_like_feed(spool.read(4096)):
        raise Quarantined("a feed, not audio", detail=f'{found.uri}: set kind = "feed" for its source')
