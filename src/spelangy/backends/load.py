"""From a recipe's choice of backend to the thing itself, and to what identifies it in a lineage."""

from typing import Any

from spelangy.core.errors import UserError
from spelangy.core.plugins import find_backend
from spelangy.core.settings import BackendChoice


def create(role: str, choice: BackendChoice) -> Any:
    """The backend, loaded and ready.

    Raises:
        UserError: When no such backend is installed, its weights are missing, or it does not take one of the options.
    """
    kind = find_backend(role, choice.name).load()
    try:
        return kind(**choice.options)
    except TypeError as error:
        raise UserError(
            f"{role} backend {choice.name!r}: {error}", hint=f"see `spelangy models list` and the docstring of {kind}"
        ) from error


def identity(role: str, choice: BackendChoice) -> dict[str, Any]:
    """What identifies the backend's answers: name, options and the exact revision of its weights. Loads no model.

    An adapter tells its revision by a class method ``revision(**options) -> str``.
    """
    kind = find_backend(role, choice.name).load()
    return {"name": choice.name, "options": dict(choice.options), "revision": kind.revision(**choice.options)}
