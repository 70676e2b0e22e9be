"""NIST's labels: written a file a recording; read with any number of recordings a file.

rttm  <recording>.rttm   speaker turns      (NIST Rich Transcription 2009 evaluation plan, appendix A)
ctm   <recording>.ctm    consensus words    (NIST SCTK, ctm.5)
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from spelangy.core.errors import Dropped
from spelangy.core.records import Transcript, Turn
from spelangy.core.spans import seconds
from spelangy.store.exchange.carried import DIGITS, tar_key
from spelangy.store.exchange.clips import Target
from spelangy.store.exchange.dossier import Dossier
from spelangy.store.exchange.passages import DEFAULT_SPEAKER, Incoming, Passage, RawWord, Read, in_samples, stretches
from spelangy.store.exchange.reading import Fault, each, lines

RTTM_PATTERNS = ("*.rttm",)
CTM_PATTERNS = ("*.ctm",)
_RTTM_FIELDS, _CTM_FIELDS = 9, 5


def rttm_lines(turns: Iterable[Turn]) -> list[str]:
    """SPEAKER lines of turns; a speaker's name of several words has its spaces closed by underscores."""
    return [
        f"SPEAKER {_field(turn.recording_id)} 1 {seconds(turn.start):.{DIGITS}f} {turn.span.duration_s:.{DIGITS}f} "
        f"<NA> <NA> {_field(turn.speaker)} <NA> <NA>"
        for turn in turns
    ]


def ctm_lines(transcripts: Iterable[Transcript]) -> list[str]:
    """One line a consensus word; a word of several tokens has its inner spaces closed by underscores."""
    return [
        f"{_field(transcript.recording_id)} 1 {seconds(word.start):.{DIGITS}f} "
        f"{seconds(word.end - word.start):.{DIGITS}f} {_field(word.text)} {word.confidence:.4f}"
        for transcript in transcripts
        for word in transcript.words
    ]


def _field(text: str) -> str:
    return "_".join(text.split()) or "<NA>"


def write_rttm(dossiers: Iterable[Dossier], target: Target) -> None:
    """Format ``rttm``."""
    for dossier in dossiers:
        if dossier.turns:
            target.folder.write_lines(f"{tar_key(dossier.recording_id)}.rttm", rttm_lines(dossier.turns))


def write_ctm(dossiers: Iterable[Dossier], target: Target) -> None:
    """Format ``ctm``."""
    for dossier in dossiers:
        if dossier.transcripts:
            target.folder.write_lines(f"{tar_key(dossier.recording_id)}.ctm", ctm_lines(dossier.transcripts))


def read_rttm(files: Sequence[Path], incoming: Incoming) -> Read:
    """Turns; lines of other kinds than SPEAKER are counted drops."""
    (file,) = files

    def turn(name: str, fields: Sequence[str]) -> Passage:
        if fields[0] != "SPEAKER" or len(fields) < _RTTM_FIELDS:
            raise Dropped("not a SPEAKER line", detail=" ".join(fields)[:80])
        start = in_samples(fields[3], "start")
        return Passage(
            name=name,
            sound=incoming.labelled(fields[1], file.parent),
            start=start,
            end=start + in_samples(fields[4], "duration"),
            speaker=fields[7],
        )

    return each(_rows(file), turn)


def read_ctm(files: Sequence[Path], incoming: Incoming) -> Read:
    """Words; where they pause for two seconds, a new turn begins. Channel 1 is speaker S0, another one its own."""
    (file,) = files
    said: dict[tuple[str, str], list[RawWord]] = {}
    for row in _rows(file):
        if isinstance(row, Fault):
            yield row
            continue
        name, fields = row
        try:
            said.setdefault((fields[0], fields[1] if len(fields) > 1 else ""), []).append(_ctm_word(fields))
        except Dropped as dropped:
            yield Fault(name=name, dropped=dropped)
    for (recording, channel), words in said.items():
        name = f"{file.name}:{recording}"
        try:
            sound = incoming.labelled(recording, file.parent)
        except Dropped as dropped:
            yield Fault(name=name, dropped=dropped)
            continue
        for start, end, run in stretches(words):
            speaker = DEFAULT_SPEAKER if channel == "1" else f"channel-{channel}"
            yield Passage(name=name, sound=sound, start=start, end=end, words=run, speaker=speaker, systems=("ctm",))


def _rows(file: Path) -> Iterator[tuple[str, list[str]] | Fault]:
    for line in lines(file):
        if isinstance(line, Fault):
            yield line
            continue
        name, data = line
        try:
            fields = data.decode().split()
        except UnicodeDecodeError as error:
            yield Fault(name=name, dropped=Dropped("text is no Unicode", detail=str(error)))
            continue
        if not fields[0].startswith(";;"):
            yield name, fields


def _ctm_word(fields: Sequence[str]) -> RawWord:
    if len(fields) < _CTM_FIELDS:
        raise Dropped("not a word of a CTM", detail=" ".join(fields)[:80])
    start = in_samples(fields[2], "word start")
    try:
        confidence = float(fields[5]) if len(fields) > _CTM_FIELDS else 1.0
    except ValueError:
        confidence = 1.0  # NIST allows NA
    return RawWord(
        text=fields[4], start=start, end=start + in_samples(fields[3], "word duration"), confidence=confidence
    )
