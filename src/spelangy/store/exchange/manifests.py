"""JSON lines: the store's own chunks, NeMo's manifest beside audio that stays where it is, and NeMo's tarred form.

nemo      manifest.jsonl                 {"audio_filepath", "offset", "duration", "text", …} a line a chunk
nemo-tar  audio_<n>.tar                  clips
          sharded_manifests/manifest_<n>.json, tarred_audio_manifest.json   {"audio_filepath": member, "shard_id": n, …}
jsonl     chunks.jsonl                   chunks as they are stored, with their words
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from spelangy.core.errors import Dropped
from spelangy.core.records import Chunk
from spelangy.store.audio import AudioStore
from spelangy.store.exchange.carried import (
    carried_fields,
    chunk_words,
    decimal_s,
    one_line_json,
    recording_json,
)
from spelangy.store.exchange.clips import Clip, Target, clips
from spelangy.store.exchange.dossier import Dossier
from spelangy.store.exchange.folder import Shards, add_member, tar_stream
from spelangy.store.exchange.passages import DEFAULT_SPEAKER, Incoming, Passage, Read, in_samples, own_fields, own_words
from spelangy.store.exchange.reading import Fault, Sample, each, objects, samples_of
from spelangy.store.exchange.sounds import Sound

NEMO_PATTERNS = ("manifest.jsonl",)
NEMO_TAR_PATTERNS = ("audio_*.tar", "sharded_manifests/manifest_*.json", "tarred_audio_manifest.json")
JSONL_PATTERNS = ("chunks.jsonl",)

_NEMO_NAMES = frozenset({"audio_filepath", "offset", "duration", "text", "speaker", "words", "shard_id"})
_AUDIO_KEY = re.compile("[0-9a-f]{64}")


def nemo_lines(dossiers: Iterable[Dossier], audio: AudioStore) -> Iterator[str]:
    """NeMo manifest lines; audio stays where it is, each line names its offset."""
    for dossier in dossiers:
        for chunk in dossier.chunks:
            place = {"audio_filepath": audio.url(chunk.audio), "offset": decimal_s(chunk.start)}
            said = {**carried_fields(dossier, chunk), "words": chunk_words(dossier, chunk)}
            yield one_line_json({**place, **_spoken(chunk), **said})


def _spoken(chunk: Chunk) -> dict[str, Any]:
    return {"duration": decimal_s(chunk.span.num_samples), "text": chunk.text}


def write_nemo(dossiers: Iterable[Dossier], target: Target) -> None:
    """Format ``nemo``."""
    target.folder.write_lines("manifest.jsonl", nemo_lines(dossiers, target.audio))


def write_nemo_tar(dossiers: Iterable[Dossier], target: Target) -> None:
    """Format ``nemo-tar``: what NeMo's `TarredAudioToBPEDataset` and its lhotse loader read."""
    shards = Shards(target.shard_bytes)
    with target.folder.open("tarred_audio_manifest.json") as whole, ExitStack() as stack:
        stack.callback(shards.close)
        for clip in clips(dossiers, target.audio):
            if shards.next_is_new():
                opened = ExitStack()
                tar = opened.enter_context(tar_stream(target.folder, f"audio_{shards.number}.tar"))
                name = f"sharded_manifests/manifest_{shards.number}.json"
                manifest = opened.enter_context(target.folder.open(name))
                shards.keep_open(opened)
            shards.count(add_member(tar, f"{clip.key}.flac", clip.flac))
            line = f"{_tarred_line(clip, shards.number)}\n".encode()
            manifest.write(line)
            whole.write(line)


def _tarred_line(clip: Clip, shard: int) -> str:
    place = {"audio_filepath": f"{clip.key}.flac", "shard_id": shard}
    return one_line_json({**place, **_spoken(clip.chunk), **clip.fields, "words": clip.words})


def chunk_lines(dossiers: Iterable[Dossier]) -> Iterator[str]:
    """Chunks as JSON lines, samples included; with their words and recording."""
    for dossier in dossiers:
        for chunk in dossier.chunks:
            fields = carried_fields(dossier, chunk)
            beside = {"systems": fields["systems"], "words": chunk_words(dossier, chunk)}
            yield one_line_json({**asdict(chunk), **beside, "recording": recording_json(dossier.recording)})


def write_jsonl(dossiers: Iterable[Dossier], target: Target) -> None:
    """Format ``jsonl``."""
    target.folder.write_lines("chunks.jsonl", chunk_lines(dossiers))


def read_nemo(files: Sequence[Path], incoming: Incoming) -> Read:
    """Passages of a NeMo manifest; what is in none of its own fields becomes metadata."""
    (manifest,) = files

    def passage(name: str, fields: Mapping[str, Any]) -> Passage:
        return _nemo_passage(incoming.roots.file(fields.get("audio_filepath", ""), manifest.parent), name, fields)

    return each(objects(manifest), passage)


