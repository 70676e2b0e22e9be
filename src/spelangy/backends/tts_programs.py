"""Role ``tts``: flite and espeak-ng, run as the programs that the system's packages bring. Many accents, little cost.

Their licences cover the programs, not what they say; nothing of them is linked or shipped.
"""

import re
import shutil
import subprocess
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import soundfile

from spelangy.backends.protocols import Audio, ModelInfo
from spelangy.backends.speaking import check_rate, check_voice, finished, spoken_text
from spelangy.core.errors import Dropped, UserError

TIMEOUT_S = 120.0
"""A sentence takes 0.01 to 6 s; a program that needs longer hangs."""

_TYPOGRAPHY = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": ", ", "…": "..."})
_CURRENCY = re.compile(r"([£€¥])\s?(\d[\d,.]*\d|\d)")
_CURRENCY_NAMES = {"£": "pounds", "€": "euros", "¥": "yen"}


@dataclass(frozen=True, kw_only=True)
class SpeechProgram:
    """How to run one program.

    Attributes:
        name: The command, and the system package that brings it.
        voices: Voices we offer; all must be there.
        version: Arguments that print the version, and the pattern that finds it.
        list_voices: Arguments that print the installed voices, one word each.
        speak: Arguments that speak; ``{voice}``, ``{text}`` and ``{wav}`` stand for the voice and the two files.
        at_rate: Voice and rate to the arguments that set it; not asked at rate 1.
        spelling: Text to what the program can read.
    """

    name: str
    licence: str
    voices: tuple[str, ...]
    version: tuple[str, str]
    list_voices: tuple[str, ...]
    speak: tuple[str, ...]
    at_rate: Callable[[str, float], tuple[str, ...]]
    spelling: Callable[[str], str]


def ascii_spelling(text: str) -> str:
    """`text` in ASCII, for flite: no accents, Greek letters and currencies by name, typographic marks made plain."""
    plain = _CURRENCY.sub(lambda match: f"{match[2]} {_CURRENCY_NAMES[match[1]]}", text.translate(_TYPOGRAPHY))
    return "".join(map(_ascii, plain))


def _ascii(character: str) -> str:
    name = unicodedata.name(character, "")
    if name.startswith("GREEK"):
        return f" {name.split(' WITH ')[0].split()[-1].lower()} "
    if character == "°":
        return " degrees "
    return unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()


FLITE_STRETCH = {"kal16": 1.1}
"""How much longer than its model says a flite voice speaks by itself; 1 for the others. Source: flite 2.2."""
ESPEAK_WORDS_PER_MINUTE = 175
"""espeak-ng's own speed. Source: its manual."""


def _flite_rate(voice: str, rate: float) -> tuple[str, ...]:
    return "--setf", f"duration_stretch={FLITE_STRETCH.get(voice, 1.0) / rate:.4f}"


def _espeak_rate(_voice: str, rate: float) -> tuple[str, ...]:
    return "-s", str(round(ESPEAK_WORDS_PER_MINUTE * rate))


FLITE = SpeechProgram(
    name="flite",
    licence="MIT-Festival",
    voices=("awb", "rms", "slt", "kal16"),
    version=("--version", r"flite-(\S+)"),
    list_voices=("-lv",),
    speak=("-voice", "{voice}", "-f", "{text}", "-o", "{wav}"),
    at_rate=_flite_rate,
    spelling=ascii_spelling,
)
ESPEAK = SpeechProgram(
    name="espeak-ng",
    licence="GPL-3.0-or-later",
    voices=("en-us", "en-gb", "en-gb-x-rp", "en-gb-scotland", "en-029"),
    version=("--version", r"text-to-speech: (\S+)"),
    list_voices=("--voices=en",),
    speak=("-b", "1", "-v", "{voice}", "-f", "{text}", "-w", "{wav}"),
    at_rate=_espeak_rate,
    spelling=str,
)


