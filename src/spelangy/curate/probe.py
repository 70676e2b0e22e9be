"""How much audio a recipe's sources hold, told quickly: container headers of a sample, for a plan and nothing else.

Headers may lie; ingest counts decoded samples. So this is an estimate, and says how it was made.
"""

import random
from dataclasses import dataclass
from pathlib import Path

import av
import pyarrow as pa
import pyarrow.compute as pc

from spelangy.core.errors import Quarantined
from spelangy.curate.decode import open_file

MAX_PROBED = 200
"""Files whose header is read at most. Source: ours; a second of work on a local disk."""

_NO_PROTOCOLS = {"protocol_whitelist": ""}


@dataclass(frozen=True, kw_only=True)
class ProbedAudio:
    """Attributes:
    hours: Estimated hours of audio.
    num_recordings: How many recordings are listed.
    how: How the hours were found, for people.
    """

    hours: float
    num_recordings: int
    how: str


def probe_audio(items: pa.Table, max_probed: int = MAX_PROBED) -> ProbedAudio:
    """Hours of the recordings in the items table of step ``ingest``.

    A sample of the files on this machine is asked; recordings inside archives or elsewhere count as the mean of these.
    """
    local = items.filter(pc.and_(pc.equal(items["container"], ""), pc.equal(items["problem"], "")))["path"].to_pylist()
    sample = local if len(local) <= max_probed else random.Random(0).sample(local, max_probed)
    durations_s = [duration for path in sample if (duration := header_duration_s(Path(path))) is not None]
    if not durations_s:
        return ProbedAudio(hours=0.0, num_recordings=items.num_rows, how="no header tells a duration")
    num_readable = round(len(local) * len(durations_s) / len(sample)) + items.num_rows - len(local)
    mean_s = sum(durations_s) / len(durations_s)
    return ProbedAudio(
        hours=mean_s * num_readable / 3600,
        num_recordings=items.num_rows,
        how=f"headers of {len(durations_s)} of {items.num_rows} recordings",
    )


def header_duration_s(path: Path) -> float | None:
    """What the file's header says; None where it says nothing or cannot be read."""
    try:
        with open_file(path) as file, av.open(file, options=_NO_PROTOCOLS) as container:
            return container.duration / av.time_base if container.duration else None
    except (Quarantined, OSError, av.FFmpegError):
        return None
