"""The span store: a corpus as flat arrays, written once, free of every training policy.

    units.u16   speech units of all spans, end to end          text.u32   text token ids of all spans, end to end
    bytes.u8    UTF-8: each document's id, then its text       spans.npy  one row a span: where its parts lie
    docs.npy    one row a document: which spans are its        manifest.json  digests, counts, vocabulary, tokenizers

A span is the finest unit: a sentence or what lies between two pauses. Its text is stored and tokenised with its
leading space, so the texts and tokens of neighbouring spans are one slice each. One hour of speech is 45,000 units.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spelangy.core.errors import UserError
from spelangy.core.hashing import digest
from spelangy.tokens.vocabulary import Vocabulary

FORMAT = "spelangy-span-store/1"
MANIFEST_FILE = "manifest.json"
UNITS_FILE, TEXT_FILE, BYTES_FILE = "units.u16", "text.u32", "bytes.u8"
SPANS_FILE, DOCS_FILE = "spans.npy", "docs.npy"
FLAT_DTYPES: dict[str, np.dtype[Any]] = {
    UNITS_FILE: np.dtype("<u2"),
    TEXT_FILE: np.dtype("<u4"),
    BYTES_FILE: np.dtype("u1"),
}
HASH_BLOCK_BYTES = 1 << 22

SPAN_DTYPE = np.dtype(
    [
        ("document", "<i8"),
        ("units_start", "<i8"),
        ("units_end", "<i8"),
        ("text_start", "<i8"),
        ("text_end", "<i8"),
        ("bytes_start", "<i8"),
        ("bytes_end", "<i8"),
        ("start", "<i8"),
        ("end", "<i8"),
        ("speaker", "<i4"),
        ("role", "<i2"),
        ("confidence", "<f4"),
    ]
)
"""Ranges are half open; `start` and `end` are samples; `speaker` and `role` index the manifest's lists."""

