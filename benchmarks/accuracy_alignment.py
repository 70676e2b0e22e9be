"""How far word borders lie from those set by hand: recognisers' consensus, forced alignment, what is shipped, a peer.

Human tiers (praatIO's recordings) decide. The machine tiers (LibriVox) were written by PocketSphinx itself, whose model
our aligner uses: they tell whether it is driven rightly, and how far recognisers' clocks are from it, no more.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from figure import Figure, at_least, at_most
from spelangy.backends.aligner_pocketsphinx import PocketSphinxAligner
from spelangy.backends.protocols import Audio
from spelangy.backends.weights import resolve
from spelangy.core.errors import Dropped
from spelangy.core.random import stream
from spelangy.core.records import Hypothesis, Transcript, Turn, turn_id
from spelangy.core.spans import SAMPLE_RATE_HZ, Span, samples
from spelangy.curate.aligned import aligned_step
from spelangy.curate.config import CurateSettings
from spelangy.curate.transcribe import transcribe_step
from spelangy.curate.words import words_step
from spelangy.store.audio import AudioStore

MAX_MEDIAN_MS = 40.0
CLOSE_MS = 50.0
NUM_DRAWS = 2_000
PEER = "faster-whisper base"
TIERS = {"mary": ("mary", "word"), "bobby": ("bobby_words", "word"), "damon_set_test": ("damon_set_test", "words")}
"""Recording → its TextGrid and the tier with words."""


@dataclass(frozen=True, kw_only=True)
class TimedWord:
    """A word and where it is said, in samples from the clip's start."""

    text: str
    span: Span

    @property
    def key(self) -> str:
        """What it is matched by: lower case, letters and apostrophes."""
        return "".join(letter for letter in self.text.lower() if letter.isalnum() or letter == "'")


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A recording with its word borders."""

    name: str
    audio_S: Audio
    words: tuple[TimedWord, ...]


def alignment_figures(folder: Path) -> Iterator[Figure]:
    """Errors of word borders on the clips of `folder`, the ``alignment`` folder of the real data.

    Clips count as units of the bootstrap. Words that a system did not hear have no error: how many it matched is a
    figure of its own.
    """
    for tier, clips in (("hand", human_clips(folder)), ("pocketsphinx", machine_clips(folder))):
        by_system = {
            **_ours(clips),
            "forced, true text": [_forced(clip) for clip in clips],
            PEER: _whisper(clips),
        }
        errors = {
            name: [border_errors_ms(clip.words, found) for clip, found in zip(clips, heard, strict=True)]
            for name, heard in by_system.items()
        }
        for name in by_system:
            yield from _figures(tier, name, errors, sum(len(clip.words) for clip in clips))


# -------------------------------------------------------------------------------------------------------------- clips


def human_clips(folder: Path) -> list[Clip]:
    """Recordings whose words somebody marked by hand."""
    from praatio import textgrid

    clips = []
    for name, (grid, tier) in TIERS.items():
        entries = textgrid.openTextgrid(str(folder / "praatio" / f"{grid}.TextGrid"), includeEmptyIntervals=False)
        words = tuple(
            TimedWord(text=entry.label.lower(), span=Span(samples(entry.start), samples(entry.end)))
            for entry in entries.getTier(tier).entries
        )
        clips.append(Clip(name=name, audio_S=_sound(folder / "praatio" / f"{name}.wav"), words=words))
    return clips


def machine_clips(folder: Path) -> list[Clip]:
    """LibriVox sentences with the borders that PocketSphinx's own command wrote."""
    clips = []
    for path in sorted((folder / "pocketsphinx_librivox").glob("*.wav")):
        told = json.loads(path.with_suffix(".json").read_text())["w"]
        words = tuple(
            TimedWord(text=word["t"].partition("(")[0], span=Span(samples(word["b"]), samples(word["b"] + word["d"])))
            for word in told
            if not word["t"].startswith("<")
        )
        clips.append(Clip(name=path.stem, audio_S=_sound(path), words=words))
    return clips


def _sound(path: Path) -> Audio:
    audio, rate_hz = soundfile.read(path, dtype="float32")
    return np.asarray(soxr.resample(audio, rate_hz, SAMPLE_RATE_HZ), np.float32)


# ------------------------------------------------------------------------------------------------------------ systems


def _ours(clips: Sequence[Clip]) -> dict[str, list[list[TimedWord]]]:
    """What the steps' own workers make of each clip as one turn: consensus times, and final ones."""
    settings = CurateSettings()
    with tempfile.TemporaryDirectory() as scratch:
        audio = AudioStore(scratch)
        turns = [_turn(clip, audio) for clip in clips]
        hypotheses = _hypotheses(turns, settings, audio)
        consensus = [_consensus(turn, hypotheses[turn.id], settings) for turn in turns]
        align = _worker(aligned_step(settings, audio))
        final = [
            align(_aligned_item(turn, found)).records["transcripts"][0] if found else None
            for turn, found in zip(turns, consensus, strict=True)
        ]
    return {"consensus": [_words(found) for found in consensus], "final": [_words(found) for found in final]}


def _worker(step: Any) -> Any:
    return step.worker(None)()


def _turn(clip: Clip, audio: AudioStore) -> Turn:
    key = audio.put(clip.audio_S)
    return Turn(
        id=turn_id(clip.name, 0),
        recording_id=clip.name,
        audio=key,
        start=0,
        end=clip.audio_S.size,
        speaker="S0",
        is_overlap=False,
    )


