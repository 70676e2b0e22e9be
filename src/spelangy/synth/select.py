"""Step ``selected``: which pages are taken, decided over what was measured of them.

    page-scores/measures  ->  planned: a reason or none for each page  ->  pages: those that are taken, as they were
                                                                         drops: the others, by reason

The plan is made over columns of numbers and ids; no text is looked at. In order: text quality, topics of weight 0, one
of several pages of the same text, the draw by topic weight. The draw hangs on the page's id, the seed and the weight of
its topic alone, so neither the order of pages nor the number of workers changes it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from spelangy.core.errors import Dropped, UserError
from spelangy.core.plugins import find_backend
from spelangy.core.random import uniforms
from spelangy.core.records import Page
from spelangy.core.schema import from_rows
from spelangy.core.topics import find_topic
from spelangy.engine.step import Inputs, Item, Produced, TableStep
from spelangy.synth.config import SelectSettings, SynthSettings

NOT_SCORED = "not scored"
LOW_QUALITY = "low text quality"
TOPIC_NOT_TAKEN = "topic not taken"
DUPLICATE = "duplicate text"
THINNED = "topic thinned out"
OVER_BUDGET = "over the page budget"

REASONS = ("", LOW_QUALITY, TOPIC_NOT_TAKEN, DUPLICATE, THINNED, OVER_BUDGET)
"""By code; a page keeps the first that holds."""

_PART_ROWS = 100_000

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Selection:
    """How pages are taken.

    Attributes:
        weights: Of every topic by its full name; empty where topics do not count.
    """

    weights: Mapping[str, float]
    max_pages: int | None
    min_quality: float
    seed: int

    @classmethod
    def from_settings(cls, settings: SelectSettings, seed: int) -> "Selection":
        """The recipe's choice, topics by their full names.

        Raises:
            UserError: When a topic is unknown, ambiguous or named twice, all weights are 0, or topics are weighted that
                nothing measures.
        """
        weights = topic_weights(settings)
        return cls(weights=weights, max_pages=settings.max_pages, min_quality=settings.min_quality, seed=seed)


# ------------------------------------------------------------------------------------------------------------- weights


def topic_weights(settings: SelectSettings) -> dict[str, float]:
    """The weight of every topic, 1 where `settings` does not say; empty where it weights none.

    Raises:
        UserError: As `Selection.from_settings`.
    """
    if not settings.topics:
        return {}
    if settings.classifier is None:
        raise UserError(
            "synth.select: topics are weighted, and nothing measures them",
            hint="set synth.select.classifier, or no topics",
        )
    topics: tuple[str, ...] = find_backend("topics", settings.classifier.name).load().topics
    weights: dict[str, float] = {}
    for given, weight in settings.topics.items():
        topic = find_topic(given, topics)
        if topic in weights:
            raise UserError(f"synth.select.topics: {topic} is named twice", hint=f"{given!r} stands for it, too")
        weights[topic] = weight
    every = {topic: weights.get(topic, 1.0) for topic in topics}
    if not any(every.values()):
        raise UserError("synth.select.topics: every topic has weight 0", hint="give one a weight above 0")
    return every


def parse_topics(text: str) -> dict[str, float]:
    """Weights by topic as given on the command line, ``science=2,health=1.5``; `topic_weights` finds the topics.

    Raises:
        UserError: When an entry is not ``topic=weight``, a weight no number of at least 0, or a topic given twice.
    """
    weights: dict[str, float] = {}
    for entry in filter(None, map(str.strip, text.split(","))):
        topic, _, value = (part.strip() for part in entry.partition("="))
        weight = _weight(value)
        if not topic or weight is None or topic in weights:
            raise UserError(f"--topics: {entry!r} is not a topic's one weight", hint="such as science=2,health=1.5")
        weights[topic] = weight
    if not weights:
        raise UserError("--topics: no topic is named", hint="such as science=2,health=1.5")
    return weights


def _weight(value: str) -> float | None:
    try:
        weight = float(value)
    except ValueError:
        return None
    return weight if 0 <= weight < float("inf") else None


# ---------------------------------------------------------------------------------------------------------------- plan


def planned(scores: pa.Table, selection: Selection) -> pa.Table:
    """For each row of `scores` why its page is not taken.

    *Drops* pages of low text quality, of topics not taken, of a text that a page with a smaller id has, and those not
    drawn. *Why*: a fixed sum of speech is spent on the topics and texts that are wanted. *Costs*: without
    ``max_pages``, a topic keeps the share of its pages that its weight is of the greatest weight.

    Returns:
        Columns ``id``, ``reason`` (empty: taken), ``value``, ``threshold`` and ``detail``; rows as in `scores`.

    Source: weighted sampling without replacement by Efraimidis & Spirakis 2006; our key, -log(u) / weight, has the
        inverse order of their u^(1 / weight).
    """
    quality = scores["quality"].to_numpy()
    least_quality = np.full(len(quality), selection.min_quality, quality.dtype)
    weights = _weights_of(scores["topic"], selection.weights)
    reasons = np.zeros(scores.num_rows, np.int8)
    _mark(reasons, quality < least_quality, LOW_QUALITY)
    _mark(reasons, weights == 0, TOPIC_NOT_TAKEN)
    first = _first_of_text(scores, reasons == 0)
    _mark(reasons, first != np.arange(scores.num_rows), DUPLICATE)
    draws, limits = _draw(scores["id"], weights, reasons == 0, selection)
    _mark(reasons, draws >= limits, THINNED if selection.max_pages is None else OVER_BUDGET)
    is_drawn = reasons == _code(THINNED if selection.max_pages is None else OVER_BUDGET)
    is_poor, is_unwanted = reasons == _code(LOW_QUALITY), reasons == _code(TOPIC_NOT_TAKEN)
    detail = pc.if_else(pa.array(is_unwanted), scores["topic"], "")
    detail = pc.if_else(pa.array(reasons == _code(DUPLICATE)), scores["id"].take(pa.array(first)), detail)
    return pa.table(
        {
            "id": scores["id"],
            "reason": pa.array(REASONS).take(pa.array(reasons)),
            "value": _floats([is_poor, is_unwanted, is_drawn], [quality, weights, draws]),
            "threshold": _floats([is_poor, is_drawn], [least_quality, limits]),
            "detail": detail,
        }
    )


def _code(reason: str) -> int:
    return REASONS.index(reason)


def _mark(reasons: NDArray[np.int8], where: NDArray[np.bool_], reason: str) -> None:
    """Gives `reason` to the rows that have none yet."""
    reasons[where & (reasons == 0)] = _code(reason)


def _floats(conditions: list[NDArray[np.bool_]], choices: list[NDArray[np.floating[Any]]]) -> pa.Array:
    """The choice of the first condition that holds, null where none does."""
    return pa.array(np.select(conditions, choices, np.nan).astype(np.float64), from_pandas=True)


def _weights_of(topics: pa.ChunkedArray, weights: Mapping[str, float]) -> Floats:
    codes, names = _encoded(topics)
    return np.array([weights.get(name, 1.0) for name in names.to_pylist()], np.float64)[codes]


def _first_of_text(scores: pa.Table, is_open: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each open row the row of the smallest id that has its text and is open; for the others themselves."""
    codes, texts = _encoded(scores["text_id"])
    by_id = pc.sort_indices(scores["id"]).to_numpy()
    open_by_id = by_id[is_open[by_id]]
    found, places = np.unique(codes[open_by_id], return_index=True)
    first_of = np.zeros(len(texts), np.int64)
    first_of[found] = open_by_id[places]
    return np.where(is_open, first_of[codes], np.arange(len(codes)))


