"""The speech LM: a `transformers` Llama whose rows are text, special tokens and speech units.

Shape legend: B rows, T tokens of a row, D width, V vocabulary.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoModelForCausalLM, GenerationConfig, LlamaConfig, LlamaForCausalLM
from transformers.utils import logging as transformers_logging

from spelangy.core.errors import UserError
from spelangy.tokens.vocabulary import Vocabulary
from spelangy.train.config import TrainConfig

FEED_FORWARD_MULTIPLE = 64


def model_config(config: TrainConfig, vocabulary: Vocabulary) -> LlamaConfig:
    """The architecture: feed-forward of 8/3 width rounded up to 64, head tied to the embedding.

    Source: Llama's proportions; tied because at these sizes two vocabulary matrices would be most of the model.
    """
    return LlamaConfig(
        vocab_size=vocabulary.size,
        hidden_size=config.width,
        intermediate_size=-(-8 * config.width // (3 * FEED_FORWARD_MULTIPLE)) * FEED_FORWARD_MULTIPLE,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.heads,
        max_position_embeddings=config.row_tokens,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=vocabulary.end,
        pad_token_id=vocabulary.pad,
        use_cache=True,
        attn_implementation="sdpa",
        dtype="float32",
    )


def build_model(config: TrainConfig, vocabulary: Vocabulary) -> LlamaForCausalLM:
    """A model with fresh weights, the same ones for the same config and vocabulary; the caller's rng is not touched."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = LlamaForCausalLM(model_config(config, vocabulary))
        initialize_speech_rows(model, vocabulary)
    model.generation_config = GenerationConfig(
        do_sample=False, eos_token_id=vocabulary.end, pad_token_id=vocabulary.pad
    )
    return model


def initialize_speech_rows(model: LlamaForCausalLM, vocabulary: Vocabulary) -> None:
    """Draws the embeddings of the speech units Xavier-normal, from torch's current rng.

    Source: PAPER, "Model and training": new embeddings Xavier-normal.
    """
    rows = slice(vocabulary.first_speech_id, vocabulary.first_speech_id + vocabulary.codebook_size)
    with torch.no_grad():
        torch.nn.init.xavier_normal_(model.get_input_embeddings().weight[rows])


def hidden_states(model: LlamaForCausalLM, ids_BT: Tensor, position_BT: Tensor, attention_B1TT: Tensor) -> Tensor:
    """What the decoder makes of each token before the vocabulary head.

    Args:
        ids_BT: Token ids, int64.
        position_BT: Positions, restarting where a document does, int64.
        attention_B1TT: True where the query (row) may look at the key (column).

    Returns:
        hidden_BTD, in the dtype the model computes in.
    """
    output = model.model(
        input_ids=ids_BT, position_ids=position_BT, attention_mask=attention_B1TT, use_cache=False
    ).last_hidden_state
    assert isinstance(output, Tensor)
    return output


def head_weight(model: LlamaForCausalLM) -> Tensor:
    """The vocabulary head, weight_VD."""
    weight = model.get_output_embeddings().weight
    assert isinstance(weight, Tensor)
    return weight


def num_parameters(model: torch.nn.Module) -> int:
    """Trained numbers; a tied matrix counts once."""
    return sum(parameter.numel() for parameter in model.parameters())


def export_model(model: LlamaForCausalLM, directory: Path) -> Path:
    """Writes a plain Hugging Face model; what was there is replaced only once the new one is complete.

    Raises:
        UserError: When the disk is full or read-only.
    """
    beside = directory.with_name(f".writing-{directory.name}")
    try:
        shutil.rmtree(beside, ignore_errors=True)
        with _no_progress_bars():
            model.save_pretrained(beside)
        shutil.rmtree(directory, ignore_errors=True)
        beside.rename(directory)
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot write model {directory}: {error}", hint="free space and run again") from error
    return directory


def load_model(directory: Path) -> LlamaForCausalLM:
    """Reads an exported model, in float32 and ready to be asked (no dropout).

    Raises:
        UserError: When `directory` is not an exported model.
    """
    if not (directory / "config.json").is_file():
        raise UserError(f"{directory} is not a model: it has no config.json", hint="name the `model/` folder of a run")
    try:
        with _no_progress_bars():
            model = AutoModelForCausalLM.from_pretrained(
                directory,
                dtype=torch.float32,
                attn_implementation="sdpa",
                local_files_only=True,
                trust_remote_code=False,  # else a folder that names code of its own would be asked about, and run
                use_safetensors=True,
            )
    except (OSError, ValueError) as error:
        raise UserError(f"{directory} cannot be read as a model: {error}", hint="export it again") from error
    return model.eval()  # type: ignore[no-any-return]  # transformers is untyped here


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    """transformers draws a bar for every file; ours is the only one, and `--quiet` means quiet."""
    was_enabled = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_enabled:
            transformers_logging.enable_progress_bar()
