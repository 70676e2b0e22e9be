"""URL lists and feeds: what they name is found without asking for it, and what they say travels along."""

import json
from pathlib import Path

import pytest
import serving
from hypothesis import given
from hypothesis import strategies as st

from spelangy.core.errors import UserError
from spelangy.curate.config import AudioSource
from spelangy.curate.found import MAX_METADATA_BYTES, FoundSource, metadata_json
from spelangy.curate.sources import find_sources
from spelangy.curate.sources_urls import (
    licence_name,
    listed_lines,
    looks_like_feed,
    looks_like_url_list,
    read_feed,
    read_url_list,
    url_problem,
)

RSS = """<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0" xmlns:cc="http://backend.userland.com/creativeCommonsRssModule" xmlns:atom="http://www.w3.org/2005/Atom">
<channel><title>Rivers &amp; Roads</title><link>https://rivers.example/</link><language>en-gb</language>
{channel}
<item><title>The Mill</title><guid isPermaLink="false">mill-1</guid><link>https://rivers.example/mill</link>
<pubDate>Tue, 05 Mar 2024 10:00:00 +0100</pubDate>
<enclosure url="{base}/mill.mp3" length="1234" type="audio/mpeg"/>{item}</item>
<item><title>No sound</title><guid>text-1</guid></item>
<item><title>A picture</title><enclosure url="{base}/cover.jpg" length="1" type="image/jpeg"/></item>
</channel></rss>"""

ATOM = """<feed xmlns="http://www.w3.org/2005/Atom"><title>Atoms</title><id>urn:f</id>
<rights>Public domain</rights>
<entry><title>One</title><id>urn:1</id><updated>2024-01-02T03:04:05Z</updated>
<link rel="enclosure" href="https://a.example/1.ogg" type="audio/ogg" length="9"/></entry></feed>"""


def rss(base: str = "https://rivers.example", channel: str = "", item: str = "") -> bytes:
    return RSS.format(base=base, channel=channel, item=item).encode()


def found(*uris: object, **fields: str) -> list[FoundSource]:
    return find_sources([AudioSource.model_validate({"uris": [str(uri) for uri in uris], **fields})])


# --------------------------------------------------------------------------------------------------------- URL lists


def test_a_list_names_urls_a_line_each(tmp_path: Path) -> None:
    (tmp_path / "here.wav").write_bytes(b"sound")
    path = tmp_path / "urls.txt"
    path.write_bytes(
        b"\xef\xbb\xbf# talks\r\n\r\nhttps://a.example/1.mp3?x=1&y=2\r\n  s3://bucket/2.flac  \n"
        + f"file://{tmp_path}/here.wav\nhttps://a.example/1.mp3?x=1&y=2\nno url\n".encode()
    )
    by_uri = {entry.uri: entry for entry in found(path)}
    assert by_uri.keys() == {
        "https://a.example/1.mp3?x=1&y=2",
        "s3://bucket/2.flac",
        f"{tmp_path}/here.wav",
        f"{path}:7",
    }
    assert by_uri[f"{path}:7"].problem == "not a URL"
    assert by_uri["s3://bucket/2.flac"].place.container == "url"
    assert by_uri[f"{tmp_path}/here.wav"].id == found(tmp_path / "here.wav")[0].id


def test_what_is_said_to_be_a_list_is_read_as_one(tmp_path: Path) -> None:
    path = tmp_path / "names"
    path.write_text("https://a.example/1.mp3\n")
    assert found(path)[0].uri == str(path)
    assert found(path, kind="urls")[0].uri == "https://a.example/1.mp3"


def test_urls_are_named_outright_and_nothing_is_asked() -> None:
    with serving.serving({}) as served:
        (entry,) = found(f"{served.url}/a.mp3")
        assert (entry.uri, entry.place.container, served.asked) == (f"{served.url}/a.mp3", "url", [])
        assert entry.id != found(f"{served.url}/b.mp3")[0].id


def test_a_list_elsewhere_is_read_while_listing() -> None:
    with serving.serving({"/list.txt": serving.body(b"https://a.example/1.mp3\n")}) as served:
        assert [entry.uri for entry in found(f"{served.url}/list.txt")] == ["https://a.example/1.mp3"]
        (gone,) = found(f"{served.url}/gone.txt")
        assert (gone.uri, gone.problem) == (f"{served.url}/gone.txt", "not found")


@pytest.mark.parametrize(
    "line",
    ["https://", "http:///a.mp3", "a.mp3", "://x/y", "https://a b/c", "https://a/\x00", "http://[::1/x", "http://a:99999/x",
     "javascript:alert(1)", "file://elsewhere/etc/passwd", "https://a/" + "x" * 9000],
)  # fmt: skip
def test_what_is_no_url(line: str) -> None:
    assert url_problem(line)


@given(st.binary(max_size=300))
def test_no_list_breaks_the_reader_and_every_line_is_accounted_for(data: bytes) -> None:
    entries = list(read_url_list("list", data))
    assert len(entries) == len(list(listed_lines(data)))
    assert looks_like_url_list(data) in (True, False)
    for entry in entries:
        assert entry.problem or entry.place.path
        entry.uri.encode()


@given(st.lists(st.sampled_from(["https://a.example/x.mp3", "s3://b/k.wav", "# note", "", "   ", "words here"])))
def test_lines_are_read_whatever_ends_them(lines: list[str]) -> None:
    uris = [[entry.uri for entry in read_url_list("l", end.join(lines).encode())] for end in ("\n", "\r\n", "\r")]
    assert uris[0] == uris[1] == uris[2]


# ------------------------------------------------------------------------------------------------------------- feeds


