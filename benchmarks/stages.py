"""Every stage of the path, from a recording to training tokens: see the `stage_…` modules, which also run alone."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from figure import Figure
from material import Material
from measure import peak_memory_mb

IN_PROCESS = ("hearing", "speaking", "tokens", "training")


def figures(quick: bool) -> Iterator[Figure]:
    """All stages on the same material."""
    with TemporaryDirectory() as folder:
        material = Material(Path(folder), quick)
        for part in IN_PROCESS:
            yield from _part(part, material)
        # Before the pipeline, whose processes are counted apart.
        yield Figure(name="peak memory, all models in one process", value=peak_memory_mb(), unit="MB")
        yield from _part("engine", material)


def _part(name: str, material: Material) -> Iterator[Figure]:
    # Imported in its turn: what a later part imports must not be missing from the load times of an earlier one.
    measured: Iterator[Figure] = getattr(import_module(f"stage_{name}"), name)(material)
    return measured
