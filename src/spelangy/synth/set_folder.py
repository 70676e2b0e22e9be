"""A spoken set as a folder that never changes again: to be published, read without a store, and compared by one hash.

    manifest.json        content hash, counts, voices and ASR with revision and licence, sources, drops by reason
    items.jsonl          a line an item, in the order of ids: the fields of `SpokenItem` and ``file``
    audio/<id>.flac      16 kHz, mono, 16 bit

The content hash covers what a listener is given and asked: neither order nor machine, nor what an ASR heard of it.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import fsspec
import soundfile

from spelangy.backends.load import describe
from spelangy.backends.protocols import ModelInfo
from spelangy.core.errors import UserError
from spelangy.core.hashing import canonical_json, digest
from spelangy.core.records import Drop
from spelangy.core.schema import from_table, to_row
from spelangy.store.audio import AudioStore
from spelangy.store.exchange.folder import export_folder
from spelangy.store.objects import Store, StoredObject
from spelangy.synth.augment import SoundFile
from spelangy.synth.config import VoiceSettings
from spelangy.synth.set_items import SpokenItem
from spelangy.synth.spoken_set import ITEMS, SpokenSetPlan, SpokenSetSettings

FORMAT = "spelangy spoken set 1"
MANIFEST, LINES = "manifest.json", "items.jsonl"
PATTERNS = (MANIFEST, LINES, "audio/*.flac")
MEASUREMENTS = ("heard", "wer")
"""Fields of an item that are no part of the content: another ASR gives others for the same set."""


def content_hash(items: Iterable[SpokenItem]) -> str:
    """SHA-256 of what is asked, in which voice and sound; of the items in any order."""
    rows = [to_row(item) for item in sorted(items, key=lambda item: item.id)]
    return digest([{name: value for name, value in row.items() if name not in MEASUREMENTS} for row in rows])


def export_spoken_set(
    directory: Path, plan: SpokenSetPlan, store: Store, finished: Mapping[str, StoredObject]
) -> dict[str, Any]:
    """Writes a finished set into `directory`, or finds that it is there; returns its manifest.

    Args:
        finished: The object of each of the set's steps.

    Raises:
        UserError: When no item is left, `directory` holds another set or a part that was changed, or cannot be written.
    """
    step, table = ITEMS.split("/")
    items = from_table(store.table(finished[step].key, table), SpokenItem)
    manifest = _manifest(plan, items, _drops(store, finished))
    if not items:
        raise UserError(f"no spoken item is left: {canonical_json(manifest['drops'])}", hint="mend the questions")
    texts = {MANIFEST: json.dumps(manifest, indent=1, ensure_ascii=False), LINES: "\n".join(map(_line, items))}
    if (directory / MANIFEST).exists():
        _check_same(directory, texts, items)
    else:
        _write(directory, texts, items, store.audio)
    return manifest


def _line(item: SpokenItem) -> str:
    return json.dumps({**to_row(item), "file": _audio_name(item)}, ensure_ascii=False, allow_nan=False)


def _audio_name(item: SpokenItem) -> str:
    return f"audio/{item.id}.flac"


def _write(directory: Path, texts: Mapping[str, str], items: Sequence[SpokenItem], audio: AudioStore) -> None:
    with export_folder(directory) as folder:
        for item in items:
            with folder.open(_audio_name(item)) as file, fsspec.open(audio.url(item.audio), "rb") as stored:
                file.write(stored.read())
        for name in (LINES, MANIFEST):  # the manifest moves last: where it is, all is
            folder.write_lines(name, [texts[name]])
        folder.commit(PATTERNS)


def _check_same(directory: Path, texts: Mapping[str, str], items: Sequence[SpokenItem]) -> None:
    try:
        changed = [name for name, text in texts.items() if (directory / name).read_bytes() != f"{text}\n".encode()]
    except OSError as error:
        raise _other(directory, f"{error.filename}: {error.strerror}") from error
    changed += [name for item in items if _sound_key(directory / (name := _audio_name(item))) != item.audio]
    present = {path.name for path in (directory / "audio").glob("*.flac")}
    changed += sorted(present - {Path(_audio_name(item)).name for item in items})
    if changed:
        raise _other(directory, f"{changed[0]} differs" + (f", and {len(changed) - 1} more" if changed[1:] else ""))


def _other(directory: Path, why: str) -> UserError:
    return UserError(
        f"{directory} holds another spoken set ({why})", hint="a set never changes: choose another folder for this one"
    )


def _sound_key(path: Path) -> str:
    """The content key of a FLAC file, as `AudioStore` has it; empty where it is no sound."""
    try:
        pcm_S, _ = soundfile.read(path, dtype="int16")
    except (soundfile.SoundFileError, OSError):
        return ""
    return hashlib.sha256(pcm_S.tobytes()).hexdigest()


# ----------------------------------------------------------------------------------------------------------- manifest


def _manifest(
    plan: SpokenSetPlan, items: Sequence[SpokenItem], drops: Mapping[str, Mapping[str, int]]
) -> dict[str, Any]:
    settings, laid_over = plan.settings, plan.augmentation
    per_question = Counter(item.question_id for item in items)
    num_full = len(settings.voices) * len(settings.conditions)
    return {
        "format": FORMAT,
        "content": content_hash(items),
        "num_items": len(items),
        "num_questions": len(per_question),
        "num_complete_questions": sum(count == num_full for count in per_question.values()),
        "num_samples": sum(item.num_samples for item in items),
        "conditions": _conditions(settings, items),
        "voices": [_voice(voice) for voice in _by_name(settings)],
        "asr": _model(describe("asr", settings.asr), settings.asr.name) if settings.asr else None,
        "sources": [{"id": file.id, "name": Path(file.path).name} for file in plan.files],
        "rooms": _sounds(laid_over.rooms if laid_over else ()),
        "noises": _sounds(laid_over.noises if laid_over else ()),
        "limit": settings.limit,
        "max_wer": settings.max_wer,
        "seed": settings.seed,
        "drops": drops,
    }


def _by_name(settings: SpokenSetSettings) -> list[VoiceSettings]:
    return sorted(settings.voices, key=lambda voice: voice.speaker)


def _conditions(settings: SpokenSetSettings, items: Sequence[SpokenItem]) -> list[dict[str, Any]]:
    counts = Counter((item.voice, bool(item.room), item.snr_db) for item in items)
    return [
        {
            "voice": voice.speaker,
            "in_room": in_room,
            "snr_db": snr_db,
            "num_items": counts[voice.speaker, in_room, snr_db],
        }
        for voice in _by_name(settings)
        for in_room, snr_db in settings.conditions
    ]


def _sounds(files: Sequence[SoundFile]) -> list[dict[str, str]]:
    return [{"id": file.id, "name": file.name} for file in files]


def _voice(voice: VoiceSettings) -> dict[str, Any]:
    about = {"voice": voice.speaker, "rate": voice.rate, "accent": voice.accent, "sex": voice.sex}
    return {**about, **_model(describe("tts", voice.tts), voice.tts.name)}


def _model(info: ModelInfo, backend: str) -> dict[str, str]:
    return {"backend": backend, "model": info.name, "revision": info.revision, "licence": info.licence}


def _drops(store: Store, finished: Mapping[str, StoredObject]) -> dict[str, dict[str, int]]:
    """What was left out, by step and reason; steps that left out nothing are not named."""
    counted = {
        step: Counter(drop.reason for drop in from_table(store.table(stored.key, "drops"), Drop))
        for step, stored in finished.items()
    }
    return {step: dict(sorted(reasons.items())) for step, reasons in sorted(counted.items()) if reasons}
