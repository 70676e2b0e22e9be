"""The speaking pool beside bare synthesis, and how well an ASR hears each voice.

**Pool**: the whole `speech` step (processes started, models loaded, sound levelled, encoded and stored) over scripts of
two to ten sentences, beside hibari alone in one process with one thread over the same sentences, times the cores that
the step may use; and beside two such processes at once, which share the machine's memory and its heat as the step's do.
The runs alternate; medians.

**Round trip**: 40 sentences as scripts have them, by every voice of every backend that is installed here, levelled as
the step does, heard by the default ASR of ``[synth.round_trip]``; word errors a word after OpenAI's English normaliser.
Intervals are 95 % percentiles of 10,000 draws of sentences.

**Loudness**: gated loudness (BS.1770, pyloudnorm) of all these sentences, each brought to -23 dB root mean square.
"""

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import pyloudnorm
from numpy.typing import NDArray

from figure import Figure, at_least
from measure import timed
from spelangy.backends.load import create
from spelangy.backends.protocols import Audio, SpeechSynthesizer
from spelangy.core.errors import UserError
from spelangy.core.random import stream
from spelangy.core.records import Script, ScriptSegment
from spelangy.core.schema import to_table
from spelangy.core.settings import BackendChoice
from spelangy.core.spans import SAMPLE_RATE_HZ, seconds
from spelangy.engine.daft_runner import RunnerSettings
from spelangy.engine.pipeline import Pipeline
from spelangy.engine.progress import StepProgress
from spelangy.store.objects import Store
from spelangy.synth.config import RoundTripSettings, SynthSettings
from spelangy.synth.round_trip import Heard, RoundTrip, normalised
from spelangy.synth.speak import speech_step
from spelangy.synth.voices import at_loudness
from stage_speaking import SENTENCES

NUM_WORKERS = 2
NUM_SCRIPTS, QUICK_SCRIPTS = 200, 60
REPEATS, QUICK_REPEATS = 3, 1
MIN_RATIO = 0.9
NUM_DRAWS = 10_000
BACKENDS = ("hibari", "kokoro", "flite", "espeak-ng", "piper")
DEAR = "kokoro"
"""Forty times dearer than hibari: in quick runs it says 8 sentences only."""

MATERIAL = (
    *SENTENCES,
    "Honeybees store honey for the winter, when no flower is open within their reach.",
    "A colony may hold up to sixty thousand workers, but it has only one queen.",
    "Why does the moon have phases?",
    "The moon travels around the earth once in about twenty-seven days.",
    "As it moves, we see different parts of its sunlit side.",
    "The answer is that sunlight reaches it from a changing direction.",
    "Vaccines teach the body to recognise a germ before it does any harm.",
    "In seventeen ninety-six, a country doctor showed that cowpox protects against smallpox.",
    "Lighthouses once burned coal, then oil, and later gas.",
    "The lamp could be seen for twenty miles in clear weather.",
    "Water boils at a lower temperature on top of a mountain.",
    "That is because the air presses on it less.",
    "How do plants make their own food?",
    "They take in carbon dioxide and water, and give off oxygen.",
    "Salt was so valuable that soldiers were sometimes paid in it.",
    "The bridge carries four lanes of traffic and two railway tracks.",
    "It was closed for repairs between March and September.",
    "Glaciers move slowly, yet they carve deep valleys into solid rock.",
    "Most earthquakes begin along the edges of the great plates.",
    "The library owns more than three million books and ninety thousand maps.",
    "No one knows exactly when the first wheel was made.",
    "Bread rises because yeast turns sugar into gas.",
    "The treaty was signed by eleven nations, and two of them later withdrew.",
    "Sound travels about four times faster in water than in air.",
    "What is the largest desert on earth?",
    "Strictly speaking it is Antarctica, where hardly any rain or snow falls.",
    "The heart of an adult beats roughly seventy times a minute.",
    "She measured the height of the tower from the length of its shadow.",
    "Cotton, wheat and rice were the main crops of the valley.",
    "Printing made books cheaper, and reading became common within two generations.",
    "The comet returns every seventy-six years.",
    "It was last visible to the naked eye when my parents were young.",
)  # fmt: skip
assert len(MATERIAL) == 40


@dataclass(frozen=True, kw_only=True)
class Errors:
    """Word errors and words of each sentence, shapes [sentences]."""

    errors: NDArray[np.int64]
    num_words: NDArray[np.int64]

    @property
    def wer(self) -> float:
        """In percent."""
        return 100.0 * float(self.errors.sum()) / float(self.num_words.sum())

    def interval(self, purpose: str) -> tuple[float, float]:
        """Percentile bootstrap over sentences, 95 %."""
        size = self.errors.size
        draws = stream(0, "speaking", purpose).integers(0, size, (NUM_DRAWS, size))
        rates = 100.0 * self.errors[draws].sum(axis=1) / self.num_words[draws].sum(axis=1)
        low, high = np.percentile(rates, [2.5, 97.5])
        return float(low), float(high)


def figures(quick: bool) -> Iterator[Figure]:
    """All figures of this module."""
    yield from pool(QUICK_SCRIPTS if quick else NUM_SCRIPTS, QUICK_REPEATS if quick else REPEATS)
    yield from round_trips(quick)


@dataclass(frozen=True, kw_only=True)
class Run:
    """Wall times of one round, in seconds.

    Attributes:
        bare_s: All sentences in one process.
        beside_s: Half of them in each of two processes at once, the slower one.
        step_s: The whole step, two workers.
        start_s: The step over two scripts: what it costs before it is at pace.
    """

    bare_s: float
    beside_s: float
    step_s: float
    start_s: float


