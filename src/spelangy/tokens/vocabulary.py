"""Which embedding row means what: one layout, fixed by a manifest, never by the order of a dict.

row  0 .. text_size              text tokens, as the text tokenizer numbers them
     text_size .. +4             <|speech|> <|text|> <|end|> <|pad|>
     first_speech_id .. +K       speech units 0 .. K - 1
     .. size                     unused rows, up to a multiple of 64
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spelangy.core.errors import UserError

SPECIAL_TOKENS = ("<|speech|>", "<|text|>", "<|end|>", "<|pad|>")
ROW_MULTIPLE = 64
"""Matrix products are fastest on dimensions that divide by this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Vocabulary:
    """The layout of a speech-text vocabulary.

    Args:
        text_size: Embedding rows of text; at least the text tokenizer's size (a language model may have spare rows).
        codebook_size: Number of different speech units.

    Raises:
        UserError: When a size is not positive or the codebook does not fit in 16 bits.
    """

    text_size: int
    codebook_size: int

    def __post_init__(self) -> None:
        if self.text_size < 1 or not 1 <= self.codebook_size <= 2**16:
            raise UserError(
                f"no vocabulary of {self.text_size} text rows and {self.codebook_size} speech units",
                hint="text_size must be positive, codebook_size between 1 and 65536",
            )

    @property
    def to_speech(self) -> int:
        """Id of ``<|speech|>``: speech follows."""
        return self.text_size

    @property
    def to_text(self) -> int:
        """Id of ``<|text|>``: text follows."""
        return self.text_size + 1

    @property
    def end(self) -> int:
        """Id of ``<|end|>``: the document is over."""
        return self.text_size + 2

    @property
    def pad(self) -> int:
        """Id of ``<|pad|>``: fills a row, never predicted."""
        return self.text_size + 3

    @property
    def first_speech_id(self) -> int:
        """Id of speech unit 0."""
        return self.text_size + len(SPECIAL_TOKENS)

    @property
    def size(self) -> int:
        """Number of embedding rows, a multiple of 64."""
        return -(-(self.first_speech_id + self.codebook_size) // ROW_MULTIPLE) * ROW_MULTIPLE

    def speech_id(self, units: ArrayLike) -> NDArray[np.int32]:
        """Token ids of speech units, the same shape; `units` must lie in [0, codebook_size)."""
        return np.asarray(units, dtype=np.int32) + np.int32(self.first_speech_id)

    def to_manifest(self) -> dict[str, Any]:
        """Everything needed to read ids without this code, as plain JSON."""
        return {
            "text_size": self.text_size,
            "codebook_size": self.codebook_size,
            "special_tokens": {token: self.text_size + row for row, token in enumerate(SPECIAL_TOKENS)},
            "first_speech_id": self.first_speech_id,
            "size": self.size,
        }

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> "Vocabulary":
        """The vocabulary a manifest describes.

        Raises:
            UserError: When a field is missing or its rows lie elsewhere than this version puts them.
        """
        try:
            vocabulary = cls(text_size=manifest["text_size"], codebook_size=manifest["codebook_size"])
        except (KeyError, TypeError) as error:
            raise UserError(f"not a vocabulary manifest: {error}", hint="pass what to_manifest() wrote") from error
        if vocabulary.to_manifest() != dict(manifest):
            raise UserError(
                f"the vocabulary manifest {dict(manifest)} has another layout than {vocabulary.to_manifest()}",
                hint="write the store again with this version: ids of two layouts must never be mixed",
            )
        return vocabulary
