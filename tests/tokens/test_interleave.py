"""Laws of interleaving, over a store of mixed documents and every policy."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spelangy.core.errors import UserError
from spelangy.tokens.interleave import (
    LossClass,
    Modality,
    Policy,
    Rendered,
    plan_documents,
    render,
    rendered_length,
    switch_counts,
)
from spelangy.tokens.span_store import SpanStore, StoredDocument, StoredSpan
from spelangy.tokens.text_tokenizer import TextTokenizer
from spelangy.tokens.vocabulary import Vocabulary

policies = st.builds(
    Policy,
    granularity=st.sampled_from(["fine", "coarse"]),
    coarse_target_s=st.floats(0.1, 20),
    plan=st.sampled_from(["deterministic", "stochastic", "speech-only", "text-only"]),
    speech_probability=st.floats(0, 1),
    first=st.sampled_from(["speech", "text", "random"]),
)
numbers = st.integers(0, 31)
seeds = st.integers(0, 2**32)
epochs = st.integers(0, 5)


def spans_of(store: SpanStore, document: int) -> range:
    return range(int(store.docs["spans_start"][document]), int(store.docs["spans_end"][document]))


def chunk_document(num_chunks: int, name: str = "n") -> StoredDocument:
    spans = [
        StoredSpan(
            units=np.array([index % 50] * 3, dtype=np.uint16),
            text=f"Chunk {index}.",
            start=index * 3840,
            end=(index + 1) * 3840,
            speaker="S0",
            role="speech",
            confidence=1.0,
        )
        for index in range(num_chunks)
    ]
    return StoredDocument(id=name, source="crawl", spans=tuple(spans))


def content(rendered: Rendered) -> list[tuple[int, list[int]]]:
    """(modality, ids) of each stretch between special tokens."""
    stretches: list[tuple[int, list[int]]] = []
    for token, modality in zip(rendered.ids.tolist(), rendered.modality.tolist(), strict=True):
        if modality == Modality.SPECIAL:
            stretches.append((modality, []))
        else:
            stretches[-1] = (modality, [*stretches[-1][1], token])
    return stretches


@given(document=numbers, policy=policies, seed=seeds, epoch=epochs)
def test_the_length_is_known_from_the_spans(
    store: SpanStore, vocabulary: Vocabulary, document: int, policy: Policy, seed: int, epoch: int
) -> None:
    rendered = render(store, document, policy, vocabulary, seed=seed, epoch=epoch)
    (length,) = rendered_length(store, [document], policy, seed=seed, epoch=epoch)
    assert len(rendered.ids) == len(rendered.modality) == len(rendered.loss_class) == length
    dtypes = (rendered.ids.dtype.name, rendered.modality.dtype.name, rendered.loss_class.dtype.name)
    assert dtypes == ("int32", "uint8", "uint8")


@given(document=numbers, policy=policies, seed=seeds)
def test_every_change_of_modality_is_announced(
    store: SpanStore, vocabulary: Vocabulary, document: int, policy: Policy, seed: int
) -> None:
    rendered = render(store, document, policy, vocabulary, seed=seed, epoch=0)
    announced = {vocabulary.to_speech: Modality.SPEECH, vocabulary.to_text: Modality.TEXT}
    current = None
    for token, modality in zip(rendered.ids[:-1].tolist(), rendered.modality[:-1].tolist(), strict=True):
        if modality == Modality.SPECIAL:
            assert announced[token] != current, "a switch that switches nothing"
            current = announced[token]
        else:
            assert modality == current
            assert (token >= vocabulary.first_speech_id) == (modality == Modality.SPEECH)
    assert rendered.ids[0] in announced
    assert rendered.ids[-1] == vocabulary.end
    assert np.count_nonzero(rendered.ids == vocabulary.end) == 1


@given(document=numbers, policy=policies, seed=seeds)
def test_loss_classes_say_what_each_target_is(
    store: SpanStore, vocabulary: Vocabulary, document: int, policy: Policy, seed: int
) -> None:
    rendered = render(store, document, policy, vocabulary, seed=seed, epoch=0)
    expected = [LossClass.NONE]
    for index in range(1, len(rendered.ids)):
        token, modality, before = rendered.ids[index], rendered.modality[index], rendered.modality[index - 1]
        if modality == Modality.SPECIAL:
            switch = LossClass.SWITCH_TO_TEXT if token == vocabulary.to_text else LossClass.SWITCH_TO_SPEECH
            expected.append(LossClass.END if token == vocabulary.end else switch)
        elif before == Modality.SPECIAL and index > 1:
            expected.append(LossClass.FIRST_TEXT if modality == Modality.TEXT else LossClass.FIRST_SPEECH)
        else:
            expected.append(LossClass.TEXT if modality == Modality.TEXT else LossClass.SPEECH)
    assert rendered.loss_class.tolist() == expected
    switches = np.isin(rendered.loss_class, [LossClass.SWITCH_TO_TEXT, LossClass.SWITCH_TO_SPEECH]).sum()
    assert switches == switch_counts(store, [document], policy, seed=seed, epoch=0)[0]


@given(document=numbers, policy=policies, seed=seeds)
def test_every_span_is_said_once_in_order(
    store: SpanStore, vocabulary: Vocabulary, document: int, policy: Policy, seed: int
) -> None:
    plan = plan_documents(store, [document], policy, seed=seed, epoch=0)
    expected: list[int] = []
    for span, modality in zip(spans_of(store, document), plan.modality, strict=True):
        row = store.spans[span]
        if modality == Modality.SPEECH:
            expected += vocabulary.speech_id(store.units[row["units_start"] : row["units_end"]]).tolist()
        else:
            expected += store.text_ids[row["text_start"] : row["text_end"]].tolist()
    rendered = render(store, document, policy, vocabulary, seed=seed, epoch=0)
    assert rendered.ids[rendered.modality != Modality.SPECIAL].tolist() == expected


@given(policy=policies, seed=seeds, epoch=epochs, others=st.lists(numbers, min_size=1, max_size=5), document=numbers)
def test_a_plan_does_not_depend_on_its_neighbours(
    store: SpanStore, policy: Policy, seed: int, epoch: int, others: list[int], document: int
) -> None:
    alone = plan_documents(store, [document], policy, seed=seed, epoch=epoch)
    among = plan_documents(store, [*others, document], policy, seed=seed, epoch=epoch)
    assert among.modality[among.borders[-2] :].tolist() == alone.modality.tolist()
    assert among.lengths[-1] == alone.lengths[0]
    assert among.switches[-1] == alone.switches[0]


@given(policy=policies, seed=seeds)
def test_what_nobody_speaks_is_read(store: SpanStore, policy: Policy, seed: int) -> None:
    plan = plan_documents(store, store.documents_of("text").tolist(), policy, seed=seed, epoch=0)
    assert (plan.modality == Modality.TEXT).all()
    everything = plan_documents(store, range(store.num_documents), policy, seed=seed, epoch=0)
    assert (everything.modality[store.unit_counts == 0] == Modality.TEXT).all()
    if policy.plan == "speech-only":
        assert (everything.modality[store.unit_counts > 0] == Modality.SPEECH).all()


def test_text_only_is_the_text(store: SpanStore, vocabulary: Vocabulary, tokenizer: TextTokenizer) -> None:
    rendered = render(store, 2, Policy(plan="text-only"), vocabulary, seed=0, epoch=0)
    spans = spans_of(store, 2)
    assert tokenizer.decode(rendered.ids[1:-1].tolist()) == store.text(spans.start, spans.stop)


@settings(max_examples=10)
@given(num_chunks=st.integers(1, 12), first=st.sampled_from(["speech", "text"]))
def test_deterministic_alternates(
    make_store: Any,
    vocabulary: Vocabulary,
    tokenizer: TextTokenizer,
    tmp_path_factory: pytest.TempPathFactory,
    num_chunks: int,
    first: Any,
) -> None:
    store = make_store(tmp_path_factory.mktemp("chunks") / "s", [chunk_document(num_chunks)])
    policy = Policy(first=first)
    speaks_at = 0 if first == "speech" else 1
    expected = [
        (Modality.SPEECH, vocabulary.speech_id([index] * 3).tolist())
        if index % 2 == speaks_at
        else (Modality.TEXT, tokenizer.encode(f" Chunk {index}.").tolist())
        for index in range(num_chunks)
    ]
    rendered = render(store, 0, policy, vocabulary, seed=7, epoch=0)
    assert content(rendered)[:-1] == expected
    assert switch_counts(store, [0], policy, seed=7, epoch=0).tolist() == [num_chunks - 1]
    assert render(store, 0, policy, vocabulary, seed=8, epoch=3).ids.tolist() == rendered.ids.tolist()


@pytest.fixture(scope="module")
def many_chunks(make_store: Any, tmp_path_factory: pytest.TempPathFactory) -> SpanStore:
    documents = [chunk_document(21, name=f"n{number}") for number in range(400)]
    store: SpanStore = make_store(tmp_path_factory.mktemp("chunks") / "many", documents)
    return store


def test_stochastic_switches_half_as_often(many_chunks: SpanStore) -> None:
    counts = switch_counts(many_chunks, range(400), Policy(plan="stochastic"), seed=0, epoch=0)
    # 400 documents of 20 fair coins: the mean's standard deviation is sqrt(20 / 4 / 400) = 0.11.
    assert counts.mean() == pytest.approx((21 - 1) / 2, abs=0.45)
    assert counts.std() == pytest.approx(np.sqrt(20 / 4), abs=0.45)


def test_stochastic_starts_with_speech_and_keeps_its_probability(many_chunks: SpanStore) -> None:
    policy = Policy(plan="stochastic", speech_probability=0.3)
    is_speech = plan_documents(many_chunks, range(400), policy, seed=0, epoch=0).modality.reshape(400, 21)
    assert (is_speech[:, 0] == Modality.SPEECH).all()
    assert (is_speech[:, 1:] == Modality.SPEECH).mean() == pytest.approx(0.3, abs=0.025)


def test_draws_change_with_seed_epoch_and_document_only(many_chunks: SpanStore) -> None:
    def drawn(**key: int) -> list[int]:
        return list(plan_documents(many_chunks, [0], Policy(plan="stochastic"), **key).modality)

    assert drawn(seed=0, epoch=0) == drawn(seed=0, epoch=0)
    assert drawn(seed=0, epoch=0) != drawn(seed=0, epoch=1)
    assert drawn(seed=0, epoch=0) != drawn(seed=1, epoch=0)
    plan = plan_documents(many_chunks, [0, 1], Policy(plan="stochastic"), seed=0, epoch=0)
    assert plan.modality[:21].tolist() != plan.modality[21:].tolist()


def test_a_random_start_is_drawn_with_its_probability(many_chunks: SpanStore) -> None:
    policy = Policy(plan="deterministic", first="random", speech_probability=0.8)
    plan = plan_documents(many_chunks, range(400), policy, seed=0, epoch=0)
    first = plan.modality.reshape(400, 21)
    assert (first[:, 0] == Modality.SPEECH).mean() == pytest.approx(0.8, abs=0.09)
    assert (plan.switches == 20).all()


@given(target_s=st.floats(0.1, 20), document=st.integers(0, 23), seed=seeds)
def test_coarse_chunks_keep_speaker_role_and_target(
    store: SpanStore, target_s: float, document: int, seed: int
) -> None:
    policy = Policy(granularity="coarse", coarse_target_s=target_s, plan="deterministic")
    modality = plan_documents(store, [document], policy, seed=seed, epoch=0).modality.tolist()
    chunks: list[list[int]] = []
    for span in spans_of(store, document):
        before = chunks[-1][-1] if chunks else None
        together = before is not None and mergeable(store, before, span)
        seconds_so_far = sum(duration_s(store, other) for other in chunks[-1]) if chunks else 0.0
        if together and seconds_so_far + duration_s(store, span) <= target_s:
            chunks[-1].append(span)
        else:
            chunks.append([span])
    expected = [
        Modality.SPEECH if index % 2 == 0 and store.unit_counts[span] else Modality.TEXT
        for index, chunk in enumerate(chunks)
        for span in chunk
    ]
    assert modality == expected


def mergeable(store: SpanStore, one: int, two: int) -> bool:
    replies = {"reasoning", "answer"}
    roles = {store.role(one), store.role(two)}
    same_speaker = store.speaker(one) == store.speaker(two)
    same_sound = (store.unit_counts[one] > 0) == (store.unit_counts[two] > 0)
    return same_speaker and same_sound and (len(roles) == 1 or roles == replies)


def duration_s(store: SpanStore, span: int) -> float:
    return float(store.spans["end"][span] - store.spans["start"][span]) / 16_000


def test_coarse_switches_less_than_fine(many_chunks: SpanStore) -> None:
    fine = switch_counts(many_chunks, [0], Policy(), seed=0, epoch=0)
    coarse = switch_counts(many_chunks, [0], Policy(granularity="coarse", coarse_target_s=0.72), seed=0, epoch=0)
    assert (fine.tolist(), coarse.tolist()) == ([20], [6])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"plan": "determinstic"}, "did you mean 'deterministic'"),
        ({"granularity": "medium"}, "no granularity 'medium'"),
        ({"first": "both"}, "no first 'both'"),
        ({"speech_probability": 1.2}, "speech_probability 1.2"),
        ({"coarse_target_s": 0.0}, "coarse_target_s 0.0"),
    ],
)
def test_an_unknown_policy_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        replace(Policy(), **change)
