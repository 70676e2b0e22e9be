"""Writes span stores: streamed, all or nothing, the same documents give the same bytes."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from spelangy import __version__
from spelangy.core.errors import UserError, did_you_mean
from spelangy.core.records import CHUNK_ROLES
from spelangy.core.spans import FRAME_RATE_HZ, FRAME_SAMPLES
from spelangy.tokens.span_store import (
    BYTES_FILE,
    DOC_DTYPE,
    DOCS_FILE,
    FLAT_DTYPES,
    FORMAT,
    MANIFEST_FILE,
    SPAN_DTYPE,
    SPANS_FILE,
    TEXT_FILE,
    UNITS_FILE,
    StoredDocument,
    StoredSpan,
    sha256_of,
)
from spelangy.tokens.text_tokenizer import TextTokenizer, leading_space
from spelangy.tokens.vocabulary import Vocabulary


def write_span_store(
    directory: Path,
    documents: Iterable[StoredDocument],
    *,
    text_tokenizer: TextTokenizer,
    vocabulary: Vocabulary,
    speech_tokenizer_digest: str,
) -> dict[str, Any]:
    """Writes `documents`, in the order given, to a store that did not exist before.

    Args:
        directory: The store's place; must be missing or empty. It appears complete or not at all.
        documents: Passed through once; only one document and the index rows are held in memory.
        text_tokenizer: Encodes every span's text with its leading space.
        vocabulary: Layout the units and tokens must fit.
        speech_tokenizer_digest: `info.revision` of the tokenizer that made the units.

    Returns:
        The manifest as written.

    Raises:
        UserError: When the directory holds something, the tokenizer has more tokens than the vocabulary has text
            rows, or a document breaks a rule of `StoredDocument`; names the document and the span.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UserError(f"{directory} exists already: a span store is written once", hint="choose a new directory")
    if text_tokenizer.size > vocabulary.text_size:
        raise UserError(
            f"the text tokenizer has {text_tokenizer.size} tokens, the vocabulary {vocabulary.text_size} text rows",
            hint="build the vocabulary with text_size = tokenizer.size or more",
        )
    directory.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        writer = _Writer(beside, text_tokenizer, vocabulary)
        try:
            for document in documents:
                writer.add(document)
        finally:
            writer.close()
        manifest = writer.manifest(speech_tokenizer_digest)
        _write_synced(beside / MANIFEST_FILE, json.dumps(manifest, indent=2, sort_keys=True).encode() + b"\n")
        beside.chmod(0o755)
        beside.replace(directory)
    except BaseException:
        shutil.rmtree(beside)
        raise
    return manifest


