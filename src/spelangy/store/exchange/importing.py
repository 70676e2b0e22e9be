"""All formats that the store reads, by name, and the import itself.

    files ──read──> passages ──Arrivals──> recordings, turns, transcripts, chunks, drops     one object: import-<format>
                                                 refs/<name>/ingest, turns, words, chunks-<view>  ──>  that object

The object's key comes from the digests of the files and of the sound they point at: the same input is imported once.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from spelangy.core.errors import UserError, did_you_mean
from spelangy.core.hashing import digest
from spelangy.core.records import Recording
from spelangy.core.schema import from_table
from spelangy.store.exchange import (
    asr_json,
    captions,
    hugging_face,
    labels,
    lhotse_cuts,
    manifests,
    text_grid,
    web_dataset,
)
from spelangy.store.exchange.arrivals import Arrivals, Provenance
from spelangy.store.exchange.passages import Incoming, Passage, Read
from spelangy.store.exchange.sounds import AudioRoots, Hear, Sound, hear
from spelangy.store.objects import Lineage, Store, StoredObject
from spelangy.store.refused import RefusedRecordings

IMPORT_VERSION = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_VIEW = re.compile(r"[a-z0-9][a-z0-9-]*")


@dataclass(frozen=True, kw_only=True)
class ImportFormat:
    """One format.

    Attributes:
        patterns: What a folder is searched for.
        carries_sound: Whether the files hold the sound themselves.
        groups: Finds in a folder what is read together, where that is not one file.
        whole: The group that a file given by name belongs to.
    """

    read: Callable[[Sequence[Path], Incoming], Read]
    patterns: tuple[str, ...] = ()
    carries_sound: bool = False
    groups: Callable[[Path], list[tuple[Path, ...]]] | None = None
    whole: Callable[[Path], tuple[Path, ...]] = lambda path: (path,)

    def found(self, path: Path) -> list[tuple[Path, ...]]:
        """Groups of files at `path`, a file or folder."""
        if not path.is_dir():
            return [self.whole(path)]
        if self.groups is not None:
            return self.groups(path)
        files = {file for pattern in self.patterns for file in path.rglob(pattern) if file.is_file()}
        return [(file,) for file in sorted(files)]


IMPORTS: Mapping[str, ImportFormat] = {
    "hf": ImportFormat(read=hugging_face.read_hugging_face, patterns=("*.parquet",), carries_sound=True),
    "hf-disk": ImportFormat(read=hugging_face.read_hugging_face, patterns=("*.arrow",), carries_sound=True),
    "lhotse": ImportFormat(read=lhotse_cuts.read_lhotse, patterns=("*cuts*.jsonl.gz", "*cuts*.jsonl")),
    "shar": ImportFormat(
        read=lhotse_cuts.read_shar,
        carries_sound=True,
        groups=lhotse_cuts.shar_files,
        whole=lhotse_cuts.with_recording,
    ),
    "nemo": ImportFormat(read=manifests.read_nemo, patterns=("*manifest*.json", "*manifest*.jsonl")),
    "nemo-tar": ImportFormat(
        read=manifests.read_nemo_tar,
        carries_sound=True,
        groups=manifests.nemo_tar_files,
        whole=manifests.with_tars,
    ),
    "webdataset": ImportFormat(
        read=web_dataset.read_web_dataset, patterns=("*.tar", "*.tar.gz", "*.tgz"), carries_sound=True
    ),
    "jsonl": ImportFormat(read=manifests.read_jsonl, patterns=("*chunks*.jsonl", "*chunks*.jsonl.gz")),
    "rttm": ImportFormat(read=labels.read_rttm, patterns=("*.rttm",)),
    "ctm": ImportFormat(read=labels.read_ctm, patterns=("*.ctm",)),
    "textgrid": ImportFormat(read=text_grid.read_text_grid, patterns=("*.TextGrid",)),
    "vtt": ImportFormat(read=captions.read_vtt, patterns=("*.vtt",)),
    "whisperx": ImportFormat(read=asr_json.read_whisperx, patterns=("*.json",)),
    "emilia": ImportFormat(read=asr_json.read_emilia, patterns=("*.json", "*.jsonl", "*.jsonl.gz")),
}


@dataclass(frozen=True, kw_only=True)
class ImportRequest:
    """What to import, and under which name.

    Attributes:
        paths: Files, or folders that are searched for files of the format.
        name: Of the data in the store: its refs, as a recipe's.
        view: Of the chunks: ``chunks-<view>``.
        audio_roots: Folders below which sound may be opened, beside the folder of each file.
        source: Source and licence of recordings that do not say theirs.
        known: Recordings of the store that labels without sound may be about, by id.
    """

    form: str
    paths: Sequence[Path]
    name: str
    view: str = "fine"
    audio_roots: Sequence[Path] = ()
    source: str = "import"
    licence: str = "unknown"
    known: Mapping[str, Recording] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What came of it.

    Attributes:
        num_rows: By table.
        dropped: Parts left out, by reason; each is a row of table ``drops``.
        clipped: Times that were moved, by what was wrong with them.
    """

    key: str
    is_reused: bool
    num_rows: Mapping[str, int]
    dropped: Mapping[str, int]
    clipped: Mapping[str, int]


