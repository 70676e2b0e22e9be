"""JSON of other tools in: what WhisperX and Emilia-Pipe leave beside a recording.

whisperx  talk.json beside talk.<audio>     {"segments": [{"start", "end", "text", "speaker", "words": [{"word", …}]}]}
emilia    talk.json beside talk_<n>.mp3     [{"text", "start", "end", "speaker", "language", "dnsmos"}]   (Emilia-Pipe)
          *.jsonl, or a .json a clip        {"id", "wav", "text", "speaker", "language", "dnsmos"}        (the data set)
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from spelangy.core.errors import Dropped
from spelangy.store.exchange.passages import DEFAULT_SPEAKER, Incoming, Passage, RawWord, Read, in_samples
from spelangy.store.exchange.reading import Fault, document, each, objects, parse_json
from spelangy.store.exchange.sounds import Sound

_SEGMENT_NAMES = frozenset({"start", "end", "text", "speaker", "words", "chars", "tokens"})
_CLIP_NAMES = frozenset({"text", "speaker", "wav"})


def read_whisperx(files: Sequence[Path], incoming: Incoming) -> Read:
    """Passages of a WhisperX result; Whisper's own JSON, which calls scores ``probability``, is read too."""
    (file,) = files
    try:
        result = parse_json(document(file))
        if not isinstance(result, dict) or not isinstance(result.get("segments"), list):
            raise Dropped("no WhisperX result", detail="an object with a list of segments")
        sound = incoming.labelled(file.stem, file.parent)
    except Dropped as dropped:
        yield Fault(name=file.name, dropped=dropped)
        return
    beside = {"language": result["language"]} if isinstance(result.get("language"), str) else {}
    segments = ((f"{file.name}:{number}", segment) for number, segment in enumerate(result["segments"], 1))
    yield from each(segments, lambda name, segment: _segment(name, sound, _object(segment), beside))


def _segment(name: str, sound: Sound, segment: Mapping[str, Any], beside: Mapping[str, Any]) -> Passage:
    words = segment.get("words") or []
    if not isinstance(words, list):
        raise Dropped("words are damaged", detail=str(words)[:80])
    return Passage(
        name=name,
        sound=sound,
        start=in_samples(segment.get("start"), "start"),
        end=in_samples(segment.get("end"), "end"),
        text=_text(segment),
        words=tuple(_word(_object(word)) for word in words),
        speaker=str(segment.get("speaker") or DEFAULT_SPEAKER),
        systems=("whisperx",),
        metadata={**beside, **{key: value for key, value in segment.items() if key not in _SEGMENT_NAMES}},
    )


def _word(word: Mapping[str, Any]) -> RawWord:
    score = word.get("score", word.get("probability"))
    return RawWord(
        text=str(word.get("word", "")).strip(),
        start=None if word.get("start") is None else in_samples(word["start"], "word start"),
        end=None if word.get("end") is None else in_samples(word["end"], "word end"),
        confidence=float(score) if isinstance(score, int | float) else 1.0,
    )


def read_emilia(files: Sequence[Path], incoming: Incoming) -> Read:
    """Passages of Emilia: clips where they lie beside the file, or else places in the whole recording."""
    (file,) = files
    if ".jsonl" in file.suffixes:
        yield from _clips(file, objects(file), incoming)
        return
    try:
        said = parse_json(document(file))
    except Dropped as dropped:
        yield Fault(name=file.name, dropped=dropped)
        return
    if isinstance(said, dict):
        yield from _clips(file, iter([(file.name, said)]), incoming)
        return
    numbered = enumerate(said if isinstance(said, list) else [said])
    segments = ((f"{file.name}:{number + 1}", (number, segment)) for number, segment in numbered)
    yield from each(segments, lambda name, segment: _piped(name, _object(segment[1]), segment[0], file, incoming))


def _clips(file: Path, lines: Iterator[tuple[str, dict[str, Any]] | Fault], incoming: Incoming) -> Read:
    def passage(name: str, fields: Mapping[str, Any]) -> Passage:
        wav = fields.get("wav")
        return Passage(
            name=name,
            sound=incoming.roots.file(wav, file.parent) if wav else incoming.roots.beside(file.stem, file.parent),
            text=_text(fields),
            speaker=str(fields.get("speaker") or DEFAULT_SPEAKER),
            systems=("emilia",),
            metadata={key: value for key, value in fields.items() if key not in _CLIP_NAMES},
        )

    return each(lines, passage)


def _piped(name: str, segment: Mapping[str, Any], number: int, file: Path, incoming: Incoming) -> Passage:
    start, end = in_samples(segment.get("start"), "start"), in_samples(segment.get("end"), "end")
    clip = _clip(file, number, incoming)
    beside = {key: value for key, value in segment.items() if key not in _SEGMENT_NAMES}
    place = {"start_s": segment["start"], "end_s": segment["end"]} if clip else {}
    return Passage(
        name=name,
        sound=clip or incoming.labelled(file.stem, file.parent),
        start=0.0 if clip else start,
        end=None if clip else end,
        text=_text(segment),
        speaker=str(segment.get("speaker") or DEFAULT_SPEAKER),
        systems=("emilia",),
        metadata={**beside, **place},
    )


def _clip(file: Path, number: int, incoming: Incoming) -> Sound | None:
    try:
        return incoming.roots.beside(f"{file.stem}_{number}", file.parent)
    except Dropped as dropped:
        if dropped.reason != "audio not found":
            raise
        return None


def _text(fields: Mapping[str, Any]) -> str:
    text = fields.get("text")
    if not isinstance(text, str):
        raise Dropped("text is no text", detail=str(text)[:80])
    return text.strip()


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Dropped("not a JSON object", detail=str(value)[:80])
    return value
