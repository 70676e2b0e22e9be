"""URL lists and podcast feeds: recordings that lie elsewhere, found without reading one of them.

A list is a text file of one URL a line; empty lines and lines that begin with ``#`` say nothing. A feed is RSS or Atom;
each enclosure is a recording with what the feed says of it. A feed was written by a stranger: only its http(s)
enclosures are followed.
"""

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from spelangy.curate.fetch import is_http, is_remote
from spelangy.curate.found import FoundSource, Place, metadata_json, unreadable

MAX_URL_CHARACTERS = 8192
"""Source: what RFC 9110, 4.1 asks every implementation to support."""

_CREATIVE_COMMONS = re.compile(r"creativecommons\.org/(?:licenses/([a-z-]+)|publicdomain/(zero|mark))/(\d\.\d)")


def remote_source(url: str, version: str = "", **fields: Any) -> FoundSource:
    """A recording at `url`; `version` is what a listing says of its bytes, and is kept until its id is made."""
    return FoundSource(uri=url, place=Place(path=url, container="url", column=version), **fields)


def file_path(url: str) -> str:
    """The local path of a ``file://`` URL; anything else as it is."""
    if not url.lower().startswith("file://"):
        return url
    return unquote(urlsplit(url).path)


def url_problem(url: str) -> str:
    """Why `url` cannot be asked for; empty when it can."""
    if len(url) > MAX_URL_CHARACTERS:
        return "URL too long"
    if any(character.isspace() or not character.isprintable() for character in url):
        return "not a URL"
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # checked when it is read
    except ValueError:
        return "not a URL"
    if parts.scheme.lower() == "file":
        return "" if parts.path and parts.netloc in ("", "localhost") else "not a URL"
    return "" if is_remote(url) and parts.netloc else "not a URL"


def listed_lines(data: bytes) -> Iterator[tuple[int, str]]:
    """(line number, text) of the lines that say something."""
    text = data.decode("utf-8-sig", "backslashreplace")
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), start=1):
        said = line.strip()
        if said and not said.startswith("#"):
            yield number, said


def read_url_list(uri: str, data: bytes) -> Iterator[FoundSource]:
    """One recording a URL; a line that is none is set aside by its number."""
    for number, line in listed_lines(data):
        problem = url_problem(line)
        if problem:
            yield unreadable(f"{uri}:{number}", problem, detail=line[:200])
        elif is_remote(line):
            yield remote_source(line)
        else:
            path = file_path(line)
            yield FoundSource(uri=path, place=Place(path=path))


def looks_like_url_list(head: bytes) -> bool:
    """Whether the first line that says something is a URL."""
    first = next(listed_lines(head), None)
    return first is not None and not url_problem(first[1])


def looks_like_feed(head: bytes) -> bool:
    """Whether these are the first bytes of an RSS or Atom document."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return start.startswith((b"<rss", b"<feed", b"<rdf:rdf")) or (
        start.startswith(b"<?xml") and re.search(rb"<(rss|feed|rdf:rdf)[\s>]", start) is not None
    )


def read_feed(uri: str, data: bytes) -> Iterator[FoundSource]:
    """One recording an enclosure of an RSS or Atom feed."""
    import feedparser  # only who names a feed waits for it

    feed = feedparser.parse(data)
    if not feed.get("version"):
        yield unreadable(uri, "not a feed", detail=str(feed.get("bozo_exception", ""))[:200])
        return
    licence = _licence(feed.feed)
    for entry in feed.entries:
        for enclosure in _enclosures(entry):
            url = str(enclosure.get("href", "")).strip()
            problem = url_problem(url) or ("" if is_http(url) else "enclosure is no http URL")
            if problem:
                yield unreadable(f"{uri}#{entry.get('id', url)[:200]}", problem, detail=url[:200])
                continue
            yield remote_source(
                url,
                version=f"{enclosure.get('length', '')} {entry.get('id', '')}".strip(),
                licence=_licence(entry) or licence,
                metadata=_metadata(uri, feed.feed, entry),
            )


def _enclosures(entry: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """Enclosures that may be sound: a picture or a document says so itself."""
    kinds = ("image/", "text/", "application/pdf")
    return [found for found in entry.get("enclosures", []) if not str(found.get("type", "")).startswith(kinds)]


def _metadata(uri: str, feed: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
    published = entry.get("published_parsed") or entry.get("updated_parsed")
    return metadata_json(
        {
            "title": entry.get("title"),
            "feed": feed.get("title"),
            "feed_url": uri if is_remote(uri) else "",
            "author": entry.get("author") or feed.get("author"),
            "published": time.strftime("%Y-%m-%dT%H:%M:%SZ", published) if published else entry.get("published"),
            "guid": entry.get("id"),
            "link": entry.get("link"),
            "language": feed.get("language"),
        }
    )


def _licence(stated: Mapping[str, Any]) -> str:
    """The licence that a feed or entry states: a licence link before a Creative Commons element before its rights."""
    links = [link.get("href", "") for link in stated.get("links", []) if link.get("rel") == "license"]
    found = next((text for text in (*links, stated.get("license"), stated.get("rights")) if text), "")
    return licence_name(str(found).strip())


def licence_name(stated: str) -> str:
    """A Creative Commons address by its SPDX name (``CC-BY-SA-4.0``, ``CC0-1.0``); anything else as it is stated."""
    match = _CREATIVE_COMMONS.search(stated.lower())
    if not match:
        return stated[:500]
    kind, public, version = match.groups()
    if public:
        return f"CC0-{version}" if public == "zero" else f"CC-PDM-{version}"
    return f"CC-{kind.upper()}-{version}"
