"""The room's steps in order."""

from spelangy.curate.chunks import chunks_step
from spelangy.curate.config import CurateSettings
from spelangy.curate.ingest import ingest_step
from spelangy.curate.transcribe import transcribe_step
from spelangy.curate.turns import turns_step
from spelangy.curate.words import words_step
from spelangy.engine.step import Step
from spelangy.store.audio import AudioStore


def curate_steps(settings: CurateSettings, audio: AudioStore) -> list[Step]:
    """Recordings → turns → hypotheses (a step a system) → consensus words → chunks (a step a view)."""
    systems = [transcribe_step(settings, choice, audio) for choice in settings.asr]
    views = [chunks_step(view, settings) for view in settings.views]
    return [ingest_step(settings, audio), turns_step(settings, audio), *systems, words_step(settings), *views]
