"""Every stage of the path, from a recording to training tokens: see the `stage_…` modules, which also run alone."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from figure import Figure
from material import Material
from measure import peak_memory_mb
from stage_engine import engine
from stage_hearing import hearing
from stage_speaking import speaking
from stage_tokens import tokens
from stage_training import training


def figures(quick: bool) -> Iterator[Figure]:
    """All stages on the same material."""
    with TemporaryDirectory() as folder:
        material = Material(Path(folder), quick)
        yield from hearing(material)
        yield from speaking(material)
        yield from tokens(material)
        yield from training(material)
        # Before the pipeline, whose processes are counted apart.
        yield Figure(name="peak memory, all models in one process", value=peak_memory_mb(), unit="MB")
        yield from engine(material)
