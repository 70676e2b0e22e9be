"""What every format carries beside its own fields, so that nothing of a chunk is lost on the way out and back."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from spelangy.core.hashing import canonical_json, record_id
from spelangy.core.records import Chunk, Recording
from spelangy.core.spans import seconds
from spelangy.store.exchange.dossier import Dossier

DIGITS = 7
"""Of a second: a sample is 0.0000625 s, so every time is exact, and so is offset + duration in decimal arithmetic."""

_SAFE_KEY = re.compile(r"[A-Za-z0-9_-]{1,90}")
"""What stands in tar keys and file names. WebDataset cuts a key at its first dot, and a slash would make folders; a
ustar name has room for 100 characters."""
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,200}")
"""What ids that come back may hold: tables, names and tar keys are made from them."""


def decimal_s(num_samples: int) -> float:
    """Samples as the shortest float whose decimal digits are exact."""
    return round(seconds(num_samples), DIGITS)


def tar_key(name: str) -> str:
    """`name` where tar keys and file names can hold it, or else a hash of it."""
    return name if _SAFE_KEY.fullmatch(name) else record_id("key", name)


def one_line_json(value: Any) -> str:
    """JSON on one line, keys in the order given."""
    return json.dumps(value, ensure_ascii=False)


def chunk_words(dossier: Dossier, chunk: Chunk) -> list[dict[str, Any]]:
    """Words of a chunk; times are samples from its start."""
    return [
        {
            "text": word.text,
            "start": word.start - chunk.start,
            "end": word.end - chunk.start,
            "vote_ratio": word.vote_ratio,
            "confidence": word.confidence,
            "is_timed": word.is_timed,
        }
        for word, _ in dossier.words_of(chunk)
    ]


def carried_fields(dossier: Dossier, chunk: Chunk) -> dict[str, Any]:
    """All of a chunk but its text and words, flat: numbers, strings and lists of strings.

    Times are samples in the recording that the chunk was cut from; ``recording`` is that record as canonical JSON.
    """
    systems = next((transcript.systems for _, transcript in dossier.words_of(chunk)), ())
    return {
        "chunk_id": chunk.id,
        "document_id": chunk.document_id,
        "recording_id": chunk.recording_id,
        "index": chunk.index,
        "start_samples": chunk.start,
        "end_samples": chunk.end,
        "speaker": chunk.speaker,
        "role": chunk.role,
        "source": chunk.source,
        "licence": chunk.licence,
        "min_vote_ratio": chunk.min_vote_ratio,
        "confidence": chunk.confidence,
        "dissent": list(chunk.dissent),
        "metadata": chunk.metadata,
        "systems": list(systems),
        "recording": recording_json(dossier.recording),
    }


@lru_cache(maxsize=8)
def recording_json(recording: Recording | None) -> str:
    """A recording as canonical JSON; empty where there is none."""
    return canonical_json(asdict(recording)) if recording is not None else ""


@dataclass(frozen=True, kw_only=True)
class Carried:
    """`carried_fields` that came back, checked.

    Attributes:
        recording: The recording that the chunk was cut from, where it is told.
    """

    chunk_id: str
    document_id: str
    recording_id: str
    index: int
    start: int
    end: int
    role: str
    source: str
    licence: str
    min_vote_ratio: float
    confidence: float
    dissent: tuple[str, ...]
    metadata: str
    systems: tuple[str, ...]
    recording: Recording | None


CARRIED_NAMES = frozenset(
    {
        *("chunk_id", "document_id", "recording_id", "index", "start_samples", "end_samples", "speaker", "role"),
        *("source", "licence", "min_vote_ratio", "confidence", "dissent", "metadata", "systems", "recording"),
    }
)


def carried_of(fields: Mapping[str, Any]) -> Carried | None:
    """What `carried_fields` put there; None where it is not whole, so that the fields are a stranger's.

    Raises:
        ValueError: When it is there and says what no chunk can say.
    """
    if CARRIED_NAMES - fields.keys():
        return None
    start, end = _whole(fields["start_samples"]), _whole(fields["end_samples"])
    if not 0 <= start <= end:
        raise ValueError(f"start_samples {start}, end_samples {end}")
    return Carried(
        chunk_id=_name(fields["chunk_id"]),
        document_id=_name(fields["document_id"]),
        recording_id=_name(fields["recording_id"]),
        index=_whole(fields["index"]),
        start=start,
        end=end,
        role=_text(fields["role"]),
        source=_text(fields["source"]),
        licence=_text(fields["licence"]),
        min_vote_ratio=_share(fields["min_vote_ratio"]),
        confidence=_share(fields["confidence"]),
        dissent=_texts(fields["dissent"]),
        metadata=metadata_of(fields["metadata"]),
        systems=_texts(fields["systems"]),
        recording=_recording(fields["recording"]),
    )


def metadata_of(value: Any) -> str:
    """A JSON object given as text, in its canonical form.

    Raises:
        ValueError: When it is none.
    """
    try:
        parsed = json.loads(_text(value))
        if not isinstance(parsed, dict):
            raise ValueError("metadata is no JSON object")
        return canonical_json(parsed)
    except (TypeError, RecursionError) as error:
        raise ValueError(f"metadata: {error}") from error


def _recording(value: Any) -> Recording | None:
    if value in ("", None):
        return None
    fields = json.loads(_text(value))
    names = Recording.__dataclass_fields__
    if not isinstance(fields, dict) or fields.keys() - names.keys():
        raise ValueError("recording: other fields than a recording has")
    numbers = ("num_samples", "source_sample_rate_hz", "source_channels")
    checked: dict[str, Any] = {
        name: _whole(given) if name in numbers else _text(given) for name, given in fields.items()
    }
    try:
        recording = Recording(**checked)
    except TypeError as error:
        raise ValueError(f"recording: {error}") from error
    _name(recording.id)
    metadata_of(recording.metadata)
    return recording


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**62:
        raise ValueError(f"{str(value)[:40]!r} is no count")
    return value


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{str(value)[:40]!r} is not within 0 and 1")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{str(value)[:40]!r} is no text")
    value.encode()  # halves of surrogate pairs are no text; UnicodeEncodeError is a ValueError
    return value


def _name(value: Any) -> str:
    if not _ID.fullmatch(_text(value)):
        raise ValueError(f"{str(value)[:40]!r} is no id: 1 to 200 letters, digits, '_', '.', ':' or '-'")
    return str(value)


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError("a list of texts is none")
    return tuple(map(_text, value))
