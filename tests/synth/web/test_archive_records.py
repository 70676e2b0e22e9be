"""Ranges of an archive together give what the whole archive gives, however records lie in it and whatever they hold."""

import mmap
import tempfile
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from web_archives import PAGE, http, packed, record

from spelangy.synth.web.archive_records import Break, read_range
from spelangy.synth.web.ranges import Range, ranges_of

NESTED = record(http(PAGE), uri="http://nested.org/")

BODIES = st.sampled_from(
    [
        b"",
        b"<p>short</p>",
        b"WARC/1.0\r\nWARC-Type: response\r\n",
        b"the text WARC/1.0 and WARC/1.1\r\n" * 3,
        NESTED,
        packed(NESTED),
        packed(NESTED) * 3,
        b"\x1f\x8b\x08" * 20,
        b"\x1f\x8b\x08\x00" + bytes(40),
        b"<p>long</p>" * 200,
    ]
)
DAMAGE = st.sampled_from(["none"] * 6 + ["flip", "cut", "length", "junk"])


def damaged(one: bytes, damage: str, at: float) -> bytes:
    """A record or a gzip member with something wrong about it."""
    position = int(at * (len(one) - 1))
    if damage == "flip":
        return one[:position] + bytes([one[position] ^ 0x5A]) + one[position + 1 :]
    if damage == "cut":
        return one[:position]
    return b"no record at all\r\n" + one if damage == "junk" else one


@st.composite
def archives(draw: st.DrawFn) -> bytes:
    """Archives of some records: plain, a member each, some members for several, in one piece, cut anywhere."""
    bodies = draw(st.lists(BODIES, min_size=1, max_size=8))
    damages = draw(st.lists(st.tuples(DAMAGE, st.floats(0, 1)), min_size=len(bodies), max_size=len(bodies)))
    records = [
        record(http(body), uri=f"http://x.org/{number}", length=7 if damage == "length" else None)
        for number, (body, (damage, _)) in enumerate(zip(bodies, damages, strict=True))
    ]
    layout = draw(st.sampled_from(["plain", "members", "stored", "one piece", "blocks", "mixed"]))
    if layout == "one piece":
        pieces = [packed(b"".join(records))]
    elif layout == "blocks":
        whole, size = b"".join(records), draw(st.integers(50, 500))
        pieces = [packed(whole[at : at + size]) for at in range(0, len(whole), size)]
    elif layout == "mixed":
        pieces = [*map(packed, records[:4]), packed(b"".join(records[4:]))]
    else:
        pieces = records if layout == "plain" else [packed(one, 0 if layout == "stored" else 6) for one in records]
    return b"".join(
        damaged(piece, *damages[number]) if number < len(damages) else piece for number, piece in enumerate(pieces)
    )


def read(data: bytes, ranges: Sequence[Range]) -> list[list[tuple[int, str]]]:
    """(place, uri) of the records of each range; the uri of a break is empty."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data or b" ")
        file.flush()
        with open(file.name, "rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as mapped:  # noqa: PTH123
            return [
                [
                    (found.place, "" if isinstance(found, Break) else str(found.record.headers.get("WARC-Target-URI")))
                    for found in read_range(opened, mapped, wanted)
                ]
                for wanted in ranges
            ]


@given(data=archives(), size=st.integers(1, 3000))
def test_ranges_together_give_the_whole(data: bytes, size: int) -> None:
    (whole,) = read(data, [Range(begin=0, stop=max(1, len(data)))])
    ranges = ranges_of(max(1, len(data)), max(size, len(data) // 20))
    parts = read(data, ranges)
    assert [found for part in parts for found in part] == whole
    for wanted, part in zip(ranges, parts, strict=True):
        assert all(place in wanted for place, _ in part)


@given(bodies=st.lists(BODIES, min_size=1, max_size=8), is_packed=st.booleans(), cut=st.floats(0, 1))
def test_a_sound_archive_loses_nothing_and_gains_nothing(bodies: list[bytes], is_packed: bool, cut: float) -> None:
    pieces = [record(http(body), uri=f"http://x.org/{number}") for number, body in enumerate(bodies)]
    data = b"".join([packed(piece, 0) for piece in pieces] if is_packed else pieces)
    begins = [0, int(cut * len(data)), len(data)]
    parts = read(data, [Range(begin=begin, stop=stop) for begin, stop in pairwise(begins)])
    assert [uri for part in parts for _, uri in part] == [f"http://x.org/{number}" for number in range(len(bodies))]


@pytest.mark.parametrize("is_packed", [False, True])
def test_looking_back_is_what_keeps_a_range_out_of_a_nested_archive(is_packed: bool) -> None:
    """Without it, a range that begins within a body takes the records in it for the archive's own."""
    body = (packed(NESTED) if is_packed else NESTED) * 5
    pieces = [record(http(body), uri="http://outer.org/1"), record(http(PAGE), uri="http://outer.org/2")]
    data = b"".join([packed(piece, 0) for piece in pieces] if is_packed else pieces)
    wanted = Range(begin=len(data) // 3, stop=len(data))
    assert [uri for _, uri in read(data, [wanted])[0]] == ["http://outer.org/2"]
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            blind = list(read_range(file, mapped, wanted, look_back=0))  # type: ignore[arg-type]
    assert len(blind) > 1


def test_a_member_that_unpacks_to_far_more_than_it_is_costs_that_member(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spelangy.synth.web.unpacked.MIN_UNPACKED_BYTES", 1 << 20)
    bomb = packed(record(bytes(8 << 20), uri="http://bomb.org/"))
    data = packed(record(http(PAGE), uri="http://x.org/1")) + bomb + packed(record(http(PAGE), uri="http://x.org/2"))
    (found,) = read(data, [Range(begin=0, stop=len(data))])
    assert [uri for _, uri in found] == ["http://x.org/1", "http://bomb.org/", "", "http://x.org/2"]
