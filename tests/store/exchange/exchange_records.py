"""Stores with a little speech in them, drawn at random or plain, for the tests of exchange."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from spelangy.core.hashing import record_id
from spelangy.core.records import Chunk, Recording, Transcript, Turn, Word, turn_id
from spelangy.core.schema import from_table, to_table
from spelangy.store.audio import AudioStore
from spelangy.store.exchange import ImportRequest, export, import_data
from spelangy.store.objects import Lineage, Store

RATE = 16_000
TEXT = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")) | st.sampled_from('"<>&\\\n\u2028\x85'),
    min_size=1,
    max_size=12,
).filter(lambda text: text.strip() != "")
WORD = st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=6).filter(
    lambda text: text.strip() != ""
)
SHARE = st.sampled_from([0.0, 0.25, 0.5, 1.0])


@dataclass(frozen=True, kw_only=True)
class Speech:
    """Records of one store."""

    recordings: Sequence[Recording]
    turns: Sequence[Turn]
    transcripts: Sequence[Transcript]
    chunks: Sequence[Chunk]

    def export(self, form: str, directory: Path, audio: AudioStore, **options: Any) -> list[Path]:
        return export(
            form,
            directory,
            chunks=self.chunks,
            turns=self.turns,
            transcripts=self.transcripts,
            recordings=self.recordings,
            audio=audio,
            **options,
        )

    def commit(self, store: Store, name: str, **view: str) -> None:
        """The records as a run of a recipe would leave them, with these settings of its view."""
        tables = {
            "ingest": ("recordings", self.recordings, Recording, {}),
            "turns": ("turns", self.turns, Turn, {}),
            "words": ("transcripts", self.transcripts, Transcript, {}),
        }
        inputs = {}
        for step, (table, records, kind, _) in tables.items():
            lineage = Lineage(step=step, version=1, config={}, seed=0, inputs={})
            stored = store.commit_tables(lineage, {table: to_table(records, kind)}, {})
            store.set_ref(name, step, stored.key)
            inputs[f"{step}/{table}"] = stored.digest_of(table)
        lineage = Lineage(step="chunks-fine", version=1, config=view, seed=0, inputs=inputs)
        stored = store.commit_tables(lineage, {"chunks": to_table(self.chunks, Chunk)}, {})
        store.set_ref(name, "chunks-fine", stored.key)


def sound(seed: int, num_samples: int) -> np.ndarray[Any, np.dtype[np.int16]]:
    return np.random.default_rng(seed).integers(-32_768, 32_768, num_samples, dtype=np.int16)


def recording(audio: AudioStore, seed: int, num_samples: int, **changes: Any) -> Recording:
    plain: dict[str, Any] = {
        "id": record_id("recording", seed),
        "uri": f"talks/{seed}.wav",
        "status": "ok",
        "reason": "",
        "num_samples": num_samples,
        "audio": audio.put_pcm(sound(seed, num_samples)),
        "source": "crawl",
        "licence": "CC-BY-4.0",
        "source_codec": "mp3",
        "source_sample_rate_hz": 44_100,
        "source_channels": 2,
        "metadata": '{"feed":"a talk"}',
    }
    return Recording(**(plain | changes))


def speech_of(recordings: Sequence[Recording], said: Sequence[Sequence[dict[str, Any]]]) -> Speech:
    """Chunks, with a turn and a transcript each, of what is said in each recording."""
    turns, transcripts, chunks = [], [], []
    for recording, parts in zip(recordings, said, strict=True):
        for index, part in enumerate(parts):
            name = turn_id(recording.id, index)
            start, end, speaker = part["start"], part["end"], part["speaker"]
            turns.append(
                Turn(
                    id=name,
                    recording_id=recording.id,
                    audio=recording.audio,
                    start=start,
                    end=end,
                    speaker=speaker,
                    is_overlap=False,
                )
            )
            if part["words"]:
                dissent = tuple(part["dissent"])
                transcripts.append(
                    Transcript(
                        id=name,
                        recording_id=recording.id,
                        systems=("a", "b"),
                        words=tuple(part["words"]),
                        dissent=dissent,
                    )
                )
            chunks.append(
                Chunk(
                    id=f"{recording.id}-fine-{index:05d}",
                    document_id=f"doc-{recording.id}",
                    recording_id=recording.id,
                    audio=recording.audio,
                    index=index,
                    start=start,
                    end=end,
                    text=part["text"],
                    speaker=speaker,
                    role=part["role"],
                    source=recording.source,
                    licence=recording.licence,
                    min_vote_ratio=part["share"],
                    confidence=part["confidence"],
                    dissent=tuple(part["dissent"]),
                    metadata=recording.metadata,
                )
            )
    return Speech(recordings=recordings, turns=turns, transcripts=transcripts, chunks=chunks)


@st.composite
def parts(draw: st.DrawFn, num_samples: int) -> list[dict[str, Any]]:
    """Stretches that do not overlap, one-sample ones among them, with words inside."""
    edges = sorted(draw(st.sets(st.integers(0, num_samples), min_size=2, max_size=8)))
    found = []
    for start, end in zip(edges[::2], edges[1::2], strict=False):
        inner = sorted(draw(st.lists(st.integers(start, end - 1), max_size=6)))
        words = [
            Word(
                text=draw(WORD),
                start=first,
                end=last,
                vote_ratio=draw(SHARE),
                confidence=draw(SHARE),
                is_timed=draw(st.booleans()),
            )
            for first, last in zip(inner[::2], inner[1::2], strict=False)
        ]
        found.append(
            {
                "start": start,
                "end": end,
                "text": draw(TEXT),
                "words": words,
                "speaker": draw(st.sampled_from(["S0", "S1", "am_adam"])),
                "role": draw(st.sampled_from(["speech", "question"])),
                "share": draw(SHARE),
                "confidence": draw(SHARE),
                "dissent": draw(st.lists(TEXT, max_size=2)),
            }
        )
    return found


@st.composite
def said(draw: st.DrawFn, lengths: Sequence[int]) -> list[list[dict[str, Any]]]:
    """`parts` of several recordings, one of them at least."""
    return [draw(parts(length)) for length in lengths]


def read_back(form: str, paths: Sequence[Path], root: Path, **options: Any) -> tuple[Store, Speech, dict[str, Any]]:
    """Imported into a store of its own; (store, records, summary)."""
    store = Store(root)
    imported = import_data(ImportRequest(form=form, paths=paths, name="back", **options), store)
    return store, records_of(store, imported.key), {"dropped": imported.dropped, "clipped": imported.clipped}


def records_of(store: Store, key: str) -> Speech:
    return Speech(
        recordings=from_table(store.table(key, "recordings"), Recording),
        turns=from_table(store.table(key, "turns"), Turn),
        transcripts=from_table(store.table(key, "transcripts"), Transcript),
        chunks=from_table(store.table(key, "chunks"), Chunk),
    )


def plain_speech(audio: AudioStore) -> Speech:
    """Two recordings; times that are no whole milliseconds, words that touch, quotes and arrows."""
    word = Word(text="hello", start=101, end=5_001, vote_ratio=1.0, confidence=0.5)
    first = {
        "start": 100,
        "end": 16_101,
        "text": "hello world",
        "words": [word, replace(word, text="world", start=5_001, end=16_001, vote_ratio=0.5)],
        "speaker": "S0",
        "role": "speech",
        "share": 0.5,
        "confidence": 0.5,
        "dissent": ["world (1/2; other: word)"],
    }
    second = first | {"start": 16_101, "end": 30_003, "text": 'he said "hé" --> x', "words": [], "speaker": "S1"}
    other = first | {"start": 1, "end": 16_002, "words": [replace(word, start=1, end=2)]}
    recordings = [recording(audio, 1, 30_003), recording(audio, 2, 20_000)]
    return speech_of(recordings, [[first, second], [other]])
