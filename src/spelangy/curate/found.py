"""What every kind of source is read into: one recording, where its bytes lie and what the source says of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spelangy.core.hashing import canonical_json

MAX_METADATA_BYTES = 2048
"""Most that a recording carries of what its source says, because every chunk carries it again.
Source: ours; title, feed, date, links and a paragraph of text fit."""

_MAX_LEFT_OUT = 20


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a recording's bytes lie.

    Attributes:
        path: Local path, or a URL.
        container: How `path` holds them: empty (it is the recording itself), ``tar``, ``tar.gz``, ``parquet``,
            ``arrow``; ``url`` (fetched by ingest), or ``url+tar``, ``url+webdataset``, ``url+hf`` (fetched, then read
            as that kind: an item of many recordings).
        offset: First byte within an unpacked archive; row within a table.
        num_bytes: How many bytes, within an archive or a table.
        column: The column of a table; the version of a ``url`` that a listing states.
    """

    path: str
    container: str = ""
    offset: int = 0
    num_bytes: int = 0
    column: str = ""


@dataclass(frozen=True, kw_only=True)
class FoundSource:
    """One recording to be.

    Attributes:
        uri: What it is called in tables and reports; unique within a run.
        id: Hash of its bytes. For what lies elsewhere, where bytes are not read before ingest: hash of its URL and of
            what a listing says of its version. Empty until `sources.find_sources` has filled it in.
        licence: Empty where the source itself states none; the recipe's then.
        metadata: What the source says of it, as canonical JSON; see `metadata_json`.
        copies: Other places that hold the same bytes.
        problem: Why it cannot be read, known already; `detail` says more.
    """

    uri: str
    place: Place
    id: str = ""
    source: str = ""
    licence: str = ""
    metadata: str = "{}"
    copies: tuple[str, ...] = ()
    problem: str = ""
    detail: str = ""


def unreadable(uri: str, problem: str, detail: str = "") -> FoundSource:
    """An input that will be quarantined: what a recipe names is counted, readable or not."""
    return FoundSource(uri=uri, place=Place(path=uri), problem=problem, detail=detail)


def metadata_json(fields: Mapping[str, Any]) -> str:
    """`fields` as canonical JSON of at most `MAX_METADATA_BYTES`.

    Empty values are left away. Where not all of it fits, the longest values are left out and named under ``left_out``.
    """
    texts = {str(name): _canonical(value) for name, value in fields.items() if value not in (None, "", [], {})}
    kept: list[str] = []
    room = MAX_METADATA_BYTES
    for name in sorted(texts, key=lambda name: (len(texts[name] or "") + len(name), name)):
        room -= len((texts[name] or "").encode()) + len(name.encode("utf-8", "replace")) + 4
        if room < 0:
            break
        if texts[name] is not None and _canonical(name) is not None:
            kept.append(name)
    chosen: dict[str, Any] = {name: fields[name] for name in kept}
    left_out = sorted(name for name in texts.keys() - set(kept) if _canonical(name))
    return canonical_json({**chosen, **({"left_out": _short(left_out)} if left_out else {})})


def _short(names: Sequence[str]) -> list[str]:
    return [name[:40] for name in names[:_MAX_LEFT_OUT]]


def _canonical(value: Any) -> str | None:
    try:
        return canonical_json(value)
    except (TypeError, RecursionError):
        return None
