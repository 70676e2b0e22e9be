"""CTM, NIST's format of time-marked words: one word a line, grouped by file and channel.

    ;; a comment
    4366522 1 1.37 0.345 ladies 0.98         file, channel, start and duration in seconds, word, confidence (optional)

A file is read group by group: memory holds one file's channel, however long the CTM is.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

from spelangy.core.errors import UserError

NO_CONFIDENCE = -1.0
"""What NIST's tools write where there is no confidence."""

MAX_GROUP_WORDS = 300_000
"""Some 30 hours of speech in one channel."""

MAX_TIME_S = 9_999_999.0
"""The end of time to NIST's tools."""

_MAX_LINE_BYTES = 4096
_MIN_FIELDS, _MAX_FIELDS = 5, 8  # the last two, word type and speaker, say nothing about what was said
_NOTHING_SAID = "@"  # to NIST's tools a word like any other, and the null of a network at the same time
_FORMAT = "file channel start duration word [confidence]"


@dataclass(kw_only=True)
class CtmGroup:
    """The words of one channel of one file, in the order of the lines.

    Attributes:
        where: Path and line of its first word, for messages.
        confidences: In [0, 1], or `NO_CONFIDENCE`; 0 where other words of the CTM have one and this has none.
    """

    recording: str
    channel: str
    where: str
    texts: list[str] = field(default_factory=list)
    starts_s: list[float] = field(default_factory=list)
    ends_s: list[float] = field(default_factory=list)
    confidences: list[float] = field(default_factory=list)


class CtmWord(NamedTuple):
    """One word; a line of a CTM.

    Attributes:
        confidence: In [0, 1], or `NO_CONFIDENCE`.
    """

    recording: str
    channel: str
    start_s: float
    duration_s: float
    text: str
    confidence: float

    def line(self) -> str:
        """The line as NIST's rover writes it, with its end."""
        times = f"{self.start_s:.3f} {self.duration_s:.3f}"
        return f"{self.recording} {self.channel} {times} {self.text} {self.confidence:.6f}\n"


def read_ctm(path: Path, *, lower_case: bool = True) -> Iterator[CtmGroup]:
    """Groups of lines with the same file and channel, in the order of the CTM. Comments and blank lines are skipped.

    Args:
        path: The CTM, UTF-8.
        lower_case: Lower-case everything, as NIST's tools do unless told otherwise.

    Raises:
        UserError: When the file cannot be read, or a line is none of a CTM: names file and line.
    """
    try:
        with path.open("rb") as file:
            yield from _groups(path, file, lower_case)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error


def _groups(path: Path, file: BinaryIO, lower_case: bool) -> Iterator[CtmGroup]:
    group: CtmGroup | None = None
    unsure: list[int] = []
    has_confidence = False
    for number, line in _lines(path, file):
        word = _parse(f"{path}:{number}", line.lower() if lower_case else line)
        if group is None or (word.recording, word.channel) != (group.recording, group.channel):
            if group is not None:
                yield _finished(group, unsure, has_confidence)
            group = CtmGroup(recording=word.recording, channel=word.channel, where=f"{path}:{number}")
            unsure = []
        if len(group.texts) >= MAX_GROUP_WORDS:
            raise UserError(
                f"{path}:{number}: more than {MAX_GROUP_WORDS:,} words in channel {group.channel} of {group.recording}",
                hint="split it into several files",
            )
        if math.isnan(word.confidence):
            unsure.append(len(group.texts))
        has_confidence |= not math.isnan(word.confidence)
        group.texts.append(word.text)
        group.starts_s.append(word.start_s)
        group.ends_s.append(word.start_s + word.duration_s)
        group.confidences.append(word.confidence)
    if group is not None:
        yield _finished(group, unsure, has_confidence)


def _finished(group: CtmGroup, unsure: Iterable[int], has_confidence: bool) -> CtmGroup:
    for index in unsure:
        group.confidences[index] = 0.0 if has_confidence else NO_CONFIDENCE
    return group


def _lines(path: Path, file: BinaryIO) -> Iterator[tuple[int, str]]:
    """Number and text of each line that holds a word."""
    number = 0
    while raw := file.readline(_MAX_LINE_BYTES + 1):
        number += 1
        if len(raw) > _MAX_LINE_BYTES:
            raise UserError(f"{path}:{number}: longer than {_MAX_LINE_BYTES} bytes", hint=f"a line is: {_FORMAT}")
        if raw.startswith(b";") or not raw.strip():
            continue
        try:
            yield number, raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UserError(
                f"{path}:{number}: not UTF-8 at byte {error.start}", hint="convert it: iconv -t utf-8"
            ) from error


def _parse(where: str, line: str) -> CtmWord:
    # Not every white space parts fields: a no-break space is part of a word.
    fields = line.replace("\t", " ").rstrip("\r\n ").split(" ")
    if "" in fields:
        fields = [text for text in fields if text]
    if not _MIN_FIELDS <= len(fields) <= _MAX_FIELDS:
        raise UserError(f"{where}: {len(fields)} fields", hint=f"a line is: {_FORMAT}")
    recording, channel, start, duration, text = fields[:5]
    if text[:4].upper() == "<ALT":
        raise UserError(f"{where}: {text}: alternatives cannot be combined", hint="keep one of them")
    if text == _NOTHING_SAID or "\0" in line:
        raise UserError(f"{where}: {text!r} is no word", hint="leave the line out")
    start_s, duration_s = _time(where, "start", start), _time(where, "duration", duration)
    confidence = _confidence(where, fields[5]) if len(fields) > 5 else math.nan
    return CtmWord(recording, channel, start_s, duration_s, text, confidence)


def _time(where: str, name: str, text: str) -> float:
    value = _number(text)
    if not 0.0 <= value <= MAX_TIME_S:
        raise UserError(f"{where}: {name} is {_shown(text)}, allowed is 0 to {MAX_TIME_S:,.0f} s")
    return value


def _confidence(where: str, text: str) -> float:
    value = _number(text)
    if not (0.0 <= value <= 1.0 or value == NO_CONFIDENCE):
        raise UserError(f"{where}: confidence is {_shown(text)}, allowed is 0 to 1, or {NO_CONFIDENCE:g} for none")
    return value


def _number(text: str) -> float:
    try:
        return float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return math.nan


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}…")
