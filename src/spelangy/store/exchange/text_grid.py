"""Praat's TextGrid: ``<recording>.TextGrid`` with the tiers ``words``, ``chunks`` and ``spelangy`` of each speaker.

An interval tier of Praat's covers the whole recording; its intervals neither overlap nor are empty. What overlaps in
one tier goes to a further tier of the same name with a number; what has no length goes to a tier of points. Times have
all digits of a sample. Tier ``spelangy`` holds, as JSON, everything of a chunk that a label cannot say.

Written and read here: praatio writes times below 0.1 ms in a form that its own reader refuses, and leaves quotes in the
labels of points doubled. Source: Praat manual, "TextGrid file formats" (free-standing texts and numbers count alone).
As with captions, a label that somebody edited counts as it stands.
"""

import json
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

from spelangy.core.errors import Dropped
from spelangy.core.records import Chunk
from spelangy.core.spans import Span, seconds
from spelangy.store.audio import AudioStore
from spelangy.store.exchange.carried import DIGITS, carried_fields, chunk_words, tar_key
from spelangy.store.exchange.clips import Target
from spelangy.store.exchange.dossier import Dossier, num_samples
from spelangy.store.exchange.passages import (
    DEFAULT_SPEAKER,
    Incoming,
    Passage,
    RawWord,
    Read,
    in_samples,
    own_fields,
    own_words,
    stretches,
)
from spelangy.store.exchange.reading import Fault, document, parse_object
from spelangy.store.exchange.sounds import Sound

PATTERNS = ("*.TextGrid",)
WORDS, CHUNKS, FIELDS = "words", "chunks", "spelangy"
INTERVAL_TIER, POINT_TIER = "IntervalTier", "TextTier"

_TOKEN = re.compile(r'"((?:[^"]|"")*)"|(?<!\S)([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|<exists>|<absent>)(?!\S)')
_TIER_NAME = re.compile(r"(words|chunks|spelangy)(?: (.*?))?(?: \((?:\d+|points)\))?", re.DOTALL)
_ALIGNER_NAME = re.compile(r"(?:(.*) - )?(words|phones)", re.DOTALL)
"""Tiers of the Montreal Forced Aligner: ``speaker - words``."""


@dataclass(frozen=True, kw_only=True)
class Label:
    """One label of a tier."""

    span: Span
    text: str


@dataclass(frozen=True, kw_only=True)
class Tier:
    """A tier: of intervals that do not overlap, or of points."""

    name: str
    labels: Sequence[Label]
    is_points: bool = False


