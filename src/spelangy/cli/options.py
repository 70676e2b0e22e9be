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
TimeLimitOption = Annotated[
    float,
    typer.Option(
        "--item-time-limit", min=1.0, help="Seconds that one item of a model may take before it counts as failed."
    ),
]
MemoryOption = Annotated[
    float | None,
    typer.Option(
        "--worker-memory",
        min=0.1,
        show_default="the machine's",
        help="GB that one model process may hold; an item that needs more counts as failed.",
    ),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no log.")]
JsonOption = Annotated[bool, typer.Option("--json", help="The result as JSON on stdout.")]

DEFAULT_STORE = "spelangy-store"
DEFAULT_TIME_LIMIT_S = RunnerSettings.item_time_limit_s


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """How a run is carried out; no result depends on it."""

    runner: RunnerSettings
    quiet: bool


def circumstances(
    runner: str,
    address: str,
    workers: int,
    quiet: bool,
    time_limit_s: float = DEFAULT_TIME_LIMIT_S,
    memory_gb: float | None = None,
) -> Circumstances:
    """The options above, checked.

    Raises:
        UserError: When `runner` is neither ``native`` nor ``ray``, or a memory limit cannot be watched here.
    """
    if runner not in ("native", "ray"):
        raise UserError(f"--runner {runner}", hint="native or ray")
    if memory_gb is not None and not Path("/proc/self/statm").exists():
        raise UserError("--worker-memory: this system does not tell what a process holds", hint="leave it out")
    settings = RunnerSettings(
        runner=runner,  # type: ignore[arg-type]
        address=address,
        num_workers=workers if workers > 0 else RunnerSettings.num_workers,
        item_time_limit_s=time_limit_s,
        max_worker_memory_gb=memory_gb,
    )
    return Circumstances(runner=settings, quiet=quiet)
