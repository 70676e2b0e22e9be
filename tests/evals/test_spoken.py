"""The questions before they are asked: from pages in training alone, spoken, and heard by a recogniser."""

from dataclasses import asdict

from spelangy.core.contamination import normalised_words
from spelangy.core.records import Chunk, Drop, Page, Recording, Script
from spelangy.evals.questions import Question
from spelangy.evals.spoken import BuildQuestions, HeardQuestion, question_script
from spelangy.synth.speakable import speakable
from tiny_run import TinyRun


def questions_of(tiny: TinyRun) -> list[Question]:
    return list(tiny.records("questions", "questions", Question))


def test_questions_are_about_pages_in_training_alone(tiny: TinyRun) -> None:
    pages = {page.id: page for page in tiny.records("pages", "pages", Page)}
    questions = questions_of(tiny)
    assert len(questions) >= 10 and len({question.page_id for question in questions}) == 3
    assert not [question for question in questions if tiny.is_heldout(question.page_id)]
    for question in questions:
        assert (question.question, question.options[question.gold]) in [
            (pair.question, pair.answer) for pair in pages[question.page_id].questions
        ]


def test_every_question_is_either_asked_or_counted(tiny: TinyRun) -> None:
    pages = [page for page in tiny.records("pages", "pages", Page) if not tiny.is_heldout(page.id)]
    num_pairs = sum(len(page.questions) for page in pages)
    everything = BuildQuestions(1.0, tiny.recipe.tokens.heldout_share, tiny.recipe.seed)
    produced = everything({"id": "all", "pages": [asdict(page) for page in pages]})
    assert len(produced.records["questions"]) + len(produced.drops) == num_pairs
    some = len(questions_of(tiny)) + len(tiny.records("questions", "drops", Drop))
    assert 0 < some < num_pairs


def test_a_script_asks_the_question_and_nothing_else(tiny: TinyRun) -> None:
    scripts = {script.id: script for script in tiny.records("questions", "scripts", Script)}
    for question in questions_of(tiny):
        assert scripts.pop(question.id) == question_script(question)
        (segment,) = question_script(question).segments
        assert (segment.role, segment.text) == ("question", question.question)
    assert not scripts


def test_every_question_is_spoken_and_heard(tiny: TinyRun) -> None:
    ids = {question.id for question in questions_of(tiny)}
    spoken = tiny.records("question-speech", "recordings", Recording)
    assert {recording.id for recording in spoken} == ids
    assert {row.id for row in tiny.records("question-heard", "heard", HeardQuestion)} == ids
    assert {chunk.source for chunk in tiny.records("question-speech", "chunks", Chunk)} == {"question"}


def test_what_the_recogniser_heard_is_mostly_what_was_asked(tiny: TinyRun) -> None:
    asked = {question.id: question.question for question in questions_of(tiny)}
    found = []
    for row in tiny.records("question-heard", "heard", HeardQuestion):
        words = set(normalised_words(f"{asked[row.id]} {speakable(asked[row.id])}"))
        heard = normalised_words(row.text)
        found.append(sum(word in words for word in heard) / max(1, len(heard)))
    assert sum(found) / len(found) > 0.6