def text_grid(dossier: Dossier, length: int) -> str:
    """The long text form of one recording of `length` samples."""
    tiers = list(_tiers(dossier))
    head = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {_s(length)}"]
    lines = [*head, "tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for number, tier in enumerate(tiers, 1):
        lines += [f"    item [{number}]:", *(f"        {line}" for line in _tier_lines(tier, length))]
    return "\n".join(lines) + "\n"


def _tiers(dossier: Dossier) -> Iterator[Tier]:
    speakers = {turn.id: turn.speaker for turn in dossier.turns}
    said: dict[str, dict[str, list[Label]]] = {}
    for transcript in dossier.transcripts:
        for word in transcript.words:
            labels = said.setdefault(speakers.get(transcript.id, ""), {}).setdefault(WORDS, [])
            labels.append(Label(span=Span(word.start, word.end), text=_plain(word.text)))
    for chunk in dossier.chunks:
        tiers = said.setdefault(chunk.speaker, {})
        tiers.setdefault(CHUNKS, []).append(Label(span=chunk.span, text=_plain(chunk.text)))
        tiers.setdefault(FIELDS, []).append(Label(span=chunk.span, text=_fields(dossier, chunk)))
    for speaker, kinds in sorted(said.items()):
        for kind, labels in kinds.items():
            yield from _layers(f"{kind} {speaker}".strip(), labels)


def _fields(dossier: Dossier, chunk: Chunk) -> str:
    fields = {**carried_fields(dossier, chunk), "text": chunk.text, "words": chunk_words(dossier, chunk)}
    return json.dumps(fields)


def _plain(text: str) -> str:
    """`text` on one line."""
    return " ".join(text.split())


def _layers(name: str, labels: Sequence[Label]) -> Iterator[Tier]:
    """As many tiers as it takes for labels not to overlap: one, as a rule."""
    points = [label for label in labels if not label.span.num_samples]
    layers: list[list[Label]] = []
    for label in sorted((label for label in labels if label.span.num_samples), key=lambda label: label.span):
        free = next((layer for layer in layers if layer[-1].span.end <= label.span.start), None)
        if free is None:
            layers.append(free := [])
        free.append(label)
    for number, layer in enumerate(layers, 1):
        yield Tier(name=name if number == 1 else f"{name} ({number})", labels=layer)
    if points:
        yield Tier(name=f"{name} (points)", labels=points, is_points=True)


def _tier_lines(tier: Tier, length: int) -> Iterator[str]:
    labels = tier.labels if tier.is_points else list(_covering(tier.labels, length))
    yield f'class = "{POINT_TIER if tier.is_points else INTERVAL_TIER}"'
    yield from (f"name = {_quoted(tier.name)}", "xmin = 0", f"xmax = {_s(length)}")
    yield f"{'points' if tier.is_points else 'intervals'}: size = {len(labels)}"
    for number, label in enumerate(labels, 1):
        yield from _point(number, label) if tier.is_points else _interval(number, label)


def _point(number: int, label: Label) -> tuple[str, ...]:
    return (f"points [{number}]:", f"    number = {_s(label.span.start)}", f"    mark = {_quoted(label.text)}")


def _interval(number: int, label: Label) -> tuple[str, ...]:
    times = (f"    xmin = {_s(label.span.start)}", f"    xmax = {_s(label.span.end)}")
    return (f"intervals [{number}]:", *times, f"    text = {_quoted(label.text)}")


def _covering(labels: Sequence[Label], length: int) -> Iterator[Label]:
    at = 0
    for label in labels:
        if label.span.start > at:
            yield Label(span=Span(at, label.span.start), text="")
        yield label
        at = label.span.end
    if at < length:
        yield Label(span=Span(at, length), text="")


def _s(sample: int) -> str:
    return f"{seconds(sample):.{DIGITS}f}"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def write_text_grid(dossiers: Iterable[Dossier], target: Target) -> None:
    """Format ``textgrid``."""
    for dossier in dossiers:
        if dossier.chunks or dossier.transcripts:
            with target.folder.open(f"{tar_key(dossier.recording_id)}.TextGrid") as file:
                file.write(text_grid(dossier, _length(dossier, target.audio)).encode())


def _length(dossier: Dossier, audio: AudioStore) -> int:
    if dossier.recording is not None or dossier.chunks:
        return num_samples(dossier, audio)
    return max(word.end for transcript in dossier.transcripts for word in transcript.words)


@dataclass(frozen=True, kw_only=True)
class ReadLabel:
    """A label that came in; times in samples, unchecked."""

    start: float
    end: float
    text: str


@dataclass(frozen=True, kw_only=True)
class ReadTier:
    """A tier that came in, with what its name says of it: ``words``, ``chunks``, ``spelangy`` or ``phones``."""

    kind: str
    speaker: str
    labels: Sequence[ReadLabel]


def read_text_grid(files: Sequence[Path], incoming: Incoming) -> Read:
    """Chunks and words of one recording, which the file is named after; a tier of another name holds chunks."""
    (file,) = files
    try:
        tiers = parse_text_grid(document(file))
        sound = incoming.labelled(file.stem, file.parent)
    except Dropped as dropped:
        yield Fault(name=file.name, dropped=dropped)
        return
    for speaker in dict.fromkeys(tier.speaker for tier in tiers):
        yield from _spoken(file.name, sound, speaker, [tier for tier in tiers if tier.speaker == speaker])


def _spoken(name: str, sound: Sound, speaker: str, tiers: Sequence[ReadTier]) -> Read:
    labels: dict[str, list[ReadLabel]] = {}
    for tier in tiers:
        labels.setdefault(tier.kind, []).extend(label for label in tier.labels if label.text)
    notes = {(note.start, note.end): note.text for note in labels.get(FIELDS, [])}
    said = (RawWord(text=label.text, start=label.start, end=label.end) for label in labels.get(WORDS, []))
    words = sorted(said, key=_middle)
    outside = [True] * len(words)
    chunks = sorted(labels.get(CHUNKS, []), key=lambda label: (label.start, label.end))
    for number, chunk in enumerate(chunks, 1):
        first, last = (bisect_left(words, edge, key=_middle) for edge in (chunk.start, chunk.end))
        inside, outside[first:last] = words[first:last], [False] * (last - first)
        place = f"{name}:{speaker}:{number}"
        try:
            yield _chunk(place, sound, speaker, chunk, inside, notes.get((chunk.start, chunk.end), ""))
        except Dropped as dropped:
            yield Fault(name=place, dropped=dropped)
    for start, end, run in stretches(list(compress(words, outside))):
        yield Passage(
            name=f"{name}:{speaker}",
            sound=sound,
            start=start,
            end=end,
            words=run,
            speaker=speaker,
            systems=("textgrid",),
        )


def _middle(word: RawWord) -> float:
    return ((word.start or 0.0) + (word.end or 0.0)) / 2


def _chunk(name: str, sound: Sound, speaker: str, chunk: ReadLabel, words: Sequence[RawWord], note: str) -> Passage:
    fields: Mapping[str, object] = parse_object(note) if note else {}
    carried, text, told_speaker = own_fields(fields), fields.get("text"), fields.get("speaker")
    if carried is not None and isinstance(text, str) and _plain(text) == chunk.text:
        return Passage(
            name=name,
            sound=sound,
            start=chunk.start,
            end=chunk.end,
            text=text,
            words=own_words(fields.get("words") or (), chunk.start),
            speaker=str(told_speaker),
            carried=carried,
        )
    return Passage(
        name=name,
        sound=sound,
        start=chunk.start,
        end=chunk.end,
        text=chunk.text,
        words=words,
        speaker=speaker,
        systems=("textgrid",),
    )


def parse_text_grid(text: str) -> list[ReadTier]:
    """The tiers of a TextGrid in the long or the short form.

    Raises:
        Dropped: When it is none.
    """
    tokens = iter([match[1].replace('""', '"') if match[2] is None else match[2] for match in _TOKEN.finditer(text)])
    try:
        if (next(tokens), next(tokens)) != ("ooTextFile", "TextGrid"):
            raise Dropped("not a TextGrid")
        next(tokens), next(tokens)
        has_tiers = next(tokens) == "<exists>"
        return [_read_tier(tokens) for _ in range(int(next(tokens)) if has_tiers else 0)]
    except (StopIteration, ValueError) as error:
        raise Dropped("TextGrid is damaged", detail=str(error)[:200]) from error


def _read_tier(tokens: Iterator[str]) -> ReadTier:
    is_points = next(tokens) == POINT_TIER
    name = next(tokens)
    next(tokens), next(tokens)
    labels = []
    for _ in range(int(next(tokens))):
        start = in_samples(next(tokens), "start")
        end = start if is_points else in_samples(next(tokens), "end")
        labels.append(ReadLabel(start=start, end=end, text=next(tokens).strip()))
    kind, speaker = _named(name)
    return ReadTier(kind=kind, speaker=speaker, labels=labels)


def _named(name: str) -> tuple[str, str]:
    ours, aligner = _TIER_NAME.fullmatch(name), _ALIGNER_NAME.fullmatch(name)
    if ours is not None:
        return ours[1], ours[2] or DEFAULT_SPEAKER
    if aligner is not None:
        return aligner[2], aligner[1] or DEFAULT_SPEAKER
    return CHUNKS, name or DEFAULT_SPEAKER
