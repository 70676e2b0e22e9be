"""The layout of ids."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spelangy.core.errors import UserError
from spelangy.tokens.vocabulary import SPECIAL_TOKENS, Vocabulary

vocabularies = st.builds(Vocabulary, text_size=st.integers(1, 200_000), codebook_size=st.integers(1, 2**16))


@given(vocabularies)
def test_every_row_means_one_thing(vocabulary: Vocabulary) -> None:
    specials = [vocabulary.to_speech, vocabulary.to_text, vocabulary.end, vocabulary.pad]
    units = vocabulary.speech_id([0, vocabulary.codebook_size - 1])
    assert specials == list(range(vocabulary.text_size, vocabulary.text_size + 4))
    assert units.tolist() == [specials[-1] + 1, specials[-1] + vocabulary.codebook_size]
    assert vocabulary.size % 64 == 0
    assert 0 <= vocabulary.size - (units[1] + 1) < 64


@given(vocabularies)
def test_manifest_round_trip(vocabulary: Vocabulary) -> None:
    assert Vocabulary.from_manifest(vocabulary.to_manifest()) == vocabulary


def test_the_layout_never_moves() -> None:
    manifest = Vocabulary(text_size=1000, codebook_size=500).to_manifest()
    assert manifest["special_tokens"] == {"<|speech|>": 1000, "<|text|>": 1001, "<|end|>": 1002, "<|pad|>": 1003}
    assert tuple(manifest["special_tokens"]) == SPECIAL_TOKENS
    assert (manifest["first_speech_id"], manifest["size"]) == (1004, 1536)


def test_speech_ids_of_16_bit_units_do_not_overflow() -> None:
    ids = Vocabulary(text_size=60_000, codebook_size=2**16).speech_id(np.array([65_535], dtype=np.uint16))
    assert ids.dtype == np.int32
    assert ids.tolist() == [125_539]


def test_another_layout_is_refused() -> None:
    manifest = Vocabulary(text_size=1000, codebook_size=500).to_manifest()
    with pytest.raises(UserError, match="another layout"):
        Vocabulary.from_manifest(manifest | {"first_speech_id": 1003})
    with pytest.raises(UserError, match="not a vocabulary manifest"):
        Vocabulary.from_manifest({"text_size": 5})


@pytest.mark.parametrize(("text_size", "codebook_size"), [(0, 5), (5, 0), (5, 2**16 + 1)])
def test_impossible_sizes_are_refused(text_size: int, codebook_size: int) -> None:
    with pytest.raises(UserError, match="no vocabulary"):
        Vocabulary(text_size=text_size, codebook_size=codebook_size)
