"""Chooses the chunks that a report lets people hear, with all that was heard in them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from spelangy.core.hashing import digest
from spelangy.core.masks import is_masked
from spelangy.core.records import Chunk, Hypothesis, HypothesisWord, Recording, Transcript, Word
from spelangy.core.spans import seconds
from spelangy.report.data import ListenChunk, ListenWord
from spelangy.report.tables import RunTables
from spelangy.store.audio import flac_bytes
from spelangy.store.objects import Store

LISTEN = (("chunks-fine", "crawl", 4), ("chunks-coarse", "crawl", 2), ("speech", "krist", 5), ("speech", "quest", 5))
"""What can be heard: (step, source or any curated source, how many). Of Quest it is whole scripts: a question without
its answer tells little."""


def listen_chunks(tables: RunTables) -> Iterator[ListenChunk]:
    """A dozen chunks to hear: of crawled ones those first on which the systems differed, else spread over documents."""
    uris = {row.id: row.uri for row in tables.records("ingest", "recordings", Recording)}
    uris |= {row.id: row.uri for row in tables.records("speech", "recordings", Recording)}
    hypotheses = [row for step in tables.asr_steps() for row in tables.records(step, "hypotheses", Hypothesis)]
    timed = "aligned" if "aligned" in tables else "words"
    words = [word for row in tables.records(timed, "transcripts", Transcript) for word in _placed(row)]
    for step, source, count in LISTEN:
        chunks = [
            chunk
            for chunk in tables.records(step, "chunks", Chunk)
            if chunk.source == source or (step != "speech" and chunk.source not in ("krist", "quest"))
        ]
        for chunk in _choose(_whole(chunks) if source == "quest" else chunks, count):
            yield _listen_chunk(tables.store, step, chunk, uris.get(chunk.recording_id, ""), words, hypotheses)


def _whole(chunks: Sequence[Chunk]) -> list[Chunk]:
    """Each script as one chunk, its sentences joined."""
    scripts: dict[str, list[Chunk]] = {}
    for chunk in sorted(chunks, key=lambda chunk: (chunk.recording_id, chunk.index)):
        scripts.setdefault(chunk.recording_id, []).append(chunk)
    return [
        replace(
            parts[0],
            end=parts[-1].end,
            text=" ".join(part.text for part in parts),
            speaker=", ".join(dict.fromkeys(part.speaker for part in parts)),
        )
        for parts in scripts.values()
    ]


def _placed(transcript: Transcript) -> list[tuple[str, Word]]:
    return [(transcript.recording_id, word) for word in transcript.words]


def _choose(chunks: Sequence[Chunk], count: int) -> list[Chunk]:
    """One per document before a second of any; within a document most dissent first, then as the ids' hash falls."""
    rank: dict[str, int] = {}
    keyed = []
    for chunk in sorted(chunks, key=lambda chunk: (-len(chunk.dissent), digest(chunk.id))):
        rank[chunk.document_id] = rank.get(chunk.document_id, -1) + 1
        keyed.append((rank[chunk.document_id], -len(chunk.dissent), digest(chunk.id), chunk))
    return [entry[3] for entry in sorted(keyed, key=lambda entry: entry[:3])[:count]]


def _listen_chunk(
    store: Store,
    step: str,
    chunk: Chunk,
    uri: str,
    words: Sequence[tuple[str, Word]],
    hypotheses: Sequence[Hypothesis],
) -> ListenChunk:
    own = [word for recording, word in words if recording == chunk.recording_id and _inside(chunk, word)]
    if is_masked(chunk.text):
        own, hypotheses = [], ()  # what was heard is what the mask hides
    return ListenChunk(
        audio=flac_bytes(store.audio.read(chunk.audio, chunk.span)),
        media_type="audio/flac",
        text=chunk.text,
        words=tuple(
            ListenWord(
                text=word.text,
                start_s=seconds(max(0, word.start - chunk.start)),
                end_s=seconds(max(0, word.end - chunk.start)),
                vote_ratio=word.vote_ratio,
                confidence=word.confidence,
            )
            for word in own
        ),
        hypotheses=tuple(_heard(chunk, hypotheses)),
        dissent=chunk.dissent,
        speaker=chunk.speaker,
        source=chunk.source,
        view="fine" if step == "speech" else step.removeprefix("chunks-"),
        document=uri,
        duration_s=chunk.span.duration_s,
    )


def _inside(chunk: Chunk, word: Word | HypothesisWord) -> bool:
    return chunk.start <= (word.start + word.end) // 2 < chunk.end


def _heard(chunk: Chunk, hypotheses: Sequence[Hypothesis]) -> Iterator[tuple[str, str]]:
    by_system: dict[str, list[str]] = {}
    for hypothesis in hypotheses:
        if hypothesis.recording_id == chunk.recording_id:
            own = [word.text for word in hypothesis.words if _inside(chunk, word)]
            by_system.setdefault(hypothesis.system, []).extend(own)
    yield from ((system, " ".join(texts)) for system, texts in by_system.items())