def known_recordings(store: Store, name: str) -> dict[str, Recording]:
    """Recordings of `name`, a recipe or an import, by id and, where it is theirs alone, by the name of their file.

    Raises:
        UserError: When the store has none.
    """
    key = store.ref(name, "ingest")
    if key is None or store.find(key) is None:
        raise UserError(f"the store has no recordings of {name}", hint="spelangy curate, or data import, makes them")
    recordings = [row for row in from_table(store.table(key, "recordings"), Recording) if row.status == "ok"]
    stems = Counter(PurePosixPath(recording.uri).stem for recording in recordings)
    by_stem = {PurePosixPath(recording.uri).stem: recording for recording in recordings}
    alone = {stem: recording for stem, recording in by_stem.items() if stems[stem] == 1}
    return {**alone, **{recording.id: recording for recording in recordings}}


def import_data(request: ImportRequest, store: Store, hear: Hear = hear) -> Imported:
    """Imports files of another tool into `store`; the same files again are not read again.

    Args:
        hear: Decodes sound; see `sounds.hear`.

    Raises:
        UserError: No such format or file, a name that is taken or cannot be one, or nothing in the files that could be
            imported. Single bad parts are counted drops.
    """
    form = _checked(request, store)
    groups = [group for path in request.paths for group in form.found(path)]
    if not groups:
        raise UserError(
            f"no files of format {request.form} in {', '.join(map(str, request.paths))}",
            hint=f"a folder is searched for {' '.join(form.patterns) or 'the names its export gives'}",
        )
    incoming = Incoming(roots=AudioRoots(request.audio_roots), known=request.known)
    sounds = {} if form.carries_sound else _sounds(form, groups, incoming)
    lineage = _lineage(request, groups, sounds)
    stored = store.find(lineage.key)
    is_reused = stored is not None
    if stored is None:
        digests = {path: found for path, (_, found) in sounds.items()}
        arrivals = _arrivals(request, store, hear, lineage.step, digests)
        for group in groups:
            for passage in form.read(group, incoming):
                arrivals.add(passage)
        stored = _commit(arrivals, store, lineage)
    for step in ("ingest", "turns", "words", f"chunks-{request.view}"):
        store.set_ref(request.name, step, stored.key)
    return _summary(stored, is_reused)


def _checked(request: ImportRequest, store: Store) -> ImportFormat:
    if request.form not in IMPORTS:
        raise UserError(f"no import format {request.form!r}", hint=did_you_mean(request.form, IMPORTS))
    for what, given, allowed in (("--name", request.name, _NAME), ("--view", request.view, _VIEW)):
        if not allowed.fullmatch(given):
            raise UserError(f"{what} {given!r}", hint="letters, digits and hyphens, a letter or digit first")
    for path in (*request.paths, *request.audio_roots):
        if not path.is_file() and not path.is_dir():
            raise UserError(f"{path} is no file or folder", hint="check the path")
    taken = store.ref(request.name, "ingest")
    owner = store.find(taken) if taken else None
    if owner is not None and not owner.lineage.step.startswith("import-"):
        raise UserError(f"--name {request.name} is a recipe's in this store", hint="choose another name")
    return IMPORTS[request.form]


def _sounds(form: ImportFormat, groups: Sequence[Sequence[Path]], incoming: Incoming) -> dict[Path, tuple[str, str]]:
    """(name, digest) of every sound file that is pointed at."""
    found: dict[Path, tuple[str, str]] = {}
    for group in groups:
        for passage in form.read(group, incoming):
            if isinstance(passage, Passage) and passage.sound.path is not None and passage.sound.path not in found:
                found[passage.sound.path] = (passage.sound.name, passage.sound.digest())
    return found


def _lineage(
    request: ImportRequest, groups: Sequence[Sequence[Path]], sounds: Mapping[Path, tuple[str, str]]
) -> Lineage:
    """Files enter by content and own name: where they lie is no part of it."""
    files = [[(path.name, _digest(path)) for path in group] for group in groups]
    return Lineage(
        step=f"import-{request.form}",
        version=IMPORT_VERSION,
        config={"view": request.view, "source": request.source, "licence": request.licence},
        seed=0,
        inputs={
            "files": digest(files),
            "audio": digest(sorted(sounds.values())),
            "known": digest({name: recording.audio for name, recording in request.known.items()}),
        },
    )


def _digest(path: Path) -> str:
    return Sound(name=path.name, path=path).digest() if path.is_file() else ""


def _arrivals(request: ImportRequest, store: Store, hear: Hear, step: str, digests: Mapping[Path, str]) -> Arrivals:
    provenance = Provenance(step=step, view=request.view, source=request.source, licence=request.licence)
    refused = RefusedRecordings(store.files.root).all()
    names = frozenset(name for entry in refused for name in (entry.recording_id, *entry.audio, *entry.uri_digests))
    return Arrivals(store.audio, hear, provenance, digests, names)


def _commit(arrivals: Arrivals, store: Store, lineage: Lineage) -> StoredObject:
    tables = arrivals.tables()
    if not tables["turns"].num_rows:
        reasons = ", ".join(f"{reason} ({count})" for reason, count in arrivals.dropped.most_common(3))
        raise UserError(f"nothing could be imported: {reasons or 'the files are empty'}", hint=_hint(arrivals))
    counts = {"dropped": dict(arrivals.dropped), "clipped": dict(arrivals.clipped)}
    return store.commit_tables(lineage, tables, counts)


def _hint(arrivals: Arrivals) -> str:
    if any("audio" in reason for reason in arrivals.dropped):
        return "sound is opened beside the file, or below --audio-root FOLDER"
    return "check --format: see spelangy data import --help"


def _summary(stored: StoredObject, is_reused: bool) -> Imported:
    return Imported(
        key=stored.key,
        is_reused=is_reused,
        num_rows={file.name.removesuffix(".parquet"): file.num_rows or 0 for file in stored.files},
        dropped=stored.circumstances["dropped"],
        clipped=stored.circumstances["clipped"],
    )