class _Names:
    """Strings numbered in order of first appearance."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        self.numbers = {name: number for number, name in enumerate(known)}

    def number(self, name: str) -> int:
        return self.numbers.setdefault(name, len(self.numbers))


class _Writer:
    def __init__(self, directory: Path, text_tokenizer: TextTokenizer, vocabulary: Vocabulary) -> None:
        self.directory = directory
        self.text_tokenizer = text_tokenizer
        self.vocabulary = vocabulary
        self.speakers, self.sources, self.roles = _Names(), _Names(), _Names(CHUNK_ROLES)
        self.sizes = dict.fromkeys((*FLAT_DTYPES, SPANS_FILE, DOCS_FILE), 0)
        self.ids: set[str] = set()
        self.files: dict[str, BinaryIO] = {name: (directory / name).open("wb") for name in FLAT_DTYPES}
        self.files |= {name: (directory / f"{name}.rows").open("w+b") for name in (SPANS_FILE, DOCS_FILE)}

    def add(self, document: StoredDocument) -> None:
        """Appends one document."""
        if not document.id or document.id in self.ids:
            raise UserError(f"document id {document.id!r} is empty or given twice", hint="ids must be unique")
        if not document.spans:
            raise UserError(f"document {document.id} has no spans", hint="leave empty documents out, as a Drop")
        self.ids.add(document.id)
        self._check(document)
        texts = [leading_space(span.text) for span in document.spans]
        id_start, id_end = self._append(BYTES_FILE, np.frombuffer(document.id.encode(), np.uint8))
        number = self.sizes[DOCS_FILE]
        encoded = self.text_tokenizer.encode_many(texts)
        assert all(map(len, encoded)), "the text tokenizer gave no token for a text that is not blank"
        rows = [
            (number, *self._place(span, text, ids), *self._describe(span))
            for span, text, ids in zip(document.spans, texts, encoded, strict=True)
        ]
        spans = self._append(SPANS_FILE, np.array(rows, dtype=SPAN_DTYPE))
        source = self.sources.number(document.source)
        self._append(DOCS_FILE, np.array([(*spans, id_start, id_end, source)], dtype=DOC_DTYPE))

    def _check(self, document: StoredDocument) -> None:
        for index, span in enumerate(document.spans):
            problem = self._problem(span)
            if problem:
                raise UserError(f"document {document.id}, span {index}: {problem[0]}", hint=problem[1])

    def _problem(self, span: StoredSpan) -> tuple[str, str] | None:
        if not span.text.strip():
            return "no text", "a chunk is a span and its text; leave silent spans out"
        if not 0 <= span.start <= span.end:
            return f"[{span.start}, {span.end}) is not a span", "give samples, start <= end"
        if not 0.0 <= span.confidence <= 1.0:
            return f"confidence {span.confidence}", "it lies in [0, 1]"
        if span.role not in CHUNK_ROLES:
            return f"no role {span.role!r}", did_you_mean(span.role, CHUNK_ROLES)
        if len(span.units) and int(span.units.max()) >= self.vocabulary.codebook_size:
            return (
                f"unit {span.units.max()} in a codebook of {self.vocabulary.codebook_size}",
                "encode with the speech tokenizer the vocabulary was made for",
            )
        return None

    def _place(self, span: StoredSpan, text: str, ids: NDArray[np.uint32]) -> tuple[int, ...]:
        return (
            *self._append(UNITS_FILE, np.asarray(span.units)),
            *self._append(TEXT_FILE, ids),
            *self._append(BYTES_FILE, np.frombuffer(text.encode(), np.uint8)),
        )

    def _describe(self, span: StoredSpan) -> tuple[int | float, ...]:
        speaker, role = self.speakers.number(span.speaker), self.roles.number(span.role)
        return (span.start, span.end, speaker, role, span.confidence)

    def _append(self, name: str, values: NDArray[Any]) -> tuple[int, int]:
        start = self.sizes[name]
        self.files[name].write(values.astype(FLAT_DTYPES.get(name, values.dtype), copy=False).tobytes())
        self.sizes[name] = start + len(values)
        return start, self.sizes[name]

    def close(self) -> None:
        """Puts the `.npy` headers, whose length was not known before, in front of the rows and closes all files."""
        for name, dtype in ((SPANS_FILE, SPAN_DTYPE), (DOCS_FILE, DOC_DTYPE)):
            rows = self.files.pop(name)
            self.files[name] = (self.directory / name).open("wb")
            header = {
                "descr": np.lib.format.dtype_to_descr(dtype),
                "fortran_order": False,
                "shape": (self.sizes[name],),
            }
            np.lib.format.write_array_header_1_0(self.files[name], header)
            rows.seek(0)
            shutil.copyfileobj(rows, self.files[name])
            rows.close()
            (self.directory / f"{name}.rows").unlink()
        for file in self.files.values():
            _sync(file)
            file.close()

    def manifest(self, speech_tokenizer_digest: str) -> dict[str, Any]:
        """What was written, with the digest of every file."""
        counted = {
            "units": UNITS_FILE,
            "text_ids": TEXT_FILE,
            "bytes": BYTES_FILE,
            "spans": SPANS_FILE,
            "docs": DOCS_FILE,
        }
        paths = [self.directory / name for name in sorted(self.sizes)]
        return {
            "format": FORMAT,
            "code_version": __version__,
            "frame_rate_hz": FRAME_RATE_HZ,
            "samples_per_unit": FRAME_SAMPLES,
            "vocabulary": self.vocabulary.to_manifest(),
            "text_tokenizer": self.text_tokenizer.fingerprint,
            "speech_tokenizer": speech_tokenizer_digest,
            "counts": {count: self.sizes[name] for count, name in counted.items()},
            "sources": list(self.sources.numbers),
            "speakers": list(self.speakers.numbers),
            "roles": list(self.roles.numbers),
            "files": {path.name: {"num_bytes": path.stat().st_size, "sha256": sha256_of(path)} for path in paths},
        }


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        _sync(file)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