def pool(num_scripts: int, repeats: int) -> Iterator[Figure]:
    """The speech step with two workers beside bare synthesis times as many cores."""
    scripts = some_scripts(num_scripts)
    texts = [segment.text for script in scripts for segment in script.segments]
    with TemporaryDirectory() as folder, _bare_processes() as processes:
        _step_s(scripts[:NUM_WORKERS], Path(folder) / "first")  # starts Daft
        speech_s = _bare(texts)[1]
        runs = [_run(scripts, texts, processes, Path(folder) / str(number)) for number in range(repeats)]
    bare_s = median(run.bare_s for run in runs)
    step_s = median(run.step_s for run in runs)
    yield Figure(name="hibari alone, one thread", value=speech_s / bare_s, unit="x real time")
    yield Figure(name=f"speech step, {NUM_WORKERS} workers", value=speech_s / step_s, unit="x real time")
    yield Figure(name="speech step, start", value=median(run.start_s for run in runs), unit="s")
    yield Figure(
        name=f"speech step / (bare synthesis x {NUM_WORKERS} cores)",
        value=median(run.bare_s / NUM_WORKERS / run.step_s for run in runs),
        unit="ratio",
        goals=at_least([MIN_RATIO]),
    )
    yield Figure(
        name=f"speech step / bare synthesis in {NUM_WORKERS} processes",
        value=median(run.beside_s / run.step_s for run in runs),
        unit="ratio",
    )


def _run(scripts: Sequence[Script], texts: Sequence[str], processes: ProcessPoolExecutor, folder: Path) -> Run:
    halves = [texts[number::NUM_WORKERS] for number in range(NUM_WORKERS)]
    return Run(
        bare_s=_bare(texts)[0],
        beside_s=max(took_s for took_s, _ in processes.map(_bare, halves)),
        step_s=_step_s(scripts, folder / "all"),
        start_s=_step_s(scripts[:NUM_WORKERS], folder / "start"),
    )


@contextmanager
def _bare_processes() -> Iterator[ProcessPoolExecutor]:
    """Processes with the voice loaded and warm."""
    with ProcessPoolExecutor(NUM_WORKERS, get_context("spawn")) as processes:
        list(processes.map(_bare, [MATERIAL] * NUM_WORKERS))
        yield processes


def some_scripts(num_scripts: int) -> list[Script]:
    """Scripts of two to ten sentences of the material."""
    return [_script(f"script-{number:04d}") for number in range(num_scripts)]


def _script(name: str) -> Script:
    random = stream(0, "speaking", name)
    chosen = random.choice(len(MATERIAL), int(random.integers(2, 11)), replace=False).tolist()
    segments = tuple(ScriptSegment(role="speech", text=MATERIAL[index]) for index in chosen)
    return Script(id=name, page_id=name, kind="krist", method="template", note="", licence="unknown", segments=segments)


@cache
def _hibari() -> SpeechSynthesizer:
    tts: SpeechSynthesizer = create("tts", BackendChoice(name="hibari", options={"threads": 1}))
    tts.synthesize(MATERIAL[0], "heart")
    return tts


def _bare(texts: Sequence[str]) -> tuple[float, float]:
    """Seconds of work, and seconds of speech made; the voice is loaded before."""
    tts = _hibari()
    took_s, sizes = timed(lambda: [tts.synthesize(text, "heart").size for text in texts])
    return took_s, seconds(sum(sizes))


def _step_s(scripts: Sequence[Script], folder: Path) -> float:
    store = Store(str(folder))
    items = to_table(scripts, Script)
    step = replace(speech_step("speech", (), SynthSettings(), store.audio, 0), items=lambda _: items)
    pipeline = Pipeline("speaking", [step])
    took_s, _ = timed(lambda: pipeline.run(store, RunnerSettings(num_workers=NUM_WORKERS), StepProgress(quiet=True)))
    return took_s


def round_trips(quick: bool) -> Iterator[Figure]:
    """Word error rate of each voice, and how loud levelled sentences are."""
    ear = RoundTrip(RoundTripSettings())
    loudness: list[float] = []
    for name in BACKENDS:
        try:
            tts: SpeechSynthesizer = create("tts", BackendChoice(name=name))
        except UserError as error:
            print(f"note: {name} is left out: {error.message}", file=sys.stderr)
            continue
        texts = MATERIAL[:: len(MATERIAL) // 8] if quick and name == DEAR else MATERIAL
        for voice in tts.voices:
            clips = [at_loudness(tts.synthesize(text, voice), -23.0) for text in texts]
            loudness += [_lufs(clip) for clip in clips]
            found = _errors(ear, texts, clips)
            low, high = found.interval(f"{name}:{voice}")
            yield Figure(name=f"round-trip WER {name}:{voice}", value=found.wer, unit=f"% ({low:.1f}-{high:.1f})")
    yield Figure(name="loudness of levelled sentences, mean", value=float(np.mean(loudness)), unit="LUFS")
    yield Figure(name="loudness of levelled sentences, sd", value=float(np.std(loudness)), unit="LU")


def _errors(ear: RoundTrip, texts: Sequence[str], clips: Sequence[Audio]) -> Errors:
    heard = ear.hear(texts, clips)
    num_words = np.array([len(normalised(text).split()) for text in texts], np.int64)
    rates = [told.wer for told in heard if isinstance(told, Heard)]
    assert len(rates) == len(texts), "the ASR failed"
    return Errors(errors=np.rint(np.array(rates) * num_words).astype(np.int64), num_words=num_words)


def _lufs(clip: Audio) -> float:
    return float(pyloudnorm.Meter(SAMPLE_RATE_HZ).integrated_loudness(clip.astype(np.float64)))
