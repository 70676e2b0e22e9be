"""Byte-level BPE: deterministic, plain files, and equal span by span."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from spelangy.core.errors import UserError
from spelangy.tokens.text_tokenizer import TextTokenizer, leading_space, train_text_tokenizer
from spelangy.tokens.vocabulary import SPECIAL_TOKENS, Vocabulary

TRAIN_AGAIN = """
import sys
from pathlib import Path
from spelangy.tokens.text_tokenizer import train_text_tokenizer
print(train_text_tokenizer([f" line {n % 7} of {n}" for n in range(200)], 290, Path(sys.argv[1])).fingerprint)
"""

texts = st.text(max_size=40) | st.from_regex(r"[ a-z.,'\n0-9]{0,40}", fullmatch=True)


@given(spans=st.lists(texts, max_size=6))
def test_spans_one_by_one_equal_the_merged_text(tokenizer: TextTokenizer, spans: list[str]) -> None:
    spaced = [leading_space(text) for text in spans if text.strip()]
    apart = [token for ids in tokenizer.encode_many(spaced) for token in ids.tolist()]
    assert apart == tokenizer.encode("".join(spaced)).tolist()


def test_without_the_leading_space_they_would_differ(tokenizer: TextTokenizer) -> None:
    apart = tokenizer.encode("the nig").tolist() + tokenizer.encode("ht").tolist()
    assert apart != tokenizer.encode("the night").tolist()


@given(texts)
def test_decoding_gives_the_text_back(tokenizer: TextTokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert ids.dtype == np.uint32
    assert tokenizer.decode(ids.tolist()) == text


@given(texts)
def test_leading_space_changes_nothing_but_the_edges(text: str) -> None:
    spaced = leading_space(text)
    assert spaced.strip() == text.strip()
    assert spaced[0].isspace()
    assert leading_space("\n\nNew paragraph.\n") == "\n\nNew paragraph."


def test_training_is_the_same_in_another_process(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TRAIN_AGAIN, str(tmp_path / "other")]
    other = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    lines = (f" line {n % 7} of {n}" for n in range(200))
    assert train_text_tokenizer(lines, 290, tmp_path / "here").fingerprint == other
    assert train_text_tokenizer([" another text"], 290, tmp_path / "third").fingerprint != other


def test_transformers_reads_the_files(tokenizer: TextTokenizer, vocabulary: Vocabulary, tmp_path: Path) -> None:
    tokenizer.save_with_specials(tmp_path, vocabulary)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = " The harbour town, \u00e9t\u00e9 and night."
    assert loaded(text)["input_ids"] == tokenizer.encode(text).tolist()
    assert loaded.convert_tokens_to_ids(list(SPECIAL_TOKENS)) == list(range(tokenizer.size, tokenizer.size + 4))
    assert (loaded.eos_token_id, loaded.pad_token_id) == (vocabulary.end, vocabulary.pad)
    assert loaded.decode(tokenizer.encode(text).tolist()) == text


def test_transformers_reads_the_trained_files_without_specials(tmp_path: Path) -> None:
    trained = train_text_tokenizer([" some text to learn from"] * 5, 270, tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path)(" some text")["input_ids"] == trained.encode(" some text").tolist()


def test_names_of_special_tokens_in_a_text_are_text(
    tokenizer: TextTokenizer, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    tokenizer.save_with_specials(tmp_path, vocabulary)
    reloaded = TextTokenizer.load(tmp_path)
    assert reloaded.encode(" a <|end|> b").max() < tokenizer.size
    assert tokenizer.encode(" a <|end|> b").tolist() == reloaded.encode(" a <|end|> b").tolist()


def test_bad_requests(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"tokenizer\.json"):
        TextTokenizer.load(tmp_path)
    with pytest.raises(UserError, match="256 bytes"):
        train_text_tokenizer([" a"], 100, tmp_path)
    with pytest.raises(UserError, match="text rows"):
        tokenizer.save_with_specials(tmp_path, Vocabulary(text_size=tokenizer.size + 1, codebook_size=5))
