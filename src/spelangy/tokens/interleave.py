"""Decides, at load time, which chunks of a document are heard and which are read.

    spans          s1 s2 | s3 | s4 s5 s6          the store's finest units
    chunks         A1,T1   A2,T2   A3,T3          fine: one span; coarse: neighbours merged up to a duration
    deterministic  <|speech|> A1 <|text|> T2 <|speech|> A3 <|end|>

Rendering is a pure function of (store, document, policy, seed, epoch): no order, worker or process enters it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Literal, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

from spelangy.core.errors import UserError, did_you_mean
from spelangy.core.random import stream
from spelangy.core.records import CHUNK_ROLES
from spelangy.core.spans import SAMPLE_RATE_HZ
from spelangy.tokens.span_store import SpanStore
from spelangy.tokens.vocabulary import Vocabulary

ROLE_GROUPS = {"question": 1, "reasoning": 2, "answer": 2}
"""A question never shares a chunk with its answer; reasoning and answer may, being one reply. All else is group 0."""


class Modality(IntEnum):
    """What a token is."""

    TEXT = 0
    SPEECH = 1
    SPECIAL = 2


class LossClass(IntEnum):
    """What a token is as a *target*; the trainer weighs losses by it.

    NONE is never a target: padding, and the first token of a packed piece, which has nothing before it. That token
    says how the piece begins and is no switch; FIRST_* stand only after a change of modality.
    """

    NONE = 0
    TEXT = 1
    SPEECH = 2
    SWITCH_TO_TEXT = 3
    SWITCH_TO_SPEECH = 4
    FIRST_TEXT = 5
    FIRST_SPEECH = 6
    END = 7


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """How documents become sequences. A chunk without speech units is read under every policy.

    Args:
        granularity: ``fine`` (a chunk is a span) or ``coarse`` (neighbours of one speaker and one role group merged).
        coarse_target_s: A coarse chunk takes the next span while it stays within this many seconds.
        plan: ``deterministic`` (strict alternation), ``stochastic`` (each chunk by itself), or one modality only.
        speech_probability: Chance of speech per chunk; used by ``stochastic`` and by `first` = ``random``.
        first: Modality of the first chunk of the two mixed plans.

    Raises:
        UserError: When a value is not one of those above.

    Source: Paper, RQ1 and RQ3; it gives the mean coarse chunk (19.2 s), the merging rule and its limit are ours.
    """

    granularity: Literal["fine", "coarse"] = "fine"
    coarse_target_s: float = 30.0
    plan: Literal["deterministic", "stochastic", "speech-only", "text-only"] = "deterministic"
    speech_probability: float = 0.5
    first: Literal["speech", "text", "random"] = "speech"

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for field in fields(self):
            value, allowed = getattr(self, field.name), get_args(hints[field.name])
            if allowed and value not in allowed:
                raise UserError(f"no {field.name} {value!r}", hint=did_you_mean(str(value), allowed))
        if not 0.0 <= self.speech_probability <= 1.0:
            raise UserError(f"speech_probability {self.speech_probability}", hint="it lies in [0, 1]")
        if not self.coarse_target_s > 0.0:
            raise UserError(f"coarse_target_s {self.coarse_target_s}", hint="it is a positive number of seconds")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Plan:
    """The modality of every span of some documents.

    Attributes:
        documents: Document numbers, shape [D].
        borders: Spans of document d are [borders[d], borders[d + 1]) of the arrays below, shape [D + 1].
        modality: `Modality` of each span, uint8, shape [N].
        is_switch: The span speaks another modality than the one before it in its document, shape [N].
        num_tokens: Tokens of the span in its modality, without special tokens, shape [N].
    """

    documents: NDArray[np.int64]
    borders: NDArray[np.int64]
    modality: NDArray[np.uint8]
    is_switch: NDArray[np.bool_]
    num_tokens: NDArray[np.int64]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Rendered tokens of each whole document, special tokens included, shape [D]."""
        return _sums(self.num_tokens + self.is_switch, self.borders) + 2

    @property
    def switches(self) -> NDArray[np.int64]:
        """Changes of modality in each document, shape [D]."""
        return _sums(self.is_switch.astype(np.int64), self.borders)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Rendered:
    """Tokens of a document or of a part of it; three arrays of shape [T].

    Attributes:
        ids: Rows of the `Vocabulary`, int32.
        modality: `Modality`, uint8.
        loss_class: `LossClass` of each token as a target, uint8.
    """

    ids: NDArray[np.int32]
    modality: NDArray[np.uint8]
    loss_class: NDArray[np.uint8]


