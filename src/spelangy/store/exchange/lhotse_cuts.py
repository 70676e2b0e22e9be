"""lhotse, written and read without it: manifests over audio that stays where it is, or Shar, which carries the sound.

lhotse  recordings.jsonl.gz, supervisions.jsonl.gz, cuts.jsonl.gz      a MonoCut and a supervision a chunk
shar    cuts.<n>.jsonl.gz, recording.<n>.tar                           the same cuts, each with its own sound
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from spelangy.core.errors import Dropped
from spelangy.core.records import Chunk
from spelangy.core.spans import SAMPLE_RATE_HZ
from spelangy.store.exchange.carried import carried_fields, chunk_words, decimal_s, one_line_json, tar_key
from spelangy.store.exchange.clips import Clip, Target, clips
from spelangy.store.exchange.dossier import Dossier, num_samples
from spelangy.store.exchange.folder import Shards, add_member, gzip_lines, tar_stream
from spelangy.store.exchange.passages import DEFAULT_SPEAKER, Incoming, Passage, RawWord, Read, in_samples, own_fields
from spelangy.store.exchange.reading import Fault, Sample, objects, samples_of
from spelangy.store.exchange.sounds import Sound

PATTERNS = ("recordings.jsonl.gz", "supervisions.jsonl.gz", "cuts.jsonl.gz")
SHAR_PATTERNS = ("cuts.*.jsonl.gz", "recording.*.tar")
_OWN_FIELDS = ("speaker",)
_CUT_TYPES = ("MonoCut", "Cut")


def write_lhotse(dossiers: Iterable[Dossier], target: Target) -> None:
    """Format ``lhotse``: what `CutSet.from_file` and `RecordingSet`/`SupervisionSet.from_file` read."""
    with ExitStack() as stack:
        recordings, supervisions, cuts = (stack.enter_context(gzip_lines(target.folder, name)) for name in PATTERNS)
        for dossier in dossiers:
            for key in dict.fromkeys(chunk.audio for chunk in dossier.chunks):
                recordings.write(_line(_recording(dossier, key, target)))
            for chunk in dossier.chunks:
                recording = _recording(dossier, chunk.audio, target)
                words, fields = chunk_words(dossier, chunk), carried_fields(dossier, chunk)
                supervisions.write(_line(_supervision(chunk, words, fields, recording["id"], offset=chunk.start)))
                inner = _supervision(chunk, words, fields, recording["id"], offset=0)
                cuts.write(_line(_cut(chunk, recording, inner, start=chunk.start)))


def write_shar(dossiers: Iterable[Dossier], target: Target) -> None:
    """Format ``shar``: what `CutSet.from_shar(in_dir=…)` reads."""
    shards = Shards(target.shard_bytes)
    with ExitStack() as stack:
        stack.callback(shards.close)
        for clip in clips(dossiers, target.audio):
            if shards.next_is_new():
                opened = ExitStack()
                cuts = opened.enter_context(gzip_lines(target.folder, f"cuts.{shards.number:06d}.jsonl.gz"))
                tar = opened.enter_context(tar_stream(target.folder, f"recording.{shards.number:06d}.tar"))
                shards.keep_open(opened)
            recording = _clip_recording(clip)
            inner = _supervision(clip.chunk, clip.words, clip.fields, clip.key, offset=0)
            cuts.write(_line(_cut(clip.chunk, recording, inner, start=0)))
            shards.count(add_member(tar, f"{clip.key}.flac", clip.flac))
            shards.count(add_member(tar, f"{clip.key}.json", _line(recording)))


def _line(value: dict[str, Any]) -> bytes:
    return f"{one_line_json(value)}\n".encode()


def _recording(dossier: Dossier, key: str, target: Target) -> dict[str, Any]:
    source = {"type": "file", "channels": [0], "source": target.audio.url(key)}
    return _recording_manifest(dossier.recording_id, source, num_samples(dossier, target.audio))


def _clip_recording(clip: Clip) -> dict[str, Any]:
    return _recording_manifest(clip.key, {"type": "shar", "channels": [0], "source": ""}, clip.chunk.span.num_samples)


def _recording_manifest(name: str, source: dict[str, Any], length: int) -> dict[str, Any]:
    return {
        "id": name,
        "sources": [source],
        "sampling_rate": SAMPLE_RATE_HZ,
        "num_samples": length,
        "duration": decimal_s(length),
        "channel_ids": [0],
    }


def _supervision(
    chunk: Chunk, words: list[dict[str, Any]], fields: Any, recording_id: str, *, offset: int
) -> dict[str, Any]:
    return {
        "id": tar_key(chunk.id),
        "recording_id": recording_id,
        "start": decimal_s(offset),
        "duration": decimal_s(chunk.span.num_samples),
        "channel": 0,
        "text": chunk.text,
        "speaker": chunk.speaker,
        "custom": {
            **{name: value for name, value in fields.items() if name not in _OWN_FIELDS},
            "vote_ratios": [word["vote_ratio"] for word in words],
            "are_timed": [word["is_timed"] for word in words],
        },
        "alignment": {"word": [_aligned(word, offset) for word in words]},
    }


def _aligned(word: dict[str, Any], offset: int) -> list[Any]:
    start = word["start"] + offset
    return [word["text"], decimal_s(start), decimal_s(word["end"] - word["start"]), word["confidence"]]


def _cut(chunk: Chunk, recording: dict[str, Any], supervision: dict[str, Any], *, start: int) -> dict[str, Any]:
    return {
        "id": tar_key(chunk.id),
        "start": decimal_s(start),
        "duration": decimal_s(chunk.span.num_samples),
        "channel": 0,
        "supervisions": [supervision],
        "recording": recording,
        "type": "MonoCut",
    }


def read_lhotse(files: Sequence[Path], incoming: Incoming) -> Read:
    """Passages of a file of cuts: one a supervision. Mixed, padded and multi-channel cuts are counted drops."""
    (cuts,) = files
    for line in objects(cuts):
        if isinstance(line, Fault):
            yield line
            continue
        name, cut = line
        try:
            yield from _passages(name, cut, _source(cut, cuts.parent, incoming))
        except Dropped as dropped:
            yield Fault(name=name, dropped=dropped)


def read_shar(files: Sequence[Path], _incoming: Incoming) -> Read:
    """Passages of one Shar shard: (cuts, recording tar), which hold the same cuts in the same order."""
    cuts, tar = files
    samples = iter(samples_of(tar, at_last_dot=True))
    for line in objects(cuts):
        if isinstance(line, Fault):
            yield line
            return  # from here on the cuts would be given each other's sound
        name, cut = line
        sample = next(samples, None)
        try:
            yield from _passages(name, cut, _carried_sound(str(cut.get("id")), sample))
        except Dropped as dropped:
            yield Fault(name=name, dropped=dropped)


def shar_files(folder: Path) -> list[tuple[Path, ...]]:
    """Shards in `folder`."""
    return [with_recording(cuts) for cuts in sorted(folder.rglob("cuts.*.jsonl.gz"))]


def with_recording(cuts: Path) -> tuple[Path, ...]:
    """The cuts of a shard and the tar of their recordings."""
    shard = cuts.name.removeprefix("cuts.").removesuffix(".gz").removesuffix(".jsonl")
    return (cuts, cuts.with_name(f"recording.{shard}.tar"))


def _carried_sound(cut_id: str, sample: Sample | Fault | None) -> Sound:
    if sample is None:
        raise Dropped("audio not found", detail=cut_id)
    if isinstance(sample, Fault):
        raise sample.dropped
    kind = next((kind for kind in sample.parts if kind != "json"), None)
    if sample.key != cut_id or kind is None:
        raise Dropped("shard is out of step", detail=f"cut {cut_id}, sound {sample.key}"[:200])
    return Sound(name=f"{sample.name}.{kind}", data=sample.parts[kind])


def _source(cut: Mapping[str, Any], folder: Path, incoming: Incoming) -> Sound:
    """The one file that a cut's recording is in, and the channel that counts.

    Raises:
        Dropped: Its sound is somewhere else, or was changed on the way (speed, volume …).
    """
    _check_type(cut)
    recording = _mapping(cut.get("recording"))
    sources = recording.get("sources")
    if not isinstance(sources, list) or len(sources) != 1 or _mapping(sources[0]).get("type") != "file":
        raise Dropped("recording is not one file", detail=str(sources)[:200])
    if recording.get("transforms"):
        raise Dropped("recording is transformed", detail=str(recording["transforms"])[:200])
    found = incoming.roots.file(str(sources[0].get("source", "")), folder)
    channels, channel = sources[0].get("channels"), cut.get("channel", 0)
    is_mono = not isinstance(channels, list) or len(channels) == 1
    if is_mono:
        return found
    if channel not in channels:
        raise Dropped("no such channel", detail=f"{channel} of {channels}"[:200])
    return Sound(name=found.name, path=found.path, channel=channels.index(channel))


def _passages(name: str, cut: Mapping[str, Any], sound: Sound) -> Iterator[Passage]:
    _check_type(cut)
    start = in_samples(cut.get("start", 0), "start")
    supervisions = cut.get("supervisions")
    if not isinstance(supervisions, list) or not supervisions:
        raise Dropped("cut without supervision")
    for supervision in map(_mapping, supervisions):
        yield _supervised(name, sound, start, supervision)


def _check_type(cut: Mapping[str, Any]) -> None:
    if cut.get("type", "MonoCut") not in _CUT_TYPES:
        raise Dropped("cut is no MonoCut", detail=str(cut.get("type"))[:80])


def _supervised(name: str, sound: Sound, offset: float, supervision: Mapping[str, Any]) -> Passage:
    custom, text = _mapping(supervision.get("custom") or {}), supervision.get("text")
    speaker = str(supervision.get("speaker") or DEFAULT_SPEAKER)
    carried = own_fields({**custom, "speaker": speaker})
    start = offset + in_samples(supervision.get("start", 0), "start")
    return Passage(
        name=name,
        sound=sound,
        start=start,
        end=start + in_samples(supervision.get("duration"), "duration"),
        text=text if isinstance(text, str) else None,
        words=tuple(_aligned_words(supervision, offset, custom if carried else {})),
        speaker=speaker,
        systems=("lhotse",),
        carried=carried,
        metadata={**custom, "language": supervision["language"]} if "language" in supervision else custom,
    )


def _aligned_words(supervision: Mapping[str, Any], offset: float, told: Mapping[str, Any]) -> Iterator[RawWord]:
    alignment = _mapping(supervision.get("alignment") or {}).get("word", [])
    if not isinstance(alignment, list):
        raise Dropped("alignment is damaged", detail=str(alignment)[:80])
    votes, are_timed = _beside(alignment, told.get("vote_ratios"), 1.0), _beside(alignment, told.get("are_timed"), True)
    for item, vote, is_timed in zip(alignment, votes, are_timed, strict=True):
        if not isinstance(item, list) or len(item) < 3 or not isinstance(item[0], str):
            raise Dropped("alignment is damaged", detail=str(item)[:80])
        start = offset + in_samples(item[1], "word start")
        score = item[3] if len(item) > 3 else None
        yield RawWord(
            text=item[0],
            start=start,
            end=start + in_samples(item[2], "word duration"),
            confidence=float(score) if isinstance(score, int | float) else 1.0,
            vote_ratio=float(vote) if isinstance(vote, int | float) else 1.0,
            is_timed=bool(is_timed),
        )


def _beside(alignment: Sequence[Any], told: Any, default: Any) -> Sequence[Any]:
    """What is told of each word of `alignment`, where it is told of all."""
    return told if isinstance(told, list) and len(told) == len(alignment) else [default] * len(alignment)


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Dropped("not a manifest of lhotse", detail=str(value)[:80])
    return value
