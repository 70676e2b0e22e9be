"""What a view looks like: lengths, speakers, and how often a model reading it switches modality. From its table alone.

A document of n chunks, read strictly alternating, switches modality n - 1 times; with each chunk speech or text by a
fair coin, (n - 1) / 2 times in expectation. Source: SpeLangy, section 3.3.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spelangy.core.spans import SAMPLE_RATE_HZ


@dataclass(frozen=True, kw_only=True)
class ViewStatistics:
    """One view of one corpus.

    Attributes:
        speakers_per_document: Mean number of distinct speakers.
        switches_deterministic: Modality switches of all documents, speech and text alternating strictly.
        switches_stochastic: The same with a fair coin a chunk, in expectation.
        switches_per_hour: Deterministic switches in an hour of sound.
    """

    view: str
    num_documents: int
    num_chunks: int
    hours: float
    mean_s: float
    median_s: float
    p10_s: float
    p90_s: float
    max_s: float
    words_per_chunk: float
    characters_per_s: float
    speakers_per_document: float
    switches_deterministic: int
    switches_stochastic: float
    switches_per_hour: float


def view_statistics(view: str, chunks: pa.Table) -> ViewStatistics:
    """Statistics of a view's chunk table (columns of `core.records.Chunk`); all zero for a view without chunks."""
    lengths_s = pc.subtract(chunks["end"], chunks["start"]).to_numpy() / SAMPLE_RATE_HZ
    total_s, num_chunks = float(lengths_s.sum()), chunks.num_rows
    num_documents = pc.count_distinct(chunks["document_id"]).as_py()
    num_words = pc.sum(pc.list_value_length(pc.utf8_split_whitespace(chunks["text"]))).as_py() or 0
    num_characters = pc.sum(pc.utf8_length(chunks["text"])).as_py() or 0
    speakers = chunks.select(["document_id", "speaker"]).group_by(["document_id", "speaker"]).aggregate([])
    switches = num_chunks - num_documents
    p10_s, median_s, p90_s = np.quantile(lengths_s, [0.1, 0.5, 0.9]).tolist() if num_chunks else (0.0, 0.0, 0.0)
    return ViewStatistics(
        view=view,
        num_documents=num_documents,
        num_chunks=num_chunks,
        hours=total_s / 3600,
        mean_s=_ratio(total_s, num_chunks),
        median_s=median_s,
        p10_s=p10_s,
        p90_s=p90_s,
        max_s=float(lengths_s.max(initial=0.0)),
        words_per_chunk=_ratio(num_words, num_chunks),
        characters_per_s=_ratio(num_characters, total_s),
        speakers_per_document=_ratio(speakers.num_rows, num_documents),
        switches_deterministic=switches,
        switches_stochastic=switches / 2,
        switches_per_hour=_ratio(switches, total_s / 3600),
    )


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
