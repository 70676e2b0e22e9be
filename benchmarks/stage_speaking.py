"""Real-time factors of the voices: seconds of work / seconds of speech made, one thread."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from figure import Figure, at_most
from material import Material
from measure import MACHINES_DIFFER, loaded, repeated
from spelangy.core.records import Script, ScriptSegment
from spelangy.core.settings import BackendChoice
from spelangy.core.spans import seconds
from spelangy.synth.config import SynthSettings, VoiceSettings
from spelangy.synth.speak import Speak

SEEN_RTF = {"hibari": 0.009, "kokoro": 0.40}
"""Seen when the models were chosen, on two cores."""

VOICES = {"hibari": "heart", "kokoro": "jf_nezumi"}
SENTENCES = (
    "The observatory was built in nineteen twenty-seven on a hill above the old harbour.",
    "Its first telescope came by ship, in forty wooden crates, and took two summers to assemble.",
    "Who paid for it is still disputed.",
    "Letters in the town archive name a salt merchant, but his own accounts do not mention the gift.",
    "Today about nine thousand people visit it every year, most of them in the darkest weeks of winter.",
    "On clear nights the dome stays open until one in the morning.",
    "A new mirror, larger than the first, was installed after the roof had been repaired.",
    "Even so, the city's lights have made the faintest stars impossible to see from there.",
)
NUM_SENTENCES = {"hibari": len(SENTENCES), "kokoro": 1}
"""Kokoro is 40 times dearer."""


def figures(quick: bool) -> Iterator[Figure]:
    """All figures of this module."""
    with TemporaryDirectory() as folder:
        yield from speaking(Material(Path(folder), quick))


def speaking(material: Material) -> Iterator[Figure]:
    """The same, beside other stages."""
    for name, voice in VOICES.items():
        yield from _voice(material, name, voice)


def _voice(material: Material, name: str, voice: str) -> Iterator[Figure]:
    settings = SynthSettings(voices=(VoiceSettings(tts=BackendChoice(name=name), voice=voice),))
    sentences = SENTENCES[: NUM_SENTENCES[name]] if material.quick else SENTENCES
    item, short = asdict(script(sentences)), asdict(script(["Yes."]))
    worker, load_s = loaded(lambda: Speak(material.audio, settings, 0), lambda worker: worker(short))
    took_s, produced = repeated(lambda: worker(item), budget_s=1.0, max_repeats=5)
    (recording,) = produced.records["recordings"]
    yield Figure(
        name=f"tts {name}",
        value=took_s / seconds(recording.num_samples),
        unit="RTF",
        goals=at_most([SEEN_RTF[name] * MACHINES_DIFFER]),
    )
    yield Figure(name=f"tts {name}, load", value=load_s, unit="s")


def script(sentences: tuple[str, ...] | list[str]) -> Script:
    """A script of plain sentences."""
    segments = tuple(ScriptSegment(role="speech", text=sentence) for sentence in sentences)
    return Script(
        id="bench", page_id="bench", kind="krist", method="template", note="", licence="unknown", segments=segments
    )
