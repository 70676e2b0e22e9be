"""Numbers of a view against numbers worked out by hand, and the paper's law of switches."""

import pytest

from spelangy.core.chunk_statistics import view_statistics
from spelangy.core.records import Chunk
from spelangy.core.schema import to_table
from spelangy.core.spans import samples


def chunk(document: str, index: int, duration_s: float, text: str = "two words", speaker: str = "S0") -> Chunk:
    return Chunk(
        id=f"{document}-{index}", document_id=document, recording_id=document, audio="key", index=index, start=0,
        end=samples(duration_s), text=text, speaker=speaker, role="speech", source="s", licence="l",
        min_vote_ratio=1.0, confidence=1.0, dissent=(),
    )  # fmt: skip


def test_lengths_speakers_and_switches() -> None:
    chunks = [
        chunk("a", 0, 2.0),
        chunk("a", 1, 4.0, speaker="S1"),
        chunk("a", 2, 6.0),
        chunk("b", 0, 8.0, "ein Wort mehr"),
    ]
    found = view_statistics("fine", to_table(chunks, Chunk))
    assert (found.num_documents, found.num_chunks) == (2, 4)
    assert found.hours == pytest.approx(20 / 3600)
    assert (found.mean_s, found.median_s, found.max_s) == (5.0, 5.0, 8.0)
    assert found.words_per_chunk == pytest.approx(9 / 4)
    assert found.characters_per_s == pytest.approx(40 / 20)
    assert found.speakers_per_document == 1.5
    assert found.switches_deterministic == 2  # (3 - 1) + (1 - 1)
    assert found.switches_stochastic == 1.0
    assert found.switches_per_hour == pytest.approx(2 / (20 / 3600))


def test_a_view_without_chunks_is_all_zeros() -> None:
    found = view_statistics("fine", to_table([], Chunk))
    assert (found.num_chunks, found.hours, found.mean_s, found.switches_per_hour) == (0, 0.0, 0.0, 0.0)
