import pytest
from hypothesis import given
from hypothesis import strategies as st

from spelangy.core.errors import Dropped
from spelangy.synth.web.html_limits import MAX_ATTRIBUTES, MAX_HTML_CHARS, MAX_NESTING, check_html

MANY = " ".join(f"a{number}=1" for number in range(MAX_ATTRIBUTES + 1))
FLAT = "<section><p>A <b>short</b> text.<br><li>item<img src=x></section>" * 40_000


def reason_of(html: str) -> str:
    with pytest.raises(Dropped) as dropped:
        check_html(html)
    return dropped.value.reason


@pytest.mark.parametrize(
    "html",
    [
        "", "<", "</", "<!", "<!--", "<p", "<p a", "<p a=", "<p a='", "a < b > c", "<script>if (a<b && c>d) {}", FLAT,
        "<p>cut off<script", "<p>cut off <STYLE media='a b",
        f'<p style="{"a " * 100_000}" title=\'{"b=" * 100_000}\'>', f"<script>x = '<div {MANY}>'</script>",
        f"<!-- <div {MANY}> -->", f"<p>{MANY}</p>", "<svg>" + "<path d='M 1 2 3'/>" * 10_000 + "</svg>",
        "<ul>" + "<li>item" * 20_000, "<script>'<div>'</script>" * 20_000, "<div>" * 4_000,
        "<div>" * 100 + "word " * 700_000,
    ],
)  # fmt: skip
def test_what_is_read_in_seconds_passes(html: str) -> None:
    check_html(html[:MAX_HTML_CHARS])


@pytest.mark.parametrize(
    "tag",
    [
        f"<div {MANY}>", f"<p>text</p><DIV\n{MANY}", f'<div x=">" {MANY}>', f"<div y='\"' {MANY} z='\"'>",
        "<div" + "/a" * (MAX_ATTRIBUTES + 1) + ">", "<div " + "a='>'" * (MAX_ATTRIBUTES + 1) + ">",
        f"<div = {MANY}>", f"<script>//</script><div {MANY}>", f"<!-- --><div {MANY}>",
        f"<title-x>a</title-x><div {MANY}>",
    ],
)  # fmt: skip
def test_too_many_attributes_of_one_tag(tag: str) -> None:
    assert reason_of(tag + "<p>after") == "too many attributes"


@pytest.mark.parametrize(
    "html",
    [
        "<div>" * 100_000, "<x-y>" * 100_000, "<div/>" * 100_000, "<blockquote></p>" * 100_000, "<ul><li>" * 50_000,
        "<table><tr><td>" * 50_000, "<div>" * 100_000 + "</div>" * 100_000, "<svg>" * 100_000,
        "<div>" * 500 + "<p>x" * 100_000, "<div>" * 500 + "word " * 700_000, "<div>" * 500 + "<p>words</p>" * 40_000,
    ],
)  # fmt: skip
def test_too_deep_for_its_length(html: str) -> None:
    with pytest.raises(Dropped, match="too deeply nested") as dropped:
        check_html(html)
    assert dropped.value.threshold == MAX_NESTING and (dropped.value.value or 0) > MAX_NESTING


@pytest.mark.parametrize(
    "html",
    [
        "".join(f"<x{number}></x{number}>" for number in range(100_000)),
        "".join(f"<b a{number}='x y'></b>" for number in range(100_000)),
        "".join("<b " + " ".join(f"a{tag}-{number}" for number in range(900)) + ">" for tag in range(100)),
    ],
)
def test_too_many_different_names(html: str) -> None:
    assert reason_of(html) == "too many names"


def test_too_long() -> None:
    assert reason_of("x" * (MAX_HTML_CHARS + 1)) == "oversized page"


@given(st.lists(st.sampled_from(["<", "</", "<!--", "-->", "<script", "<title", "<p", ">", " a=", "'", '"', " ", "x"])))
def test_any_soup_of_tokens_is_read_to_its_end(tokens: list[str]) -> None:
    check_html("".join(tokens))


@given(st.text(alphabet="<>/!-=\"' abdivscript\n", max_size=300))
def test_any_text_is_read_to_its_end(html: str) -> None:
    check_html(html)
