"""Archives to scripts: what evaluation asks is kept out, what is left out is counted."""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spelangy.core.contamination import normalised_words
from spelangy.core.errors import Dropped, Quarantined
from spelangy.core.hashing import record_id
from spelangy.core.records import Drop, Page, QuestionAnswer, Script
from spelangy.engine.step import Produced
from spelangy.evals.questions import Question
from spelangy.synth.config import KristSettings, QuestSettings
from spelangy.synth.scripts import CONTAMINATED, QuestionGate, ReadPages, WriteKrist, WriteQuest, text_document
from spelangy.synth.speakable import speakable
from spelangy.testing_fakes import FakeLanguageModel
from tiny_run import TinyRun, build_archive

ASKED = "Who patented a beehive with hanging frames in 1852?"
PROSE = (
    "The tower on the rock was built of granite, and its lamp could be seen from ships twenty miles away.\n\n"
    "Its keepers lived on the island through the whole winter and were brought bread and oil by boat in calm weather."
)


def a_page(text: str = PROSE, questions: tuple[QuestionAnswer, ...] = (), name: str = "page") -> Page:
    return Page(id=record_id(name), uri=name, title="", text=text, licence="CC0", questions=questions)


def krist(page: Page, gate: QuestionGate, llm: FakeLanguageModel | None = None, share: float = 1.0) -> Produced:
    worker = WriteKrist(KristSettings(llm_share=share), gate, seed=0)
    worker.llm = llm
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
    kept_out = [drop.detail for drop in tiny.records("quest", "drops", Drop) if drop.reason == CONTAMINATED]
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
        scripts = [WriteQuest(QuestSettings(max_per_page=99), gate, 0)(asdict(page)) for page in pages]
        kept[grade] = sum(len(produced.records["scripts"]) for produced in scripts)
    assert 0 < kept["partial"] < kept["whole"]


@pytest.mark.parametrize("said_as", [ASKED, speakable(ASKED), ASKED.upper(), f"Well, {ASKED} Langstroth did."])
def test_a_question_is_found_as_it_is_written_and_as_it_is_spoken(said_as: str) -> None:
    with pytest.raises(Dropped, match=CONTAMINATED):
        QuestionGate((ASKED,), "whole").check(said_as)


def test_whole_lets_a_part_pass_and_partial_does_not() -> None:
    part = "They patented a beehive with hanging frames in the year 1851."
    QuestionGate((ASKED,), "whole").check(part)
    with pytest.raises(Dropped) as caught:
        QuestionGate((ASKED,), "partial").check(part)
    assert (caught.value.value, caught.value.threshold) == (7, 6)


def test_two_forms_of_two_questions_do_not_make_their_words_common() -> None:
    """Six words in three questions are the language's; a question's spoken form is no question of its own."""
    gate = QuestionGate(
        ("Who opened the first bridge of iron in 1779?", "Who opened the first bridge of iron in 1801?"), "partial"
    )
    with pytest.raises(Dropped):
        gate.check("They opened the first bridge of iron with a feast.")


@given(st.text(alphabet="abc ?", max_size=60))
def test_without_questions_nothing_is_barred(text: str) -> None:
    QuestionGate((), "partial").check(text)


def test_a_line_that_asks_is_left_out_of_prose_and_of_speech_and_counted() -> None:
    page = a_page(f"{PROSE}\n\n{ASKED} It was Langstroth.\n\nThe lamp was put out at dawn.")
    produced = krist(page, QuestionGate((ASKED,), "whole"))
    (script,), (text,) = produced.records["scripts"], produced.records["texts"]
    assert reasons(produced) == [CONTAMINATED]
    for kept in (script, text):
        (words,) = said([kept])
        assert "beehive" not in words and "langstroth" not in words and "put out at dawn" in words


def test_a_question_across_two_lines_bars_the_page() -> None:
    page = a_page(f"{PROSE}\nWho patented a beehive with\nhanging frames in 1852?")
    with pytest.raises(Dropped, match=CONTAMINATED):
        krist(page, QuestionGate((ASKED,), "whole"))


def test_a_question_that_the_language_model_puts_in_bars_the_page() -> None:
    first = PROSE.split("\n\n")[0]
    llm = FakeLanguageModel(answers={first: f"{first} How far away could its lamp be seen from ships?"})
    assert krist(a_page(), QuestionGate((), "whole"), llm).records["scripts"]
    with pytest.raises(Dropped, match=CONTAMINATED):
        krist(a_page(), QuestionGate(("How far away could its lamp be seen from ships?",), "whole"), llm)


def test_the_language_model_is_offered_its_share_of_pages_always_the_same_ones() -> None:
    pages = [a_page(name=f"page {number}") for number in range(120)]
    gate = QuestionGate((), "whole")

    def methods() -> list[str]:
        return [krist(page, gate, FakeLanguageModel(), share=0.25).records["scripts"][0].method for page in pages]

    assert 15 <= methods().count("llm") <= 50
    assert methods() == methods()


def test_prose_to_be_read_keeps_every_word_of_the_page() -> None:
    document = text_document(a_page(), PROSE)
    assert " ".join(segment.text for segment in document.segments).split() == PROSE.split()
    assert {segment.role for segment in document.segments} == {"text"}


def test_a_page_gives_its_share_of_questions_and_the_rest_is_counted(tiny: TinyRun) -> None:
    most = tiny.recipe.synth.quest.max_per_page
    scripts = tiny.records("quest", "scripts", Script)
    by_page = [sum(script.page_id == page.id for script in scripts) for page in tiny.records("pages", "pages", Page)]
    assert max(by_page) == most
    full = [drop for drop in tiny.records("quest", "drops", Drop) if drop.reason == "enough of this page"]
    assert full and {drop.threshold for drop in full} == {most}


def test_an_archive_gives_each_page_once(tmp_path: Path) -> None:
    archive = build_archive(tmp_path)
    archive.write_bytes(archive.read_bytes() * 2)
    produced = ReadPages()({"id": "a", "uri": "pages", "path": str(archive)})
    assert len({page.id for page in produced.records["pages"]}) == len(produced.records["pages"]) == 4
    assert reasons(produced) == ["exact duplicate"] * 4


def test_an_archive_that_is_not_there_is_quarantined(tmp_path: Path) -> None:
    with pytest.raises(Quarantined, match="not found"):
        ReadPages()({"id": "a", "uri": "gone.warc.gz", "path": str(tmp_path / "gone.warc.gz")})
