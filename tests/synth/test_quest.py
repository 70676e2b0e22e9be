import pytest
from hypothesis import given
from hypothesis import strategies as st

from spelangy.core.errors import Dropped
from spelangy.core.records import Page, QuestionAnswer
from spelangy.synth.quest import MinedQuestion, check_question, mine_questions, quest_script
from spelangy.synth.short_answers import short_answer

TEXT = """Metals

Copper is a reddish metal that carries electric current well. Most wires are drawn from it.

At the other extreme stands tungsten. It melts only at 3,422 °C, higher than any other metal.

When was aluminium first isolated?

Aluminium was first isolated in 1825 by Hans Oersted. It soon cost more than gold.

Why do some people like metal? Nobody can say."""

FAQ = (
    QuestionAnswer(question="Which metal has the highest melting point?", answer="tungsten"),
    QuestionAnswer(question="Which reddish metal carries electric current well?", answer="Copper"),
    QuestionAnswer(question="Which metal is liquid when warm?", answer="mercury"),
)


def page(text: str = TEXT, questions: tuple[QuestionAnswer, ...] = FAQ) -> Page:
    return Page(id="p1", uri="http://x.org", title="Metals", text=text, licence="CC0", questions=questions)


def mined(question: str, answer: str = "") -> MinedQuestion:
    return MinedQuestion(question=question, answer=answer, origin="faq", following=())


def test_mines_mark_up_headings_and_sentences_each_once() -> None:
    repeated = page(TEXT + "\n\nwhich metal has the HIGHEST melting point?")
    assert [(found.origin, found.question) for found in mine_questions(repeated)] == [
        *(("faq", pair.question) for pair in FAQ),
        ("heading", "When was aluminium first isolated?"),
        ("sentence", "Why do some people like metal?"),
    ]
    assert mine_questions(page())[3].following[0] == "Aluminium was first isolated in 1825 by Hans Oersted."


def test_script_is_question_reasoning_answer() -> None:
    script = quest_script(page(), mine_questions(page())[1])
    roles = [segment.role for segment in script.segments]
    texts = [segment.text for segment in script.segments]
    assert roles == ["question", "reasoning", "reasoning", "answer"]
    assert texts[0] == FAQ[1].question
    assert texts[2] == "Copper is a reddish metal that carries electric current well."
    assert "answer" in texts[3] and texts[3].endswith("Copper.")
    assert (script.kind, script.method, script.licence) == ("quest", "template", "CC0")


def test_support_grows_to_neighbours_when_one_sentence_does_not_suffice() -> None:
    text = TEXT.replace("higher than any other metal", "the highest melting point of any metal")
    script = quest_script(page(text), mined(FAQ[0].question, "tungsten"))
    spoken = [segment.text for segment in script.segments]
    assert "At the other extreme stands tungsten." in spoken
    assert any("three thousand four hundred and twenty-two degrees Celsius" in part for part in spoken)


def test_an_answer_the_page_does_not_give_is_read_off_a_plain_sentence() -> None:
    script = quest_script(page(), mine_questions(page())[3])
    assert script.segments[-1].text.endswith("eighteen twenty-five.")
    assert script.note == "origin: heading"


def test_wording_varies_by_script_and_is_reproducible() -> None:
    question = mine_questions(page())[1]
    scripts = [quest_script(page(), question, seed=seed) for seed in range(12)]
    assert scripts[0] == quest_script(page(), question, seed=0)
    assert len({(script.segments[1].text, script.segments[-1].text) for script in scripts}) > 5


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        ("Which reddish metal carries electric current well?", "mercury", "answer not grounded"),
        ("Who painted the ceiling of the Sistine Chapel in Rome?", "copper", "no support"),
        ("Why does copper carry electric current well as a reddish metal?", "", "no short answer"),
        ("Which reddish metal carries electric current well?", "copper " * 41, "answer length"),
        ("Cloudy tonight?", "x", "question length"),
        ("Which " + "metal " * 40 + "?", "x", "question length"),
        ("Copper or some other metal?", "x", "not a question"),
        ("Can you name a metal for us?", "x", "about the site"),
        ("Was this page helpful?", "x", "dangling pronoun"),
        ("When was it first isolated?", "1825", "dangling pronoun"),
    ],
)
def test_invalid_ones_are_dropped_with_their_reason(question: str, answer: str, reason: str) -> None:
    with pytest.raises(Dropped) as drop:
        quest_script(page(), mined(question, answer))
    assert drop.value.reason == reason
    assert drop.value.detail or drop.value.value is not None


@pytest.mark.parametrize(
    "question",
    [
        "Who invented lithography?",
        "What is it called when corals turn white?",
        "How long does it take to boil an egg?",
        "Which metal did Hans Oersted isolate before he died?",
        "What is the sea that lies north of Egypt?",
        "Is copper a metal?",
    ],
)
def test_valid_ones_pass(question: str) -> None:
    check_question(question)


@pytest.mark.parametrize(
    ("question", "support", "answer"),
    [
        ("When was it opened?", "The tower was opened on March 31, 1889 in Paris.", "March 31, 1889"),
        ("How tall is the tower?", "The tower is 330 m tall.", "330 m"),
        ("How many legs has an insect?", "An insect has six legs.", "six"),
        ("Who built the tower in Paris?", "In Paris, Gustave Eiffel built it.", "Gustave Eiffel"),
        ("Where is the tower?", "The tower stands in Paris.", "Paris"),
        ("What is a clepsydra?", "A clepsydra is a water clock, used at night.", "a water clock"),
        ("Who is ahead now?", "Overall nobody is, but Joe Biden comes close.", "Joe Biden"),
        ("What is a sundial?", "A clepsydra is a water clock.", ""),
        ("Why is the sky blue?", "The sky scatters light.", ""),
    ],
)
def test_short_answers_have_the_type_asked_for(question: str, support: str, answer: str) -> None:
    assert short_answer(question, [support]) == answer


@given(st.text(max_size=120), st.text(max_size=40))
def test_hostile_text_is_a_script_or_a_drop(question: str, answer: str) -> None:
    try:
        script = quest_script(page(), mined(question, answer))
    except Dropped:
        return
    assert script.segments[0].role == "question" and script.segments[-1].role == "answer"


def test_each_answer_segment_is_one_sentence() -> None:
    answer = "It carries electric current well. Most wires are drawn from it."
    script = quest_script(page(), mined("Why is copper the metal of most wires?", answer))
    answers = [segment.text for segment in script.segments if segment.role == "answer"]
    assert len(answers) == 2 and answers[1] == "Most wires are drawn from it."
