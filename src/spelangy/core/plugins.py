"""Finds what other packages add to the house, by entry point."""

import sys
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points

from spelangy.core.errors import UserError, did_you_mean

BACKEND_GROUP = "spelangy.backends"


def backends() -> dict[str, EntryPoint]:
    """All installed backends by name (``asr.moonshine-tiny-en`` …), nothing imported yet."""
    return dict(_found_on(tuple(sys.path)))


@lru_cache(maxsize=4)
def _found_on(_path: tuple[str, ...]) -> dict[str, EntryPoint]:
    # Kept by search path: a plan asks a dozen times, and each search opens every installed package's metadata.
    return {entry.name: entry for entry in sorted(entry_points(group=BACKEND_GROUP), key=lambda entry: entry.name)}


def find_backend(role: str, name: str) -> EntryPoint:
    """The entry point of backend `name` for `role`.

    Raises:
        UserError: When no installed package offers it; names the nearest one that is.
    """
    known = backends()
    full_name = f"{role}.{name}"
    if full_name not in known:
        names = [key.removeprefix(f"{role}.") for key in known if key.startswith(f"{role}.")]
        raise UserError(f"no {role} backend named {name!r} is installed", hint=did_you_mean(name, names))
    return known[full_name]
