"""Removes documents from a span store that is written already: every array is copied without them, run by run.

docs     d0 d1 d2 d3        d1 gone:   d0 d2 d3
units    ----====--- ..                ----   --- ..     ranges of later documents move up by what is gone
"""

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spelangy.tokens.span_store import (
    BYTES_FILE,
    DOCS_FILE,
    FLAT_DTYPES,
    MANIFEST_FILE,
    SPANS_FILE,
    TEXT_FILE,
    UNITS_FILE,
    SpanStore,
    sha256_of,
)

_RANGES = {UNITS_FILE: ("units_start", "units_end"), TEXT_FILE: ("text_start", "text_end")}
_COUNTS = {"units": UNITS_FILE, "text_ids": TEXT_FILE, "bytes": BYTES_FILE, "spans": SPANS_FILE, "docs": DOCS_FILE}
_BLOCK = 1 << 22


def remove_documents(directory: Path, is_gone: Callable[[str], bool]) -> int:
    """Rewrites the span store at `directory` without the documents whose id `is_gone` refuses; returns how many.

    Memory is that of the index arrays; units and text pass through in blocks.
    """
    store = SpanStore.open(directory)
    kept = np.array([not is_gone(store.document_id(number)) for number in range(store.num_documents)], bool)
    num_gone = int((~kept).sum())
    if num_gone:
        _rewrite(store, kept)
    return num_gone


def _rewrite(store: SpanStore, kept: NDArray[np.bool_]) -> None:
    directory = store.directory
    beside = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        sizes = _write(store, kept, beside)
        _write_manifest(store, beside, sizes)
        beside.chmod(0o755)
        shutil.rmtree(directory)
        beside.replace(directory)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def _write(store: SpanStore, kept: NDArray[np.bool_], target: Path) -> dict[str, int]:
    docs, spans = np.array(store.docs), np.array(store.spans)
    firsts, lasts = docs["spans_start"], docs["spans_end"] - 1
    flat: dict[str, NDArray[Any]] = {UNITS_FILE: store.units, TEXT_FILE: store.text_ids, BYTES_FILE: store.utf8}
    borders = {name: (spans[start][firsts], spans[end][lasts]) for name, (start, end) in _RANGES.items()}
    borders[BYTES_FILE] = (docs["id_start"], spans["bytes_end"][lasts])
    sizes: dict[str, int] = {}
    shifts: dict[str, NDArray[np.int64]] = {}
    for name, (starts, ends) in borders.items():
        shifts[name] = _shifts(ends - starts, starts, kept)
        sizes[name] = _copy(flat[name], starts[kept], ends[kept], target / name)
    spans = _moved_spans(spans, shifts, kept)
    docs = _moved_docs(docs, shifts[BYTES_FILE], kept)
    np.save(target / SPANS_FILE, spans, allow_pickle=False)
    np.save(target / DOCS_FILE, docs, allow_pickle=False)
    return sizes | {SPANS_FILE: len(spans), DOCS_FILE: len(docs)}


def _shifts(lengths: NDArray[Any], starts: NDArray[Any], kept: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How far each kept document's range moves, shape [docs]."""
    own = np.where(kept, lengths, 0)
    return np.asarray(np.cumsum(own) - own - starts, np.int64)


def _copy(values: NDArray[Any], starts: NDArray[Any], ends: NDArray[Any], path: Path) -> int:
    with path.open("wb") as file:
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            for begin in range(start, end, _BLOCK):
                file.write(values[begin : min(end, begin + _BLOCK)].astype(FLAT_DTYPES[path.name]).tobytes())
    return int((ends - starts).sum())


def _moved_spans(spans: NDArray[Any], shifts: dict[str, NDArray[np.int64]], kept: NDArray[np.bool_]) -> NDArray[Any]:
    moved: NDArray[Any] = spans[kept[spans["document"]]]
    document = moved["document"].copy()
    for name, columns in {**_RANGES, BYTES_FILE: ("bytes_start", "bytes_end")}.items():
        for column in columns:
            moved[column] += shifts[name][document]
    moved["document"] = (np.cumsum(kept) - 1)[document]
    return moved


def _moved_docs(docs: NDArray[Any], byte_shifts: NDArray[np.int64], kept: NDArray[np.bool_]) -> NDArray[Any]:
    counts = np.where(kept, docs["spans_end"] - docs["spans_start"], 0)
    ends = np.cumsum(counts)
    docs["spans_start"], docs["spans_end"] = ends - counts, ends
    docs["id_start"] += byte_shifts
    docs["id_end"] += byte_shifts
    found: NDArray[Any] = docs[kept]
    return found


def _write_manifest(store: SpanStore, target: Path, sizes: dict[str, int]) -> None:
    paths = sorted(path for path in target.iterdir() if path.name in sizes)
    manifest = {
        **store.manifest,
        "counts": {count: sizes[name] for count, name in _COUNTS.items()},
        "files": {path.name: {"num_bytes": path.stat().st_size, "sha256": sha256_of(path)} for path in paths},
    }
    (target / MANIFEST_FILE).write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