def _encoded(column: pa.ChunkedArray) -> tuple[NDArray[np.int32], pa.Array]:
    """Each row's place among the distinct values."""
    encoded = column.combine_chunks().dictionary_encode()
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    return encoded.indices.to_numpy(), encoded.dictionary


def _draw(
    ids: pa.ChunkedArray, weights: Floats, is_open: NDArray[np.bool_], selection: Selection
) -> tuple[Floats, Floats]:
    """What each page drew, and below what it is taken."""
    uniform = np.concatenate([uniforms(selection.seed, chunk.to_pylist(), "selected") for chunk in _parts(ids)])
    if selection.max_pages is None:
        return uniform, weights / max(selection.weights.values(), default=1.0)
    with np.errstate(divide="ignore"):
        keys = -np.log1p(-uniform) / weights
    candidates = np.sort(keys[is_open])
    limit = candidates[selection.max_pages] if len(candidates) > selection.max_pages else np.inf
    return keys, np.full(len(keys), limit)


def _parts(ids: pa.ChunkedArray) -> Iterator[pa.Array]:
    """Slices that are small as Python strings; at least one."""
    for start in range(0, max(1, len(ids)), _PART_ROWS):
        yield ids.slice(start, _PART_ROWS)


# ---------------------------------------------------------------------------------------------------------------- step


class TakeOrDrop:
    """Carries out the plan for one page."""

    def __call__(self, item: Item) -> Produced:
        if item["reason"]:
            raise Dropped(
                item["reason"], value=item["value"], threshold=item["threshold"], detail=item["detail"] or item["uri"]
            )
        return Produced(records={"pages": from_rows([item], Page)})


def selected_items(pages: pa.Table, scores: pa.Table, selection: Selection) -> pa.Table:
    """Pages with the plan's columns; a page that has no scores is dropped."""
    plan = planned(scores, selection)
    places = pc.index_in(pages["id"].combine_chunks(), plan["id"].combine_chunks())
    for name in ("reason", "value", "threshold", "detail"):
        pages = pages.append_column(name, plan[name].combine_chunks().take(places))
    place = pages.column_names.index("reason")
    return pages.set_column(place, "reason", pc.fill_null(pages["reason"], NOT_SCORED))


def selected_step(settings: SynthSettings, seed: int) -> TableStep:
    """The pages that are taken, by ``synth.select``.

    Raises:
        UserError: As `Selection.from_settings`.
    """
    selection = Selection.from_settings(settings.select, seed)

    def items(inputs: Inputs) -> pa.Table:
        return selected_items(inputs.table("pages"), inputs.table("page-scores/measures"), selection)

    config = {
        "topics": dict(selection.weights),
        "max_pages": selection.max_pages,
        "min_quality": selection.min_quality,
    }
    return TableStep(
        name="selected",
        version=1,
        config=config,
        listing=tuple(config),
        inputs=("pages", "page-scores/measures"),
        outputs={"pages": Page},
        items=items,
        worker=lambda _: TakeOrDrop,
        seed=seed,
        shard_items=1024,
    )
