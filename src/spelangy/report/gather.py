"""Reads a finished run's stored artefacts into `ReportData`: what is shown is what is stored."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from spelangy.core.chunk_statistics import ViewStatistics, view_statistics
from spelangy.core.records import Chunk, Drop, Recording, Score, Transcript, Turn
from spelangy.core.spans import seconds
from spelangy.report.data import (
    DropCount,
    FunnelStage,
    LossCurve,
    ModelRow,
    ReportData,
    ScoreRange,
    ScoreRow,
    StepRow,
    ViewLengths,
)
from spelangy.report.listen import listen_chunks
from spelangy.report.tables import RunStep, RunTables
from spelangy.report.writing import refused_answers, topic_distance, topic_rows, writer_findings, writer_rows
from spelangy.store.objects import Store

_HOURS = 3600.0

TEXT_STAGES = (
    ("pages", "pages", "pages"),
    ("selected", "pages", "pages"),
    ("gate", "pages", "pages, lines or questions"),
    ("krist", "scripts", "scripts"),
    ("quest", "scripts", "questions"),
)
"""Stages before there is sound: step, its table, what it counts."""


def gather(
    store: Store,
    steps: Mapping[str, RunStep],
    *,
    title: str,
    recipe: str,
    created: str,
    models: Sequence[ModelRow],
    commands: Sequence[str],
) -> ReportData:
    """Everything one run's page shows.

    Args:
        steps: The run's steps in order.
        recipe: The recipe's text.
        created: When the run ended, as it shall be read.
    """
    tables = RunTables(store, steps)
    summary = _eval_summary(tables)
    losses = loss_curves(tables)
    funnel = funnel_stages(tables)
    return ReportData(
        title=title,
        subtitle="From recordings and web pages to a scored speech language model",
        recipe=recipe,
        created=created,
        findings=(*findings(funnel, losses, summary), *writer_findings(tables), *failures(tables)),
        funnel=funnel,
        measured=tuple(score_ranges(tables)),
        views=tuple(view_rows(tables)),
        chunk_seconds=tuple(view_lengths(tables)),
        chunks=tuple(listen_chunks(tables)),
        topics=tuple(topic_rows(tables)),
        topic_distance=topic_distance(tables),
        writers=tuple(writer_rows(tables)),
        refused=tuple(refused_answers(tables)),
        losses=losses,
        scores=score_rows(summary),
        score_notes=tuple(score_notes(summary, _train_summary(tables))),
        models=tuple(models),
        steps=tuple(step_rows(steps)),
        commands=tuple(commands),
    )


def funnel_stages(tables: RunTables) -> tuple[FunnelStage, ...]:
    """What each step kept and left out. What went in is what was kept plus what was dropped, each drop a record."""
    stages = []
    recordings = [row for row in tables.records("ingest", "recordings", Recording) if row.status == "ok"]
    turns = tables.records("turns", "turns", Turn)
    transcripts = {row.id for row in tables.records("words", "transcripts", Transcript)}
    heard = [turn for turn in turns if turn.id in transcripts]
    if "ingest" in tables:
        stages.append(_stage(tables, "ingest", "recordings", len(recordings), _hours(recordings)))
    if "turns" in tables:
        stages.append(_stage(tables, "turns", "stretches", len(turns), _hours(turns)))
    if "words" in tables:
        stages.append(_stage(tables, "words", "turns", len(heard), _hours(heard)))
    for step in tables.chunk_steps():
        chunks = tables.records(step, "chunks", Chunk)
        stages.append(_stage(tables, step, "chunks or turns", len(chunks), _hours(chunks)))
    for step, table, unit in TEXT_STAGES:
        if step in tables:
            stages.append(_stage(tables, step, unit, tables.table(step, table).num_rows, None))
    for step in ("speech", "question-speech"):
        if step in tables:
            spoken = tables.records(step, "recordings", Recording)
            stages.append(_stage(tables, step, "scripts or sentences", len(spoken), _hours(spoken)))
    return tuple(stages)


def _stage(tables: RunTables, step: str, unit: str, num_kept: int, hours_kept: float | None) -> FunnelStage:
    drops = tables.drops(step)
    lost = sum(drop.duration_s for drop in drops) / _HOURS
    return FunnelStage(
        name=step,
        unit=unit,
        num_in=num_kept + len(drops),
        num_kept=num_kept,
        hours_in=None if hours_kept is None else hours_kept + lost,
        hours_kept=hours_kept,
        drops=tuple(_drop_counts(drops, hours_kept is not None)),
    )


def _hours(records: Iterable[Any]) -> float:
    return seconds(sum(_num_samples(record) for record in records)) / _HOURS


def _num_samples(record: Any) -> int:
    return record.num_samples if isinstance(record, Recording) else record.end - record.start


def _drop_counts(drops: Sequence[Drop], has_hours: bool) -> Iterator[DropCount]:
    by_reason: dict[tuple[str, str], list[Drop]] = {}
    for drop in drops:
        by_reason.setdefault((drop.reason, drop.kind), []).append(drop)
    for (reason, _), group in sorted(by_reason.items(), key=lambda pair: (-len(pair[1]), pair[0])):
        yield DropCount(
            reason=reason,
            kind=group[0].kind,
            count=len(group),
            hours=sum(drop.duration_s for drop in group) / _HOURS if has_hours else None,
            threshold=group[0].threshold,
            example=_example(group[0]),
        )


def _example(drop: Drop) -> str:
    value = "" if drop.value is None else f"value {drop.value:.3g}"
    return "; ".join(part for part in (drop.detail or drop.item_id, value) if part)


def view_lengths(tables: RunTables) -> Iterator[ViewLengths]:
    """Chunk lengths of every view, by source."""
    views = [(step.removeprefix("chunks-"), tables.records(step, "chunks", Chunk)) for step in tables.chunk_steps()]
    views.append(("fine", tables.records("speech", "chunks", Chunk)))
    for view, chunks in views:
        for source in sorted({chunk.source for chunk in chunks}):
            lengths = tuple(chunk.span.duration_s for chunk in chunks if chunk.source == source)
            yield ViewLengths(view=view, source=source, seconds=lengths)


def score_ranges(tables: RunTables) -> Iterator[ScoreRange]:
    """The spread of every score over turns, by name."""
    values: dict[str, list[float]] = {}
    for step in tables.steps:
        for score in tables.records(step, "scores", Score):
            if score.turn_id:
                values.setdefault(score.name, []).append(score.value)
    for name, found in sorted(values.items()):
        p10, median, p90 = np.quantile(found, [0.1, 0.5, 0.9]).tolist()
        yield ScoreRange(name=name, num_turns=len(found), p10=p10, median=median, p90=p90)


def view_rows(tables: RunTables) -> Iterator[ViewStatistics]:
    """Each chunk view's statistics."""
    for step in tables.chunk_steps():
        yield view_statistics(step.removeprefix("chunks-"), tables.table(step, "chunks"))


