"""Step ``events``: recordings → stretches of speech, singing, music and noise."""

from functools import partial

from spelangy.backends.load import create, identity
from spelangy.core.records import EVENT_KINDS, Event
from spelangy.core.settings import BackendChoice
from spelangy.curate.config import CurateSettings
from spelangy.curate.turns import readable_recordings
from spelangy.engine.step import Item, Produced, TableStep
from spelangy.store.audio import AudioStore


class FindEvents:
    """What kinds of sound one recording holds, and where."""

    def __init__(self, audio: AudioStore, choice: BackendChoice) -> None:
        self.audio = audio
        self.detector = create("events", choice)

    def __call__(self, item: Item) -> Produced:
        found = self.detector.detect(self.audio.read(item["audio"]))
        unknown = {event.kind for event in found} - set(EVENT_KINDS)
        assert not unknown, f"an event detector knows the kinds {EVENT_KINDS}, not {sorted(unknown)}"
        events = [
            Event(
                id=f"{item['id']}-{index:06d}",
                recording_id=item["id"],
                kind=event.kind,
                start=event.span.start,
                end=event.span.end,
                confidence=event.confidence,
            )
            for index, event in enumerate(found)
        ]
        return Produced(records={"events": events})


def events_step(settings: CurateSettings, audio: AudioStore) -> TableStep:
    """Events of all readable recordings; only where the recipe names a detector."""
    choice = settings.events
    assert choice is not None, "no event detector is chosen"
    return TableStep(
        name="events",
        version=1,
        config={"events": identity("events", choice)},
        inputs=("ingest/recordings",),
        outputs={"events": Event},
        items=readable_recordings,
        worker=lambda _: partial(FindEvents, audio, choice),
        loads_model=True,
        shard_items=8,
    )
