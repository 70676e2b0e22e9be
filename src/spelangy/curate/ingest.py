"""Step ``ingest``: sources → recordings in the audio store, or quarantined with a reason."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from spelangy.core.errors import Dropped, Quarantined
from spelangy.core.records import Recording
from spelangy.core.spans import seconds
from spelangy.curate.config import CurateSettings
from spelangy.curate.decode import decode
from spelangy.curate.sources import FoundSource, find_sources, sources_table
from spelangy.engine.step import Item, Produced, TableStep
from spelangy.store.audio import AudioStore


@dataclass(frozen=True)
class Ingest:
    """Decodes one source once; the store keeps 16 kHz mono FLAC."""

    audio: AudioStore
    min_recording_s: float
    max_recording_s: float

    def __call__(self, item: Item) -> Produced:
        copies = [
            (item["id"], Dropped("exact duplicate", detail=f"{uri} is {item['uri']}"), 0.0) for uri in item["copies"]
        ]
        try:
            return Produced(records={"recordings": [self._recording(item)]}, drops=copies)
        except Quarantined as quarantined:
            recording = _quarantined(item, quarantined.reason)
            return Produced(records={"recordings": [recording]}, drops=[(item["id"], quarantined, 0.0), *copies])

    def _recording(self, item: Item) -> Recording:
        decoded = decode(Path(item["path"]), max_duration_s=self.max_recording_s)
        duration_s = seconds(decoded.pcm_S.size)
        if duration_s < self.min_recording_s:
            raise Quarantined("too short", value=duration_s, threshold=self.min_recording_s, detail=item["uri"])
        return Recording(
            id=item["id"],
            uri=item["uri"],
            status="ok",
            reason=decoded.damage,
            num_samples=decoded.pcm_S.size,
            audio=self.audio.put_pcm(decoded.pcm_S),
            source=item["source"],
            licence=item["licence"],
            source_codec=decoded.codec,
            source_sample_rate_hz=decoded.sample_rate_hz,
            source_channels=decoded.channels,
        )


def _quarantined(item: Item, reason: str) -> Recording:
    return Recording(
        id=item["id"],
        uri=item["uri"],
        status="quarantined",
        reason=reason,
        num_samples=0,
        audio="",
        source=item["source"],
        licence=item["licence"],
        source_codec="",
        source_sample_rate_hz=0,
        source_channels=0,
    )


def ingest_step(settings: CurateSettings, audio: AudioStore) -> TableStep:
    """Recordings of all sources of the recipe."""
    found = find_sources(settings.sources)
    limits = {"min_recording_s": settings.min_recording_s, "max_recording_s": settings.max_recording_s}
    return TableStep(
        name="ingest",
        version=1,
        config={**limits, "sources": [_identity(entry) for entry in found]},
        listing=("sources",),
        outputs={"recordings": Recording},
        items=lambda _: sources_table(found),
        worker=lambda _: partial(Ingest, audio, **limits),
        shard_items=16,
    )


def _identity(entry: FoundSource) -> dict[str, object]:
    """What decides a recording: content and carried fields. Where it lies does not."""
    return {
        "id": entry.file.id,
        "source": entry.source,
        "licence": entry.licence,
        "num_copies": len(entry.file.copies),
    }