def failures(tables: RunTables) -> Iterator[str]:
    """Steps that broke on some of their items: the run went on, and these items are tried again by the next."""
    for step in tables.steps:
        reasons: dict[str, int] = {}
        for drop in tables.drops(step):
            if drop.kind == "failed":
                reasons[drop.reason] = reasons.get(drop.reason, 0) + 1
        if reasons:
            told = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items()))
            yield f"{step} failed on some items, which the next run tries again: {told}."


def loss_curves(tables: RunTables) -> tuple[LossCurve, ...]:
    """Training and held-out cross-entropy by modality."""
    if "train" not in tables:
        return ()
    rows = [json.loads(line) for line in (tables.directory("train") / "losses.jsonl").read_text().splitlines()]
    curves = []
    for modality in ("text", "speech"):
        name = f"{modality}_loss"
        trained = tuple(
            (row["step"], row[name]) for row in rows if row["event"] == "step" and row.get(name) is not None
        )
        curves.append(LossCurve(name=f"train {modality}", modality=modality, split="train", points=trained))
        for held in ("text", "speech", "interleaved"):
            points = tuple(
                (row["step"], row[name])
                for row in rows
                if row["event"] == "heldout" and row["set"] == held and row.get(name) is not None
            )
            if points:
                label = f"held-out {modality}, {'interleaved' if held == 'interleaved' else 'alone'}"
                curves.append(LossCurve(name=label, modality=modality, split="held-out", points=points))
    return tuple(curve for curve in curves if curve.points)


def _eval_summary(tables: RunTables) -> Mapping[str, Any]:
    if "eval" not in tables:
        return {}
    summary: Mapping[str, Any] = json.loads((tables.directory("eval") / "scores.json").read_text())
    return summary


