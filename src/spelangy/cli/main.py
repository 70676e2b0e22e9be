"""The way in. Data go to stdout, progress and logs to stderr.

Exit codes: 0 done · 1 our bug · 2 a bad request · 3 done, with more quarantined inputs than the recipe allows.
"""

import os
import sys
import traceback

# Before anything is imported that reads them: no library may call home.
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("DAFT_ANALYTICS_ENABLED", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import typer

from spelangy.cli import (
    combining,
    curating,
    exchanging,
    inspecting,
    keeping,
    modelling,
    running,
    spoken_sets,
    synthesizing,
)
from spelangy.core.errors import UserError

app = typer.Typer(
    name="spelangy",
    help="Crawled audio and web text in, a scored speech language model out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for room in (running, curating, synthesizing, spoken_sets, combining, modelling, inspecting, exchanging, keeping):
    room.register(app)


def main() -> None:
    """Runs one command; turns a refused request into its message and exit code 2."""
    try:
        app()
    except UserError as error:
        print(f"spelangy: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output went away; nothing is left to tell it
        sys.exit(0)
    except Exception:
        traceback.print_exc()
        print("spelangy: this is a bug of ours; please report the lines above", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
