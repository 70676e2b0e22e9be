"""The real speech inside an installed wheel: two readings and a dialogue."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import soundfile
import soxr


def wheel_audio(name):
    """A recording of moonshine-voice at 16 kHz: beckett.wav, two_cities.wav or endgame_nagg_nell.wav."""
    directory = Path(find_spec("moonshine_voice").submodule_search_locations[0]) / "assets"
    audio, rate_hz = soundfile.read(directory / name, dtype="float32")
    return soxr.resample(audio, rate_hz, 16_000).astype(np.float32)
