"""Who speaks when, by a pipeline of pyannote.audio (extra ``pyannote``), community-1 unless another is named.

    speech      |=========span=========|     |====|        from the VAD: nothing outside it is a turn
    exclusive   |==A==|====B====|==A======|    |=B==|      one speaker at a time: the turns
    regular     |==A==|                                    two at once where overlapped: cut out, flagged
                    |==B========|==…
    turns       |S0|S0+|==S1====|==S0==|       |S1|

Shape legend: S samples at 16 kHz; K speakers; D embedding size.
"""

from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
from numpy.typing import NDArray

from spelangy.backends import weights_cache
from spelangy.backends.clustering import unit
from spelangy.backends.protocols import Audio, DiarizedSpan, ModelInfo
from spelangy.backends.speaker_runs import Run, as_turns
from spelangy.backends.torch_threads import torch_threads
from spelangy.core.errors import UserError
from spelangy.core.hashing import digest
from spelangy.core.spans import SAMPLE_RATE_HZ, Span, samples

CONFIG_FILE = "config.yaml"
INSTALL = "pip install 'spelangy[pyannote]'"


class PyannoteDiarizer:
    """A `SpeakerDiarization` pipeline: its exclusive output makes the turns, its regular output flags overlap.

    All turns of a speaker carry that speaker's embedding, so that labelling again can merge speakers but not part them.

    Args:
        model: A pipeline on the hub, which must be in the hub cache, or a directory with its ``config.yaml``.
        revision: Branch, tag or commit on the hub; none: ``main``. What it stands for here goes into the lineage.
        min_speakers: Fewest speakers; none: found.
        max_speakers: Most speakers; none: found.
        device: Where torch runs it.
        threads: Threads of the models on a processor.

    Raises:
        UserError: When pyannote.audio is not installed, or the pipeline is not on this machine.

    Source: Bredin 2023, pyannote.audio 2.1; github.com/pyannote/pyannote-audio 4 (`DiarizeOutput`).
    """

    def __init__(
        self,
        *,
        model: str = "pyannote/speaker-diarization-community-1",
        revision: str | None = None,
        min_speakers: int | None = None,
        max_speakers: int | None = None,
        device: str = "cpu",
        threads: int = 1,
    ) -> None:
        directory = _directory(model, revision)
        self.info = _info(model, directory)
        given = {"min_speakers": min_speakers, "max_speakers": max_speakers}
        self._bounds = {name: bound for name, bound in given.items() if bound is not None}
        self.threads = threads
        self._pipeline = _pipeline(directory, device)

    @classmethod
    def describe(
        cls,
        *,
        model: str = "pyannote/speaker-diarization-community-1",
        revision: str | None = None,
        allow_network: bool = False,
        **_options: object,
    ) -> ModelInfo:
        """Which pipeline this would be with these options; nothing is loaded."""
        if allow_network and not Path(model).is_dir():
            _download(model, revision)
        return _info(model, _directory(model, revision))

    def diarize(self, audio_S: Audio, speech: Sequence[Span]) -> list[DiarizedSpan]:
        """Turns of at most 28 s in time order; one may bridge a pause of up to 0.5 s between two spans of `speech`."""
        import torch

        spans = [span for span in speech if span.num_samples]
        if not spans:
            return []
        waveform = torch.from_numpy(np.ascontiguousarray(audio_S, np.float32))[None]
        with torch_threads(self.threads):
            output = self._pipeline({"waveform": waveform, "sample_rate": SAMPLE_RATE_HZ}, **self._bounds)
        return as_turns(list(_runs(output, spans)))


