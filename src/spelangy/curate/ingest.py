"""Step ``ingest``: sources → recordings in the audio store, or quarantined with a reason.

An item is one found source, most often one recording. What was fetched or lies in a remote archive gets the id of its
bytes here, so two items can turn out to hold the same recording: the first by uri stays, the other is a counted drop.
"""

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from spelangy.core.errors import Dropped, Quarantined
from spelangy.core.hashing import digest, record_id
from spelangy.core.records import Drop, Recording
from spelangy.core.schema import to_table
from spelangy.core.spans import seconds
from spelangy.curate.config import CurateSettings
from spelangy.curate.decode import Sound, sound_of
from spelangy.curate.fetch import FetchLimits, fetch
from spelangy.curate.found import FoundSource, Place
from spelangy.curate.opening import SourceOpener
from spelangy.curate.sources import find_sources, read_container, sources_table
from spelangy.engine.step import Item, Produced, TableStep
from spelangy.store.audio import AudioStore
from spelangy.store.inputs import missing_id
from spelangy.store.refused import RefusedRecordings

DUPLICATE = "exact duplicate"
TAKEN_DOWN = "taken down"
Part = tuple[str, Dropped, float]


@dataclass(frozen=True, kw_only=True)
class IngestLimits:
    """What a recording may be; see the settings of these names."""

    min_recording_s: float
    max_recording_s: float
    max_source_bytes: int
    max_fetch_s: float


class Ingest:
    """Decodes one source once, block by block; the store keeps 16 kHz mono FLAC."""

    def __init__(self, audio: AudioStore, limits: IngestLimits) -> None:
        self.audio = audio
        self.limits = limits
        self.refused = RefusedRecordings(audio.root).keys()
        self.opener = SourceOpener(FetchLimits(max_bytes=limits.max_source_bytes, max_s=limits.max_fetch_s))

    def __call__(self, item: Item) -> Produced:
        found = _found(item)
        drops: list[Part] = [
            (found.id, Dropped(DUPLICATE, detail=f"{uri} is {found.uri}"), 0.0) for uri in found.copies
        ]
        if found.place.container.startswith("url+"):
            recordings = self._container(found, drops)
        else:
            recordings = self._recording(found, drops)
        return Produced(records={"recordings": recordings}, drops=drops)

    def _recording(self, found: FoundSource, drops: list[Part]) -> list[Recording]:
        """The recording of one source, none when it was taken down; what is wrong with it is added to `drops`."""
        known = missing_id(found.uri) if found.place.container.startswith("url") else found.id
        try:
            with self.opener.open(found) as (file, known):
                self._admit(known)
                name = found.place.path or found.uri
                with sound_of(file, name, max_duration_s=self.limits.max_recording_s) as sound:
                    return [self._stored(replace(found, id=known), sound)]
        except Quarantined as quarantined:
            drops.append((known, quarantined, 0.0))
            return [_quarantined(replace(found, id=known), quarantined.reason)]
        except _Refused as refused:
            drops.append((refused.name, Dropped(TAKEN_DOWN), 0.0))
            return []

    def _admit(self, key: str) -> None:
        if key in self.refused:
            raise _Refused(key)

    def _stored(self, found: FoundSource, sound: Sound) -> Recording:
        with self.audio.writing() as writer:
            for block in sound.blocks():
                writer.write(block)
            duration_s = seconds(sound.num_samples)
            if duration_s < self.limits.min_recording_s:
                least = self.limits.min_recording_s
                raise Quarantined("too short", value=duration_s, threshold=least, detail=found.uri)
            self._admit(writer.key)
            return Recording(
                id=found.id,
                uri=found.uri,
                status="ok",
                reason=sound.damage,
                num_samples=sound.num_samples,
                audio=writer.commit(),
                source=found.source,
                licence=found.licence,
                source_codec=sound.codec,
                source_sample_rate_hz=sound.sample_rate_hz,
                source_channels=sound.channels,
                metadata=found.metadata,
            )

    def _container(self, found: FoundSource, drops: list[Part]) -> list[Recording]:
        """All recordings of a remote archive or table, fetched whole."""
        with tempfile.NamedTemporaryFile() as local:
            try:
                fetch(found.place.path, local, self.opener.limits)
            except Quarantined as quarantined:
                drops.append((found.id, quarantined, 0.0))
                return [_quarantined(found, quarantined.reason)]
            local.flush()
            kind = found.place.container.removeprefix("url+")
            inside = {
                member.id or missing_id(member.uri): replace(member, source=found.source, licence=found.licence)
                for member in read_container(found.uri, Path(local.name), kind)
            }
            parts = [self._recording(replace(member, id=key), drops) for key, member in inside.items()]
            return [recording for part in parts for recording in part]