def _hypotheses(turns: Sequence[Turn], settings: CurateSettings, audio: AudioStore) -> Mapping[str, list[Hypothesis]]:
    found: dict[str, list[Hypothesis]] = {turn.id: [] for turn in turns}
    for choice in settings.asr:
        transcribe = _worker(transcribe_step(settings, choice, audio))
        for turn in turns:
            found[turn.id] += transcribe({"id": turn.id, "turns": [asdict(turn)]}).records["hypotheses"]
    return found


def _consensus(turn: Turn, hypotheses: Sequence[Hypothesis], settings: CurateSettings) -> Transcript | None:
    combine = _worker(words_step(settings))
    try:
        item = {**asdict(turn), "hypotheses": [asdict(hypothesis) for hypothesis in hypotheses]}
        (transcript,) = combine(item).records["transcripts"]
    except Dropped:
        return None
    assert isinstance(transcript, Transcript)
    return transcript


def _aligned_item(turn: Turn, transcript: Transcript) -> dict[str, Any]:
    said = asdict(transcript)
    return {
        "id": turn.id,
        "turns": [{**asdict(turn), **{name: said[name] for name in ("systems", "words", "dissent")}}],
    }


def _words(transcript: Transcript | None) -> list[TimedWord]:
    words = transcript.words if transcript else ()
    return [TimedWord(text=word.text, span=Span(word.start, word.end)) for word in words]


def _forced(clip: Clip) -> list[TimedWord]:
    spans = PocketSphinxAligner().align(clip.audio_S, [word.text for word in clip.words])
    return [
        TimedWord(text=word.text, span=span) for word, span in zip(clip.words, spans, strict=True) if span is not None
    ]


def _whisper(clips: Sequence[Clip]) -> list[list[TimedWord]]:
    from faster_whisper import WhisperModel

    weights = resolve("whisper-base")
    model = WhisperModel(
        str(weights.directory), device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True
    )
    heard = []
    for clip in clips:
        segments, _ = model.transcribe(clip.audio_S, language="en", word_timestamps=True)
        words = [word for segment in segments for word in segment.words or ()]
        heard.append(
            [
                TimedWord(text=word.word.strip(), span=Span(samples(word.start), samples(max(word.start, word.end))))
                for word in words
            ]
        )
    return heard


# ------------------------------------------------------------------------------------------------------------ figures


def border_errors_ms(true: Sequence[TimedWord], found: Sequence[TimedWord]) -> NDArray[np.float64]:
    """Signed errors of start and end for the words of `true` that `found` has too, shape [matched, 2]."""
    codes = Levenshtein.opcodes([word.key for word in true], [word.key for word in found])
    pairs = [
        (true[code.src_start + offset].span, found[code.dest_start + offset].span)
        for code in codes
        if code.tag == "equal"
        for offset in range(code.src_end - code.src_start)
    ]
    errors = [(other.start - span.start, other.end - span.end) for span, other in pairs]
    return np.array(errors, np.float64).reshape(-1, 2) * 1_000 / SAMPLE_RATE_HZ


def _figures(
    tier: str, name: str, errors: Mapping[str, Sequence[NDArray[np.float64]]], num_words: int
) -> Iterator[Figure]:
    by_clip, peer = errors[name], np.abs(np.concatenate(errors[PEER]))
    signed = np.concatenate(by_clip)
    distances = np.abs(signed)
    low, high = median_interval(by_clip, f"{tier} {name}")
    title = f"borders by {tier}, {name}"
    decides = tier == "hand" and name == "final"
    beside: dict[str, Any] = {} if name == PEER else {"peer": PEER, "peer_value": float(np.median(peer))}
    yield Figure(
        name=f"{title}: median",
        value=float(np.median(distances)),
        unit="ms",
        goals=at_most([MAX_MEDIAN_MS]) if decides else (),
        **beside,
    )
    yield Figure(name=f"{title}: median, 95 % low", value=low, unit="ms")
    yield Figure(name=f"{title}: median, 95 % high", value=high, unit="ms")
    yield Figure(name=f"{title}: mean", value=float(distances.mean()), unit="ms")
    yield Figure(name=f"{title}: 90th percentile", value=float(np.percentile(distances, 90)), unit="ms")
    yield Figure(name=f"{title}: starts, median signed", value=float(np.median(signed[:, 0])), unit="ms")
    yield Figure(name=f"{title}: ends, median signed", value=float(np.median(signed[:, 1])), unit="ms")
    yield Figure(name=f"{title}: within {CLOSE_MS:g} ms", value=float((distances <= CLOSE_MS).mean()), unit="share")
    yield Figure(
        name=f"{title}: words matched",
        value=len(signed) / num_words,
        unit="share",
        goals=at_least([0.8]) if decides else (),
    )


def median_interval(by_clip: Sequence[NDArray[np.float64]], purpose: str) -> tuple[float, float]:
    """Percentile bootstrap of the median distance, 95 %, drawing whole clips: a clip's borders err together."""
    random = stream(0, "accuracy_alignment", purpose)
    heard = [np.abs(errors).ravel() for errors in by_clip if errors.size]
    draws = random.integers(0, len(heard), (NUM_DRAWS, len(heard)))
    medians = [np.median(np.concatenate([heard[clip] for clip in draw])) for draw in draws.tolist()]
    low, high = np.percentile(medians, [2.5, 97.5])
    return float(low), float(high)
