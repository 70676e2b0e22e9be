"""Fetching: what a server does wrong costs its own input, within limits, and with the reason."""

import io
import time
from pathlib import Path
from uuid import uuid4

import fsspec
import pytest
import serving

from spelangy.core.errors import Quarantined
from spelangy.core.hashing import digest_bytes
from spelangy.curate.fetch import FetchLimits, fetch, fetch_bytes, is_remote, list_remote

LIMITS = FetchLimits(max_bytes=1_000_000, max_s=20.0)


def refusal(url: str, limits: FetchLimits = LIMITS) -> Quarantined:
    with pytest.raises(Quarantined) as caught:
        fetch(url, io.BytesIO(), limits)
    assert url in caught.value.detail
    return caught.value


def refusal_of(answer: serving.Answer, limits: FetchLimits = LIMITS) -> Quarantined:
    with serving.serving({"/a": answer}) as served:
        refused = refusal(f"{served.url}/a", limits)
        assert served.asked == ["/a"], "nothing is asked twice"
    return refused


def test_bytes_come_as_they_are_with_their_id() -> None:
    data = bytes(range(256)) * 2_000
    with serving.serving({"/a": serving.body(data)}) as served:
        sink = io.BytesIO()
        assert fetch(f"{served.url}/a", sink, LIMITS) == digest_bytes(data)[:32]
    assert sink.getvalue() == data


def test_redirects_are_followed_to_http() -> None:
    with serving.serving({"/a": serving.status(302, Location="/b"), "/b": serving.body(b"x")}) as served:
        assert fetch_bytes(f"{served.url}/a") == b"x"


@pytest.mark.parametrize("place", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/x"])
def test_redirects_elsewhere_are_refused(place: str) -> None:
    assert refusal_of(serving.status(302, Location=place)).reason == "redirect refused"


def test_redirects_in_a_circle_end() -> None:
    with serving.serving({"/a": serving.status(302, Location="/a")}) as served:
        assert refusal(f"{served.url}/a").reason == "redirect refused"
        assert len(served.asked) < 20


@pytest.mark.parametrize(
    ("code", "reason"),
    [(404, "not found"), (410, "not found"), (403, "fetch refused"), (500, "fetch refused"), (206, "fetch refused")],
)
def test_the_server_says_no(code: int, reason: str) -> None:
    refused = refusal_of(serving.status(code))
    assert (refused.reason, refused.value) == (reason, code)


def test_a_body_that_ends_early() -> None:
    assert refusal_of(serving.claiming(1000, b"half")).reason == "fetch broke off"


def test_an_empty_body() -> None:
    assert refusal_of(serving.body(b"")).reason == "empty file"


def test_a_huge_length_is_refused_before_a_byte_is_read() -> None:
    refused = refusal_of(serving.claiming(10**15, b"x"))
    assert (refused.reason, refused.value, refused.threshold) == ("too large to fetch", 1e15, 1e6)
    assert refusal_of(serving.claiming(10**60, b"x")).reason in ("too large to fetch", "fetch broke off")


def test_an_endless_body_is_read_to_the_limit() -> None:
    with serving.serving({"/a": serving.endless}) as served:
        sink = io.BytesIO()
        with pytest.raises(Quarantined, match="too large to fetch"):
            fetch(f"{served.url}/a", sink, LIMITS)
    assert len(sink.getvalue()) <= LIMITS.max_bytes


def test_a_compressed_body_is_not_unpacked() -> None:
    assert refusal_of(serving.body(b"x" * 10, Content_Encoding="gzip")).reason == "fetch refused"


@pytest.mark.parametrize("every_s", [0.05, 5.0])
def test_a_slow_server_is_given_up(every_s: float) -> None:
    started = time.monotonic()
    with serving.serving({"/a": serving.dripping(b"x" * 1000, every_s)}) as served:
        refused = refusal(f"{served.url}/a", FetchLimits(max_bytes=1_000_000, max_s=0.4))
    assert (refused.reason, refused.threshold) == ("too slow to fetch", 0.4)
    assert time.monotonic() - started < 4.0


def test_nobody_there() -> None:
    with serving.serving({}) as served:
        pass
    assert refusal(f"{served.url}/a").reason == "not reachable"


def test_other_schemes_are_read_by_their_driver() -> None:
    place = f"memory://{uuid4().hex}"
    with fsspec.open(f"{place}/a.wav", "wb") as file:
        file.write(b"sound")
    sink = io.BytesIO()
    assert fetch(f"{place}/a.wav", sink, LIMITS) == digest_bytes(b"sound")[:32]
    assert sink.getvalue() == b"sound"
    assert refusal(f"{place}/none.wav").reason == "not found"
    assert refusal(f"{place}/a.wav", FetchLimits(max_bytes=4, max_s=9.0)).reason == "too large to fetch"
    assert refusal("noscheme77://bucket/a").reason in ("no driver for its scheme", "not reachable")


def test_a_remote_folder_and_a_glob_are_listed_with_versions() -> None:
    place = f"memory://{uuid4().hex}"
    for name in ("b/2.wav", "b/1.wav", "b/notes.txt"):
        with fsspec.open(f"{place}/{name}", "wb") as file:
            file.write(name.encode())
    for url in (f"{place}/b/", f"{place}/b/*.wav"):
        listed = list_remote(url, (".wav",))
        assert [file.url.rpartition("/")[2] for file in listed] == ["1.wav", "2.wav"]
        assert all(file.version for file in listed)
    with pytest.raises(Quarantined, match="not found"):
        list_remote(f"{place}/none/", (".wav",))


@pytest.mark.parametrize(
    ("uri", "remote"),
    [
        ("https://a/b", True),
        ("s3://a/b", True),
        ("file:///a", False),
        ("/a/b", False),
        ("package:x/y", False),
        ("://a", False),
        ("C://", False),
    ],
)
def test_what_lies_elsewhere(uri: str, remote: bool) -> None:
    assert is_remote(uri) == remote


def test_an_object_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S3's own protocol, against moto's server on loopback."""
    moto_server = pytest.importorskip("moto.server")
    boto3 = pytest.importorskip("boto3")
    pytest.importorskip("s3fs")
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, value)
        client = boto3.client("s3")
        client.create_bucket(Bucket="talks")
        client.put_object(Bucket="talks", Key="a/1.wav", Body=b"sound")
        (listed,) = list_remote("s3://talks/a/", (".wav",))
        assert listed.url == "s3://talks/a/1.wav"
        assert fetch_bytes(listed.url) == b"sound"
        client.put_object(Bucket="talks", Key="a/1.wav", Body=b"other")
        fsspec.filesystem("s3").invalidate_cache()
        (changed,) = list_remote("s3://talks/a/", (".wav",))
        assert changed.version != listed.version
        assert refusal("s3://talks/none.wav").reason == "not found"
    finally:
        server.stop()
