from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from spelangy.backends.protocols import LanguageModel, LlmReply, LlmRequest, ModelInfo
from spelangy.core.errors import Dropped
from spelangy.core.records import Page, Script
from spelangy.synth.krist import KristPage, krist_script
from spelangy.synth.prompts import prompt
from spelangy.synth.writer import Writer

TEXT = """Iron towers

Gustave Eiffel opened his tower in Paris in 1889. It was 300 m tall and made of iron throughout.

This site uses cookies to count its visitors. Accept all.

The Tokyo Tower of 1958 borrowed its shape, but it is 333 m tall and painted in orange and white."""


class Rule:
    """A language model that answers by a rule and keeps what it was asked."""

    info = ModelInfo(role="llm", name="rule", revision="1", licence="none")

    def __init__(self, rule: Callable[[str], str]) -> None:
        self.rule = rule
        self.asked: list[LlmRequest] = []

    def answers(self, requests: Sequence[LlmRequest]) -> Iterator[tuple[int, LlmReply | Dropped]]:
        for index, request in enumerate(requests):
            self.asked.append(request)
            try:
                yield index, LlmReply(text=self.rule(request.text), prompt_tokens=2, answer_tokens=1, cost=0.5)
            except Dropped as refused:
                yield index, refused


def written(rule: Callable[[str], str], tmp_path: Path) -> tuple[KristPage, Rule]:
    llm = Rule(rule)
    assert isinstance(llm, LanguageModel)
    return krist_script(page(), Writer(llm, str(tmp_path))), llm


def page(text: str = TEXT) -> Page:
    return Page(id="p1", uri="http://x.org", title="Towers", text=text, licence="CC0", questions=())


def spoken(script: Script) -> str:
    return " ".join(segment.text for segment in script.segments)


def test_template_path_says_the_page_sentence_by_sentence() -> None:
    script = krist_script(page(), None).script
    assert [segment.text for segment in script.segments] == [
        "Iron towers",
        "Gustave Eiffel opened his tower in Paris in eighteen eighty-nine.",
        "It was three hundred meters tall and made of iron throughout.",
        "The Tokyo Tower of nineteen fifty-eight borrowed its shape, but it is three hundred and thirty-three meters "
        "tall and painted in orange and white.",
    ]
    assert {segment.role for segment in script.segments} == {"speech"}
    assert (script.kind, script.method, script.licence, script.page_id) == ("krist", "template", "CC0", "p1")
    assert script.note == "left out: boilerplate 1"


def test_faithful_paragraphs_are_the_writers(tmp_path: Path) -> None:
    result, llm = written(lambda text: text.replace("opened his tower", "opened his famous tower"), tmp_path)
    script = result.script
    assert "opened his famous tower" in spoken(script)
    assert script.method == "llm"
    assert script.note == "2/2 paragraphs by llm; left out: boilerplate 1"
    assert [asked.instruction for asked in llm.asked] == [prompt("rewrite")] * 2
    assert all("cookies" not in asked.text and asked.max_tokens > len(asked.text.split()) for asked in llm.asked)
    assert [(answer.purpose, answer.is_taken, answer.cost) for answer in result.answers] == [("rewrite", True, 0.5)] * 2


def test_unfaithful_paragraphs_fall_back_are_counted_and_kept_for_reading(tmp_path: Path) -> None:
    result, _ = written(lambda text: text.replace("1889", "1898") if "Eiffel" in text else "Towers are tall.", tmp_path)
    assert result.script.method == "template"
    assert result.script.note == "0/2 paragraphs by llm; rejected: length 1, numbers 1; left out: boilerplate 1"
    assert result.script.segments == krist_script(page(), None).script.segments
    number, length = result.answers
    assert (number.reason, number.detail, "1898" in number.text) == ("numbers", "1889", True)
    assert (length.reason, length.text, length.is_taken) == ("length", "Towers are tall.", False)
    assert number.source in TEXT and length.source in TEXT
    assert len({answer.id for answer in result.answers}) == 2


def test_a_writer_that_refuses_is_counted_too(tmp_path: Path) -> None:
    def refuse(text: str) -> str:
        raise Dropped("language model refused", detail="no")

    result, _ = written(refuse, tmp_path)
    assert "rejected: language model refused 2" in result.script.note
    assert [(answer.text, answer.prompt_tokens) for answer in result.answers] == [("", 0)] * 2


def test_what_says_nothing_is_dropped() -> None:
    with pytest.raises(Dropped) as drop:
        krist_script(page("12\n\n***\n\nThis site uses cookies."), None)
    assert (drop.value.reason, drop.value.value, drop.value.threshold) == ("nothing sayable", 1, 20)
