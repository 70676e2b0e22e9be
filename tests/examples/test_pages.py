import gzip
import io
import json
import runpy
from functools import cache
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.parse.html import HTMLTree

from spelangy.core.errors import UserError

EXAMPLES = Path(__file__).parents[2] / "examples"
PAGES = sorted((EXAMPLES / "pages").glob("*.html"))
BUILDER = runpy.run_path(str(EXAMPLES / "build_warc.py"))
CC0 = "https://creativecommons.org/publicdomain/zero/1.0/"

every_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)


@cache
def document(path):
    return HTMLTree.parse(path.read_text(encoding="utf-8")).document


def href(path, relation):
    return document(path).query_selector(f'link[rel="{relation}"]')["href"]


def prose(path):
    """The article's paragraphs and list items; an answer in a heading or a table is not said in a sentence."""
    return " ".join(
        " ".join(element.text for element in document(path).query_selector_all("article p, article li")).split()
    )


def questions(path):
    faq = json.loads(document(path).query_selector('script[type="application/ld+json"]').text)
    assert faq["@type"] == "FAQPage"
    return [(entry["name"], entry["acceptedAnswer"]["text"]) for entry in faq["mainEntity"]]


def test_there_are_thirty_pages_each_with_an_address_of_its_own():
    assert len(PAGES) == 30
    assert len({href(path, "canonical") for path in PAGES}) == 30


@every_page
def test_page_states_language_title_and_licence(path):
    assert document(path).query_selector("html")["lang"] == "en"
    assert document(path).query_selector("title").text.strip()
    assert href(path, "license") == CC0


@every_page
def test_page_has_one_heading_sections_and_a_section_that_asks(path):
    sections = [heading.text for heading in document(path).query_selector_all("article h2")]
    assert len(document(path).query_selector_all("article h1")) == 1
    assert 2 <= len(sections) <= 3
    assert any(heading.endswith("?") for heading in sections)
    assert 170 <= len(prose(path).split()) <= 260


@every_page
def test_answers_are_short_and_said_in_the_article(path):
    text = prose(path).casefold()
    assert len(questions(path)) in (7, 8)
    for question, answer in questions(path):
        assert question.endswith("?")
        assert 1 <= len(answer.split()) <= 4
        assert answer.casefold() in text, answer


def test_no_question_is_asked_twice():
    asked = [question.casefold() for path in PAGES for question, _ in questions(path)]
    assert len(asked) == len(set(asked))


def test_archive_is_up_to_date_with_the_pages():
    # The records, not the gzip bytes: those also depend on the zlib that Python was linked with.
    committed = (EXAMPLES / "pages.warc.gz").read_bytes()
    assert gzip.decompress(committed) == gzip.decompress(BUILDER["build_archive"]()), "run examples/build_warc.py"
    assert len(committed) < 150_000


def test_two_builds_give_the_same_bytes():
    assert BUILDER["build_archive"]() == BUILDER["build_archive"]()


def test_archive_reads_back_as_the_pages_one_gzip_member_a_record():
    data = (EXAMPLES / "pages.warc.gz").read_bytes()
    info, *responses = [
        (record.record_type, record.headers.get("WARC-Target-URI"), record.stream_pos, record.reader.read())
        for record in ArchiveIterator(io.BytesIO(data), parse_http=True, verify_digests=True)
    ]
    assert info[0] == WarcRecordType.warcinfo
    assert [uri for _, uri, _, _ in responses] == [href(path, "canonical") for path in PAGES]
    assert [html for _, _, _, html in responses] == [path.read_bytes() for path in PAGES]
    assert {data[position : position + 3] for _, _, position, _ in responses} == {b"\x1f\x8b\x08"}
    assert {data[position + 4 : position + 8] for _, _, position, _ in responses} == {bytes(4)}, "mtime"


def test_page_without_an_address_is_refused(tmp_path):
    (tmp_path / "page.html").write_text("<title>No address</title>")
    with pytest.raises(UserError, match=r"page\.html names no address"):
        BUILDER["build_archive"](tmp_path)


def test_folder_without_pages_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no \*\.html"):
        BUILDER["build_archive"](tmp_path)
