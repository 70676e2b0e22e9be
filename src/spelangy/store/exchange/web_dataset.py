"""WebDataset: ``shard-<n>.tar`` of ``key.flac``, ``key.json``, ``key.txt`` a chunk, in this order."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from spelangy.core.errors import Dropped
from spelangy.store.exchange.carried import decimal_s, one_line_json
from spelangy.store.exchange.clips import Clip, Target, clips
from spelangy.store.exchange.dossier import Dossier
from spelangy.store.exchange.folder import Shards, add_member, tar_stream
from spelangy.store.exchange.passages import DEFAULT_SPEAKER, Incoming, Passage, Read, own_fields, own_words
from spelangy.store.exchange.reading import Fault, Sample, each, parse_object, samples_of
from spelangy.store.exchange.sounds import Sound

PATTERNS = ("shard-*.tar",)
AUDIO_KINDS = ("flac", "wav", "ogg", "opus", "mp3", "m4a")
_OWN_NAMES = frozenset({"text", "duration", "words", "speaker"})


def write_web_dataset(dossiers: Iterable[Dossier], target: Target) -> None:
    """Format ``webdataset``."""
    shards = Shards(target.shard_bytes)
    with ExitStack() as stack:
        stack.callback(shards.close)
        for clip in clips(dossiers, target.audio):
            if shards.next_is_new():
                opened = ExitStack()
                tar = opened.enter_context(tar_stream(target.folder, f"shard-{shards.number:06d}.tar"))
                shards.keep_open(opened)
            for name, data in _members(clip).items():
                shards.count(add_member(tar, f"{clip.key}.{name}", data))


def _members(clip: Clip) -> dict[str, bytes]:
    said = {"text": clip.chunk.text, "duration": decimal_s(clip.chunk.span.num_samples)}
    return {
        "flac": clip.flac,
        "json": one_line_json({**said, **clip.fields, "words": clip.words}).encode(),
        "txt": clip.chunk.text.encode(),
    }


def read_web_dataset(files: Sequence[Path], _incoming: Incoming) -> Read:
    """Passages of a tar of samples: a sound each, its text in ``txt`` or in the field ``text`` of ``json``."""
    (tar,) = files
    samples = (part if isinstance(part, Fault) else (part.name, part) for part in samples_of(tar))
    return each(samples, _passage)


def _passage(name: str, sample: Sample) -> Passage:
    kind = next((kind for kind in AUDIO_KINDS if kind in sample.parts), None)
    if kind is None:
        raise Dropped("sample without audio", detail=", ".join(sorted(sample.parts))[:200])
    fields = parse_object(sample.parts.get("json", b"{}"))
    carried = own_fields(fields)
    return Passage(
        name=name,
        sound=Sound(name=f"{name}.{kind}", data=sample.parts[kind]),
        text=_text(sample, fields),
        words=own_words(fields.get("words") or (), 0) if carried is not None else (),
        speaker=str(fields.get("speaker") or DEFAULT_SPEAKER),
        carried=carried,
        metadata={key: value for key, value in fields.items() if key not in _OWN_NAMES},
    )


def _text(sample: Sample, fields: Mapping[str, Any]) -> str | None:
    said = fields.get("text")
    if isinstance(said, str):
        return said
    try:
        return sample.parts["txt"].decode().strip() if "txt" in sample.parts else None
    except UnicodeDecodeError as error:
        raise Dropped("text is no Unicode", detail=str(error)) from error