class _Refused(Exception):
    """Content that was taken down; `name` tells its drops apart and does not name it."""

    def __init__(self, key: str) -> None:
        super().__init__(TAKEN_DOWN)
        self.name = record_id(TAKEN_DOWN, key)


def _found(item: Item) -> FoundSource:
    place = Place(**{name: item[name] for name in ("path", "container", "offset", "num_bytes", "column")})
    told = {name: item[name] for name in ("id", "uri", "source", "licence", "metadata", "problem", "detail")}
    return FoundSource(place=place, copies=tuple(item["copies"]), **told)


def _quarantined(found: FoundSource, reason: str) -> Recording:
    return Recording(
        id=found.id,
        uri=found.uri,
        status="quarantined",
        reason=reason,
        num_samples=0,
        audio="",
        source=found.source,
        licence=found.licence,
        source_codec="",
        source_sample_rate_hz=0,
        source_channels=0,
        metadata=found.metadata,
    )


def ingest_step(settings: CurateSettings, audio: AudioStore) -> TableStep:
    """Recordings of all sources of the recipe."""
    refused = RefusedRecordings(audio.root).keys()
    listed = find_sources(settings.sources)
    found = [entry for entry in listed if entry.id not in refused]
    left_out = sorted(record_id(TAKEN_DOWN, entry.id) for entry in listed if entry.id in refused)
    limits = IngestLimits(
        min_recording_s=settings.min_recording_s,
        max_recording_s=settings.max_recording_s,
        max_source_bytes=settings.max_source_bytes,
        max_fetch_s=settings.max_fetch_s,
    )
    return TableStep(
        name="ingest",
        version=2,
        config={**asdict(limits), "sources": _identity(found), "refused": digest(sorted(refused))},
        listing=("sources", "refused"),
        outputs={"recordings": Recording},
        items=lambda _: sources_table(found),
        worker=lambda _: _Maker(audio, limits),
        settle=lambda tables: _with_refusals(without_repeats(tables), left_out),
        shard_items=16,
    )


@dataclass(frozen=True)
class _Maker:
    """Makes the worker where it works: what it keeps open cannot be sent."""

    audio: AudioStore
    limits: IngestLimits

    def __call__(self) -> Ingest:
        return Ingest(self.audio, self.limits)


def _identity(found: Iterable[FoundSource]) -> dict[str, object]:
    """What decides the recordings: content and carried fields. Where they lie does not."""
    entries = [
        [entry.id, entry.source, entry.licence, entry.metadata, entry.problem, len(entry.copies)] for entry in found
    ]
    return {"num": len(entries), "digest": digest(entries)}


def without_repeats(tables: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """`tables` of ingest with each recording once, by id; a repeat becomes a drop."""
    recordings, drops = tables["recordings"], tables["drops"]
    if pc.count_distinct(recordings["id"]).as_py() == recordings.num_rows:
        return dict(tables)
    ordered = recordings.sort_by([("id", "ascending"), ("uri", "ascending")]).combine_chunks()
    ids = ordered["id"].combine_chunks()
    first = pc.equal(pc.index_in(ids, ids), pa.array(range(len(ids)), pa.int32()))
    kept, repeated = ordered.filter(first), ordered.filter(pc.invert(first))
    uris = dict(zip(kept["id"].to_pylist(), kept["uri"].to_pylist(), strict=True))
    repeats = [_repeat(row["id"], row["uri"], uris[row["id"]]) for row in repeated.select(["id", "uri"]).to_pylist()]
    return {**tables, "recordings": kept, "drops": pa.concat_tables([drops, to_table(repeats, Drop)])}


def _with_refusals(tables: dict[str, pa.Table], left_out: Iterable[str]) -> dict[str, pa.Table]:
    """The drops with one more for each source that was not even opened, because its content was taken down."""
    drops = [
        Drop(
            id=record_id("ingest", name), item_id=name, step="ingest", kind="dropped", reason=TAKEN_DOWN, value=None,
            threshold=None, detail="", duration_s=0.0,
        )
        for name in left_out
    ]  # fmt: skip
    return {**tables, "drops": pa.concat_tables([tables["drops"], to_table(drops, Drop)])}


def _repeat(recording: str, uri: str, kept: str) -> Drop:
    return Drop(
        id=record_id("ingest", recording, uri),
        item_id=recording,
        step="ingest",
        kind="dropped",
        reason=DUPLICATE,
        value=None,
        threshold=None,
        detail=f"{uri} is {kept}",
        duration_s=0.0,
    )