NOTES = {
    "spoken": "question heard, options read",
    "gold text": "question read: the topline",
    "asr text": "question as a recogniser wrote it: the cascade",
    "choices only": "no question: must hold chance, or the options give themselves away",
    "wrong audio": "another question heard: must hold chance",
    "untrained": "question heard, model before training",
}


def score_rows(summary: Mapping[str, Any]) -> tuple[ScoreRow, ...]:
    """One row per condition of the evaluation."""
    return tuple(
        ScoreRow(
            condition=row["condition"],
            num_items=row["num_items"],
            num_correct=row["num_correct"],
            accuracy=row["accuracy"],
            low=row["low"],
            high=row["high"],
            chance=summary["chance"],
            p_value=row["p_above_chance"],
            note=NOTES.get(row["condition"], ""),
        )
        for row in summary.get("conditions", ())
    )


SMALL_MODEL_PARAMETERS = 100_000_000
"""Below this nobody has shown spoken question answering above chance."""


def _train_summary(tables: RunTables) -> Mapping[str, Any]:
    summary: Mapping[str, Any] = tables.steps["train"].stored.circumstances["summary"] if "train" in tables else {}
    return summary


def score_notes(summary: Mapping[str, Any], trained: Mapping[str, Any]) -> Iterator[str]:
    """What the scores can and cannot say."""
    if not summary:
        return
    chance = f"Chance is {summary['chance']:.0%}."
    if trained["num_parameters"] < SMALL_MODEL_PARAMETERS:
        chance += (
            f" From a model of {trained['num_parameters'] / 1e6:.1f} M parameters that saw "
            f"{sum(trained['tokens_by_source'].values()) / 1e6:.1f} M tokens, scores near chance are expected: they "
            "show that the path is whole, not that the model can answer."
        )
    yield chance
    smallest = summary["minimal_detectable_difference_points"]
    found = f"{smallest:.1f} points" if smallest is not None else "none: the set is too small for any"
    yield (
        f"Smallest difference between two models that this set would detect (power .8, two-sided exact McNemar at .05, "
        f"{summary['assumed_discordant_ratio']:.0%} of items discordant): {found}."
    )
    for row in summary["comparisons"]:
        yield (
            f"spoken − {row['against']}: {100 * row['difference']:+.1f} points, exact McNemar p = {row['p_value']:.3f} "
            f"({row['num_only_b']} only spoken right, {row['num_only_a']} only {row['against']} right)."
        )
    yield f"The question file's digest is {summary['questions_digest'][:16]}…; every item is stored in items.parquet."


def findings(funnel: Sequence[FunnelStage], losses: Sequence[LossCurve], summary: Mapping[str, Any]) -> Iterator[str]:
    """The run in a few plain sentences, each read off the stored figures."""
    by_name = {stage.name: stage for stage in funnel}
    if "ingest" in by_name and "chunks-fine" in by_name:
        into, out = by_name["ingest"], by_name["chunks-fine"]
        minutes_in, minutes_out = 60 * (into.hours_kept or 0), 60 * (out.hours_kept or 0)
        yield (
            f"{into.num_kept} of {into.num_in} recordings could be read; {minutes_out:.1f} of their {minutes_in:.1f} "
            f"minutes stand in {out.num_kept} fine chunks."
        )
    if "speech" in by_name:
        stage = by_name["speech"]
        yield f"{stage.num_kept} scripts from web pages were spoken: {60 * (stage.hours_kept or 0):.0f} minutes."
    for curve in losses:
        if curve.split == "held-out" and curve.name.endswith("alone") and curve.start_nats is not None:
            name = curve.name.replace(", alone", "")
            yield f"Loss on {name}: {curve.start_nats:.2f} → {curve.end_nats:.2f} nats per token."
    for row in score_rows(summary):
        if row.condition == "spoken":
            yield (
                f"Spoken questions: {row.accuracy:.1%} right, 95 % interval {row.low:.1%} to {row.high:.1%}, "
                f"chance {row.chance:.0%} ({row.verdict})."
            )


def step_rows(steps: Mapping[str, RunStep]) -> Iterator[StepRow]:
    """The lineage of the run."""
    for name, step in steps.items():
        rows = sum(file.num_rows or 0 for file in step.stored.files if file.name != "drops.parquet")
        yield StepRow(
            name=name,
            key=step.stored.key,
            status="built" if step.status == "built" else "reused",
            num_rows=rows,
            seconds=step.seconds,
            why=step.why,
        )
