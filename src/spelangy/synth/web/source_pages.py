"""What a page is before its main text is looked for, whichever kind of file it comes from.

    WARC · WET · HTML · JSONL · Parquet ──readers──> SourcePage ──checks, extraction──> Page
                                            └──────> Dropped(reason, value, threshold, detail)

Nothing in these files is trusted: what is too long is never loaded, what is broken is counted and passed by.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from spelangy.core.errors import Dropped
from spelangy.core.hashing import canonical_json

MAX_RECORD_BYTES = 8 << 20
"""Longest record, line, cell or file that is read as one page. Source: Common Crawl cuts bodies at 1 MiB (5 MiB since
2025); longer ones are rarely pages."""

MAX_FIELD_CHARS = 500
"""What a title, a licence or a date may be long; the rest is cut off."""

Admit = Callable[[str], None]
"""Raises `Dropped` for a uri whose page is not to be read; asked before anything of the page is decoded."""

ARCHIVE, OFFSET, ROW, DATE = "archive", "offset", "row", "date"
"""Keys of a page's metadata: the file it comes from as the recipe names it; its first byte there, or its row; when it
was fetched, as the file says."""


def admit_all(uri: str) -> None:
    """Lets every uri pass."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourcePage:
    """One page as a file holds it, decoded; nothing in it has been executed or fetched.

    Attributes:
        html: Its mark-up; empty where the file holds only `text`.
        language: ISO 639 codes, as the file says; empty where it does not.
        metadata: Where it comes from; see `ARCHIVE`.
    """

    uri: str
    html: str = ""
    text: str = ""
    title: str = ""
    licence: str = ""
    language: str = ""
    metadata: Mapping[str, str | int] = field(default_factory=dict)

    @property
    def metadata_json(self) -> str:
        """`metadata` as canonical JSON."""
        return canonical_json(dict(self.metadata))


def located(dropped: Dropped, place: str) -> Dropped:
    """`dropped` with the place that it was found at before its detail."""
    dropped.detail = f"{place} {dropped.detail}".strip()
    return dropped


@contextmanager
def parser_panics() -> Iterator[None]:
    """What a library in Rust raises where it finds itself broken, which is no `Exception`, as a `Dropped`.

    Raises:
        Dropped: ``"parser broke"``.
    """
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # the class cannot be imported: every library has its own
            raise
        raise Dropped("parser broke", detail=str(error)[:MAX_FIELD_CHARS]) from error


def one_line(text: str) -> str:
    """A short field as tables can hold it: no runs of white space, no halves of surrogate pairs, cut to length."""
    return " ".join(plain(text[: 4 * MAX_FIELD_CHARS]).split())[:MAX_FIELD_CHARS]


def plain(text: str) -> str:
    """`text` as tables can hold it: without NUL; halves of surrogate pairs, which JSON can spell, become U+FFFD."""
    text = text.replace("\x00", "") if "\x00" in text else text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
