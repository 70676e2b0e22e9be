"""Random streams that belong to a record, not to a process: same record, same numbers, on any worker in any order."""

import hashlib

import numpy as np

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
