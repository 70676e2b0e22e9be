"""Questions with answers from the files that question sets come in, plain or gzip.

    JSONL            question, query, qText, prompt or context ("Question: … Answer:"); answer(s); aliases; choices
    JSON             one list of such objects
    TSV with a head  the same names, one column each

Names are read in any case. The right one of several choices is said by its text, place (from 0) or letter.
"""

import csv
import gzip
import io
import math
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spelangy.core.errors import Dropped, UserError
from spelangy.store.exchange.reading import MAX_DOCUMENT_BYTES, parse_json, parse_object

MAX_QUESTIONS = 5_000_000
MAX_LINE_CHARS = 1 << 20
MAX_FILE_CHARS = 1 << 30
"""Unpacked; larger than any set of questions, small enough that a bomb ends and what was read is held."""

_QUESTION = ("question", "questions", "query", "qtext", "prompt", "context", "text")
_ANSWER = ("answer", "answers", "gold", "answerkey", "target", "label")
_CHOICES = ("choices", "options")
_NESTED = ("value", "text", "aliases")
"""Where the texts are of an answer, or of choices, that is an object."""
_WRAPPED = re.compile(r"^\s*question:\s*(.*?)\s*answer:\s*$", re.IGNORECASE | re.DOTALL)
_QUOTED = re.compile(r'"((?:[^"]|"")*)"', re.DOTALL)
_LETTER = re.compile(r"[A-Z]")
_HEAD_CHARS = 4_096

