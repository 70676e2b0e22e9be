"""Random streams that belong to a record, not to a process: same record, same numbers, on any worker in any order."""

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from spelangy.core.hashing import canonical_json


def stream(seed: int, *purpose: str | int) -> np.random.Generator:
    """A generator keyed by (`seed`, `purpose`): for example ``stream(recipe.seed, document.id, "interleave", epoch)``.

    Source: ours; Philox is counter based, so streams of different keys are independent (Salmon et al. 2011).
    """
    key = hashlib.sha256(canonical_json([seed, *purpose]).encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key[:16], "little")))


def uniform(seed: int, *purpose: str | int) -> float:
    """One number in [0, 1) for (`seed`, `purpose`)."""
    return float(stream(seed, *purpose).random())


def uniforms(seed: int, ids: Iterable[str], *purpose: str | int) -> NDArray[np.float64]:
    """One number in [0, 1) for each id, as independent of the others as `uniform`'s and a twentieth of its price.

    The numbers are not those of `uniform`.

    Source: ours; the first 53 bits of SHA-256 over a prefix for (`seed`, `purpose`) and the id.
    """
    prefix = hashlib.sha256(canonical_json([seed, *purpose]).encode())

    def number(of: str) -> int:
        hashed = prefix.copy()
        hashed.update(of.encode())
        return int.from_bytes(hashed.digest()[:8], "big") >> 11

    return np.fromiter(map(number, ids), np.float64) / 2.0**53