def test_an_enclosure_is_a_recording_with_what_the_feed_says(tmp_path: Path) -> None:
    (tmp_path / "feed.xml").write_bytes(rss())
    (entry,) = found(tmp_path / "feed.xml", licence="unknown")
    assert (entry.uri, entry.place.container, entry.licence) == ("https://rivers.example/mill.mp3", "url", "unknown")
    assert json.loads(entry.metadata) == {
        "feed": "Rivers & Roads",
        "guid": "mill-1",
        "language": "en-gb",
        "link": "https://rivers.example/mill",
        "published": "2024-03-05T09:00:00Z",
        "title": "The Mill",
    }


def test_an_atom_feed_of_any_name(tmp_path: Path) -> None:
    (tmp_path / "talks").write_text(ATOM)
    (entry,) = found(tmp_path / "talks")
    assert (entry.uri, entry.licence) == ("https://a.example/1.ogg", "Public domain")
    assert json.loads(entry.metadata)["published"] == "2024-01-02T03:04:05Z"


@pytest.mark.parametrize(
    ("channel", "item", "licence"),
    [
        ("<copyright>© 2024 Rivers</copyright>", "", "© 2024 Rivers"),
        ("<cc:license>https://creativecommons.org/licenses/by-nc/4.0/</cc:license>", "", "CC-BY-NC-4.0"),
        (
            "<copyright>© 2024</copyright>",
            "<cc:license>http://creativecommons.org/publicdomain/zero/1.0/</cc:license>",
            "CC0-1.0",
        ),
        ('<atom:link rel="license" href="https://creativecommons.org/licenses/by-sa/3.0/de/"/>', "", "CC-BY-SA-3.0"),
    ],
)
def test_the_licence_is_the_one_stated_nearest(tmp_path: Path, channel: str, item: str, licence: str) -> None:
    (tmp_path / "feed.rss").write_bytes(rss(channel=channel, item=item))
    assert found(tmp_path / "feed.rss", licence="unknown")[0].licence == licence


def test_a_licence_that_is_no_creative_commons_address_is_kept_as_it_is() -> None:
    assert licence_name("Crown copyright") == "Crown copyright"
    assert licence_name("https://creativecommons.org/publicdomain/mark/1.0/") == "CC-PDM-1.0"


def test_a_feed_by_its_url_is_read_and_its_sound_is_not() -> None:
    with serving.serving({"/feed.xml": serving.body(rss()), "/show": serving.body(rss())}) as served:
        (entry,) = found(f"{served.url}/feed.xml")
        assert json.loads(entry.metadata)["feed_url"] == f"{served.url}/feed.xml"
        (same,) = found(f"{served.url}/show", kind="feed")
        assert same.uri == entry.uri
        assert served.asked == ["/feed.xml", "/show"]


@pytest.mark.parametrize("base", ["file:///etc", "/etc", "ftp://a.example", "javascript:x", "s3://private"])
def test_a_feed_leads_to_http_and_nowhere_else(tmp_path: Path, base: str) -> None:
    (tmp_path / "feed.xml").write_bytes(rss(base))
    (entry,) = found(tmp_path / "feed.xml")
    assert entry.problem in ("not a URL", "enclosure is no http URL")


@pytest.mark.parametrize("text", ["", "<html><body>not found</body></html>", "<?xml version='1.0'?><a/>", "\0\0"])
def test_what_is_no_feed_is_set_aside(tmp_path: Path, text: str) -> None:
    (tmp_path / "feed").write_text(text)
    (entry,) = found(tmp_path / "feed", kind="feed")
    assert (entry.problem, entry.uri) == ("not a feed", str(tmp_path / "feed"))


@pytest.mark.timeout(20)
def test_a_feed_that_multiplies_itself_or_includes_files_does_neither(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret words")
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    bomb = f'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY e0 "ha">{entities}]><rss version="2.0"><channel><title>&e11;'
    outside = (
        f'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY x SYSTEM "file://{tmp_path}/secret">]>'
        + rss(channel="<copyright>&x;</copyright>").decode().partition("?>")[2]
    )
    for data in (bomb.encode(), outside.encode()):
        entries = list(read_feed("f", data))
        assert "secret words" not in repr(entries)
        assert len(repr(entries)) < 10_000


def test_feeds_are_told_by_their_first_bytes() -> None:
    assert looks_like_feed(rss()) and looks_like_feed(ATOM.encode()) and looks_like_feed(b"\xef\xbb\xbf\n<rss>")
    assert not looks_like_feed(b"<?xml version='1.0'?><html>") and not looks_like_feed(b"ID3")


# --------------------------------------------------------------------------------------------------------- metadata


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3000),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=50), JSON, max_size=30))
def test_metadata_is_small_canonical_and_says_what_it_lacks(fields: dict[str, object]) -> None:
    fields.pop("left_out", None)
    text = metadata_json(fields)
    kept = json.loads(text)
    left_out = kept.pop("left_out", [])
    assert len(text.encode()) <= MAX_METADATA_BYTES + 20 * 200
    assert all(kept[name] == fields[name] for name in kept)
    empty = [name for name, value in fields.items() if value in (None, "", [], {})]
    assert len(kept) + len(left_out) + len(empty) >= min(len(fields), 20) or any(
        not name.isprintable() for name in fields
    )


def test_json_of_no_known_kind_is_refused_with_what_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "odd.jsonl").write_text('{"file": "a.wav"}\n')
    with pytest.raises(UserError) as caught:
        found(tmp_path / "odd.jsonl")
    assert "odd.jsonl" in caught.value.message and "nemo" in caught.value.hint
    with pytest.raises(UserError, match="manifest"):
        found("https://a.example/m.jsonl")
