"""Tables for people on stdout, or the same as JSON."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

PIPE_COLUMNS = 160


def print_json(value: Any) -> None:
    """`value` as one JSON document on stdout."""
    json.dump(value, sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")


def print_rows(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows of equal keys as a table on stdout; numbers to the right."""
    table = Table(title=title, title_justify="left", header_style="bold")
    columns = list(rows[0]) if rows else []
    for name in columns:
        is_number = all(isinstance(row[name], int | float) for row in rows)
        table.add_column(name.replace("_", " "), justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_text(row[name]) for name in columns))
    # A pipe has no width: rows stay whole instead of being folded at 80 columns.
    is_terminal = sys.stdout.isatty()
    console = Console(markup=False, highlight=False, width=None if is_terminal else PIPE_COLUMNS)
    console.print(table)


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
