import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spelangy.core.contamination import QuestionIndex, normalised_words

WORDS = st.lists(st.sampled_from(["a", "b", "c", "d", "e", "f", "g"]), max_size=20)


def test_normalises_as_the_paper_does() -> None:
    assert normalised_words("What’s “the” CAPITAL of ﬁve-star_France?!") == (
        "whats", "the", "capital", "of", "five", "star", "france",
    )  # fmt: skip


def test_grades_partial_whole_and_template() -> None:
    template = "what is the name of the {} that barks"
    questions = [template.format(word) for word in ("dog", "seal", "fox")] + [
        "who ran the first four minute mile in oxford"
    ]
    index = QuestionIndex(questions)
    (whole,) = (
        hit for hit in index.hits("Quiz: What is the name of the DOG that barks? A: Rex") if hit.grade == "whole"
    )
    assert (whole.question, whole.num_words, whole.n) == (questions[0], 9, 9)
    assert {hit.grade for hit in index.hits("what is the name of the town")} == {"template"}
    (partial,) = index.hits("He ran the first four-minute mile in 1954.")
    assert (partial.grade, partial.index, partial.matched) == ("partial", 3, "ran the first four minute mile in")


def test_short_questions_count_only_whole() -> None:
    index = QuestionIndex(["who wrote hamlet", "why not"])
    assert [hit.grade for hit in index.hits("So who wrote Hamlet then?")] == ["whole"]
    assert not index.hits("who wrote the play hamlet") and not index.hits("well, why not")


def test_long_runs_are_told_apart_up_to_max_n() -> None:
    question = " ".join(f"w{i}" for i in range(20))
    (hit,) = QuestionIndex([question]).hits(question.rsplit(" ", 2)[0])
    assert (hit.num_words, hit.n, hit.grade) == (18, 13, "partial")


def test_eligible_ratio() -> None:
    index = QuestionIndex(["a b c", "a b c d e f", "a b c d e f g h i j"])
    assert [index.eligible_ratio(n) for n in (3, 6, 10, 13)] == pytest.approx([1, 2 / 3, 1 / 3, 0])
    assert QuestionIndex([]).eligible_ratio(6) == 0 and not QuestionIndex([]).hits("a b c d e f")


def longest_common_run(left: list[str], right: list[str]) -> int:
    lengths = (
        length
        for length in range(len(left), 0, -1)
        for i in range(len(left) - length + 1)
        for j in range(len(right) - length + 1)
        if left[i : i + length] == right[j : j + length]
    )
    return next(lengths, 0)


@given(WORDS.filter(lambda words: len(words) >= 3), WORDS)
def test_equals_brute_force(question: list[str], text: list[str]) -> None:
    run = longest_common_run(question, text)
    found = QuestionIndex([" ".join(question)]).hits(" ".join(text))
    assert bool(found) == (run >= min(6, len(question)))
    if found:
        assert found[0].num_words == run


PHRASES = st.lists(st.sampled_from("abc"), min_size=1, max_size=14).map(" ".join)


@given(st.lists(PHRASES, max_size=12), st.lists(st.sampled_from("abc"), max_size=60).map(" ".join))
@settings(max_examples=300)
def test_without_templates_nothing_but_templates_is_missing(questions: list[str], text: str) -> None:
    index = QuestionIndex(questions, min_n=3, max_n=5)
    told = {hit.index: hit for hit in index.hits(text, templates=False)}
    for hit in index.hits(text):
        if hit.grade != "template":
            assert told.pop(hit.index) == hit
    # A question may be told with another run than its longest, which is a template.
    assert all(hit.grade == "partial" and hit.index in {one.index for one in index.hits(text)} for hit in told.values())


@given(st.lists(PHRASES, max_size=12), st.lists(st.sampled_from("abc"), max_size=60).map(" ".join))
@settings(max_examples=300)
def test_grades_are_those_of_counting_every_question(questions: list[str], text: str) -> None:
    index = QuestionIndex(questions, min_n=3, max_n=5)
    asked = [normalised_words(question) for question in questions]
    for hit in index.hits(text):
        run = normalised_words(hit.matched)
        grams = [run[start : start + hit.n] for start in range(len(run) - hit.n + 1)]
        counts = [
            sum(any(words[at : at + hit.n] == gram for at in range(len(words))) for words in asked) for gram in grams
        ]
        expected = "whole" if run == asked[hit.index] else "template" if min(counts) >= 3 else "partial"
        assert hit.grade == expected