DOC_DTYPE = np.dtype(
    [("spans_start", "<i8"), ("spans_end", "<i8"), ("id_start", "<i8"), ("id_end", "<i8"), ("source", "<i4")]
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StoredSpan:
    """One sentence or pause-to-pause stretch on its way into a store.

    Attributes:
        units: Speech units of the frames the span covers, uint16, shape [F]; none for text that nobody speaks.
        text: What is said; must not be blank.
        start: First sample; 0 where there is no sound.
        end: Sample after the last.
        role: One of `core.records.CHUNK_ROLES`.
        confidence: In [0, 1].
    """

    units: NDArray[np.uint16]
    text: str
    start: int
    end: int
    speaker: str
    role: str
    confidence: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StoredDocument:
    """A document on its way into a store: its spans in order; a text-only document's spans have no units."""

    id: str
    source: str
    spans: tuple[StoredSpan, ...]


@dataclass(frozen=True, eq=False)
class SpanStore:
    """A store opened for reading; nothing is loaded before it is used. Made by `SpanStore.open`."""

    directory: Path
    manifest: Mapping[str, Any]
    units: NDArray[np.uint16]
    text_ids: NDArray[np.uint32]
    utf8: NDArray[np.uint8]
    spans: NDArray[np.void]
    docs: NDArray[np.void]

    @classmethod
    def open(cls, directory: Path, *, verify: bool = True) -> "SpanStore":
        """Opens a store.

        Args:
            directory: What `write_span_store` wrote.
            verify: Also hash every file (reads the whole store once); sizes and counts are always checked.

        Raises:
            UserError: When a file is missing, has another size or other content than the manifest says.
        """
        manifest = _read_manifest(directory)
        for name, entry in manifest["files"].items():
            _check_file(directory / name, entry, verify)
        flat = {name: _map_flat(directory / name, dtype) for name, dtype in FLAT_DTYPES.items()}
        store = cls(
            directory,
            manifest,
            flat[UNITS_FILE],
            flat[TEXT_FILE],
            flat[BYTES_FILE],
            np.load(directory / SPANS_FILE, mmap_mode="r", allow_pickle=False),
            np.load(directory / DOCS_FILE, mmap_mode="r", allow_pickle=False),
        )
        store._check_counts()
        return store

    def __reduce__(self) -> tuple[object, ...]:
        # A data loader's worker maps the files again; pickling a memory map would copy its content.
        return (_reopen, (self.directory,))

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the manifest, which names the digest of every file."""
        return digest(self.manifest)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The layout the store was written for."""
        return Vocabulary.from_manifest(self.manifest["vocabulary"])

    @property
    def num_documents(self) -> int:
        return len(self.docs)

    @property
    def num_spans(self) -> int:
        return len(self.spans)

    @cached_property
    def unit_counts(self) -> NDArray[np.int64]:
        """Speech units per span, shape [spans]."""
        return np.asarray(self.spans["units_end"] - self.spans["units_start"])

    @cached_property
    def text_counts(self) -> NDArray[np.int64]:
        """Text tokens per span, shape [spans]."""
        return np.asarray(self.spans["text_end"] - self.spans["text_start"])

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources, in order of first appearance."""
        return tuple(self.manifest["sources"])

    def document_id(self, document: int) -> str:
        """The id of document number `document`."""
        row = self.docs[document]
        return self._decode(row["id_start"], row["id_end"])

    def documents_of(self, *sources: str) -> NDArray[np.int64]:
        """Numbers of the documents of the given sources (of all, without any), ascending.

        Raises:
            UserError: When the store has no such source.
        """
        unknown = sorted(set(sources) - set(self.sources))
        if unknown:
            raise UserError(
                f"{self.directory} has no source {unknown[0]!r}", hint=f"it has: {', '.join(self.sources) or 'none'}"
            )
        wanted = [self.sources.index(source) for source in sources or self.sources]
        return np.flatnonzero(np.isin(self.docs["source"], wanted))

    def text(self, first_span: int, last_span: int) -> str:
        """Text of spans [first_span, last_span) of one document, as it was tokenised (with its leading space)."""
        return self._decode(self.spans["bytes_start"][first_span], self.spans["bytes_end"][last_span - 1])

    def speaker(self, span: int) -> str:
        """Speaker label of a span."""
        return str(self.manifest["speakers"][self.spans["speaker"][span]])

    def role(self, span: int) -> str:
        """Role of a span, one of `CHUNK_ROLES`."""
        return str(self.manifest["roles"][self.spans["role"][span]])

    def _decode(self, start: int, end: int) -> str:
        return self.utf8[start:end].tobytes().decode()

    def _check_counts(self) -> None:
        arrays: dict[str, NDArray[Any]] = {"units": self.units, "text_ids": self.text_ids, "bytes": self.utf8}
        found = {name: len(array) for name, array in (arrays | {"spans": self.spans, "docs": self.docs}).items()}
        if found != self.manifest["counts"] or self.spans.dtype != SPAN_DTYPE or self.docs.dtype != DOC_DTYPE:
            raise UserError(
                f"{self.directory / MANIFEST_FILE} counts {self.manifest['counts']}, the files hold {found}",
                hint=_AGAIN,
            )


_AGAIN = "delete the directory and write the store again"


def _reopen(directory: Path) -> SpanStore:
    return SpanStore.open(directory, verify=False)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file of any size, 64 hex digits."""
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(HASH_BLOCK_BYTES):
            hasher.update(block)
    return hasher.hexdigest()


def _read_manifest(directory: Path) -> dict[str, Any]:
    path = directory / MANIFEST_FILE
    try:
        manifest: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise UserError(f"{directory} is not a span store: no {MANIFEST_FILE}", hint=_AGAIN) from error
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}", hint=_AGAIN) from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise UserError(f"{path} does not describe a {FORMAT}", hint="write the store again with this version")
    missing = sorted({*FLAT_DTYPES, SPANS_FILE, DOCS_FILE} - set(manifest.get("files", {})))
    if missing:
        raise UserError(f"{path} does not list {missing[0]}", hint=_AGAIN)
    return manifest


def _check_file(path: Path, entry: Mapping[str, Any], verify: bool) -> None:
    if not path.is_file():
        raise UserError(f"{path} is missing", hint=_AGAIN)
    if path.stat().st_size != entry["num_bytes"]:
        raise UserError(
            f"{path} has {path.stat().st_size} bytes, the manifest says {entry['num_bytes']}: cut short or changed",
            hint=_AGAIN,
        )
    if verify and sha256_of(path) != entry["sha256"]:
        raise UserError(f"{path} has other content than its SHA-256 in the manifest", hint=_AGAIN)


def _map_flat(path: Path, dtype: np.dtype[Any]) -> NDArray[Any]:
    if path.stat().st_size == 0:
        return np.zeros(0, dtype=dtype)
    return np.memmap(path, dtype=dtype, mode="r")
