from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_language import VOCABULARY, Token, interleaved, pack, random_row, tiny_config

from spelangy.tokens.interleave import LossClass, Modality
from spelangy.train.batches import collate, distance_after_switch
from spelangy.train.loss import HEAD_CHUNK_TOKENS, NatSums, linear_cross_entropy, select_targets, target_nats
from spelangy.train.model import build_model

documents = st.lists(
    st.builds(
        lambda first, lengths, phase: interleaved(first, *lengths, phase=phase),
        st.sampled_from([Modality.TEXT, Modality.SPEECH]),
        st.lists(st.integers(1, 9), min_size=1, max_size=4),
        st.integers(0, 9),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=12, deadline=None)
@given(documents)
def test_packed_is_unpacked(packed: list[list[Token]]) -> None:
    model = build_model(tiny_config(), VOCABULARY)
    length = sum(map(len, packed)) + 5
    batch = collate([pack(packed, length)])
    alone = [collate([pack([document], len(document))]) for document in packed]
    with torch.no_grad():
        together_N = target_nats(model, batch, select_targets(batch, "both"))
        apart = [target_nats(model, one, select_targets(one, "both")) for one in alone]
    torch.testing.assert_close(together_N, torch.cat(apart), atol=1e-5, rtol=0)


def taught(row_loss: str, *runs: int, first: Modality) -> list[LossClass]:
    row = pack([interleaved(first, *runs)], 40)
    targets = select_targets(collate([row]), row_loss)  # type: ignore[arg-type]  # parametrised names
    return [LossClass(int(row.loss_class[source + 1])) for source in targets.source_N]


def test_preset_both_teaches_all_but_the_opening_and_padding() -> None:
    assert taught("both", 2, 2, 2, first=Modality.SPEECH) == [
        LossClass.SPEECH, LossClass.SPEECH,
        LossClass.SWITCH_TO_TEXT, LossClass.FIRST_TEXT, LossClass.TEXT,
        LossClass.SWITCH_TO_SPEECH, LossClass.FIRST_SPEECH, LossClass.SPEECH, LossClass.END,
    ]  # fmt: skip


def test_preset_understanding_only_teaches_nothing_of_speech_nor_after_it() -> None:
    assert taught("understanding_only", 2, 2, 2, first=Modality.SPEECH) == [
        LossClass.FIRST_TEXT, LossClass.TEXT, LossClass.SWITCH_TO_SPEECH,
    ]  # fmt: skip
    assert taught("understanding_only", 2, first=Modality.TEXT) == [LossClass.TEXT, LossClass.TEXT, LossClass.END]


def test_targets_are_the_next_tokens_of_the_same_document() -> None:
    row = pack([interleaved(Modality.TEXT, 3), interleaved(Modality.SPEECH, 2)], 16)
    targets = select_targets(collate([row, row]), "both")
    source_N = targets.source_N.numpy()
    flat_ids, flat_documents = np.tile(row.ids, 2), np.tile(row.document, 2)
    assert np.array_equal(targets.ids_N.numpy(), flat_ids[source_N + 1])
    assert np.array_equal(flat_documents[source_N], flat_documents[source_N + 1])
    assert source_N.size == 2 * (4 + 3)


def test_distance_counts_from_the_change_of_modality() -> None:
    row = pack([interleaved(Modality.SPEECH, 2, 3, 1), interleaved(Modality.SPEECH, 2)], 17)
    assert distance_after_switch(row).tolist() == [0, 0, 0, 0, 1, 2, 3, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]


def test_chunked_cross_entropy_is_the_plain_one() -> None:
    generator = torch.Generator().manual_seed(0)
    num_targets = HEAD_CHUNK_TOKENS + 7
    hidden_ND = torch.randn(num_targets, 8, generator=generator, requires_grad=True)
    head_VD = torch.randn(12, 8, generator=generator, requires_grad=True)
    ids_N = torch.randint(12, (num_targets,), generator=generator)
    plain_N = torch.nn.functional.cross_entropy(hidden_ND @ head_VD.T, ids_N, reduction="none")
    chunked_N = linear_cross_entropy(hidden_ND, head_VD, ids_N)
    torch.testing.assert_close(chunked_N, plain_N)
    expected = torch.autograd.grad(plain_N.sum(), [hidden_ND, head_VD])
    for gradient, wanted in zip(torch.autograd.grad(chunked_N.sum(), [hidden_ND, head_VD]), expected, strict=True):
        torch.testing.assert_close(gradient, wanted)


def test_sums_report_by_modality_and_distance() -> None:
    batch = collate([pack([interleaved(Modality.SPEECH, 3, 9)], 20)])
    targets = select_targets(batch, "both")
    nats_N = torch.arange(1.0, targets.ids_N.numel() + 1)
    sums = NatSums.of(targets, nats_N) + NatSums.of(targets, nats_N)
    # targets: 3 units (1-3), switch (4), 9 text tokens (5-13), end (14)
    assert sums.mean("speech") == pytest.approx(2.0)
    assert sums.mean("special") == pytest.approx((4 + 14) / 2)
    assert sums.mean("text") == pytest.approx(9.0)
    assert sums.num_targets("text") == 18
    assert sums.after_switch("text") == pytest.approx({"1": 5.0, "2": 6.5, "4": 9.5, "8+": 12.5})
    assert set(sums.after_switch("speech").values()) == {None}


def test_padding_touches_no_number() -> None:
    model = build_model(tiny_config(), VOCABULARY)
    row = random_row(0)
    wild = np.where(row.document == -1, 3, row.ids).astype(np.int32)
    other = replace(row, ids=wild)
    with torch.no_grad():
        nats = [
            target_nats(model, batch, select_targets(batch, "both")) for batch in (collate([row]), collate([other]))
        ]
    assert (row.document == -1).any() and torch.isfinite(nats[0]).all()
    assert torch.equal(nats[0], nats[1])
