"""How a private word is written where a view masks it: its kind in brackets, ``[person]``.

Whoever shows or exports a masked chunk must not set beside it the words that were heard: `is_masked` tells.
"""

import re

from spelangy.core.records import PRIVATE_KINDS

_MASK = re.compile(rf"\[(?:{'|'.join(PRIVATE_KINDS)})\]")


def mask(kind: str) -> str:
    """What stands for private words of `kind`."""
    return f"[{kind}]"


def is_masked(text: str) -> bool:
    """Whether private words in `text` were masked."""
    return _MASK.search(text) is not None
