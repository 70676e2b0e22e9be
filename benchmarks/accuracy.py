"""How right curation is, on real speech with references: words, speakers, word borders. Needs public corpora.

Their folder is `$SPELANGY_DATA`, or ../shared/data beside the repository; each part says what it reads of it.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from accuracy_alignment import alignment_figures
from accuracy_der import der_figures
from accuracy_mixes import mix_figures
from accuracy_wer import wer_figures
from figure import Figure
from spelangy.core.errors import UserError

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"


def figures(quick: bool) -> Iterator[Figure]:  # noqa: ARG001  # an accuracy on a part of the data would mislead
    """All figures of this module."""
    folder = Path(os.environ.get("SPELANGY_DATA", BESIDE))
    if not folder.is_dir():
        raise UserError(f"accuracy: no folder {folder}", hint="set SPELANGY_DATA to a folder of the corpora")
    yield from wer_figures(folder)
    yield from der_figures(folder / "ami")
    yield from mix_figures(folder)
    yield from alignment_figures(folder / "alignment")
