"""Archives made byte by byte, so that each kind of damage is known exactly."""

import base64
import gzip
import hashlib

PAGE = b"<html><body><p>A page.</p></body></html>"


def http(body: bytes, *, status: bytes = b"200 OK", kind: bytes = b"text/html", more: bytes = b"") -> bytes:
    """An HTTP response."""
    return b"HTTP/1.1 " + status + b"\r\nContent-Type: " + kind + b"\r\n" + more + b"\r\n" + body


def record(
    block: bytes,
    *,
    uri: str = "http://x.org/",
    digest: str | None = None,
    length: int | None = None,
    kind: str = "response",
    more: str = "",
) -> bytes:
    """A WARC record with its digest, and the two empty lines after it."""
    digest = digest or "sha1:" + base64.b32encode(hashlib.sha1(block).digest()).decode()
    length = len(block) if length is None else length
    content = "text/plain" if kind == "conversion" else "application/http; msgtype=response"
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nContent-Type: {content}\r\nWARC-Target-URI: {uri}\r\n"
        f"WARC-Block-Digest: {digest}\r\n{more}Content-Length: {length}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


def packed(data: bytes, level: int = 6) -> bytes:
    """One gzip member, the same bytes each time."""
    return gzip.compress(data, level, mtime=0)
