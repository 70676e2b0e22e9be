"""The instructions under which a language model writes, one file each; their text is part of a table's lineage."""

from functools import cache
from importlib.resources import files


@cache
def prompt(name: str) -> str:
    """The instruction in ``NAME.md`` beside this module."""
    return files(__name__).joinpath(f"{name}.md").read_text(encoding="utf-8").strip()
