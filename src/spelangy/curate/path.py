"""The room's steps in order, and where each finds what the steps before it measured.

ingest → fingerprints ────────────────────────────────────────────────► duplicates ─┐
      └→ events, turns (→ speakers) → languages, asr-… → words → aligned → private ─┼→ (muted) → chunks-…
                                   └→ sound, quality ───────────────────────────────┘

In brackets: only where the recipe asks for it. A measurement that a recipe switches off leaves its step out.
"""

from spelangy.curate.aligned import aligned_step
from spelangy.curate.config import CurateSettings
from spelangy.curate.duplicates import duplicates_step
from spelangy.curate.events import events_step
from spelangy.curate.fingerprints import fingerprints_step
from spelangy.curate.ingest import ingest_step
from spelangy.curate.languages import languages_step
from spelangy.curate.muted import muted_step
from spelangy.curate.private import private_step
from spelangy.curate.quality import quality_step
from spelangy.curate.sound import sound_step
from spelangy.curate.speakers import speakers_step
from spelangy.curate.transcribe import transcribe_step
from spelangy.curate.turns import turns_step
from spelangy.curate.views import ViewTables, chunks_step
from spelangy.curate.words import words_step
from spelangy.engine.step import Step
from spelangy.store.audio import AudioStore


def curate_steps(settings: CurateSettings, audio: AudioStore) -> list[Step]:
    """Recordings → turns → hypotheses (a step a system) → consensus words → measurements → chunks (a step a view)."""
    return [*_heard(settings, audio), *_measured(settings, audio), *_decided(settings, audio)]


def _heard(settings: CurateSettings, audio: AudioStore) -> list[Step]:
    steps: list[Step] = [ingest_step(settings, audio), fingerprints_step(settings, audio)]
    if settings.events:
        steps.append(events_step(settings, audio))
    steps.append(turns_step(settings, audio))
    if settings.lid:
        steps.append(languages_step(settings, audio))
    steps += [transcribe_step(settings, choice, audio) for choice in settings.asr]
    steps.append(words_step(settings))
    if settings.aligner:
        steps.append(aligned_step(settings, audio))
    return steps


def _measured(settings: CurateSettings, audio: AudioStore) -> list[Step]:
    steps: list[Step] = [sound_step(settings, audio)]
    if settings.quality:
        steps.append(quality_step(settings, audio))
    if settings.private:
        steps.append(private_step(settings, transcripts=_transcripts(settings)))
    return [*steps, duplicates_step(settings)]


def _decided(settings: CurateSettings, audio: AudioStore) -> list[Step]:
    steps: list[Step] = [speakers_step(settings)] if settings.recluster else []
    if settings.mute:
        steps.append(muted_step(settings, audio, recordings="ingest/recordings", turns=_labelled_turns(settings)))
    tables = view_tables(settings)
    return [*steps, *(chunks_step(view, settings, tables) for view in settings.views)]


def view_tables(settings: CurateSettings) -> ViewTables:
    """Where views, and all rooms behind them, find what the recipe measured."""
    optional = {"aligned": settings.aligner, "quality": settings.quality, "private": settings.private}
    scores = ("words", "sound", *(step for step, is_on in optional.items() if is_on))
    return ViewTables(
        recordings="muted/recordings" if settings.mute else "ingest/recordings",
        turns="muted/turns" if settings.mute else _labelled_turns(settings),
        transcripts=_transcripts(settings),
        scores=tuple(f"{step}/scores" for step in scores),
        languages=(*(("languages",) if settings.lid else ()), "words/languages"),
        duplicates="duplicates",
        private="private/private" if settings.private else "",
    )


def _transcripts(settings: CurateSettings) -> str:
    return "aligned/transcripts" if settings.aligner else "words/transcripts"


def _labelled_turns(settings: CurateSettings) -> str:
    return "speakers/turns" if settings.recluster else "turns"
