import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spelangy.core.errors import Dropped
from spelangy.synth.web.extract import MAX_HTML_CHARS, MAX_JSON_LD_CHARS, Extraction, page_from_html

PROSE = "The river Elbe rises in the Giant Mountains and runs through Dresden and Hamburg to the North Sea. " * 4
FAQ = {
    "@context": "https://schema.org",
    "@type": "FAQPage",
    "mainEntity": [
        {
            "@type": "Question",
            "name": "Where does the Elbe rise?",
            "acceptedAnswer": {"text": "In the <b>mountains</b>"},
        },
        {
            "@type": ["Question", "Thing"],
            "name": "Where does it end?",
            "acceptedAnswer": [{"text": ""}, {"text": "Sea"}],
        },
    ],
}


def page(*, head: str = "", body: str = "", prose: str = PROSE) -> str:
    return (
        f"<html><head><title>The  Elbe &amp; its towns</title>{head}</head><body><nav><a href=/>Home</a></nav>"
        f"<main><article><h1>The Elbe</h1><p>{prose}</p>{body}</article></main><footer>Imprint</footer></body></html>"
    )


def ld(value: object) -> str:
    return f'<script type="application/ld+json">{value if isinstance(value, str) else json.dumps(value)}</script>'


@pytest.mark.parametrize("extraction", ["best", "fast"])
def test_main_text_and_title_without_navigation(extraction: Extraction) -> None:
    found = page_from_html(page(), "http://x.org/elbe", extraction=extraction)
    assert found.title == "The Elbe & its towns"
    assert found.text.endswith(PROSE.strip()) and "Home" not in found.text and "Imprint" not in found.text


def test_scripts_are_data_not_text() -> None:
    found = page_from_html(page(head="<script>document.write('pwned')</script>", body=ld(FAQ)), "u")
    assert "pwned" not in found.text and "schema.org" not in found.text


def test_id_names_uri_and_text() -> None:
    assert page_from_html(page(), "u").id == page_from_html(page(head="<style>p{}</style>"), "u").id
    assert page_from_html(page(), "u").id != page_from_html(page(), "v").id
    assert page_from_html(page(), "u").id != page_from_html(page(prose=PROSE + " More."), "u").id


@pytest.mark.parametrize(
    ("head", "body", "licence"),
    [
        ("", "", "unknown"),
        ("<link rel='license' href='https://cc.org/by'>", "", "https://cc.org/by"),
        ("", "<a rel='nofollow license' href='https://cc.org/sa'>CC</a>", "https://cc.org/sa"),
        ("<meta name='DC.rights' content=' CC0 '>", "", "CC0"),
        ("<link rel='license' href='#foot'><meta name=rights content='MIT'>", "", "MIT"),
    ],
)
def test_licence_is_what_the_page_states(head: str, body: str, licence: str) -> None:
    assert page_from_html(page(head=head, body=body), "u").licence == licence


@pytest.mark.parametrize(
    "root", [FAQ, [FAQ], {"@graph": [{"@type": "WebPage"}, FAQ]}, {"a": [[{"b": FAQ}]]}, [FAQ, FAQ]]
)
def test_questions_of_any_nesting_each_once(root: object) -> None:
    pairs = page_from_html(page(head=ld(root)), "u").questions
    assert [(pair.question, pair.answer) for pair in pairs] == [
        ("Where does the Elbe rise?", "In the mountains"),
        ("Where does it end?", "Sea"),
    ]


@pytest.mark.parametrize(
    "hostile",
    [
        "{not json",
        "[" * 100_000,
        '{"@type": "Question", "name": 7, "acceptedAnswer": null}',
        '{"@type": "Question", "name": "Who?", "acceptedAnswer": {"text": ["x"]}}',
        '{"@type": "Question", "name": "\\ud800?", "acceptedAnswer": "' + "x" * 9_000 + '"}',
        '["' + "x" * MAX_JSON_LD_CHARS + '"]',
        "null",
    ],
)
def test_malformed_mark_up_costs_only_itself(hostile: str) -> None:
    pairs = page_from_html(page(head=ld(hostile) + ld(FAQ)), "u").questions
    assert [pair.question for pair in pairs] == ["Where does the Elbe rise?", "Where does it end?"]


def test_drops_carry_value_and_threshold() -> None:
    with pytest.raises(Dropped) as short:
        page_from_html("<p>Too few words.</p>", "u")
    assert (short.value.reason, short.value.value, short.value.threshold) == ("too short", 3, 50)
    german = "Die Elbe entspringt im Riesengebirge und fließt durch Dresden und Hamburg in die Nordsee hinein. " * 5
    with pytest.raises(Dropped) as foreign:
        page_from_html(page(prose=german), "u")
    assert foreign.value.reason == "not English"
    assert foreign.value.value is not None and foreign.value.value < 0.2
    with pytest.raises(Dropped, match="oversized page"):
        page_from_html("<p>" + "x " * 2_100_000, "u")


