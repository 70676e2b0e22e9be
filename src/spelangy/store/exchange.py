"""Out of the store into other tools' formats. Times are exact to the sample, except in VTT (milliseconds).

nemo   manifest.jsonl       {"audio_filepath", "offset", "duration", "text", …} a line a chunk
jsonl  chunks.jsonl         chunks as they are stored
rttm   one .rttm a recording      speaker turns      (NIST Rich Transcription)
ctm    one .ctm a recording       consensus words    (NIST)
vtt    one .vtt a recording       captions a chunk   (W3C WebVTT)
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

from spelangy.core.errors import UserError, did_you_mean
from spelangy.core.records import Chunk, Transcript, Turn
from spelangy.core.spans import seconds
from spelangy.store.audio import AudioStore
from spelangy.store.files import Files, refused_writes

DIGITS = 7
"""Of a second: a sample is 0.0000625 s, so every time is exact, and so is offset + duration in decimal arithmetic."""


def nemo_lines(chunks: Iterable[Chunk], audio: AudioStore) -> list[str]:
    """NeMo manifest lines; audio stays where it is, each line names its offset."""
    return [
        json.dumps(
            {
                "audio_filepath": audio.url(chunk.audio),
                "offset": round(seconds(chunk.start), DIGITS),
                "duration": round(chunk.span.duration_s, DIGITS),
                "text": chunk.text,
                "speaker": chunk.speaker,
                "chunk_id": chunk.id,
                "licence": chunk.licence,
            },
            ensure_ascii=False,
        )
        for chunk in chunks
    ]


def chunk_lines(chunks: Iterable[Chunk]) -> list[str]:
    """Chunks as JSON lines, samples included."""
    return [json.dumps(asdict(chunk), ensure_ascii=False) for chunk in chunks]


def rttm_lines(turns: Iterable[Turn]) -> list[str]:
    """SPEAKER lines of turns; a speaker's name of several words has its spaces closed by underscores."""
    return [
        f"SPEAKER {turn.recording_id} 1 {seconds(turn.start):.{DIGITS}f} {turn.span.duration_s:.{DIGITS}f} "
        f"<NA> <NA> {_field(turn.speaker)} <NA> <NA>"
        for turn in turns
    ]


def ctm_lines(transcripts: Iterable[Transcript]) -> list[str]:
    """One line a consensus word; a word of several tokens has its inner spaces closed by underscores."""
    return [
        f"{transcript.recording_id} 1 {seconds(word.start):.{DIGITS}f} {seconds(word.end - word.start):.{DIGITS}f} "
        f"{_field(word.text)} {word.confidence:.4f}"
        for transcript in transcripts
        for word in transcript.words
    ]


def _field(text: str) -> str:
    return "_".join(text.split()) or "<NA>"


def vtt_text(chunks: Sequence[Chunk]) -> str:
    """Captions of one recording; text is escaped, so no chunk can end its cue or open a tag."""
    cues = [
        f"{chunk.id}\n{_clock(chunk.start)} --> {_clock(chunk.end)}\n"
        f"<v {_annotation(chunk.speaker)}>{_escaped(chunk.text)}"
        for chunk in chunks
    ]
    return "\n\n".join(["WEBVTT", *cues]) + "\n"


def _annotation(text: str) -> str:
    """`text` within a tag, where two hyphens and the tag's own end would make an arrow."""
    return _escaped(text).replace("--", "-&#45;")


def _escaped(text: str) -> str:
    plain = " ".join(text.split())
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _clock(sample: int) -> str:
    milliseconds = round(seconds(sample) * 1000)
    minutes, left = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{left // 1000:02d}.{left % 1000:03d}"


def export(
    form: str,
    directory: Path,
    *,
    chunks: Sequence[Chunk],
    turns: Sequence[Turn],
    transcripts: Sequence[Transcript],
    audio: AudioStore,
) -> list[Path]:
    """Writes one format into `directory`; returns the files.

    Raises:
        UserError: When there is no such format, or `directory` cannot be written.
    """
    writers: Mapping[str, Callable[[], dict[str, str]]] = {
        "nemo": lambda: {"manifest.jsonl": _text(nemo_lines(chunks, audio))},
        "jsonl": lambda: {"chunks.jsonl": _text(chunk_lines(chunks))},
        "rttm": lambda: {f"{name}.rttm": _text(rttm_lines(rows)) for name, rows in _by_recording(turns)},
        "ctm": lambda: {f"{name}.ctm": _text(ctm_lines(rows)) for name, rows in _by_recording(transcripts)},
        "vtt": lambda: {f"{name}.vtt": vtt_text(rows) for name, rows in _by_recording(chunks)},
    }
    if form not in writers:
        raise UserError(f"no export format {form!r}", hint=did_you_mean(form, writers))
    with refused_writes(str(directory)):
        directory.mkdir(parents=True, exist_ok=True)
    target = Files(str(directory))
    texts = writers[form]()
    for name, text in texts.items():
        target.write(name, text.encode())
    return [directory / name for name in texts]


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _by_recording(records: Sequence[Any]) -> list[tuple[str, list[Any]]]:
    ordered = sorted(records, key=lambda record: (record.recording_id, record.id))
    return [(name, list(group)) for name, group in groupby(ordered, key=lambda record: record.recording_id)]
