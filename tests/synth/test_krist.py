from collections.abc import Callable

import pytest

from spelangy.backends.protocols import LanguageModel, ModelInfo
from spelangy.core.errors import Dropped
from spelangy.core.records import Page, Script
from spelangy.synth.krist import krist_prompt, krist_script

TEXT = """Iron towers

Gustave Eiffel opened his tower in Paris in 1889. It was 300 m tall and made of iron throughout.

This site uses cookies to count its visitors. Accept all.

The Tokyo Tower of 1958 borrowed its shape, but it is 333 m tall and painted in orange and white."""


class Writer:
    """A language model that answers by a rule and keeps what it was asked."""

    info = ModelInfo(role="llm", name="rule", revision="1", licence="none")

    def __init__(self, rule: Callable[[str], str]) -> None:
        self.rule = rule
        self.asked: list[tuple[str, str, int]] = []

    def complete(self, instruction: str, text: str, max_tokens: int) -> str:
        self.asked.append((instruction, text, max_tokens))
        return self.rule(text)


def page(text: str = TEXT) -> Page:
    return Page(id="p1", uri="http://x.org", title="Towers", text=text, licence="CC0", questions=())


def spoken(script: Script) -> str:
    return " ".join(segment.text for segment in script.segments)


def test_template_path_says_the_page_sentence_by_sentence() -> None:
    script = krist_script(page(), None)
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


def test_faithful_paragraphs_are_the_writers() -> None:
    writer = Writer(lambda text: text.replace("opened his tower", "opened his famous tower"))
    assert isinstance(writer, LanguageModel)
    script = krist_script(page(), writer)
    assert "opened his famous tower" in spoken(script)
    assert script.method == "llm"
    assert script.note == "2/2 paragraphs by llm; left out: boilerplate 1"
    assert [asked[0] for asked in writer.asked] == [krist_prompt()] * 2
    assert all("cookies" not in asked[1] and asked[2] > len(asked[1].split()) for asked in writer.asked)


def test_unfaithful_paragraphs_fall_back_and_are_counted() -> None:
    writer = Writer(lambda text: text.replace("1889", "1898") if "Eiffel" in text else "Towers are tall.")
    script = krist_script(page(), writer)
    assert script.method == "template"
    assert script.note == "0/2 paragraphs by llm; rejected: length 1, numbers 1; left out: boilerplate 1"
    assert script.segments == krist_script(page(), None).segments


def test_a_writer_that_refuses_is_counted_too() -> None:
    def refuse(text: str) -> str:
        raise Dropped("llm timeout")

    assert "rejected: llm timeout 2" in krist_script(page(), Writer(refuse)).note


def test_what_says_nothing_is_dropped() -> None:
    with pytest.raises(Dropped) as drop:
        krist_script(page("12\n\n***\n\nThis site uses cookies."), None)
    assert (drop.value.reason, drop.value.value, drop.value.threshold) == ("nothing sayable", 1, 20)