class _ProgramSynthesizer:
    program: SpeechProgram
    voices: tuple[str, ...]

    def __init__(self) -> None:
        self._command = _installed(self.program)
        self.info = self.describe()
        _check_voices(self.program, self._command)

    @classmethod
    def describe(cls) -> ModelInfo:
        """Which program and version this is."""
        command = _installed(cls.program)
        flag, pattern = cls.program.version
        found = re.search(pattern, _printed(command, flag))
        if found is None:
            raise UserError(f"{command} {flag} prints no version that can be read")
        return ModelInfo(
            role="tts",
            name=cls.program.name,
            revision=f"{cls.program.name} {found[1]}",
            licence=cls.program.licence,
            origin=f"program {command}",
        )

    def synthesize(self, text: str, voice: str, rate: float = 1.0) -> Audio:
        """Speech at 16 kHz, shape [S]; see `SpeechSynthesizer.synthesize`.

        Raises:
            Dropped: Also ``speech program failed`` and ``speech program timed out``, with what it said.
        """
        check_voice(voice, self.voices, self.program.name)
        check_rate(rate, self.program.name)
        spelled = self.program.spelling(spoken_text(text))
        if not any(character.isalnum() for character in spelled):
            raise Dropped("nothing to say")
        with TemporaryDirectory(prefix="spelangy-") as directory:
            return self._speak(spelled, voice, rate, Path(directory))

    def _speak(self, spelled: str, voice: str, rate: float, directory: Path) -> Audio:
        text_file, wav_file = directory / "text.txt", directory / "speech.wav"
        text_file.write_text(f"{spelled}\n", encoding="utf-8")
        fill = {"voice": voice, "text": str(text_file), "wav": str(wav_file)}
        at_rate = () if rate == 1.0 else self.program.at_rate(voice, rate)
        _run([self._command, *at_rate, *(argument.format(**fill) for argument in self.program.speak)])
        if not wav_file.is_file():
            raise Dropped("speech program failed", detail="it wrote no sound")
        audio, sample_rate_hz = soundfile.read(wav_file, dtype="float32", always_2d=True)
        return finished([audio[:, 0]], sample_rate_hz)


class FliteSynthesizer(_ProgramSynthesizer):
    """flite: awb (Scottish English, male), rms and kal16 (American, male), slt (American, female).

    Text is read as `speaking.spoken_text` and `ascii_spelling` say.

    Raises:
        UserError: When flite is not installed, or was built without one of the voices.
    """

    program = FLITE
    voices: tuple[str, ...] = FLITE.voices


class EspeakSynthesizer(_ProgramSynthesizer):
    """espeak-ng: American, British, Received Pronunciation, Scottish and Caribbean English by rule.

    Text is read as `speaking.spoken_text` says; SSML and ``[[phonemes]]`` are never interpreted.

    Raises:
        UserError: When espeak-ng is not installed, or without one of the voices.
    """

    program = ESPEAK
    voices: tuple[str, ...] = ESPEAK.voices


def _installed(program: SpeechProgram) -> str:
    command = shutil.which(program.name)
    if command is None:
        raise UserError(f"the program {program.name} is not installed", hint=f"apt-get install {program.name}")
    return command


def _check_voices(program: SpeechProgram, command: str) -> None:
    """flite speaks with its default voice when it lacks the one asked for, without a word: so ask first."""
    missing = sorted(set(program.voices) - set(_printed(command, *program.list_voices).split()))
    if missing:
        raise UserError(
            f"{command} lacks the voices {', '.join(missing)}",
            hint=f"the distribution's package has them: apt-get install {program.name}",
        )


def _printed(command: str, *arguments: str) -> str:
    done = subprocess.run([command, *arguments], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    return done.stdout + done.stderr


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S, check=True)
    except subprocess.TimeoutExpired as expired:
        raise Dropped("speech program timed out", value=TIMEOUT_S, threshold=TIMEOUT_S) from expired
    except subprocess.CalledProcessError as failed:
        said = failed.stderr.decode(errors="replace").strip()
        raise Dropped("speech program failed", detail=f"exit {failed.returncode}: {said[-500:]}") from failed
