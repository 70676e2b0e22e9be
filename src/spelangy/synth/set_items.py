"""What a spoken set holds, and the workers that make it: takes, takes in a condition, what is heard of them, items."""

from dataclasses import dataclass

from spelangy.backends.load import create
from spelangy.backends.protocols import SpeechSynthesizer
from spelangy.core.errors import Dropped
from spelangy.core.hashing import canonical_json
from spelangy.core.records import Recording, Turn, turn_id
from spelangy.core.schema import from_rows
from spelangy.core.settings import BackendChoice
from spelangy.core.spans import SAMPLE_RATE_HZ, samples
from spelangy.engine.step import Item, Produced
from spelangy.store.audio import AudioStore
from spelangy.synth.augment import Augmentation, augmented
from spelangy.synth.config import RoundTripSettings, VoiceSettings
from spelangy.synth.round_trip import Heard, RoundTrip
from spelangy.synth.speak import to_whole_frames
from spelangy.synth.voices import at_loudness


@dataclass(frozen=True, kw_only=True, slots=True)
class SetTake:
    """A question as one voice said it, clean, in whole frames."""

    id: str
    question_id: str
    text: str
    voice: str
    rate: float
    audio: str
    num_samples: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SetLevel:
    """A take in one condition; `id` is the item's. `room` and `noise` are file names, empty where there is none."""

    id: str
    take_id: str
    room: str
    noise: str
    snr_db: float | None
    audio: str
    num_samples: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SetHeard:
    """What the ASR heard of an item; `wer` as in `Heard`, None where it could not hear it."""

    id: str
    heard: str
    wer: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class SpokenItem:
    """A question as one voice asks it in one condition.

    Attributes:
        id: Of question, voice and condition: the same in every set that holds this item.
        question_id: The cluster: items of one question are not independent.
        question: As it is written.
        spoken: What is said.
        answers: Accepted answers, the preferred one first.
        choices: Of a multiple-choice question; they are not spoken.
        gold: Place of the right choice.
        voice: The speaker, ``kokoro:jf_nezumi@0.9``.
        snr_db: Active speech over the noise; None: no noise.
        room: File name of the impulse response; empty: dry.
        noise: File name of the noise; empty: none.
        audio: Content key of the sound.
        heard: What the ASR heard; empty where nobody listened or nothing was heard.
        wer: Word error rate of `heard` against `spoken`; None where nobody listened.
    """

    id: str
    question_id: str
    question: str
    spoken: str
    answers: tuple[str, ...]
    choices: tuple[str, ...]
    gold: int | None
    voice: str
    rate: float
    snr_db: float | None
    room: str
    noise: str
    audio: str
    num_samples: int
    heard: str
    wer: float | None


# ------------------------------------------------------------------------------------------------------------ workers


class SpeakTake:
    """One question by one voice; each model is loaded once a process, when it is first needed."""

    def __init__(self, audio: AudioStore, pause_s: float, loudness_db: float) -> None:
        self.audio = audio
        self.pause = samples(pause_s)
        self.loudness_db = loudness_db
        self.loaded: dict[str, SpeechSynthesizer] = {}

    def __call__(self, item: Item) -> Produced:
        voice = VoiceSettings.model_validate_json(item["voice"])
        said_S = self._synthesizer(voice.tts).synthesize(item["text"], voice.voice, voice.rate)
        take_S = to_whole_frames(at_loudness(said_S, self.loudness_db), self.pause)
        take = SetTake(
            id=item["id"],
            question_id=item["question_id"],
            text=item["text"],
            voice=voice.speaker,
            rate=voice.rate,
            audio=self.audio.put(take_S),
            num_samples=take_S.size,
        )
        return Produced(records={"takes": [take]})

    def _synthesizer(self, tts: BackendChoice) -> SpeechSynthesizer:
        choice = tts.model_dump_json()
        if choice not in self.loaded:
            self.loaded[choice] = create("tts", tts)
        return self.loaded[choice]


class LayOver:
    """One take in one condition; the question alone draws room and noise."""

    def __init__(self, audio: AudioStore, rooms: Augmentation | None, seed: int) -> None:
        self.audio = audio
        self.augmentation = rooms
        self.seed = seed

    def __call__(self, item: Item) -> Produced:
        room = noise = ""
        key = item["audio"]
        if item["in_room"] or item["snr_db"] is not None:
            changed = augmented(self.audio.read(key), self._condition(item), self.seed, item["question_id"])
            if item["snr_db"] is not None and not changed.noise:
                raise Dropped("noise is silent here")
            room, noise, key = changed.room, changed.noise, self.audio.put(changed.audio_S)
        level = SetLevel(
            id=item["id"],
            take_id=item["take_id"],
            room=room,
            noise=noise,
            snr_db=item["snr_db"],
            audio=key,
            num_samples=item["num_samples"],
        )
        return Produced(records={"levels": [level]})

    def _condition(self, item: Item) -> Augmentation:
        assert self.augmentation is not None, "a condition without rooms and noises"
        has_noise = item["snr_db"] is not None
        return Augmentation(
            rooms=self.augmentation.rooms if item["in_room"] else (),
            noises=self.augmentation.noises if has_noise else (),
            share=1.0,
            snr_db=(item["snr_db"],) if has_noise else (),
        )


class HearItem:
    """One item through the ASR, alone, so that it is heard the same whatever else is in the set."""

    def __init__(self, audio: AudioStore, asr: BackendChoice) -> None:
        self.audio = audio
        self.round_trip = RoundTrip(RoundTripSettings(asr=asr))

    def __call__(self, item: Item) -> Produced:
        (told,) = self.round_trip.hear([item["text"]], [self.audio.read(item["audio"])])
        text, wer = (told.text, told.wer) if isinstance(told, Heard) else ("", None)
        return Produced(records={"heard": [SetHeard(id=item["id"], heard=text, wer=wer)]})


class KeepItem:
    """One finished item, unless it is heard too badly; with the recording and the turn that other steps read."""

    def __init__(self, max_wer: float | None) -> None:
        self.max_wer = max_wer

    def __call__(self, item: Item) -> Produced:
        (kept,) = from_rows([item], SpokenItem)
        if self.max_wer is not None and kept.wer is None:
            raise Dropped("not heard")
        if self.max_wer is not None and kept.wer is not None and kept.wer > self.max_wer:
            raise Dropped("round trip", value=kept.wer, threshold=self.max_wer, detail=f"heard: {kept.heard}"[:500])
        return Produced(records={"items": [kept], "recordings": [_recording(kept)], "turns": [_turn(kept)]})


def _recording(item: SpokenItem) -> Recording:
    told = {"noise": item.noise, "room": item.room, "snr_db": item.snr_db, "voice": item.voice}
    return Recording(
        id=item.id,
        uri=f"question:{item.question_id}",
        status="ok",
        reason="",
        num_samples=item.num_samples,
        audio=item.audio,
        source="question",
        licence="",
        source_codec="synthetic",
        source_sample_rate_hz=SAMPLE_RATE_HZ,
        source_channels=1,
        metadata=canonical_json({name: value for name, value in told.items() if value not in ("", None)}),
    )


def _turn(item: SpokenItem) -> Turn:
    return Turn(
        id=turn_id(item.id, 0),
        recording_id=item.id,
        audio=item.audio,
        start=0,
        end=item.num_samples,
        speaker=item.voice,
        is_overlap=False,
        embedding=(),
    )
