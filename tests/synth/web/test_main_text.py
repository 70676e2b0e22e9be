import socket
from typing import get_args

import pytest
from resiliparse.parse.html import HTMLTree

from spelangy.synth.web.main_text import MAX_BEST_CHARS, MAX_TAGS, Extraction, main_text

SETTINGS: tuple[Extraction, ...] = get_args(Extraction)
PROSE = "The river Elbe rises in the Giant Mountains and runs through Dresden and Hamburg to the North Sea."
PAGE = f"""<html><head><title>Elbe</title></head><body><nav><a href=/>Home</a> <a href=/b>Rivers</a></nav>
<main><article><h1>The Elbe</h1><p>{PROSE}
{PROSE} It is <b>long</b>, see <a href=/map>the map</a> of it.</p><h2>Where does it rise?</h2><p>{PROSE}</p>
<figure><img src=x><figcaption>A ship on the river, seen from above</figcaption></figure>
<ol><li>First town is Dresden.</li><li>Second town is Hamburg.</li></ol>
<table><tr><th>Town</th><th>People</th></tr><tr><td>Dresden</td><td>563,000</td></tr></table>
<h3>Who lives there?</h3><p>{PROSE}</p><p>Advertisement</p><pre>x = 1
y = 2</pre><p>{PROSE}</p></article></main>
<section class=comments><p>I was there last year and I liked it very much, said a reader.</p></section>
<footer>Imprint and terms</footer></body></html>"""


def text_of(html: str, extraction: Extraction, min_words: int = 10) -> str:
    return main_text(html, HTMLTree.parse(html), extraction, min_words=min_words)


@pytest.mark.parametrize("extraction", SETTINGS)
def test_paragraphs_and_headings_stand_alone(extraction: Extraction) -> None:
    paragraphs = text_of(PAGE, extraction).split("\n\n")
    assert paragraphs[:4] == [
        "The Elbe", f"{PROSE} {PROSE} It is long, see the map of it.", "Where does it rise?", PROSE,
    ]  # fmt: skip
    assert "Who lives there?" in paragraphs


@pytest.mark.parametrize("extraction", SETTINGS)
def test_lists_by_lines_cells_by_tabs(extraction: Extraction) -> None:
    text = text_of(PAGE, extraction)
    assert "First town is Dresden.\nSecond town is Hamburg." in text
    assert "Town\tPeople\nDresden\t563,000" in text
    assert "x = 1\ny = 2" in text


@pytest.mark.parametrize("extraction", SETTINGS)
@pytest.mark.parametrize("site", ["Home", "Rivers", "Imprint", "Advertisement", "said a reader", "seen from above"])
def test_what_is_not_main_text_goes(extraction: Extraction, site: str) -> None:
    assert site not in text_of(PAGE, extraction)


def test_best_keeps_a_row_of_cells_on_one_line() -> None:
    split = PAGE.replace("563,000", "<p>563,000</p><p>in 2021</p>")
    assert "Dresden\t563,000 in 2021\n" in text_of(split, "best")
    nested = PAGE.replace(
        "First town is Dresden.", "<p>First town is Dresden.</p><ul><li>Port</li><li>Market</li></ul>"
    )
    assert "First town is Dresden.\nPort\nMarket\n" in text_of(nested, "best")
    assert "Town\t\tCounty" in text_of(PAGE.replace("<th>People", "<th></th><th>County"), "best")


@pytest.mark.parametrize("extraction", SETTINGS)
def test_where_little_is_main_text_all_visible_text_is(extraction: Extraction) -> None:
    html = f"<html><body><nav>{PROSE}</nav><p>Short.</p><script>var x</script></body></html>"
    text = text_of(html, extraction, min_words=15)
    assert PROSE in text and "Short." in text and "var" not in text


@pytest.mark.parametrize("filler", ["<!-- " + "x" * MAX_BEST_CHARS + " -->", "<br>" * MAX_TAGS])
def test_large_pages_are_read_quickly(filler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr("spelangy.synth.web.main_text.bare_extraction", lambda html, **_: asked.append(len(html)))
    assert PROSE in text_of(PAGE + filler, "best") and not asked
    assert PROSE in text_of(PAGE, "best") and asked == [len(PAGE)]


@pytest.mark.parametrize("extraction", SETTINGS)
def test_offline_silent_and_the_same_again(
    extraction: Extraction, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(socket, "socket", lambda *given, **_: asked.append(given))
    first = [text_of(html, extraction) for html in (PAGE, "", "<p>x", "plain text", "<html></html>")]
    assert first == [text_of(html, extraction) for html in (PAGE, "", "<p>x", "plain text", "<html></html>")]
    assert capfd.readouterr() == ("", "") and not asked


def test_a_page_that_trafilatura_cannot_read_is_read_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RecursionError("too deep")

    monkeypatch.setattr("spelangy.synth.web.main_text.bare_extraction", fail)
    assert text_of(PAGE, "best") == text_of(PAGE, "fast")
