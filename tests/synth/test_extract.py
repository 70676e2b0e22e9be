import json

import pytest

from spelangy.core.errors import Dropped
from spelangy.synth.extract import MAX_JSON_LD_CHARS, page_from_html

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


def test_main_text_and_title_without_navigation() -> None:
    found = page_from_html(page(), "http://x.org/elbe")
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
