"""Pages by topic, before and after a choice among them."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from scipy.spatial.distance import jensenshannon


@dataclass(frozen=True, kw_only=True)
class TopicCoverage:
    """Pages by topic before and after selection.

    Attributes:
        distance: Jensen–Shannon distance (base 2) of the two distributions, in [0, 1]; None where one has no page.
    """

    before: Mapping[str, int]
    after: Mapping[str, int]
    distance: float | None


def topic_coverage(scores: pa.Table, pages: pa.Table) -> TopicCoverage:
    """How selection changed the mix of topics.

    Args:
        scores: Of all pages, ``page-scores/measures``.
        pages: Those that were taken; column ``id``.
    """
    topics = scores["topic"]
    taken = scores.filter(pc.is_in(scores["id"], pages["id"].combine_chunks()))["topic"]
    before, after = _counts(topics), _counts(taken)
    if not before or not after:
        return TopicCoverage(before=before, after=after, distance=None)
    names = list(before)
    distance = jensenshannon([before[name] for name in names], [after.get(name, 0) for name in names], base=2)
    return TopicCoverage(before=before, after=after, distance=float(distance))


def _counts(topics: pa.ChunkedArray) -> dict[str, int]:
    counts = {row["values"]: row["counts"] for row in pc.value_counts(topics).to_pylist()}
    return dict(sorted(counts.items()))