def plan_documents(store: SpanStore, documents: Sequence[int], policy: Policy, *, seed: int, epoch: int) -> Plan:
    """The plan of each document; a document's plan does not depend on the others beside it."""
    numbers = np.asarray(documents, dtype=np.int64)
    starts, ends = store.docs["spans_start"][numbers], store.docs["spans_end"][numbers]
    borders = np.concatenate([[0], np.cumsum(ends - starts)])
    spans = np.arange(borders[-1]) + np.repeat(starts - borders[:-1], ends - starts)
    is_first = np.zeros(len(spans), dtype=np.bool_)
    is_first[borders[:-1]] = True
    chunk = np.cumsum(_opens_chunk(store, spans, is_first, policy)) - 1
    first_chunks = chunk[borders[:-1]]
    chunk_borders = np.append(first_chunks, chunk[-1] + 1 if len(chunk) else 0)
    speech_by_chunk = _speech_by_chunk(store, numbers, chunk_borders, policy, seed, epoch)
    is_speech = speech_by_chunk[chunk] & (store.unit_counts[spans] > 0)
    is_switch = np.zeros(len(spans), dtype=np.bool_)
    is_switch[1:] = is_speech[1:] != is_speech[:-1]
    return Plan(
        documents=numbers,
        borders=borders,
        modality=np.where(is_speech, Modality.SPEECH, Modality.TEXT).astype(np.uint8),
        is_switch=is_switch & ~is_first,
        num_tokens=np.where(is_speech, store.unit_counts[spans], store.text_counts[spans]),
    )


def rendered_length(
    store: SpanStore, documents: Sequence[int], policy: Policy, *, seed: int, epoch: int
) -> NDArray[np.int64]:
    """Tokens `render` would give for each document, from the spans alone, shape [D]."""
    return plan_documents(store, documents, policy, seed=seed, epoch=epoch).lengths


def switch_counts(
    store: SpanStore, documents: Sequence[int], policy: Policy, *, seed: int, epoch: int
) -> NDArray[np.int64]:
    """Modality switches of each document, shape [D]: n - 1 for n chunks in strict alternation, (n - 1)/2 expected of
    the stochastic plan with p = 1/2. The token that opens a document is not a switch.

    Source: Paper, RQ3.
    """
    return plan_documents(store, documents, policy, seed=seed, epoch=epoch).switches


def render(
    store: SpanStore, document: int, policy: Policy, vocabulary: Vocabulary, *, seed: int, epoch: int
) -> Rendered:
    """One whole document as the model sees it."""
    plan = plan_documents(store, [document], policy, seed=seed, epoch=epoch)
    return render_spans(store, int(store.docs["spans_start"][document]), plan.modality, vocabulary, is_last=True)


def render_spans(
    store: SpanStore, first_span: int, modality: NDArray[np.uint8], vocabulary: Vocabulary, *, is_last: bool
) -> Rendered:
    """Neighbouring spans of one document, each in its given modality.

    Args:
        store: Where they lie.
        first_span: Number of the first span in the store.
        modality: One entry a span, shape [n], n > 0.
        vocabulary: Layout of the ids.
        is_last: Whether the document's last span is among them, so that ``<|end|>`` follows.
    """
    assert vocabulary.text_size >= store.vocabulary.text_size, "rendered with a smaller vocabulary than stored"
    assert vocabulary.codebook_size >= store.vocabulary.codebook_size, "rendered with a smaller codebook than stored"
    run_starts = np.flatnonzero(np.diff(modality, prepend=np.uint8(255)))
    run_ends = np.append(run_starts[1:], len(modality))
    runs = [
        _render_run(
            store, first_span + int(start), first_span + int(end), modality[start] == Modality.SPEECH, vocabulary
        )
        for start, end in zip(run_starts, run_ends, strict=True)
    ]
    runs[0].loss_class[0] = LossClass.NONE
    runs[0].loss_class[1] = LossClass.SPEECH if modality[0] == Modality.SPEECH else LossClass.TEXT
    if is_last:
        runs.append(_filled(np.array([vocabulary.end], dtype=np.int32), Modality.SPECIAL, LossClass.END))
    return Rendered(
        ids=np.concatenate([run.ids for run in runs]),
        modality=np.concatenate([run.modality for run in runs]),
        loss_class=np.concatenate([run.loss_class for run in runs]),
    )


