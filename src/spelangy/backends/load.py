"""From a recipe's choice of backend to the thing itself, and to what identifies it in a lineage.

Beside its role's Protocol an adapter has a class method ``describe(**options) -> ModelInfo``: which model it would be
with these options, found and verified but not loaded.
"""

from collections.abc import Callable
from inspect import signature
from typing import Any

from spelangy.backends.protocols import ModelInfo
from spelangy.core.errors import UserError
from spelangy.core.plugins import find_backend
from spelangy.core.settings import BackendChoice


def create(role: str, choice: BackendChoice) -> Any:
    """The backend, loaded and ready.

    Raises:
        UserError: When no such backend is installed, its weights are missing, or it does not take one of the options.
    """
    kind = find_backend(role, choice.name).load()
    _check_options(kind, role, choice)
    return kind(**choice.options)


def describe(role: str, choice: BackendChoice, allow_network: bool = False) -> ModelInfo:
    """Which model the choice stands for on this machine; loads nothing.

    Args:
        allow_network: Whether the adapter may fetch its weights from the hub, if it knows how to.

    Raises:
        UserError: As for `create`.
    """
    kind = find_backend(role, choice.name).load()
    _check_options(kind, role, choice)
    options = dict(choice.options)
    if "allow_network" in signature(kind.describe).parameters:
        options["allow_network"] = allow_network
    info: ModelInfo = kind.describe(**options)
    return info


def identity(role: str, choice: BackendChoice) -> dict[str, Any]:
    """What decides the backend's answers: name, options and the exact revision of its weights.

    Options that an adapter names in its ``circumstances`` (where a server is, how many requests it takes) are left out.
    """
    kind = find_backend(role, choice.name).load()
    aside: frozenset[str] = getattr(kind, "circumstances", frozenset())
    options = {name: value for name, value in choice.options.items() if name not in aside}
    return {"name": choice.name, "options": options, "revision": describe(role, choice).revision}


def required_options(role: str, name: str) -> list[str]:
    """Options that a recipe must give this backend."""
    kind = find_backend(role, name).load()
    return [option.name for option in signature(kind).parameters.values() if option.default is option.empty]


def _check_options(kind: Callable[..., Any], role: str, choice: BackendChoice) -> None:
    try:
        signature(kind).bind(**choice.options)
    except TypeError as error:
        takes = ", ".join(signature(kind).parameters)
        raise UserError(f"{role} backend {choice.name!r}: {error}", hint=f"it takes: {takes}") from error
