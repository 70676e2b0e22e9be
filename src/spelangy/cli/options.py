"""Options that several commands share, and what they become."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from spelangy.core.errors import UserError
from spelangy.engine.daft_runner import RunnerSettings

RecipeArgument = Annotated[Path, typer.Argument(help="The recipe, a TOML file.", show_default=False)]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="Override a recipe key: --set train.steps=100. Repeatable.")
]
StoreOption = Annotated[
    str, typer.Option("--store", envvar="SPELANGY_STORE", help="Where tables, audio and models live: a path or URL.")
]
RunnerOption = Annotated[str, typer.Option("--runner", help="native, or ray (a cluster that is already running).")]
AddressOption = Annotated[str, typer.Option("--address", help="Ray's address.")]
WorkersOption = Annotated[int, typer.Option("--workers", help="Processes for steps that load a model; 0: one a core.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no log.")]
JsonOption = Annotated[bool, typer.Option("--json", help="The result as JSON on stdout.")]

DEFAULT_STORE = "spelangy-store"


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """How a run is carried out; no result depends on it."""

    runner: RunnerSettings
    quiet: bool


def circumstances(runner: str, address: str, workers: int, quiet: bool) -> Circumstances:
    """The options above, checked.

    Raises:
        UserError: When `runner` is neither ``native`` nor ``ray``.
    """
    if runner not in ("native", "ray"):
        raise UserError(f"--runner {runner}", hint="native or ray")
    own = RunnerSettings(runner=runner, address=address)  # type: ignore[arg-type]
    settings = RunnerSettings(runner=own.runner, address=address, num_workers=workers) if workers > 0 else own
    return Circumstances(runner=settings, quiet=quiet)
