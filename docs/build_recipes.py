"""Writes docs/recipes.md, the reference of every recipe key, from the pydantic models themselves.

    python docs/build_recipes.py        after a change to a settings class; a test holds the page to them

A key's meaning is its field's description, else its entry in the ``Attributes:`` section of the class.
"""

import inspect
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from spelangy.core.plugins import backends
from spelangy.core.settings import BackendChoice
from spelangy.recipe.settings import Recipe
from spelangy.study.arms import StudySettings

PAGE = Path(__file__).parent / "recipes.md"
TEMPLATE = Path(__file__).parent / "recipes.template.md"
OWN_PACKAGE = "spelangy."
TRAINED_ROLE = "speech-tokenizer."
"""Its backends are trained by the recipe: what they need is said in ``[tokens]``."""

_PLAIN = {str: "text", int: "integer", float: "number", bool: "true / false", Any: "value"}
_BOUNDS = (("ge", "≥ {}"), ("gt", "> {}"), ("le", "≤ {}"), ("lt", "< {}"), ("min_length", "at least {}"))


@dataclass(frozen=True, kw_only=True)
class Key:
    """One line of the reference."""

    name: str
    type: str
    default: str
    allowed: str
    meaning: str

    def to_row(self) -> str:
        cells = (f"`{self.name}`", self.type, self.default, self.allowed, self.meaning)
        return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def page() -> str:
    """The whole page."""
    return (
        TEMPLATE.read_text(encoding="utf-8")
        .replace("{{recipe}}", "\n\n".join(sections(Recipe, "")))
        .replace("{{study}}", key_table(StudySettings))
        .replace("{{backends}}", "\n\n".join(backend_sections()))
    )


def sections(model: type[BaseModel], path: str, repeated: str = "") -> Iterator[str]:
    """A section for `model`, then one for each table inside it, depth first."""
    heading = {"": "Top level"}.get(path, f"`[[{path}]]`" if repeated else f"`[{path}]`")
    yield f"### {heading}\n\n{about(model)}\n\n{key_table(model)}"
    for name, field in model.model_fields.items():
        inner, kind = inner_model(field.annotation)
        if inner is not None and inner is not BackendChoice:
            place = f"{path}.{name}".lstrip(".") + (".NAME" if kind == "named" else "")
            yield from sections(inner, place, repeated="yes" if kind == "list" else "")


def inner_model(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    """The settings class inside an annotation, and how it stands there: ``one``, ``list`` or ``named``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, "one"
    kinds = {tuple: "list", dict: "named"}
    for option in get_args(annotation):
        found, _ = inner_model(option)
        if found is not None:
            return found, kinds.get(get_origin(annotation), "one")
    return None, ""


def key_table(model: type[BaseModel]) -> str:
    """The keys of one class as a Markdown table; inner tables have sections of their own."""
    meanings = entries(model, "Attributes")
    rows = [key(name, field, meanings).to_row() for name, field in model.model_fields.items()]
    return "\n".join(["| key | type | default | allowed | meaning |", "| --- | --- | --- | --- | --- |", *rows])


def key(name: str, field: FieldInfo, meanings: Mapping[str, str]) -> Key:
    """One field as a line."""
    meaning = field.description or meanings.get(name, "")
    assert meaning, f"{name} has neither a description nor an entry under Attributes"
    return Key(
        name=name,
        type=type_name(field.annotation),
        default=default(field),
        allowed=allowed(field),
        meaning=markdown(meaning),
    )


def type_name(annotation: Any) -> str:
    """An annotation in the words of TOML."""
    inner, kind = inner_model(annotation)
    if inner is not None:
        noun = "backend" if inner is BackendChoice else "table"
        return {"list": f"list of {noun}s", "named": f"{noun}s by name"}.get(kind, noun)
    origin, options = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "text"
    if origin is tuple:
        return f"list of {type_name(options[0])}s"
    if origin is dict and get_origin(options[1]) is dict:
        return "tables by name"
    if origin is dict:
        return f"table of {type_name(options[1])}s"
    if origin in (Union, types.UnionType):
        return type_name(next(option for option in options if option is not type(None)))
    if get_origin(annotation) is Annotated:
        return type_name(options[0])
    return _PLAIN[annotation]


def allowed(field: FieldInfo) -> str:
    """The values a field takes: a choice, bounds or a pattern."""
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{option}`" for option in get_args(field.annotation))
    parts = []
    for entry in field.metadata:
        parts += [text.format(getattr(entry, bound)) for bound, text in _BOUNDS if hasattr(entry, bound)]
        parts += [f"`{entry.pattern}`"] if getattr(entry, "pattern", None) else []
    return ", ".join(parts)


def default(field: FieldInfo) -> str:
    """The default as a recipe would write it; a table's own section has those of its keys."""
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "—"
    if isinstance(value, BaseModel) and not isinstance(value, BackendChoice):
        return "see below"
    return f"`{toml(value)}`" if value is not None else "none"


def toml(value: Any) -> str:
    """A value in TOML's inline form."""
    if isinstance(value, BackendChoice):
        return toml(value.name) if not value.options else toml({"name": value.name, "options": value.options})
    if isinstance(value, BaseModel):
        return toml({name: getattr(value, name) for name in sorted(value.model_fields_set)})
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{name} = {toml(inner)}' for name, inner in value.items())} }}" if value else "{}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else repr(value)


def backend_sections() -> Iterator[str]:
    """The options of every backend of the package itself, by role; plugins document their own."""
    for full_name, entry in backends().items():
        if not entry.value.startswith(OWN_PACKAGE):
            continue
        kind = entry.load()
        lines = [] if full_name.startswith(TRAINED_ROLE) else list(option_lines(kind))
        yield "\n".join([f"**`{full_name}`** — {about(kind)}", "", *(lines or ["No options."])])


def option_lines(kind: type) -> Iterator[str]:
    """A line per option of a backend; a subclass that says nothing of one is described by its base."""
    meanings: dict[str, str] = {}
    for ancestor in reversed(kind.__mro__):
        meanings |= entries(ancestor, "Args") if ancestor.__doc__ else {}
    for name, parameter in inspect.signature(kind).parameters.items():
        yield f"* `{name}`{option_default(parameter)}: {markdown(meanings[name])}"


def option_default(parameter: inspect.Parameter) -> str:
    """`` = value`` for an option that may be left out."""
    if parameter.default is inspect.Parameter.empty:
        return " (required)"
    return "" if parameter.default is None else f" = `{toml(parameter.default)}`"


def about(described: Any) -> str:
    """The first paragraph of a docstring."""
    return markdown((inspect.getdoc(described) or "").split("\n\n")[0])


def entries(described: Any, section: str) -> dict[str, str]:
    """``name: text`` entries of one section of a Google docstring."""
    text = inspect.getdoc(described) or ""
    found = re.search(rf"^{section}:\n((?:[ ]+\S.*\n?|\n)*)", text, re.MULTILINE)
    body = found[1] if found else ""
    parts = re.findall(r"^ {4}(\w+): (.*(?:\n {5,}\S.*)*)", body, re.MULTILINE)
    return {name: " ".join(meaning.split()) for name, meaning in parts}


def markdown(text: str) -> str:
    """Docstring mark-up as Markdown, on one line."""
    return " ".join(text.split()).replace("``", "`")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
