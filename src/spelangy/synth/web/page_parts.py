"""The parts that a recipe's files of web pages are read in, an item each: ranges of large files, batches of small.

a.warc.gz ──> [0, 16 MiB) [16 MiB, 32 MiB) …      *.html ──> batches of files
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from spelangy.core.errors import Dropped, Quarantined
from spelangy.core.hashing import record_id
from spelangy.store.inputs import FoundInput, find_inputs
from spelangy.synth.web.html_files import read_html
from spelangy.synth.web.page_lines import read_lines
from spelangy.synth.web.page_tables import read_rows, table_ranges
from spelangy.synth.web.ranges import PACKED_RANGE_BYTES, PLAIN_RANGE_BYTES, TEXT_RANGE_BYTES, Range, ranges_of
from spelangy.synth.web.source_pages import Admit, SourcePage
from spelangy.synth.web.unpacked import GZIP, first_bytes
from spelangy.synth.web.warc import read_archive

_KINDS: Mapping[str, tuple[str, ...]] = {
    "warc": (".warc", ".warc.gz"),
    "wet": (".wet", ".wet.gz"),
    "html": (".html", ".htm", ".xhtml", ".html.gz", ".htm.gz"),
    "parquet": (".parquet",),
    "jsonl": tuple(f".{name}{packing}" for name in ("jsonl", "ndjson", "json") for packing in ("", ".gz", ".zst")),
}
PAGE_SUFFIXES = tuple(suffix for suffixes in _KINDS.values() for suffix in suffixes if suffix != ".json")
"""What a folder is searched for; a ``.json`` file is more often no list of pages: it has to be named."""

_SIGNS = ((b"WARC/", "warc"), (b"PAR1", "parquet"), (b"{", "jsonl"), (b"<", "html"))
_BATCH_FILES = 64
"""HTML files read in one item on average: so many are committed together."""

_FILE_TYPE = pa.struct([(name, pa.string()) for name in ("id", "uri", "path")])
_SCHEMA = pa.schema(
    [("id", pa.string()), ("kind", pa.string()), ("begin", pa.int64()), ("stop", pa.int64()),
     ("files", pa.list_(_FILE_TYPE))]
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PageFile:
    """One input file; `id` is that of its content."""

    id: str
    uri: str
    path: str


@dataclass(frozen=True, kw_only=True)
class PagePart:
    """What one item reads.

    Attributes:
        kind: ``warc``, ``wet``, ``html``, ``parquet``, ``jsonl`` or ``unknown``.
        begin: First byte, or row, of the range; 0 for ``html``.
        stop: The first behind it; 0 for ``html``.
        files: One, or several of kind ``html``.
    """

    kind: str
    begin: int
    stop: int
    files: tuple[PageFile, ...]

    @property
    def id(self) -> str:
        return record_id("page part", self.kind, self.begin, self.stop, [file.id for file in self.files])

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> "PagePart":
        """The part of a row of `parts_table`."""
        files = tuple(PageFile(**file) for file in item["files"])
        return cls(kind=item["kind"], begin=item["begin"], stop=item["stop"], files=files)

    def pages(self, admit: Admit) -> Iterator[SourcePage | Dropped]:
        """The pages of the part, in order, and what cannot be used of it."""
        wanted = Range(begin=self.begin, stop=self.stop)
        for file in self.files:
            path = Path(file.path)
            if not path.is_file():
                yield Quarantined("not found", detail=file.uri)
            elif self.kind == "html":
                yield from read_html(path, uri=file.uri, admit=admit)
            elif self.kind in _READERS:
                yield from _READERS[self.kind](path, wanted, uri=file.uri, admit=admit)
            else:
                yield Quarantined("unknown format", detail=f"{file.uri}: none of {', '.join(_KINDS)}")


_READERS = {"warc": read_archive, "wet": read_archive, "jsonl": read_lines, "parquet": read_rows}


def find_page_inputs(uris: Iterable[str]) -> list[FoundInput]:
    """The files that a recipe names, each content once."""
    return find_inputs(uris, suffixes=PAGE_SUFFIXES)


def parts_of(found: Sequence[FoundInput]) -> list[PagePart]:
    """The parts of all inputs; what they are does not depend on the number of workers."""
    kinds = [(kind_of(Path(entry.path)), _page_file(entry)) for entry in found]
    parts = [part for kind, file in kinds if kind != "html" for part in _file_parts(kind, file)]
    return parts + _batches([file for kind, file in kinds if kind == "html"])


def parts_table(parts: Sequence[PagePart]) -> pa.Table:
    """One row a part."""
    return pa.Table.from_pylist([{"id": part.id, **asdict(part)} for part in parts], schema=_SCHEMA)


def kind_of(path: Path) -> str:
    """The kind of a file by its name, else by its first bytes; ``unknown`` where neither tells."""
    name = path.name.lower()
    for kind, suffixes in _KINDS.items():
        if name.endswith(suffixes):
            return kind
    try:
        with path.open("rb") as file:
            head = file.read(1 << 12)
    except (OSError, ValueError):
        return "unknown"
    head = first_bytes(head, 0, 64) if head.startswith(GZIP) else head
    head = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return next((kind for sign, kind in _SIGNS if head.startswith(sign)), "unknown")


def _page_file(entry: FoundInput) -> PageFile:
    return PageFile(id=entry.id, uri=entry.uri, path=entry.path)


def _file_parts(kind: str, file: PageFile) -> list[PagePart]:
    ranges = _ranges(kind, Path(file.path))
    return [PagePart(kind=kind, begin=wanted.begin, stop=wanted.stop, files=(file,)) for wanted in ranges]


def _ranges(kind: str, path: Path) -> list[Range]:
    if not path.is_file():
        return ranges_of(0, 1)
    if kind == "parquet":
        return table_ranges(path)
    return ranges_of(path.stat().st_size, _range_bytes(kind, path))


def _range_bytes(kind: str, path: Path) -> int:
    if kind != "warc":
        return TEXT_RANGE_BYTES
    with path.open("rb") as file:
        return PACKED_RANGE_BYTES if file.read(2) == GZIP[:2] else PLAIN_RANGE_BYTES


def _batches(files: Sequence[PageFile]) -> list[PagePart]:
    """Batches that end where a file's id says so: a file more or less changes its own batch, not all that follow."""
    batches: list[list[PageFile]] = [[]]
    for file in files:
        batches[-1].append(file)
        if int(file.id[:8], 16) % _BATCH_FILES == 0:
            batches.append([])
    return [PagePart(kind="html", begin=0, stop=0, files=tuple(batch)) for batch in batches if batch]
