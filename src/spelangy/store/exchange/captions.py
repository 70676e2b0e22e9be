"""WebVTT: ``<recording>.vtt``, a caption a chunk (W3C WebVTT).

Its clock has milliseconds, 16 samples each: times that a player sees are right to half a millisecond. What is exact,
and everything else of the chunk, stands in a NOTE of JSON before each cue, which players pass over.
A note counts only as long as its cue still says the same: a caption that somebody edited is taken as it stands.
"""

import html
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from spelangy.core.errors import Dropped
from spelangy.core.records import Chunk
from spelangy.core.spans import seconds
from spelangy.store.exchange.carried import carried_fields, chunk_words, one_line_json, tar_key
from spelangy.store.exchange.clips import Target
from spelangy.store.exchange.dossier import Dossier
from spelangy.store.exchange.passages import DEFAULT_SPEAKER, Incoming, Passage, Read, in_samples, own_fields, own_words
from spelangy.store.exchange.reading import Fault, document, parse_object
from spelangy.store.exchange.sounds import Sound

PATTERNS = ("*.vtt",)
NOTE = "NOTE spelangy "

_TIMING = re.compile(r"(?:(\d{2,}):)?([0-5]\d):([0-5]\d\.\d{3})[ \t]+-->[ \t]+(?:(\d{2,}):)?([0-5]\d):([0-5]\d\.\d{3})")
_VOICE = re.compile(r"<v(?:\.[^ \t>]*)?[ \t]+([^>]*)>")
_TAG = re.compile(r"<[^>]*>")


def vtt_text(dossier: Dossier) -> str:
    """Captions of one recording; text is escaped, so no chunk can end its cue or open a tag."""
    blocks = [block for chunk in dossier.chunks for block in (_note(dossier, chunk), _cue(chunk))]
    return "\n\n".join(["WEBVTT", *blocks]) + "\n"


def _note(dossier: Dossier, chunk: Chunk) -> str:
    fields = {**carried_fields(dossier, chunk), "text": chunk.text, "words": chunk_words(dossier, chunk)}
    # An arrow would make a cue of the note, and every kind of line end its end; both escapes are plain JSON.
    text = one_line_json(fields).replace(">", "\\u003e")
    return NOTE + "".join(f"\\u{ord(letter):04x}" if letter in "\x85\u2028\u2029\x7f" else letter for letter in text)


def _cue(chunk: Chunk) -> str:
    timing = f"{_clock(chunk.start)} --> {_clock(chunk.end)}"
    return f"{tar_key(chunk.id)}\n{timing}\n<v {_annotation(chunk.speaker)}>{_escaped(chunk.text)}"


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


def write_vtt(dossiers: Iterable[Dossier], target: Target) -> None:
    """Format ``vtt``."""
    for dossier in dossiers:
        if dossier.chunks:
            with target.folder.open(f"{tar_key(dossier.recording_id)}.vtt") as file:
                file.write(vtt_text(dossier).encode())


def read_vtt(files: Sequence[Path], incoming: Incoming) -> Read:
    """Captions of one recording, which the file is named after."""
    (file,) = files
    try:
        blocks = re.split(r"\n{2,}", re.sub(r"\r\n?", "\n", document(file)).strip("\n"))
        if not blocks[0].startswith("WEBVTT"):
            raise Dropped("not WebVTT", detail=blocks[0][:40])
        sound = incoming.labelled(file.stem, file.parent)
    except Dropped as dropped:
        yield Fault(name=file.name, dropped=dropped)
        return
    note = ""
    for number, block in enumerate(blocks[1:], 1):
        name = f"{file.name}:{number}"
        if "-->" in block:
            try:
                yield _caption(name, sound, block, note)
            except Dropped as dropped:
                yield Fault(name=name, dropped=dropped)
        note = block.removeprefix(NOTE) if block.startswith(NOTE) else ""


def _caption(name: str, sound: Sound, block: str, note: str) -> Passage:
    lines = block.split("\n")
    place = next(order for order, line in enumerate(lines) if "-->" in line)
    times = _TIMING.match(lines[place].strip())
    if times is None:
        raise Dropped("caption without times", detail=lines[place][:80])
    start, end = _samples(*times.groups()[:3]), _samples(*times.groups()[3:])
    said = "\n".join(lines[place + 1 :])
    voice, text = _VOICE.search(said), _shown(_TAG.sub("", said))
    heard = Passage(
        name=name,
        sound=sound,
        start=start,
        end=end,
        text=text,
        speaker=(_shown(voice[1]) if voice else "") or DEFAULT_SPEAKER,
        systems=("vtt",),
    )
    return _noted(heard, lines[place], parse_object(note)) if note else heard


def _noted(heard: Passage, timing: str, fields: dict[str, object]) -> Passage:
    """What the note says, unless the cue says otherwise."""
    carried, text, speaker = own_fields(fields), fields.get("text"), fields.get("speaker")
    if carried is None or not isinstance(text, str) or not isinstance(speaker, str):
        raise Dropped("fields of a chunk are damaged", detail=", ".join(fields)[:200])
    is_edited = f"{_clock(carried.start)} --> {_clock(carried.end)}" != timing or " ".join(text.split()) != heard.text
    if is_edited or " ".join(speaker.split()) != heard.speaker:
        return heard
    return Passage(
        name=heard.name,
        sound=heard.sound,
        start=carried.start,
        end=carried.end,
        text=text,
        words=own_words(fields.get("words") or (), carried.start),
        speaker=speaker,
        carried=carried,
    )


def _samples(hours: str | None, minutes: str, seconds_: str) -> float:
    return in_samples(int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds_), "time")


def _shown(text: str) -> str:
    return " ".join(html.unescape(text).split())
