"""Steps of a spoken set: questions → every one by every voice, clean and at each noise level, and what an ASR hears.

    set-questions ──x voices──> set-takes ──x conditions──> set-levels ──ASR──> set-heard ──> spoken-set

    conditions      dry                               always
                    dry + noise at each SNR           with noises
                    room · room + noise at each SNR   with rooms, instead of the noise alone

From one condition to the next one thing changes. A question has one room and one noise, the same for all its voices,
and a take the very same segment of it at every level: so levels compare, and voices do. Each item is cached by what
decides it: another voice, level or question speaks and hears only what is new.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
from pydantic import Field

from spelangy.backends.load import identity
from spelangy.core.errors import UserError
from spelangy.core.hashing import canonical_json, record_id
from spelangy.core.records import Recording, Turn
from spelangy.core.schema import to_table
from spelangy.core.settings import BackendChoice, Settings
from spelangy.engine.step import Inputs, TableStep, Worker
from spelangy.store.audio import AudioStore
from spelangy.store.inputs import FoundInput
from spelangy.synth.augment import Augmentation, check_augmentation, find_augmentation
from spelangy.synth.config import AugmentSettings, VoiceSettings
from spelangy.synth.set_items import HearItem, KeepItem, LayOver, SetHeard, SetLevel, SetTake, SpeakTake, SpokenItem
from spelangy.synth.set_questions import QUESTIONS, SpokenQuestion, find_question_files, set_questions_step

TAKES, LEVELS, HEARD = "set-takes/takes", "set-levels/levels", "set-heard/heard"
ITEMS = "spoken-set/items"


class SpokenSetSettings(Settings):
    """What a spoken set is made of.

    Attributes:
        questions: Files of questions, folders of them or globs.
        voices: Each speaks every question; their weights do not count.
        rooms: Folder, files or globs of impulse responses; none: dry only.
        noises: Folder, files or globs of noises; none: no noise.
        snr_db: Signal-to-noise ratios, dB; every take is heard at each of them and without noise.
        limit: At most so many questions, drawn by id. None: all.
        asr: Hears every item, as a measurement. None: nobody does.
        max_wer: Word error rate above which an item is left out. None: none is.
        pause_s: Silence after the question, before whole frames are filled up.
        loudness_db: Root mean square level of every take, dB below full scale.
        seed: Of the draws of questions, rooms and noises.
    """

    questions: tuple[str, ...] = Field(min_length=1)
    voices: tuple[VoiceSettings, ...] = Field(min_length=1)
    rooms: tuple[str, ...] = ()
    noises: tuple[str, ...] = ()
    snr_db: tuple[float, ...] = ()
    limit: int | None = Field(None, ge=1)
    asr: BackendChoice | None = BackendChoice(name="moonshine-tiny-en")
    max_wer: float | None = Field(None, ge=0)
    pause_s: float = Field(0.24, ge=0)
    loudness_db: float = Field(-23.0, le=0)
    seed: int = 0

    @property
    def conditions(self) -> list[tuple[bool, float | None]]:
        """(in a room, SNR in dB) of each condition; the first is dry and clean."""
        in_room = bool(self.rooms)
        laid_over = [(in_room, None), *((in_room, snr_db) for snr_db in sorted(set(self.snr_db), reverse=True))]
        return list(dict.fromkeys([(False, None), *laid_over]))


@dataclass(frozen=True, kw_only=True)
class SpokenSetPlan:
    """A spoken set's settings with the files that they name found.

    Attributes:
        augmentation: None where there are neither rooms nor noises.
    """

    settings: SpokenSetSettings
    files: tuple[FoundInput, ...]
    augmentation: Augmentation | None


def plan_spoken_set(settings: SpokenSetSettings) -> SpokenSetPlan:
    """Finds every file that `settings` name, before anything is spoken.

    Raises:
        UserError: When one is missing or no sound, a voice is named twice, or noises and ratios do not come together.
    """
    if bool(settings.noises) != bool(settings.snr_db):
        raise UserError(
            "a spoken set takes noises and signal-to-noise ratios together",
            hint="for example: --noises FOLDER --snr-db 20 --snr-db 10",
        )
    speakers = [voice.speaker for voice in settings.voices]
    if twice := [speaker for speaker in speakers if speakers.count(speaker) > 1]:
        raise UserError(f"voice {twice[0]} is named twice", hint="once is enough: it speaks every question")
    augmentation = None
    if settings.rooms or settings.noises:
        laid_over = AugmentSettings(rooms=settings.rooms, noises=settings.noises)
        augmentation = find_augmentation(laid_over)
    files = tuple(find_question_files(settings.questions))
    return SpokenSetPlan(settings=settings, files=files, augmentation=augmentation)


def spoken_set_steps(plan: SpokenSetPlan, audio: AudioStore) -> list[TableStep]:
    """All steps of a spoken set, in order."""
    settings = plan.settings
    heard = [_heard_step(settings.asr, audio)] if settings.asr else []
    return [
        set_questions_step(plan.files, settings.limit, settings.seed),
        _takes_step(settings, audio),
        _levels_step(plan, audio),
        *heard,
        _items_step(settings),
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class _ToSpeak:
    """`voice`: the settings as JSON; `tts`: what identifies its model, so that another revision speaks anew."""

    id: str
    question_id: str
    text: str
    voice: str
    tts: str


def _takes_step(settings: SpokenSetSettings, audio: AudioStore) -> TableStep:
    voices = [
        (voice, voice.model_dump_json(exclude={"weight"}), canonical_json(identity("tts", voice.tts)))
        for voice in settings.voices
    ]

    def items(inputs: Inputs) -> pa.Table:
        rows = [
            _ToSpeak(
                id=record_id("spoken take", question.id, voice.speaker),
                question_id=question.id,
                text=question.spoken,
                voice=told,
                tts=tts,
            )
            for question in inputs.records(QUESTIONS, SpokenQuestion)
            for voice, told, tts in voices
        ]
        return to_table(rows, _ToSpeak)

    return TableStep(
        name="set-takes",
        version=1,
        config={
            "pause_s": settings.pause_s,
            "loudness_db": settings.loudness_db,
            "voices": sorted([told, tts] for _, told, tts in voices),
        },
        listing=("voices",),
        inputs=(QUESTIONS,),
        outputs={"takes": SetTake},
        items=items,
        worker=lambda _: partial(SpeakTake, audio, settings.pause_s, settings.loudness_db),
        loads_model=True,
        shard_items=32,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _ToLayOver:
    id: str
    take_id: str
    question_id: str
    audio: str
    num_samples: int
    in_room: bool
    snr_db: float | None


def _levels_step(plan: SpokenSetPlan, audio: AudioStore) -> TableStep:
    conditions, augmentation, seed = plan.settings.conditions, plan.augmentation, plan.settings.seed

    def items(inputs: Inputs) -> pa.Table:
        rows = [
            _ToLayOver(
                id=record_id("spoken item", take.question_id, take.voice, in_room, snr_db),
                take_id=take.id,
                question_id=take.question_id,
                audio=take.audio,
                num_samples=take.num_samples,
                in_room=in_room,
                snr_db=snr_db,
            )
            for take in inputs.records(TAKES, SetTake)
            for in_room, snr_db in conditions
        ]
        return to_table(rows, _ToLayOver)

    def worker(_: Inputs) -> Callable[[], Worker]:
        if augmentation is not None:
            check_augmentation(augmentation)
        return partial(LayOver, audio, augmentation, seed)

    laid_over = augmentation.config if augmentation else {}
    return TableStep(
        name="set-levels",
        version=1,
        config={
            "rooms": laid_over.get("rooms", []),
            "noises": laid_over.get("noises", []),
            "conditions": conditions,
        },
        listing=("conditions",),
        inputs=(TAKES,),
        outputs={"levels": SetLevel},
        items=items,
        worker=worker,
        seed=seed,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _ToHear:
    id: str
    text: str
    audio: str
    num_samples: int


def _heard_step(asr: BackendChoice, audio: AudioStore) -> TableStep:
    def items(inputs: Inputs) -> pa.Table:
        texts = {take.id: take.text for take in inputs.records(TAKES, SetTake)}
        rows = [
            _ToHear(id=level.id, text=texts[level.take_id], audio=level.audio, num_samples=level.num_samples)
            for level in inputs.records(LEVELS, SetLevel)
        ]
        return to_table(rows, _ToHear)

    return TableStep(
        name="set-heard",
        version=1,
        config={"asr": identity("asr", asr)},
        inputs=(TAKES, LEVELS),
        outputs={"heard": SetHeard},
        items=items,
        worker=lambda _: partial(HearItem, audio, asr),
        loads_model=True,
        shard_items=32,
    )


def _items_step(settings: SpokenSetSettings) -> TableStep:
    is_heard = settings.asr is not None
    return TableStep(
        name="spoken-set",
        version=1,
        config={"max_wer": settings.max_wer},
        inputs=(QUESTIONS, TAKES, LEVELS, *([HEARD] if is_heard else [])),
        outputs={"items": SpokenItem, "recordings": Recording, "turns": Turn},
        items=lambda inputs: to_table(_joined(inputs, is_heard), SpokenItem),
        worker=lambda _: partial(KeepItem, settings.max_wer),
        shard_items=1_024,
    )


def _joined(inputs: Inputs, is_heard: bool) -> Sequence[SpokenItem]:
    """Levels with their takes, questions and what was heard of them: nothing, where the ASR broke."""
    questions = {question.id: question for question in inputs.records(QUESTIONS, SpokenQuestion)}
    takes = {take.id: take for take in inputs.records(TAKES, SetTake)}
    heard = {told.id: told for told in inputs.records(HEARD, SetHeard)} if is_heard else {}
    return [
        _item(level, take, questions[take.question_id], heard.get(level.id))
        for level in inputs.records(LEVELS, SetLevel)
        for take in (takes[level.take_id],)
    ]


def _item(level: SetLevel, take: SetTake, question: SpokenQuestion, heard: SetHeard | None) -> SpokenItem:
    return SpokenItem(
        id=level.id,
        question_id=question.id,
        question=question.question,
        spoken=question.spoken,
        answers=question.answers,
        choices=question.choices,
        gold=question.gold,
        voice=take.voice,
        rate=take.rate,
        snr_db=level.snr_db,
        room=level.room,
        noise=level.noise,
        audio=level.audio,
        num_samples=level.num_samples,
        heard=heard.heard if heard else "",
        wer=heard.wer if heard else None,
    )