def _runs(output: Any, spans: Sequence[Span]) -> Iterator[Run]:
    """Exclusive turns inside the speech, cut at the borders of overlap."""
    embeddings = _embeddings(output)
    numbers = {label: number for number, label in enumerate(embeddings)}
    overlaps = [_span(segment) for segment in output.speaker_diarization.get_overlap()]
    turns = [
        (_span(segment), label)
        for segment, _, label in output.exclusive_speaker_diarization.itertracks(yield_label=True)
    ]
    for span in spans:
        for turn, label in turns:
            for piece, is_overlap in _cut(turn.clip(span), overlaps):
                yield Run(span=piece, speaker=numbers[label], is_overlap=is_overlap, embedding_D=embeddings[label])


def _cut(turn: Span, overlaps: Sequence[Span]) -> Iterator[tuple[Span, bool]]:
    """The pieces of `turn` inside and outside of overlap, in order; none of an empty turn."""
    inside = [overlap.clip(turn) for overlap in overlaps if overlap.overlap(turn)]
    edges = sorted({turn.start, turn.end, *(edge for span in inside for edge in (span.start, span.end))})
    for start, end in pairwise(edges):
        yield Span(start, end), any(span.start <= start < span.end for span in inside)


def _embeddings(output: Any) -> Mapping[str, NDArray[np.float32]]:
    """Each label's embedding, at unit length; the even direction where the pipeline gives none."""
    labels = output.speaker_diarization.labels()
    rows = output.speaker_embeddings
    if rows is None or not labels:
        rows = np.ones((len(labels), 1), np.float32)
    return dict(zip(labels, unit(np.asarray(rows, np.float32)), strict=True)) if labels else {}


def _span(segment: Any) -> Span:
    start = max(0, samples(segment.start))
    return Span(start, max(start, samples(segment.end)))


def _pipeline(directory: Path, device: str) -> Any:
    if find_spec("pyannote") is None or find_spec("pyannote.audio") is None:
        raise UserError("diarizer 'pyannote' needs pyannote.audio, which is not installed", hint=INSTALL)
    import torch
    from pyannote.audio import Pipeline

    pipeline = Pipeline.from_pretrained(str(directory), token=None)
    if pipeline is None:
        raise UserError(f"pyannote.audio finds no pipeline in {directory}", hint=f"it needs a {CONFIG_FILE}")
    return pipeline.to(torch.device(device))


def _directory(model: str, revision: str | None) -> Path:
    """Where the pipeline lies on this machine."""
    if Path(model).is_dir():
        if not (Path(model) / CONFIG_FILE).is_file():
            raise UserError(f"{model} has no {CONFIG_FILE}", hint="give the directory of a pyannote.audio pipeline")
        return Path(model)
    found = huggingface_hub.try_to_load_from_cache(model, CONFIG_FILE, revision=revision or "main")
    if not isinstance(found, str):
        at = f" --revision {revision}" if revision else ""
        raise UserError(f"pipeline {model!r} is not in the hub cache", hint=f"hf download {model}{at}")
    return Path(found).parent


def _info(model: str, directory: Path) -> ModelInfo:
    """A hub snapshot is named by its commit, another directory by its content."""
    if Path(model).is_dir():
        files = {str(path.relative_to(directory)): path for path in sorted(directory.rglob("*")) if path.is_file()}
        content = digest({name: weights_cache.content_sha256(path) for name, path in files.items()})
        revision, origin = f"sha256:{content[:16]}", f"path {directory}"
    else:
        revision, origin = f"{model}@{directory.name[:7]}", f"hub cache {model}@{directory.name[:7]}"
    return ModelInfo(role="diarizer", name="pyannote", revision=revision, licence=_licence(model), origin=origin)


def _licence(model: str) -> str:
    return "CC-BY-4.0" if model == "pyannote/speaker-diarization-community-1" else "unstated"


def _download(model: str, revision: str | None) -> None:
    try:
        huggingface_hub.snapshot_download(model, revision=revision)
    except (OSError, huggingface_hub.errors.HfHubHTTPError) as error:
        raise UserError(
            f"cannot fetch {model!r}: {error}", hint="accept its terms on the hub, then hf auth login"
        ) from error
