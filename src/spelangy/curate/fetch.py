"""Bytes from elsewhere, within limits: an input that is too large, too slow or not there costs itself and no more.

http(s) is read by httpx, every other scheme by its fsspec driver. Nothing is asked twice: a URL that fails is
quarantined with the reason, and the run goes on.
"""

import hashlib
import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import urlsplit

from spelangy.core.errors import Quarantined
from spelangy.core.hashing import ID_HEX_DIGITS

BLOCK_BYTES = 1 << 20
MAX_REDIRECTS = 10
"""Podcast enclosures pass through several counters of listeners before the file."""

SILENCE_S = 30.0
"""A server that says nothing for this long is given up. Source: ours; ten times what a loaded host takes."""


@dataclass(frozen=True, kw_only=True)
class FetchLimits:
    """What one input may cost."""

    max_bytes: int
    max_s: float


LIST_LIMITS = FetchLimits(max_bytes=64 << 20, max_s=120.0)
"""For lists, manifests and feeds, which are read while a run is planned."""


def is_remote(uri: str) -> bool:
    """Whether `uri` lies elsewhere: ``scheme://…`` of any scheme but ``file``."""
    scheme, separator, rest = uri.partition("://")
    return bool(separator and rest) and scheme.replace("+", "").isalnum() and scheme.lower() != "file"


def is_http(uri: str) -> bool:
    """Whether `uri` is one that httpx reads."""
    return uri.lower().startswith(("http://", "https://"))


def fetch(url: str, sink: IO[bytes], limits: FetchLimits) -> str:
    """Writes the bytes of `url` to `sink`; returns their content id.

    Raises:
        Quarantined: Not there, not permitted, larger or slower than `limits`, broken off, or sent elsewhere than to
            http(s).
    """
    digest = hashlib.sha256()
    started = time.monotonic()
    num_bytes = 0
    with _opened(url, limits) as blocks:
        for block in blocks:
            num_bytes += len(block)
            _check(url, "too large to fetch", num_bytes, limits.max_bytes)
            _check(url, "too slow to fetch", time.monotonic() - started, limits.max_s)
            digest.update(block)
            sink.write(block)
    if not num_bytes:
        raise Quarantined("empty file", value=0, threshold=1, detail=url)
    return digest.hexdigest()[:ID_HEX_DIGITS]


def fetch_bytes(url: str, limits: FetchLimits = LIST_LIMITS) -> bytes:
    """A small file in memory; raises as `fetch`."""
    sink = io.BytesIO()
    fetch(url, sink, limits)
    return sink.getvalue()


def _check(url: str, reason: str, value: float, threshold: float) -> None:
    if value > threshold:
        raise Quarantined(reason, value=value, threshold=threshold, detail=url)


@contextmanager
def _opened(url: str, limits: FetchLimits) -> Iterator[Iterator[bytes]]:
    if is_http(url):
        with _http(url, limits) as blocks:
            yield blocks
    else:
        with _driver(url, limits) as blocks:
            yield blocks


@contextmanager
def _http(url: str, limits: FetchLimits) -> Iterator[Iterator[bytes]]:
    import httpx  # only who names a URL waits for it

    timeout = httpx.Timeout(min(SILENCE_S, limits.max_s))
    client = httpx.Client(timeout=timeout, follow_redirects=True, max_redirects=MAX_REDIRECTS)
    # Compressed bodies would be unpacked without limit, and are not the bytes that the URL names.
    headers = {"Accept-Encoding": "identity", "User-Agent": "spelangy"}
    try:
        with client, client.stream("GET", url, headers=headers) as answer:
            _check_answer(url, answer.status_code, answer.headers, limits)
            yield answer.iter_raw()  # as it comes: collecting blocks would wait past every limit
    except httpx.TimeoutException as error:
        raise Quarantined("too slow to fetch", threshold=limits.max_s, detail=f"{url}: {error}") from error
    except (httpx.UnsupportedProtocol, httpx.TooManyRedirects) as error:
        raise Quarantined("redirect refused", detail=f"{url}: {error}") from error
    except httpx.RemoteProtocolError as error:
        raise Quarantined("fetch broke off", detail=f"{url}: {error}") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Quarantined("not reachable", detail=f"{url}: {type(error).__name__} {error}") from error


def _check_answer(url: str, status: int, headers: Any, limits: FetchLimits) -> None:
    if status in (404, 410):
        raise Quarantined("not found", value=status, detail=url)
    if status != 200:
        raise Quarantined("fetch refused", value=status, threshold=200, detail=url)
    if headers.get("content-encoding", "identity") != "identity":
        raise Quarantined("fetch refused", detail=f"{url}: sent as {headers['content-encoding']}, which was not asked")
    claimed = headers.get("content-length", "")
    if claimed.isdecimal():
        _check(url, "too large to fetch", min(int(claimed), 1 << 62), limits.max_bytes)


@contextmanager
def _driver(url: str, limits: FetchLimits) -> Iterator[Iterator[bytes]]:
    import fsspec

    try:
        fs, path = fsspec.core.url_to_fs(url)
        _check(url, "too large to fetch", fs.info(path).get("size") or 0, limits.max_bytes)
        with fs.open(path, "rb", block_size=BLOCK_BYTES) as file:
            yield iter(lambda: file.read(BLOCK_BYTES), b"")
    except Quarantined:
        raise
    except FileNotFoundError as error:
        raise Quarantined("not found", detail=url) from error
    except PermissionError as error:
        raise Quarantined("fetch refused", detail=f"{url}: {error}") from error
    except ImportError as error:
        raise Quarantined("no driver for its scheme", detail=f"{url}: {error}") from error
    except Exception as error:  # each driver has errors of its own
        raise Quarantined("not reachable", detail=f"{url}: {type(error).__name__} {error}") from error


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """One file of a listing, with what the listing says of its version."""

    url: str
    version: str


def list_remote(url: str, suffixes: tuple[str, ...]) -> list[RemoteFile]:
    """The files of a remote folder (a URL that ends in ``/``, searched for `suffixes`) or glob, sorted.

    Raises:
        Quarantined: When it cannot be listed, or nothing is there.
    """
    import fsspec

    try:
        fs, path = fsspec.core.url_to_fs(url)
        if url.endswith("/"):
            found = fs.find(path, detail=True)
            found = {name: info for name, info in found.items() if name.lower().endswith(suffixes)}
        else:
            found = {name: info for name, info in fs.glob(path, detail=True).items() if info.get("type") == "file"}
    except Exception as error:  # each driver has errors of its own
        raise Quarantined("not reachable", detail=f"{url}: {type(error).__name__} {error}") from error
    if not found:
        raise Quarantined("not found", detail=url)
    return [
        RemoteFile(url=str(fs.unstrip_protocol(name)), version=_version(info)) for name, info in sorted(found.items())
    ]


def _version(info: dict[str, Any]) -> str:
    etag = info.get("ETag") or info.get("etag") or info.get("md5Hash") or ""
    changed = info.get("LastModified") or info.get("mtime") or info.get("created") or ""
    return str(etag or f"{info.get('size', '')} {changed}").strip('"')


def url_suffix(url: str) -> str:
    """The end of a URL's path, in lower case: what its kind is told by."""
    return urlsplit(url).path.rsplit("/", 1)[-1].lower()
