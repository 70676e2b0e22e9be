"""docs/cli.md names every command and variable there is, and its examples are commands that parse."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from spelangy.cli.main import app

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE + (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8"), re.DOTALL)
EXAMPLES = [line for block in BLOCKS for line in block.splitlines() if line]
COMMANDS: Any = typer.main.get_command(app)


def resolved(arguments: list[str], command: Any = COMMANDS, path: str = "") -> tuple[str, Any, list[str]]:
    """The command that `arguments` lead to: its path, itself and what is left for it."""
    if not hasattr(command, "commands"):
        return path, command, arguments
    return resolved(arguments[1:], command.commands[arguments[0]], f"{path} {arguments[0]}".strip())


def all_commands(command: Any = COMMANDS, path: str = "") -> list[str]:
    if not hasattr(command, "commands"):
        return [path]
    return [
        found for name, inner in command.commands.items() for found in all_commands(inner, f"{path} {name}".strip())
    ]


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_parse(example: str) -> None:
    program, *arguments = shlex.split(example)
    path, command, rest = resolved(arguments)
    assert program == "spelangy"
    command.make_context(path, rest)
    for recipe in (word for word in rest if word.startswith("recipes/")):
        assert (ROOT / recipe).is_file()


def test_every_command_has_an_example() -> None:
    shown = {resolved(shlex.split(example)[1:])[0] for example in EXAMPLES}
    assert shown == set(all_commands())


def test_the_environment_is_complete() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py")]
    read = {name for text in sources for name in re.findall(r"\"(SPELANGY_[A-Z]+)\"", text)}
    assert read | {"SPELANGY_DATA"} == set(re.findall(r"SPELANGY_[A-Z]+", PAGE))
    main = (ROOT / "src/spelangy/cli/main.py").read_text(encoding="utf-8")
    for name, value in re.findall(r"setdefault\(\"(\w+)\", \"(\d)\"\)", main):
        assert f"`{name}={value}`" in PAGE or (name, value) == ("HF_HUB_OFFLINE", "1")
