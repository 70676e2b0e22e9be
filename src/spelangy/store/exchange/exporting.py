"""All formats that the store is written in, by name."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spelangy.core.errors import UserError, did_you_mean
from spelangy.core.records import Chunk, Recording, Transcript, Turn
from spelangy.store.audio import AudioStore
from spelangy.store.exchange import captions, hugging_face, labels, lhotse_cuts, manifests, text_grid, web_dataset
from spelangy.store.exchange.clips import DEFAULT_SHARD_MB, Target
from spelangy.store.exchange.dossier import Dossier, dossiers, stored_dossiers
from spelangy.store.exchange.folder import export_folder
from spelangy.store.exchange.viewed import ViewedTables
from spelangy.store.objects import Store


@dataclass(frozen=True, kw_only=True)
class ExportFormat:
    """One format.

    Attributes:
        patterns: Names of the files it writes.
        tables: What it is made of; ``recordings`` always.
        tells_all_words: Whether it holds words that are in no chunk of the view too.
    """

    write: Callable[[Iterable[Dossier], Target], None]
    patterns: tuple[str, ...]
    tables: tuple[str, ...] = ("turns", "transcripts", "chunks")
    tells_all_words: bool = False


EXPORTS: Mapping[str, ExportFormat] = {
    "hf": ExportFormat(write=hugging_face.write_parquet, patterns=hugging_face.PATTERNS),
    "hf-disk": ExportFormat(write=hugging_face.write_disk, patterns=hugging_face.DISK_PATTERNS),
    "lhotse": ExportFormat(write=lhotse_cuts.write_lhotse, patterns=lhotse_cuts.PATTERNS),
    "shar": ExportFormat(write=lhotse_cuts.write_shar, patterns=lhotse_cuts.SHAR_PATTERNS),
    "nemo": ExportFormat(write=manifests.write_nemo, patterns=manifests.NEMO_PATTERNS),
    "nemo-tar": ExportFormat(write=manifests.write_nemo_tar, patterns=manifests.NEMO_TAR_PATTERNS),
    "webdataset": ExportFormat(write=web_dataset.write_web_dataset, patterns=web_dataset.PATTERNS),
    "jsonl": ExportFormat(write=manifests.write_jsonl, patterns=manifests.JSONL_PATTERNS),
    "rttm": ExportFormat(write=labels.write_rttm, patterns=labels.RTTM_PATTERNS, tables=("turns",)),
    "ctm": ExportFormat(
        write=labels.write_ctm, patterns=labels.CTM_PATTERNS, tables=("transcripts",), tells_all_words=True
    ),
    "textgrid": ExportFormat(write=text_grid.write_text_grid, patterns=text_grid.PATTERNS, tells_all_words=True),
    "vtt": ExportFormat(write=captions.write_vtt, patterns=captions.PATTERNS),
}


def export(
    form: str,
    directory: Path,
    *,
    chunks: Sequence[Chunk],
    turns: Sequence[Turn],
    transcripts: Sequence[Transcript],
    audio: AudioStore,
    recordings: Sequence[Recording] = (),
    shard_mb: float = DEFAULT_SHARD_MB,
) -> list[Path]:
    """Writes records at hand in one format into `directory`; returns the files.

    Args:
        shard_mb: Size in 10^6 bytes at which a shard is closed, where the format has shards.

    Raises:
        UserError: When there is no such format, or `directory` cannot be written.
    """
    checked_form(form)
    return _export(form, directory, dossiers(chunks, turns, transcripts, recordings), audio, shard_mb)


def export_stored(
    form: str, directory: Path, store: Store, tables: ViewedTables, *, shard_mb: float = DEFAULT_SHARD_MB
) -> list[Path]:
    """`export` of a view's stored tables, recording by recording: memory does not grow with the number of chunks.

    Raises:
        UserError: As `export`; when a table is not what was committed; and when the format would tell words that the
            view hides.
    """
    wanted = checked_form(form)
    if tables.hides_words and wanted.tells_all_words:
        raise UserError(
            f"format {form} holds all words of a recording as they were heard; this view hides the private ones",
            hint="choose a format of chunks, or a view with private = 'keep'",
        )
    gathered = stored_dossiers(
        store,
        recordings=tables.recordings,
        turns=tables.turns,  # they name the speakers of words
        transcripts=tables.transcripts if "transcripts" in wanted.tables else None,
        chunks=tables.chunks if "chunks" in wanted.tables else None,
    )
    return _export(form, directory, gathered, store.audio, shard_mb)


def checked_form(form: str) -> ExportFormat:
    """The format of that name.

    Raises:
        UserError: When there is none.
    """
    if form not in EXPORTS:
        raise UserError(f"no export format {form!r}", hint=did_you_mean(form, EXPORTS))
    return EXPORTS[form]


def _export(form: str, directory: Path, gathered: Iterable[Dossier], audio: AudioStore, shard_mb: float) -> list[Path]:
    with export_folder(directory) as folder:
        target = Target(folder=folder, audio=audio, shard_bytes=max(1, round(shard_mb * 1_000_000)))
        EXPORTS[form].write(gathered, target)
        return sorted(folder.commit(EXPORTS[form].patterns))
