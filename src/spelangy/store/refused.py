"""What was taken down from a store and may never come back: hashes alone, no name, no place, no text.

takedowns/<recording id>.json
"""

import json
from dataclasses import dataclass

from spelangy.store.files import Files

FOLDER = "takedowns"


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A recording that may never come back.

    Attributes:
        audio: Keys of its sound in the audio store.
        uri_digests: SHA-256 of the places it came from: the places themselves are not kept.
        is_done: Whether everything of it was removed and the proof held.
    """

    recording_id: str
    audio: tuple[str, ...]
    uri_digests: tuple[str, ...]
    is_done: bool = False


@dataclass(frozen=True)
class RefusedRecordings:
    """What was taken down from a store. Small and picklable: workers carry it.

    Args:
        root: The store's root.
    """

    root: str

    def all(self) -> list[Refused]:
        files = Files(self.root)
        return [_refused(files.read(name)) for name in files.list(FOLDER, ".json")]

    def keys(self) -> frozenset[str]:
        """Ids of all refused recordings, and the audio keys of their sound."""
        return frozenset(key for entry in self.all() for key in (entry.recording_id, *entry.audio))


def _refused(data: bytes) -> Refused:
    entry = json.loads(data)
    return Refused(
        recording_id=entry["recording_id"],
        audio=tuple(entry["audio"]),
        uri_digests=tuple(entry["uri_digests"]),
        is_done=entry["is_done"],
    )
