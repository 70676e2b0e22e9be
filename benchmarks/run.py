"""Runs a benchmark: python benchmarks/run.py NAME [--quick] [--json]

A benchmark is a module beside this file with ``def figures(quick: bool) -> Iterator[Figure]``. Figures go to stdout as
they are measured, a row each or, with ``--json``, a line of JSON each; everything else goes to stderr.
"""

import argparse
import ast
import importlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path

from figure import Figure, table_head
from spelangy.core.errors import UserError, did_you_mean

# Before a benchmark imports a library that reads them: it needs no network and tells nobody.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("DAFT_ANALYTICS_ENABLED", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

HERE = Path(__file__).parent
BUSY_LOAD = 0.3


def registry(folder: Path = HERE) -> list[str]:
    """Names of the benchmarks in `folder`, found without importing them."""
    return sorted(path.stem for path in folder.glob("*.py") if _has_figures(path))


def _has_figures(path: Path) -> bool:
    tree = ast.parse(path.read_text())
    return any(isinstance(node, ast.FunctionDef) and node.name == "figures" for node in tree.body)


def find(name: str, folder: Path = HERE) -> str:
    """`name`, if there is such a benchmark.

    Raises:
        UserError: When there is not; names the nearest one.
    """
    known = registry(folder)
    if name not in known:
        raise UserError(f"no benchmark {name!r}", hint=did_you_mean(name, known))
    return name


def figures_of(name: str, *, quick: bool) -> Iterator[Figure]:
    """Measures benchmark `name`, figure by figure.

    Raises:
        UserError: When there is no such benchmark.
    """
    measured: Iterator[Figure] = importlib.import_module(find(name)).figures(quick)
    return measured


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one benchmark; returns the exit code: 0 measured, goals met or not; 2 for a bad request."""
    parser = argparse.ArgumentParser(prog="run.py", description="Runs a benchmark.")
    parser.add_argument("name", metavar="NAME", help=f"one of: {', '.join(registry())}")
    parser.add_argument("--quick", action="store_true", help="about a minute on two idle cores")
    parser.add_argument("--json", action="store_true", help="one JSON object a figure")
    given = parser.parse_args(arguments)
    try:
        find(given.name)
        _warn_if_busy()
        _print_figures(given.name, quick=given.quick, as_json=given.json)
    except UserError as error:
        print(f"run.py: {error}", file=sys.stderr)
        return 2
    return 0


def _print_figures(name: str, *, quick: bool, as_json: bool) -> None:
    out = sys.stdout
    if not as_json:
        print(table_head(), file=out, flush=True)
    # What libraries print meanwhile is no figure.
    with redirect_stdout(sys.stderr):
        for figure in figures_of(name, quick=quick):
            print(json.dumps(figure.as_json()) if as_json else figure.as_row(), file=out, flush=True)


def _warn_if_busy() -> None:
    cores = os.cpu_count() or 1
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load > BUSY_LOAD * cores:
        print(
            f"note: load average {load:.1f} on {cores} cores: figures will be worse than on an idle machine",
            file=sys.stderr,
        )


if __name__ == "__main__":
    sys.exit(main())