Rows = Iterator[tuple[str, Mapping[str, Any]]]
"""(place, fields by name) of each row."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AskedQuestion:
    """One question of a set.

    Attributes:
        answers: Accepted answers, the preferred one first; empty where the file gives none.
        choices: The options of a multiple-choice question; empty for an open one.
    """

    question: str
    answers: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()


def read_questions(path: Path) -> list[AskedQuestion]:
    """The questions of a file, in order.

    Raises:
        UserError: When it is not there, is in no known layout, or a row says no question or no clear answer (where).
    """
    if not path.is_file():
        raise UserError(f"questions {path}: there is no such file", hint="a JSONL, JSON or TSV file, plain or gzip")
    try:
        found = [_question(row, place) for place, row in _rows(path)]
    except (OSError, EOFError, UnicodeDecodeError, zlib.error, csv.Error) as error:
        raise UserError(f"questions {path}: {error}", hint="a JSONL or TSV file, plain or gzip, in UTF-8") from error
    if not found:
        raise UserError(f"questions {path}: it holds none", hint='a line is {"question": "…", "answer": "…"}')
    return found


# --------------------------------------------------------------------------------------------------------------- rows


def _rows(path: Path) -> Rows:
    if path.name.lower().removesuffix(".gz").endswith(".tsv"):
        return _tsv_rows(path)
    with _opened(path) as file:
        is_list = file.read(_HEAD_CHARS).lstrip().startswith("[")
    return _list_rows(path) if is_list else _jsonl_rows(path)


def _opened(path: Path) -> io.TextIOBase:
    if path.suffix.lower() == ".gz":
        return io.TextIOWrapper(gzip.open(path, "rb"), encoding="utf-8-sig")  # type: ignore[arg-type]
    return path.open(encoding="utf-8-sig")


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    size = 0
    with _opened(path) as file:
        for number in range(1, MAX_QUESTIONS + 1):
            line = file.readline(MAX_LINE_CHARS + 1)
            size += len(line)
            if len(line) > MAX_LINE_CHARS or size > MAX_FILE_CHARS:
                allowed = f"{MAX_LINE_CHARS:,} letters a line, {MAX_FILE_CHARS:,} in all"
                raise UserError(f"{path}:{number}: too long for a set of questions", hint=allowed)
            if not line:
                return
            yield number, line
    raise UserError(f"{path}: more than {MAX_QUESTIONS:,} lines", hint="split the file")


def _jsonl_rows(path: Path) -> Rows:
    for number, line in _lines(path):
        if not line.strip():
            continue
        try:
            yield f"{path}:{number}", parse_object(line)
        except Dropped as dropped:
            raise _no_json(f"{path}:{number}", dropped) from dropped


def _list_rows(path: Path) -> Rows:
    with _opened(path) as file:
        text = file.read(MAX_DOCUMENT_BYTES + 1)
    if len(text) > MAX_DOCUMENT_BYTES:
        raise UserError(f"{path}: too long for one list", hint="write one JSON object a line")
    try:
        rows = parse_json(text)
    except Dropped as dropped:
        raise _no_json(str(path), dropped) from dropped
    for index, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise _no_json(f"{path}[{index}]", Dropped("not a JSON object"))
        yield f"{path}[{index}]", row


def _no_json(place: str, dropped: Dropped) -> UserError:
    detail = f" ({dropped.detail})" if dropped.detail else ""
    return UserError(f"{place}: {dropped.reason}{detail}", hint='one object a line: {"question": "…", "answer": "…"}')


def _tsv_rows(path: Path) -> Rows:
    # Quotes are letters of most questions ("To be" is from which play?), and a lone one must not swallow the lines
    # after it: only a cell that is quoted as a whole loses them.
    reader = csv.DictReader((line for _, line in _lines(path)), dialect="excel-tab", quoting=csv.QUOTE_NONE)
    for row in reader:
        yield f"{path}:{reader.line_num}", {name: _cell(value) for name, value in row.items() if name is not None}


def _cell(value: str | None) -> str | None:
    quoted = _QUOTED.fullmatch(value or "")
    return quoted[1].replace('""', '"') if quoted else value


# ---------------------------------------------------------------------------------------------------------- questions


def _question(row: Mapping[str, Any], place: str) -> AskedQuestion:
    named = {str(name).strip().lower(): value for name, value in row.items()}
    asked = next((named[name] for name in _QUESTION if isinstance(named.get(name), str) and named[name].strip()), None)
    if asked is None:
        names = ", ".join(sorted(named))[:200]
        raise UserError(f"{place}: no question among {names}", hint=f"one of: {', '.join(_QUESTION)}")
    wrapped = _WRAPPED.match(asked)
    question = (wrapped[1] if wrapped else asked).strip()
    choices = _texts(_first(named, _CHOICES), place)
    answers = dict.fromkeys((*_answers(_first(named, _ANSWER), choices, place), *_texts(named.get("aliases"), place)))
    found = AskedQuestion(question=question, answers=tuple(answers), choices=choices)
    try:
        "".join((question, *answers, *choices)).encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{place}: {error}", hint="half of a surrogate pair is no letter") from error
    return found


def _first(named: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((named[name] for name in names if named.get(name) not in (None, "", [], {})), None)


def _answers(gold: Any, choices: tuple[str, ...], place: str) -> tuple[str, ...]:
    """The accepted answers; of a multiple-choice question the choice that `gold` stands for."""
    if not choices or isinstance(gold, list | Mapping):
        return _texts(gold, place)
    if isinstance(gold, int) and not isinstance(gold, bool) and 0 <= gold < len(choices):
        return (choices[gold],)
    texts = _texts(gold, place)
    if not texts or texts[0] in choices:
        return texts
    index = ord(texts[0]) - ord("A") if _LETTER.fullmatch(texts[0]) else len(choices)
    if index >= len(choices):
        raise UserError(
            f"{place}: {texts[0][:80]!r} is none of its {len(choices)} choices",
            hint="say the right one by its text, its place from 0, or its letter",
        )
    return (choices[index],)


def _texts(value: Any, place: str) -> tuple[str, ...]:
    if isinstance(value, Mapping):
        named = {str(name).lower(): inner for name, inner in value.items()}
        value = [text for name in _NESTED for text in _texts(named.get(name), place)]
    values = value if isinstance(value, list) else [] if value is None else [value]
    return tuple(text for entry in values if (text := _text(entry, place)))


def _text(entry: Any, place: str) -> str:
    if isinstance(entry, bool):
        return "yes" if entry else "no"
    if isinstance(entry, Mapping):
        return next(iter(_texts(entry, place)), "")
    if not isinstance(entry, str | int | float) or (isinstance(entry, float) and not math.isfinite(entry)):
        raise UserError(f"{place}: {str(entry)[:80]!r} is no answer and no choice", hint="texts or numbers")
    return str(entry).strip()
