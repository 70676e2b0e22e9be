"""Archives to scripts: what evaluation asks is kept out, what is left out is counted."""

import json
from collections.abc import Iterable
from dataclasses import asdict

from spelangy.core.contamination import normalised_words
from spelangy.core.hashing import record_id
from spelangy.core.records import Chunk, Drop, Page, QuestionAnswer, Recording, Script
from spelangy.engine.step import Produced
from spelangy.evals.questions import Question
from spelangy.synth.config import KristSettings, QuestSettings
from spelangy.synth.contaminated import CONTAMINATED, QuestionGate
from spelangy.synth.scripts import WriteKrist, WriteQuest, text_document
from spelangy.synth.speakable import speakable
from spelangy.synth.writer import Writer
from spelangy.testing_fakes import FakeLanguageModel
from tiny_run import TinyRun

NOWHERE = "memory://answers"
ASKED = "Who patented a beehive with hanging frames in 1852?"
PROSE = (
    "The tower on the rock was built of granite, and its lamp could be seen from ships twenty miles away.\n\n"
    "Its keepers lived on the island through the whole winter and were brought bread and oil by boat in calm weather."
)


def a_page(text: str = PROSE, questions: tuple[QuestionAnswer, ...] = (), name: str = "page") -> Page:
    return Page(id=record_id(name), uri=name, title="", text=text, licence="CC0", questions=questions)


def krist(page: Page, gate: QuestionGate, llm: FakeLanguageModel | None = None, share: float = 1.0) -> Produced:
    worker = WriteKrist(KristSettings(llm_share=share), gate, NOWHERE, seed=0)
    worker.writer = Writer(llm, NOWHERE) if llm else None
    return worker(asdict(page))


def said(scripts: Iterable[Script]) -> list[str]:
    """Each script's words, one string a script, framed by spaces."""
    texts = (" ".join(segment.text for segment in script.segments) for script in scripts)
    return [f" {' '.join(normalised_words(text))} " for text in texts]


def reasons(produced: Produced) -> list[str]:
    return [why.reason for _, why, _ in produced.drops]


def test_no_evaluation_question_is_in_anything_that_is_trained_on(tiny: TinyRun) -> None:
    questions = [row.question for row in tiny.records("questions", "questions", Question)]
    assert sum(speakable(question) != question for question in questions) >= 3, "no question with a numeral: no test"
    tables = (("krist", "scripts"), ("krist", "texts"), ("quest", "scripts"))
    trained = [text for step, table in tables for text in said(tiny.records(step, table, Script))]
    forms = {" ".join(normalised_words(form)) for question in questions for form in (question, speakable(question))}
    assert trained and not [form for form in forms if any(f" {form} " in text for text in trained)]


def test_the_questions_kept_out_of_quest_are_counted(tiny: TinyRun) -> None:
    kept_out = [drop.detail for drop in tiny.records("gate", "drops", Drop) if drop.reason == CONTAMINATED]
    written = {question.question for question in tiny.records("questions", "questions", Question)}
    assert written & set(kept_out) or {speakable(question) for question in written} & set(kept_out)
    assert len(kept_out) >= 5


def test_partial_bars_all_that_whole_bars_and_more(tiny: TinyRun) -> None:
    pages = tiny.records("pages", "pages", Page)
    questions = tuple(pair.question for page in pages for pair in page.questions[:3])
    # Longer than any question of the pages, so never found whole.
    questions += tuple(f"{pair.question[:-1]} or some time later?" for page in pages for pair in page.questions[3:5])
    kept: dict[str, int] = {}
    for grade in ("whole", "partial"):
        gate = QuestionGate(questions, grade)  # type: ignore[arg-type]
        scripts = [WriteQuest(QuestSettings(max_per_page=99), gate, NOWHERE, 0)(asdict(page)) for page in pages]
        kept[grade] = sum(len(produced.records["scripts"]) for produced in scripts)
    assert 0 < kept["partial"] < kept["whole"]


def test_a_question_that_the_language_model_puts_in_bars_the_page() -> None:
    first = PROSE.split("\n\n")[0]
    llm = FakeLanguageModel(answers={first: f"{first} How far away could its lamp be seen from ships?"})
    assert krist(a_page(), QuestionGate((), "whole"), llm).records["scripts"]
    barred = krist(a_page(), QuestionGate(("How far away could its lamp be seen from ships?",), "whole"), llm)
    assert reasons(barred) == [CONTAMINATED] and not barred.records["scripts"]
    assert barred.records["texts"] == [text_document(a_page())], "what the page itself says is clean"


def test_the_language_model_is_offered_its_share_of_pages_always_the_same_ones() -> None:
    pages = [a_page(name=f"page {number}") for number in range(120)]
    gate = QuestionGate((), "whole")

    def methods() -> list[str]:
        return [krist(page, gate, FakeLanguageModel(), share=0.25).records["scripts"][0].method for page in pages]

    assert 15 <= methods().count("llm") <= 50
    assert methods() == methods()


def test_prose_to_be_read_keeps_every_word_of_the_page() -> None:
    document = text_document(a_page())
    assert " ".join(segment.text for segment in document.segments).split() == PROSE.split()
    assert {segment.role for segment in document.segments} == {"text"}


def test_a_page_gives_its_share_of_questions_and_the_rest_is_counted(tiny: TinyRun) -> None:
    most = tiny.recipe.synth.quest.max_per_page
    scripts = tiny.records("quest", "scripts", Script)
    by_page = [sum(script.page_id == page.id for script in scripts) for page in tiny.records("pages", "pages", Page)]
    assert max(by_page) == most
    full = [drop for drop in tiny.records("quest", "drops", Drop) if drop.reason == "enough of this page"]
    assert full and {drop.threshold for drop in full} == {most}


def test_the_address_of_a_page_goes_wherever_its_words_go(tiny: TinyRun) -> None:
    pages = {page.id: page for page in tiny.records("pages", "pages", Page)}
    for step, table in (("krist", "scripts"), ("krist", "texts"), ("quest", "scripts")):
        for script in tiny.records(step, table, Script):
            told, page = json.loads(script.metadata), pages[script.page_id]
            assert (told["uri"], told["title"]) == (page.uri, page.title)
            assert told.items() >= json.loads(page.metadata).items() and "archive" in told
    for recording in tiny.records("speech", "recordings", Recording):
        assert recording.uri == json.loads(recording.metadata)["uri"]
    for chunk in tiny.records("speech", "chunks", Chunk):
        assert json.loads(chunk.metadata)["uri"] == pages[chunk.document_id.partition("-")[0]].uri
