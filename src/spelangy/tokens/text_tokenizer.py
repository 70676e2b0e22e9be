"""Text tokens: a byte-level BPE of our own, or any Hugging Face fast tokenizer that splits at white space."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from spelangy.core.errors import UserError
from spelangy.core.hashing import digest_bytes
from spelangy.tokens.vocabulary import SPECIAL_TOKENS, Vocabulary

TOKENIZER_FILE = "tokenizer.json"
CONFIG_FILE = "tokenizer_config.json"
NUM_BYTES = 256


def leading_space(text: str) -> str:
    """The form in which a span's text is tokenised: white space before it, none after it.

    White space the text brings along (a paragraph's line breaks) is kept; without any, one space is put in front.
    Spans in this form can be tokenised one by one and give the tokens of the whole text.
    """
    text = text.rstrip()
    return text if text.startswith((" ", "\n", "\t", "\r")) else f" {text}"


class TextTokenizer:
    """A `tokenizers` model that treats every text as plain text: no token is added, and a special token's name in a
    crawled page is just characters.

    Args:
        tokenizer: The loaded model.
        fingerprint: SHA-256 of its `tokenizer.json`.
    """

    def __init__(self, tokenizer: Tokenizer, fingerprint: str) -> None:
        tokenizer.encode_special_tokens = True
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self.fingerprint = fingerprint

    @classmethod
    def load(cls, directory: Path) -> "TextTokenizer":
        """Reads the `tokenizer.json` of a directory, ours or that of any Hugging Face checkpoint.

        Raises:
            UserError: When there is none.
        """
        path = directory / TOKENIZER_FILE
        if not path.is_file():
            raise UserError(f"no {TOKENIZER_FILE} in {directory}", hint="train one with `spelangy tokenizer train`")
        data = path.read_bytes()
        return cls(Tokenizer.from_buffer(data), digest_bytes(data))

    @property
    def size(self) -> int:
        """Number of token ids, added tokens included."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    def encode(self, text: str) -> NDArray[np.uint32]:
        """Token ids of `text` exactly as it stands, shape [N]."""
        return np.array(self._tokenizer.encode(text, add_special_tokens=False).ids, dtype=np.uint32)

    def encode_many(self, texts: Sequence[str]) -> list[NDArray[np.uint32]]:
        """`encode` for several texts at once."""
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(encoding.ids, dtype=np.uint32) for encoding in encodings]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`; bytes that are no UTF-8 become U+FFFD."""
        return str(self._tokenizer.decode([int(token) for token in ids], skip_special_tokens=False))

    def save_with_specials(self, directory: Path, vocabulary: Vocabulary) -> None:
        """Writes the tokenizer of a speech-text model: the text tokens plus the four special tokens at their rows, so
        that `AutoTokenizer` and `lm_eval` find the end and padding tokens.

        Raises:
            UserError: When the vocabulary keeps spare text rows: a plain tokenizer file cannot skip them.
        """
        if vocabulary.text_size != self.size:
            raise UserError(
                f"the vocabulary has {vocabulary.text_size} text rows, the tokenizer {self.size} tokens",
                hint="build the vocabulary with text_size = tokenizer.size",
            )
        extended = Tokenizer.from_str(self._tokenizer.to_str())
        extended.add_special_tokens(list(SPECIAL_TOKENS))
        _save(extended, directory, {"eos_token": "<|end|>", "pad_token": "<|pad|>"})


def train_text_tokenizer(texts: Iterable[str], vocab_size: int, directory: Path) -> TextTokenizer:
    """Trains a byte-level BPE and writes it as plain Hugging Face files; the same texts give the same bytes.

    Args:
        texts: Training text; spans should come in their `leading_space` form.
        vocab_size: Most tokens to learn, the 256 bytes included; little text may give fewer.
        directory: Where `tokenizer.json` and `tokenizer_config.json` go; made if missing.

    Raises:
        UserError: When `vocab_size` leaves no room for the 256 bytes.
    """
    if vocab_size < NUM_BYTES:
        raise UserError(f"vocab_size {vocab_size} cannot hold the {NUM_BYTES} bytes", hint=f"use {NUM_BYTES} or more")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    _save(tokenizer, directory, {})
    return TextTokenizer.load(directory)


def _save(tokenizer: Tokenizer, directory: Path, special_tokens: dict[str, str]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(directory / TOKENIZER_FILE))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "add_prefix_space": False,
        **special_tokens,
    }
    (directory / CONFIG_FILE).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
