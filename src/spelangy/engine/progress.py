"""Progress bars on stderr: a bar a step, nothing under ``--quiet`` or without a terminal."""

import sys
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as Remaining


class StepProgress:
    """Shows steps as they run. Use as a context manager."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        console = Console(stderr=True)
        self.bars = Progress(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            Remaining(),
            console=console,
            disable=quiet or not console.is_terminal,
        )

    def __enter__(self) -> "StepProgress":
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def step(self, name: str) -> Callable[[int, int], None]:
        """A bar for one step; call the result with (done, total)."""
        task = self.bars.add_task(name, total=None)
        return lambda done, total: self.bars.update(task, completed=done, total=total)

    def note(self, text: str) -> None:
        """One line for a log: a step that was reused, or how long it took."""
        if self.quiet:
            return
        if self.bars.disable:
            print(text, file=sys.stderr, flush=True)
        else:
            self.bars.console.print(text, highlight=False)
