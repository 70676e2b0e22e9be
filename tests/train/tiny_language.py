"""A toy speech-text language for the trainer's tests: cycles of text ids and of speech units, in packed rows."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from spelangy.core.random import stream
from spelangy.tokens.interleave import LossClass, Modality
from spelangy.tokens.packing import PackedRow
from spelangy.tokens.vocabulary import Vocabulary
from spelangy.train.config import TrainConfig

VOCABULARY = Vocabulary(text_size=20, codebook_size=12)

Token = tuple[int, Modality, LossClass]


def tiny_config(**changes: object) -> TrainConfig:
    settings: dict[str, object] = {
        "width": 32, "layers": 2, "heads": 2, "row_tokens": 48, "batch_rows": 4, "steps": 10, "warmup_steps": 2,
        "learning_rate": 1e-2, "eval_every": 5, "checkpoint_every": 5, "precision": "fp32",
    }  # fmt: skip
    return TrainConfig.model_validate(settings | changes)


def run_of(modality: Modality, ids: Sequence[int], *, is_first: bool) -> list[Token]:
    """A switch token and what follows it, with the loss classes that rendering gives."""
    speech = modality == Modality.SPEECH
    switch = VOCABULARY.to_speech if speech else VOCABULARY.to_text
    kinds = [LossClass.SPEECH if speech else LossClass.TEXT] * len(ids)
    opening = LossClass.NONE
    if not is_first:
        opening = LossClass.SWITCH_TO_SPEECH if speech else LossClass.SWITCH_TO_TEXT
        kinds[0] = LossClass.FIRST_SPEECH if speech else LossClass.FIRST_TEXT
    return [(switch, Modality.SPECIAL, opening), *((i, modality, kind) for i, kind in zip(ids, kinds, strict=True))]


def interleaved(first: Modality, *lengths: int, phase: int = 0) -> list[Token]:
    """A document of alternating runs; every id follows from the one before it."""
    tokens: list[Token] = []
    for index, length in enumerate(lengths):
        modality = first if index % 2 == 0 else Modality(1 - first)
        cycle = [(phase + step) % 10 for step in range(length)]
        ids = [VOCABULARY.first_speech_id + unit for unit in cycle] if modality == Modality.SPEECH else cycle
        tokens += run_of(modality, ids, is_first=index == 0)
    return [*tokens, (VOCABULARY.end, Modality.SPECIAL, LossClass.END)]


def pack(documents: Sequence[Sequence[Token]], num_tokens: int) -> PackedRow:
    """Documents one after the other, padded to `num_tokens`."""
    tokens = list(itertools.chain.from_iterable(documents))
    owner = [index for index, document in enumerate(documents) for _ in document]
    room = num_tokens - len(tokens)
    assert room >= 0
    tokens += [(VOCABULARY.pad, Modality.SPECIAL, LossClass.NONE)] * room
    ids, modality, loss_class = zip(*tokens, strict=True)
    return PackedRow(
        ids=np.array(ids, np.int32),
        modality=np.array(modality, np.uint8),
        loss_class=np.array(loss_class, np.uint8),
        document=np.array(owner + [-1] * room, np.int32),
        source="toy",
    )


def random_row(index: int, num_tokens: int = 48, seed: int = 0) -> PackedRow:
    """Row `index` of the endless toy corpus: two documents of speech and text, and some padding."""
    draw = stream(seed, "row", index)
    documents = [
        interleaved(Modality(int(draw.integers(2))), *draw.integers(3, 7, 3).tolist(), phase=int(draw.integers(10)))
        for _ in range(2)
    ]
    return pack(documents, num_tokens)


def rows_from(index: int) -> Iterator[PackedRow]:
    return (random_row(number) for number in itertools.count(index))


def heldout_rows(count: int = 4) -> dict[str, list[PackedRow]]:
    return {"toy": [random_row(index, seed=1) for index in range(count)]}