@pytest.mark.parametrize("html", ["", "<", "\x00\x00", "<div>" * 5_000, "&#0;" * 100, "\ud800"])
def test_hostile_html_is_dropped(html: str) -> None:
    with pytest.raises(Dropped):
        page_from_html(html, "u")


TOO_MUCH = {"too many attributes", "too many names", "too deeply nested"}
PARAGRAPH = f"<p>{PROSE}</p>"
HOSTILE = {
    "deep": "<div>" * 100_000 + PARAGRAPH,
    "deep and wide": "<div>" * 500 + PARAGRAPH * 9_000,
    "deep tables": "<table><tr><td>" * 60_000,
    "misnested": "<b><p>" * 50_000,
    "fonts": "".join(f"<font size={number}>" for number in range(20_000)),
    "links": "<a href=x>y</a>" * 250_000,
    "licences": "<a rel=license href='#x'>y</a>" * 120_000 + PARAGRAPH,
    "rights": "<meta name=rights content=''>" * 130_000 + PARAGRAPH,
    "questions": "<script type=application/ld+json>{}</script>" * 80_000 + PARAGRAPH,
    "cells": "<table><tr>" + "<td>x" * 790_000,
    "breaks": PARAGRAPH + "x<br>" * 700_000,
    "tags up to the limit": PARAGRAPH + "<p>x</p>" * 9_500,
    "names of tags": "".join(f"<x{number}></x{number}>" for number in range(250_000)),
    "names of attributes": "".join(f"<b a{number}=1></b>" for number in range(200_000)),
    "names, not yet too many": "".join(f"<b a{number}=1></b>" for number in range(19_900)) + PARAGRAPH,
    "long attribute": f"<div class='{'a ' * 990_000}'>{PARAGRAPH}</div>",
    "attributes": "<div " + " ".join(f"a{number}=1" for number in range(300_000)) + ">" + PARAGRAPH,
    "brackets": "<" * 3_999_000,
    "open tags": "<a" * 1_999_000,
    "comments": "<!--" * 999_000,
    "ampersands": "&" * 3_999_000,
    "one word": "w" * 3_999_000,
    "spaces": "x" + " " * 3_990_000 + "x",
    "nothing": "\x00" * 3_999_000,
    "surrogates": PARAGRAPH + "\ud800\udfff" * 500_000,
    "control characters": PARAGRAPH + "".join(map(chr, range(1, 160))) * 20_000,
}


@pytest.mark.parametrize("extraction", ["best", "fast"])
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_html_takes_seconds_and_is_dropped_or_read(kind: str, extraction: Extraction) -> None:
    started = time.process_time()
    try:
        found = page_from_html(HOSTILE[kind][:MAX_HTML_CHARS], "u", extraction=extraction)
    except Dropped as dropped:
        assert dropped.reason in {*TOO_MUCH, "too short", "not English"}
    else:
        assert "Giant Mountains" in found.text
        assert found.text.isascii() or kind in ("surrogates", "control characters")
    assert time.process_time() - started < 15, "a page takes 5 seconds at most, on a machine a third as fast"


TAGS = st.sampled_from(["p", "div", "table", "tr", "td", "ul", "li", "a", "b", "h2", "pre", "svg", "template", "body"])
PIECES = st.one_of(
    st.builds("<{}>".format, TAGS), st.builds("</{}>".format, TAGS), st.sampled_from([PROSE, "<!--", "<script>"]),
    st.text(max_size=5),
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(st.lists(PIECES, max_size=40).map("".join), st.sampled_from(["best", "fast"]))
def test_any_tag_soup_is_dropped_or_read_the_same_twice(html: str, extraction: Extraction) -> None:
    def read() -> str:
        try:
            return page_from_html(html, "u", extraction=extraction).text
        except Dropped as dropped:
            return dropped.reason

    found = read()
    assert found == read()
    assert "\n\n\n" not in found and found == found.strip()


def test_questions_in_microdata_are_found_after_those_in_json_ld() -> None:
    item = (
        '<div itemscope itemtype="https://schema.org/Question"><h3 itemprop="name">{}</h3>'
        '<div itemprop="acceptedAnswer" itemscope itemtype="https://schema.org/Answer">'
        '<div itemprop="text"><p>{}</p></div></div></div>'
    )
    told = json.dumps({"@type": "Question", "name": "Who built it?", "acceptedAnswer": {"text": "Nobody."}})
    html = (
        f'<html><body><script type="application/ld+json">{told}</script>'
        + item.format("When was the tower built?", "In <b>1889</b>.")
        + item.format("who BUILT it?", "Somebody.")
        + item.format("No answer?", "")
        + '<div itemscope itemtype="https://schema.org/Question"><p>no name</p></div>'
        + f"<article><p>{' '.join(['The tower stands by the river and is made of iron.'] * 12)}</p></article>"
    )
    found = page_from_html(html, "http://x.org").questions
    assert [(pair.question, pair.answer) for pair in found] == [
        ("Who built it?", "Nobody."),
        ("When was the tower built?", "In 1889."),
    ]