def _nemo_passage(sound: Sound, name: str, fields: Mapping[str, Any]) -> Passage:
    start = in_samples(fields.get("offset") or 0, "offset")
    duration, text, carried = fields.get("duration"), fields.get("text"), own_fields(fields)
    if text is not None and not isinstance(text, str):
        raise Dropped("text is no text", detail=str(text)[:80])
    return Passage(
        name=name,
        sound=sound,
        start=start,
        end=None if duration is None else start + in_samples(duration, "duration"),
        text=text,
        words=own_words(fields.get("words") or (), start) if carried is not None else (),
        speaker=str(fields.get("speaker") or DEFAULT_SPEAKER),
        systems=("nemo",),
        carried=carried,
        metadata={key: value for key, value in fields.items() if key not in _NEMO_NAMES},
    )


def read_nemo_tar(files: Sequence[Path], _incoming: Incoming) -> Read:
    """Passages of NeMo's tarred form: (manifest, its tars). A manifest is held whole: ours are a shard each."""
    manifest, *tars = files
    wanted: dict[tuple[str, str], list[tuple[str, Mapping[str, Any]]]] = {}
    for line in objects(manifest):
        if isinstance(line, Fault):
            yield line
            continue
        member = str(line[1].get("audio_filepath", "")).rpartition("/")[2].lower()
        wanted.setdefault((str(line[1].get("shard_id", "")), member), []).append(line)
    for tar in tars:
        shard = tar.stem.rpartition("_")[2]
        for sample in samples_of(tar):
            if isinstance(sample, Fault):
                yield sample
            else:
                yield from _tarred(sample, shard, wanted)
    for (_, member), lines in wanted.items():
        yield from (Fault(name=name, dropped=Dropped("audio not found", detail=member)) for name, _ in lines)


def _tarred(
    sample: Sample, shard: str, wanted: dict[tuple[str, str], list[tuple[str, Mapping[str, Any]]]]
) -> Iterator[Passage | Fault]:
    for kind, data in sample.parts.items():
        member = f"{sample.key.rpartition('/')[2]}.{kind}".lower()
        sound = Sound(name=f"{sample.name}.{kind}", data=data)
        yield from each(wanted.pop((shard, member), []), partial(_nemo_passage, sound))


def nemo_tar_files(folder: Path) -> list[tuple[Path, ...]]:
    """Manifests in `folder`, each with its tars: the sharded ones where there are any."""
    found: list[tuple[Path, ...]] = []
    for manifest in sorted(folder.rglob("sharded_manifests/manifest_*.json")):
        number = manifest.stem.rpartition("_")[2]
        found.append((manifest, manifest.parent.parent / f"audio_{number}.tar"))
    if found:
        return found
    return [with_tars(manifest) for manifest in sorted(folder.rglob("tarred_audio_manifest*.json"))]


def with_tars(manifest: Path) -> tuple[Path, ...]:
    """A manifest of the tarred form and the tars beside it, or above it when it is a sharded one."""
    number = manifest.stem.removeprefix("manifest_")
    if manifest.parent.name == "sharded_manifests" and number.isdecimal():
        return (manifest, manifest.parent.parent / f"audio_{number}.tar")
    return (manifest, *sorted(manifest.parent.glob("audio_*.tar")))


def read_jsonl(files: Sequence[Path], incoming: Incoming) -> Read:
    """Passages of our own chunk lines; their sound is found by its content key below the folders allowed."""
    (lines,) = files
    return each(objects(lines), lambda name, fields: _own_passage(name, fields, lines.parent, incoming))


def _own_passage(name: str, fields: Mapping[str, Any], folder: Path, incoming: Incoming) -> Passage:
    told = {**fields, "chunk_id": fields.get("id")}
    told |= {"start_samples": fields.get("start"), "end_samples": fields.get("end")}
    carried, text, speaker, key = own_fields(told), fields.get("text"), fields.get("speaker"), fields.get("audio")
    if carried is None or not isinstance(text, str) or not isinstance(speaker, str):
        raise Dropped("not a chunk of ours", detail=", ".join(sorted(fields))[:200])
    if not isinstance(key, str) or not _AUDIO_KEY.fullmatch(key):
        raise Dropped("audio is no content key", detail=str(key)[:80])
    return Passage(
        name=name,
        sound=_by_content(key, folder, incoming),
        start=carried.start,
        end=carried.end,
        text=text,
        words=own_words(fields.get("words") or (), carried.start),
        speaker=speaker,
        carried=carried,
    )


def _by_content(key: str, folder: Path, incoming: Incoming) -> Sound:
    places = [f"{key}.flac", f"{key[:2]}/{key}.flac", f"audio/{key[:2]}/{key}.flac"]
    for place in places:
        try:
            return incoming.roots.file(place, folder)
        except Dropped as dropped:
            if dropped.reason != "audio not found" or place == places[-1]:
                raise
    raise AssertionError("the last place returns or raises")
