"""Who says a sentence: a voice drawn by chunk id, another one where an ASR does not hear the text in it.

chunk id ──draw──> voice ──> sound at one loudness ──ASR──> word error rate ≤ limit ──> take
             ^                                                      │ above
             └──────────── draw again, without the voices tried ────┘ until `max_voices`, then dropped
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from spelangy.backends.load import create
from spelangy.backends.protocols import Audio, SpeechSynthesizer
from spelangy.core.errors import Dropped
from spelangy.core.random import uniform
from spelangy.synth.config import SynthSettings, VoiceSettings
from spelangy.synth.round_trip import Heard, RoundTrip

PEAK_LIMIT = 0.99
_SILENCE_RMS = 1e-4


@dataclass(frozen=True, kw_only=True)
class Take:
    """One sentence as one voice said it, clean and at one loudness.

    Attributes:
        num_voices: How many voices have tried, this one included.
        heard: None where nobody listens.
    """

    voice: VoiceSettings
    said_S: Audio
    num_voices: int
    heard: Heard | None = None


class Voices:
    """The voices of a recipe and who listens to them; each model is loaded once, when it is first needed."""

    def __init__(self, settings: SynthSettings, seed: int) -> None:
        self.settings = settings
        self.seed = seed
        self.round_trip = RoundTrip(settings.round_trip) if settings.round_trip else None
        self.loaded: dict[str, SpeechSynthesizer] = {}

    def say(self, texts: Mapping[str, str]) -> dict[str, Take | Dropped]:
        """The take of each sentence, or why there is none; all are heard in one call a try.

        Args:
            texts: Sentences by chunk id.
        """
        done: dict[str, Take | Dropped] = {}
        waiting: dict[str, tuple[Take, ...]] = dict.fromkeys(texts, ())
        while waiting:
            said = {name: self._say(name, texts[name], failed) for name, failed in waiting.items()}
            failures: dict[str, tuple[Take, ...]] = {}
            for name, take in self._heard(texts, said).items():
                if isinstance(take, Dropped) or self._is_heard_well(take):
                    done[name] = take
                else:
                    failures[name] = (*waiting[name], take)
            waiting = {name: failed for name, failed in failures.items() if self._has_another_voice(failed)}
            done |= {name: self._refusal(failed) for name, failed in failures.items() if name not in waiting}
        return done

    def _say(self, name: str, text: str, failed: Sequence[Take]) -> Take | Dropped:
        voice = draw_voice(self.settings.voices, self.seed, name, [take.voice for take in failed])
        try:
            said_S = self._synthesizer(voice).synthesize(text, voice.voice, voice.rate)
            levelled_S = at_loudness(said_S, self.settings.loudness_db)
        except Dropped as dropped:
            return dropped
        return Take(voice=voice, said_S=levelled_S, num_voices=len(failed) + 1)

    def _synthesizer(self, voice: VoiceSettings) -> SpeechSynthesizer:
        choice = voice.tts.model_dump_json()
        if choice not in self.loaded:
            self.loaded[choice] = create("tts", voice.tts)
        return self.loaded[choice]

    def _heard(self, texts: Mapping[str, str], said: Mapping[str, Take | Dropped]) -> dict[str, Take | Dropped]:
        takes = {name: take for name, take in said.items() if isinstance(take, Take)}
        if self.round_trip is None:
            return dict(said)
        heard = self.round_trip.hear([texts[name] for name in takes], [take.said_S for take in takes.values()])
        return {**said, **{name: _told(takes[name], told) for name, told in zip(takes, heard, strict=True)}}

    def _is_heard_well(self, take: Take) -> bool:
        return self.round_trip is None or _wer(take) <= self.round_trip.settings.max_wer

    def _has_another_voice(self, failed: Sequence[Take]) -> bool:
        assert self.round_trip is not None, "nobody listens, so nothing fails"
        tried = [take.voice for take in failed]
        return len(failed) < self.round_trip.settings.max_voices and any(
            voice not in tried for voice in self.settings.voices
        )

    def _refusal(self, failed: Sequence[Take]) -> Dropped:
        assert self.round_trip is not None, "nobody listens, so nothing fails"
        return self.round_trip.refusal([take.heard for take in failed if take.heard is not None])


def _told(take: Take, told: Heard | Dropped) -> Take | Dropped:
    return told if isinstance(told, Dropped) else replace(take, heard=told)


def _wer(take: Take) -> float:
    assert take.heard is not None, "a take that nobody heard"
    return take.heard.wer


def draw_voice(
    voices: Sequence[VoiceSettings], seed: int, chunk_id: str, tried: Sequence[VoiceSettings] = ()
) -> VoiceSettings:
    """The voice of a chunk, drawn by its id from the weighted list: the same on every machine.

    Args:
        tried: Voices that have failed; they are not drawn again.
    """
    left_over = [voice for voice in voices if voice not in tried]
    draw = uniform(seed, chunk_id, "voice", *([len(tried)] if tried else []))
    left = draw * sum(voice.weight for voice in left_over)
    for voice in left_over:
        left -= voice.weight
        if left < 0:
            return voice
    return left_over[-1]


def at_loudness(audio_S: Audio, loudness_db: float) -> Audio:
    """`audio_S` at a root mean square of `loudness_db` below full scale, less where its peak would clip.

    Source: ours, not BS.1770: sentences of eleven voices, levelled so to -23 dB, have a gated loudness of -23.2 LUFS
    with a standard deviation of 0.4 (``benchmarks/run.py speaking``), too little to hear; and gated loudness has no
    value below 400 ms, where "Yes." lies.

    Raises:
        Dropped: ``synthesis is silent``.
    """
    rms = float(np.sqrt(np.mean(np.square(audio_S, dtype=np.float64)))) if audio_S.size else 0.0
    if rms < _SILENCE_RMS:
        raise Dropped("synthesis is silent", value=rms, threshold=_SILENCE_RMS)
    gain = min(10 ** (loudness_db / 20) / rms, PEAK_LIMIT / float(np.abs(audio_S).max()))
    return (audio_S * gain).astype(np.float32)
