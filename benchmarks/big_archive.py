"""What reading a large web archive costs: peak memory of the ``pages`` step and all it starts, and its pace.

Libraries that the engine loads once for all its processes are in the sum of the processes as often as there are some.
The archives are made here: pages of some templates, a sixth of each the text of an article of random words, as of pages
on the web; plain, with a gzip member a record, and as text alone. What was made is deleted.
Extraction is the fast one: memory is not its matter, and the best takes several times as long.
"""

import gzip
import os
import random
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from figure import Figure, at_most
from measure import TreeMemory, in_fresh_process
from spelangy.engine.daft_runner import RunnerSettings
from spelangy.engine.pipeline import Pipeline
from spelangy.engine.progress import StepProgress
from spelangy.store.objects import Store
from spelangy.synth.config import SynthSettings
from spelangy.synth.web.pages import pages_step

MAX_PEAK_MB = 1500
"""What a machine with 2 GB can give."""

ARCHIVE_BYTES = 1 << 30
QUICK_BYTES = 64 << 20
WORDS_A_PAGE = 900
NUM_TEMPLATES = 40
ENGLISH = tuple(
    word
    for line in (
        "the of and to in is was for that on with as it by from at are this be or which an were have not",
        "their has but one had its also been first more other two after they who time when into only over can",
        "some these between many such water light house river stone winter summer people city island garden",
        "letter window bread music history",
    )
    for word in line.split()
)
"""Words that a language identifier knows: what is not English is not kept, and costs no memory."""


def figures(quick: bool) -> Iterator[Figure]:
    """All figures of this module."""
    num_bytes = QUICK_BYTES if quick else ARCHIVE_BYTES
    for name, write in {"plain": _write_plain, "gzip": _write_gzip, "WET, gzip": _write_wet}.items():
        with TemporaryDirectory() as folder:
            suffix = "wet.gz" if "WET" in name else "warc.gz" if "gzip" in name else "warc"
            path = Path(folder) / f"big.{suffix}"
            write(path, num_bytes)
            (num_pages, seconds, shares_mb), peak_mb = in_fresh_process(_read, str(path))
            told = f"{name}, {num_bytes / 2**30:.2g} GB of pages"
            yield Figure(name=f"{told}, peak memory", value=shares_mb, unit="MB", goals=at_most([MAX_PEAK_MB]))
            yield Figure(name=f"{told}, peak, sum of processes", value=peak_mb, unit="MB")
            yield Figure(name=f"{told}, pages", value=num_pages, unit="pages")
            yield Figure(name=f"{told}, pace", value=num_pages / seconds, unit="pages/s")


def _read(path: str) -> tuple[int, float, float]:
    """Runs in a fresh process: pages, seconds, peak memory of it and of all it starts, what they share counted once."""
    with TemporaryDirectory() as folder, TreeMemory(os.getpid(), shares=True) as memory:
        store = Store(f"{folder}/store")
        pipeline = Pipeline("big", [pages_step(SynthSettings(pages=(path,), extraction="fast"))])
        started = time.perf_counter()
        finished = pipeline.run(store, RunnerSettings(), StepProgress(quiet=True))["pages"]
        seconds = time.perf_counter() - started
        return store.table(finished.stored.key, "pages").num_rows, seconds, memory.peak_mb


def _write_plain(path: Path, num_bytes: int) -> None:
    _write(path, num_bytes, lambda number: _record(number, _http(_html(number))), lambda data: data)


def _write_gzip(path: Path, num_bytes: int) -> None:
    _write(path, num_bytes, lambda number: _record(number, _http(_html(number))), _packed)


def _write_wet(path: Path, num_bytes: int) -> None:
    """A tenth as many bytes: text alone is dense."""
    _write(path, num_bytes // 10, lambda number: _record(number, _article(number).encode(), is_text=True), _packed)


def _write(path: Path, num_bytes: int, make: Callable[[int], bytes], pack: Callable[[bytes], bytes]) -> None:
    number = written = 0
    with path.open("wb") as file:
        while written < num_bytes:
            record = make(number)
            written, number = written + len(record), number + 1
            file.write(pack(record))


def _packed(data: bytes) -> bytes:
    return gzip.compress(data, compresslevel=1, mtime=0)


def _record(number: int, block: bytes, *, is_text: bool = False) -> bytes:
    kind, content = ("conversion", "text/plain") if is_text else ("response", "application/http; msgtype=response")
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: http://big.org/{number}\r\n"
        f"Content-Type: {content}\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


def _http(html: str) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + html.encode()


def _article(number: int) -> str:
    draw = random.Random(number)
    words = draw.choices(ENGLISH, k=WORDS_A_PAGE)
    lines = [" ".join(words[at : at + 14]).capitalize() + "." for at in range(0, WORDS_A_PAGE, 14)]
    return "\n".join(" ".join(lines[at : at + 5]) for at in range(0, len(lines), 5))


def _html(number: int) -> str:
    """A page of about 28 kB, a sixth of it text."""
    head, foot = _template(number % NUM_TEMPLATES)
    paragraphs = "".join(f"<p>{line}</p>\n" for line in _article(number).split("\n"))
    return f"{head}<main><article><h1>Page {number}</h1>{paragraphs}</article></main>{foot}"


@cache
def _template(number: int) -> tuple[str, str]:
    draw = random.Random(-number - 1)
    colours = [(draw.randrange(10**6), draw.randrange(99), draw.randrange(10**6)) for _ in range(300)]
    style = "".join(f".c{name}{{margin:{margin}px;color:#{colour}}}\n" for name, margin, colour in colours)
    targets = [(draw.randrange(10**9), draw.choice(ENGLISH)) for _ in range(200)]
    links = [f'<li class="n"><a href="/{target}" title="go">{word}</a></li>\n' for target, word in targets]
    head = f"<!doctype html><html lang=en><head><title>Big</title><style>{style}</style></head><body>"
    return (
        f"{head}<nav><ul>{''.join(links)}</ul></nav>",
        f"<footer><ul>{''.join(links[:50])}</ul></footer></body></html>",
    )
