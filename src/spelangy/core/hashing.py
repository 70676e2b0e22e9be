"""Canonical hashing: one byte string for one meaning, everywhere the same digest."""

import hashlib
import json
from dataclasses import asdict, is_dataclass
from typing import Any

ID_HEX_DIGITS = 32
"""Length of record ids: 128 bits of SHA-256, safe from chance collisions far beyond 10^9 records."""


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces; floats by their shortest exact form, so equal values give equal bytes.

    Raises:
        TypeError: When `value` holds anything JSON cannot say (NaN and halves of surrogate pairs included): such a
            value has no canonical form.
    """
    try:
        text = json.dumps(
            value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_plain
        )
        text.encode()
        return text
    except ValueError as error:
        raise TypeError(f"no canonical form: {error}") from error


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"no canonical form for {type(value).__name__}")


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON of `value`, 64 hex digits.

    Raises:
        TypeError: When `value` has no canonical form.
    """
    return digest_bytes(canonical_json(value).encode())


def digest_bytes(data: bytes | memoryview) -> str:
    """SHA-256 of `data`, 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def record_id(*parts: Any) -> str:
    """A record id made from what identifies the record: the first 32 hex digits of the digest of `parts`."""
    return digest(list(parts))[:ID_HEX_DIGITS]