def _render_run(
    store: SpanStore, first_span: int, last_span: int, is_speech: np.bool_ | bool, vocabulary: Vocabulary
) -> Rendered:
    """The switch token and the tokens of spans [first_span, last_span), which share a modality."""
    first, last = store.spans[first_span], store.spans[last_span - 1]
    if is_speech:
        ids = vocabulary.speech_id(store.units[first["units_start"] : last["units_end"]])
        run = _filled(np.insert(ids, 0, vocabulary.to_speech), Modality.SPEECH, LossClass.SPEECH)
        run.loss_class[:2] = LossClass.SWITCH_TO_SPEECH, LossClass.FIRST_SPEECH
    else:
        ids = store.text_ids[first["text_start"] : last["text_end"]].astype(np.int32)
        run = _filled(np.insert(ids, 0, vocabulary.to_text), Modality.TEXT, LossClass.TEXT)
        run.loss_class[:2] = LossClass.SWITCH_TO_TEXT, LossClass.FIRST_TEXT
    run.modality[0] = Modality.SPECIAL
    return run


def _filled(ids: NDArray[np.int32], modality: Modality, loss_class: LossClass) -> Rendered:
    return Rendered(
        ids=ids,
        modality=np.full(len(ids), modality, dtype=np.uint8),
        loss_class=np.full(len(ids), loss_class, dtype=np.uint8),
    )


def _opens_chunk(
    store: SpanStore, spans: NDArray[np.int64], is_first: NDArray[np.bool_], policy: Policy
) -> NDArray[np.bool_]:
    if policy.granularity == "fine":
        return np.ones(len(spans), dtype=np.bool_)
    rows = store.spans[spans]
    groups = np.array([ROLE_GROUPS.get(role, 0) for role in store.manifest["roles"]])[rows["role"]]
    apart = is_first.copy()
    for kind in (rows["speaker"], groups, store.unit_counts[spans] > 0):
        apart[1:] |= kind[1:] != kind[:-1]
    return _merge((rows["end"] - rows["start"]).tolist(), apart.tolist(), policy.coarse_target_s * SAMPLE_RATE_HZ)


def _merge(durations: list[int], apart: list[bool], target_samples: float) -> NDArray[np.bool_]:
    """Where a new chunk opens: where spans must stay apart, and where the next span would pass the target."""
    opens, filled = np.zeros(len(durations), dtype=np.bool_), 0
    for index, (duration, is_apart) in enumerate(zip(durations, apart, strict=True)):
        if is_apart or filled + duration > target_samples:
            opens[index], filled = True, 0
        filled += duration
    return opens


def _speech_by_chunk(
    store: SpanStore,
    documents: NDArray[np.int64],
    chunk_borders: NDArray[np.int64],
    policy: Policy,
    seed: int,
    epoch: int,
) -> NDArray[np.bool_]:
    """Whether each chunk is heard, shape [chunks of all documents]."""
    num_chunks = int(chunk_borders[-1])
    if policy.plan in ("speech-only", "text-only"):
        return np.full(num_chunks, policy.plan == "speech-only")
    sizes = np.diff(chunk_borders)
    if policy.plan == "stochastic" or policy.first == "random":
        is_speech = _draw(store, documents, sizes, policy, seed, epoch)
    else:
        is_speech = np.zeros(num_chunks, dtype=np.bool_)
    starts = chunk_borders[:-1]
    if policy.first != "random":
        is_speech[starts] = policy.first == "speech"
    if policy.plan == "deterministic":
        position = np.arange(num_chunks) - np.repeat(starts, sizes)
        is_speech = np.repeat(is_speech[starts], sizes) ^ (position % 2 == 1)
    return is_speech


def _draw(
    store: SpanStore, documents: NDArray[np.int64], sizes: NDArray[np.int64], policy: Policy, seed: int, epoch: int
) -> NDArray[np.bool_]:
    draws = [np.zeros(0)]
    for document, size in zip(documents, sizes, strict=True):
        draws.append(stream(seed, store.document_id(int(document)), "interleave", epoch).random(int(size)))
    return np.concatenate(draws) < policy.speech_probability


def _sums(values: NDArray[np.int64], borders: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.asarray(np.diff(np.concatenate([[0], np.cumsum(values)])[borders]))


assert set(ROLE_GROUPS) <= set(CHUNK_ROLES), "a role group names a role that does not exist"
