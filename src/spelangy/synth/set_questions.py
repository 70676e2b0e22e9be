"""Step ``set-questions``: files of questions → each distinct question once, as it is read aloud, and its script.

"Who was president in 1999?"   same words, same choices      one question, answers merged
"who was president in 1999"  ─────────────────────────────>  spoken "Who was president in nineteen ninety-nine?"
"""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from spelangy.backends.speaking import spoken_text
from spelangy.core.contamination import normalised_words
from spelangy.core.errors import Dropped, UserError
from spelangy.core.hashing import record_id
from spelangy.core.random import uniform
from spelangy.core.records import Script, ScriptSegment
from spelangy.core.schema import from_rows, to_table
from spelangy.engine.step import Inputs, Item, Produced, TableStep
from spelangy.store.exchange.question_files import AskedQuestion, read_questions
from spelangy.store.inputs import FoundInput, find_inputs
from spelangy.synth.speakable import speakable

QUESTIONS = "set-questions/questions"
SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".tsv", ".tsv.gz")
"""What a folder is searched for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DistinctQuestion:
    """One question of the files, whoever asks it how often.

    Attributes:
        id: Hash of its words (case and punctuation aside) and its choices in any order.
        num_repeats: How often it was asked again.
    """

    id: str
    question: str
    answers: tuple[str, ...]
    choices: tuple[str, ...]
    num_repeats: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SpokenQuestion:
    """A question to be spoken.

    Attributes:
        question: As it is written.
        spoken: As it is read aloud: what every voice says, without choices.
        answers: Accepted answers, the preferred one first; empty where the files give none.
        choices: The options of a multiple-choice question; empty for an open one.
        gold: Place of the right choice; None for an open question, or where the files do not tell.
    """

    id: str
    question: str
    spoken: str
    answers: tuple[str, ...]
    choices: tuple[str, ...]
    gold: int | None


class PrepareQuestion:
    """Makes one question speakable."""

    def __call__(self, item: Item) -> Produced:
        (asked,) = from_rows([item], DistinctQuestion)
        question = SpokenQuestion(
            id=asked.id,
            question=asked.question,
            spoken=_spoken(asked.question),
            answers=asked.answers,
            choices=asked.choices,
            gold=_gold(asked),
        )
        repeats = [(asked.id, Dropped("repeated question", detail=asked.question), 0.0)] * asked.num_repeats
        return Produced(records={"questions": [question], "scripts": [_script(question)]}, drops=repeats)


def _spoken(question: str) -> str:
    """What is said of it: all of its letters, or it is another question."""
    spoken = unicodedata.normalize("NFC", speakable(question))
    if _letters(spoken) != _letters(spoken_text(spoken)):
        raise Dropped("letters that no voice reads", detail=question[:500])
    return spoken


def _letters(text: str) -> list[str]:
    return [character for character in text if character.isalpha()]


def _gold(asked: DistinctQuestion) -> int | None:
    right = list(dict.fromkeys(answer for answer in asked.answers if answer in asked.choices))
    if len(right) > 1:
        raise Dropped("contradictory answers", value=len(right), threshold=1, detail=asked.question[:500])
    if asked.choices and asked.answers and not right:
        raise Dropped("answer is no choice", detail=asked.question[:500])
    return asked.choices.index(right[0]) if right else None


def _script(question: SpokenQuestion) -> Script:
    """The question alone, as the script of a recipe's own questions is."""
    return Script(
        id=question.id,
        page_id=question.id,
        kind="question",
        method="template",
        note="",
        licence="",
        segments=(ScriptSegment(role="question", text=question.spoken),),
    )


def distinct_questions(asked: Iterable[AskedQuestion]) -> list[DistinctQuestion]:
    """Each distinct question once, in the order of ids: the same whatever order the files ask in.

    Spelling and choices are those of the first of its copies in the order of their texts, whose answers come first;
    the other copies' answers are accepted too. A question with other choices is another question.
    """
    copies: defaultdict[str, list[AskedQuestion]] = defaultdict(list)
    for question in asked:
        copies[_question_id(question)].append(question)
    return [_merged(name, same) for name, same in sorted(copies.items())]


def _question_id(asked: AskedQuestion) -> str:
    words = normalised_words(asked.question) or (asked.question,)
    return record_id("spoken question", words, sorted(asked.choices))


def _merged(name: str, copies: Sequence[AskedQuestion]) -> DistinctQuestion:
    ordered = sorted(copies, key=lambda copy: (copy.question, copy.choices, copy.answers))
    return DistinctQuestion(
        id=name,
        question=ordered[0].question,
        answers=tuple(dict.fromkeys(answer for copy in ordered for answer in copy.answers)),
        choices=ordered[0].choices,
        num_repeats=len(copies) - 1,
    )


def find_question_files(uris: Sequence[str]) -> list[FoundInput]:
    """The files of questions, in the order of their contents.

    Raises:
        UserError: When one is not there.
    """
    files = find_inputs(uris, SUFFIXES)
    for file in files:
        if not Path(file.path).is_file():
            raise UserError(f"questions {file.uri}: there is no such file", hint=f"files with {', '.join(SUFFIXES)}")
    return sorted(files, key=lambda file: file.id)


def set_questions_step(files: Sequence[FoundInput], limit: int | None, seed: int) -> TableStep:
    """The questions of `files`.

    Args:
        limit: At most so many, drawn by id, so that a larger limit holds all questions of a smaller one.
    """

    def items(_: Inputs) -> pa.Table:
        found = distinct_questions(entry for file in files for entry in read_questions(Path(file.path)))
        if limit is not None:
            found = sorted(found, key=lambda entry: (uniform(seed, entry.id, "spoken set"), entry.id))[:limit]
        return to_table(found, DistinctQuestion)

    listing: Mapping[str, object] = {"files": [file.id for file in files], "limit": limit, "seed": seed}
    return TableStep(
        name="set-questions",
        version=1,
        config=listing,
        listing=tuple(listing),
        outputs={"questions": SpokenQuestion, "scripts": Script},
        items=items,
        worker=lambda _: PrepareQuestion,
        shard_items=1_024,
    )
