"""What a report tells of pages' topics and of a language model's answers."""

from collections import Counter
from collections.abc import Iterator

from spelangy.core.hashing import digest
from spelangy.core.records import LLM_PURPOSES, LlmAnswer
from spelangy.core.topic_coverage import TopicCoverage, topic_coverage
from spelangy.core.topics import TOPIC_TITLES
from spelangy.report.data import RefusedAnswer, TopicRow, WriterRow
from spelangy.report.tables import RunTables

WRITING_STEPS = ("krist", "quest")
EXAMPLES_PER_REASON = 2
MAX_EXAMPLE_CHARS = 1_200


def topic_rows(tables: RunTables) -> Iterator[TopicRow]:
    """Pages read and taken by topic, most read first."""
    coverage = _coverage(tables)
    if coverage is None:
        return
    for topic, num_read in sorted(coverage.before.items(), key=lambda pair: (-pair[1], pair[0])):
        if topic:
            title = TOPIC_TITLES.get(topic, topic)
            yield TopicRow(topic=title, num_read=num_read, num_taken=coverage.after.get(topic, 0))


def topic_distance(tables: RunTables) -> float | None:
    """How far selection moved the mix of topics."""
    coverage = _coverage(tables)
    return coverage.distance if coverage else None


def _coverage(tables: RunTables) -> TopicCoverage | None:
    if "page-scores" not in tables or "selected" not in tables:
        return None
    return topic_coverage(
        tables.table("page-scores", "measures").select(["id", "topic"]),
        tables.table("selected", "pages").select(["id"]),
    )


def _answers(tables: RunTables) -> list[LlmAnswer]:
    return [answer for step in WRITING_STEPS for answer in tables.records(step, "answers", LlmAnswer)]


def writer_rows(tables: RunTables) -> Iterator[WriterRow]:
    """One row per purpose and model."""
    groups: dict[tuple[str, str], list[LlmAnswer]] = {}
    for answer in _answers(tables):
        groups.setdefault((answer.purpose, answer.model), []).append(answer)
    for purpose, model in sorted(groups, key=lambda group: (LLM_PURPOSES.index(group[0]), group[1])):
        answers = groups[purpose, model]
        refused = Counter(answer.reason for answer in answers if not answer.is_taken)
        yield WriterRow(
            purpose=purpose,
            model=model,
            num_asked=len(answers),
            num_taken=sum(answer.is_taken for answer in answers),
            refused=tuple(sorted(refused.items(), key=lambda pair: (-pair[1], pair[0]))),
            prompt_tokens=sum(answer.prompt_tokens for answer in answers),
            answer_tokens=sum(answer.answer_tokens for answer in answers),
            cost=sum(answer.cost for answer in answers),
        )


def writer_findings(tables: RunTables) -> Iterator[str]:
    """The yield of each purpose in a sentence."""
    for row in writer_rows(tables):
        worst = f"; most were refused for {row.refused[0][0]}" if row.refused else ""
        yield (
            f"{row.purpose}: {row.num_taken} of {row.num_asked} answers of {row.model} passed their checks "
            f"({row.taken_ratio or 0:.0%}){worst}."
        )


def refused_answers(tables: RunTables) -> Iterator[RefusedAnswer]:
    """A few answers that were not taken, of every purpose and reason; always the same ones."""
    shown: Counter[tuple[str, str]] = Counter()
    for answer in sorted(_answers(tables), key=lambda answer: digest(answer.id)):
        if answer.is_taken or shown[answer.purpose, answer.reason] >= EXAMPLES_PER_REASON:
            continue
        shown[answer.purpose, answer.reason] += 1
        yield RefusedAnswer(
            purpose=answer.purpose,
            reason=answer.reason,
            detail=answer.detail,
            source=answer.source[:MAX_EXAMPLE_CHARS],
            text=answer.text[:MAX_EXAMPLE_CHARS],
        )
