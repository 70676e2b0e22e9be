"""Reads a recipe: TOML, overrides, checked. A wrong key is refused with file, key and the nearest valid name."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from spelangy.core.errors import UserError, did_you_mean
from spelangy.curate.config import CurateSettings
from spelangy.recipe.settings import Recipe


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe at `path` with ``key=value`` overrides.

    Args:
        overrides: Dotted keys and TOML values: ``train.steps=100``, ``curate.vad="silero"`` (quotes optional).

    Raises:
        UserError: When the file is missing, not TOML, or says something a recipe cannot say.
    """
    try:
        content = tomllib.loads(path.read_text())
    except OSError as error:
        raise UserError(
            f"recipe {path}: {error.strerror}", hint="recipes/quickstart.toml is one to start from"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"recipe {path} is not TOML: {error}", hint="see recipes/quickstart.toml") from error
    content.setdefault("name", path.stem)
    return _overridden(content, overrides, where=str(path))


def default_curation(overrides: Sequence[str] = ()) -> Recipe:
    """The recipe of a curation without a file: every default, each of them open to ``key=value`` overrides.

    Raises:
        UserError: When an override says something a recipe cannot say.
    """
    curate = CurateSettings().model_dump()
    return _overridden({"name": "curate", "curate": curate}, overrides, where="default curation")


def _overridden(content: Mapping[str, Any], overrides: Sequence[str], where: str) -> Recipe:
    for override in overrides:
        content = _override(content, override)
    return recipe_from(content, where)


def recipe_from(content: Mapping[str, Any], where: str) -> Recipe:
    """A checked recipe from its content.

    Raises:
        UserError: Names `where`, the key, what was given and the nearest valid name.
    """
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise _refusal(error, where) from error


def _override(content: Mapping[str, Any], override: str) -> dict[str, Any]:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise UserError(f"--set {override}", hint="write --set key=value, for example --set train.steps=100")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    return _with(content, key.strip().split("."), value, override)


def _with(content: Mapping[str, Any], keys: list[str], value: Any, override: str) -> dict[str, Any]:
    if len(keys) == 1:
        return {**content, keys[0]: value}
    inner = content.get(keys[0], {})
    if not isinstance(inner, Mapping):
        raise UserError(f"--set {override}: {keys[0]} is not a table", hint=f"it is {inner!r}")
    return {**content, keys[0]: _with(inner, keys[1:], value, override)}


def _refusal(error: ValidationError, where: str) -> UserError:
    problems = error.errors()
    misspelt = [problem for problem in problems if problem["type"] == "extra_forbidden"]
    problem = (misspelt or problems)[0]
    location = [str(part) for part in problem["loc"]]
    key = ".".join(location)
    if problem["type"] == "extra_forbidden":
        allowed = _fields_at(Recipe, location[:-1])
        return UserError(f"{where}: unknown key {key!r}", hint=did_you_mean(location[-1], allowed))
    reason = problem["msg"].removeprefix("Value error, ")
    return UserError(f"{where}: {key or 'recipe'} = {problem['input']!r}: {reason}", hint="see docs/recipes.md")


def _fields_at(model: type[BaseModel], location: Sequence[str]) -> list[str]:
    """Names of the fields of the model that `location` leads to."""
    kind: Any = model
    for part in location:
        kind = _inner(kind, part)
    models = [option for option in (kind, *get_args(kind)) if _is_model(option)]
    return list(models[0].model_fields) if models else []


def _inner(kind: Any, part: str) -> Any:
    if _is_model(kind):
        field = kind.model_fields.get(part)
        return field.annotation if field else None
    models = [option for option in get_args(kind) if _is_model(option)]
    return models[0] if models else None


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
