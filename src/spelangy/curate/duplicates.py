"""Step ``duplicates``: pairs of recordings that share sound or words. Recorded, nothing is dropped: views decide.

* **audio**: the same decoded samples, or fingerprints that match (re-encoded, resampled, cut, partly exchanged).
* **transcript**: consensus transcripts that share runs of five words (read again, or re-recorded).

Candidates come from an index over codes and over 5-word shingles (`shared_codes`); each pair is then compared exactly
(`overlap`). MinHash estimates the same Jaccard similarity from a sample, but a short cut of a long recording has next
to none: containment is what duplicates of recordings need, and an index over all shingles gives it.

A `Duplicate` names as `recording_id` the one to leave out: the clearly shorter, else the later by id.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from spelangy.core.hashing import digest_bytes
from spelangy.core.records import Duplicate
from spelangy.curate.config import CurateSettings
from spelangy.curate.fingerprints import NO_SOUND, Codes
from spelangy.curate.fingerprints import VERSION as FINGERPRINT_VERSION
from spelangy.curate.overlap import SHINGLE_WORDS, shingles, sound_overlap, words_overlap
from spelangy.curate.shared_codes import CodeIndex, Indices, without_runs
from spelangy.curate.turns import readable_recordings
from spelangy.engine.step import Inputs, Item, Produced, TableStep

RECORDINGS, FINGERPRINTS, TRANSCRIPTS = "ingest/recordings", "fingerprints", "words/transcripts"

MIN_SHARED_CODES = 3
"""Codes equal at one shift. Source: ours; chance equals a few codes of two unrelated hours, at shifts of their own; a
10 s cut, half a step off and re-encoded, keeps five or more."""

MIN_SHARED_SHINGLES = 3
MIN_WORDS = 20
"""Shorter transcripts are not compared: "thank you for listening" is said by many."""

CLEARLY_SHORTER_RATIO = 0.8
_SHIFT_BIN = 4
_ITEM_COLUMNS = ("id", "kind", "recording_id", "other_id", "content", "other_content")
_NO_WORD = re.compile(r"[^\w']+")


@dataclass(frozen=True, kw_only=True)
class Sequences:
    """What recordings are compared by, one after another, ids ascending.

    Attributes:
        ids: Recording ids.
        values: Codes of all; those of ``ids[i]`` from ``starts[i]`` to ``starts[i + 1]``.
    """

    ids: Sequence[str]
    values: NDArray[np.unsignedinteger]
    starts: Indices

    def of(self, recording: str) -> NDArray[np.unsignedinteger]:
        index = self._places[recording]
        return self.values[self.starts[index] : self.starts[index + 1]]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {recording: index for index, recording in enumerate(self.ids)}

    @cached_property
    def sizes(self) -> Indices:
        return np.diff(self.starts)

    @cached_property
    def owners(self) -> Indices:
        return np.repeat(np.arange(len(self.ids)), self.sizes)

    @cached_property
    def positions(self) -> Indices:
        return np.arange(self.values.size) - np.repeat(self.starts[:-1], self.sizes)


def fingerprint_sequences(fingerprints: pa.Table) -> Sequences:
    """The codes of all recordings."""
    ordered = fingerprints.sort_by("recording_id").combine_chunks()
    lists = ordered["codes"].combine_chunks()
    codes: Codes = lists.flatten().to_numpy(zero_copy_only=False).astype(np.uint32, copy=False)
    starts = np.r_[0, np.cumsum(pc.list_value_length(lists).to_numpy(zero_copy_only=False))].astype(np.int64)
    return Sequences(ids=ordered["recording_id"].to_pylist(), values=codes, starts=starts)


def word_sequences(transcripts: pa.Table) -> Sequences:
    """The words of all recordings in the order they were said, hashed; casing and punctuation do not count."""
    ordered = transcripts.select(["id", "recording_id", "words"]).sort_by(
        [("recording_id", "ascending"), ("id", "ascending")]
    )
    ordered = ordered.combine_chunks()
    lists = ordered["words"].combine_chunks()
    texts = pc.struct_field(lists.flatten(), "text").dictionary_encode()
    hashes = np.array([_word_hash(text) for text in texts.dictionary.to_pylist()], np.uint64)
    words = hashes[texts.indices.to_numpy(zero_copy_only=False)] if hashes.size else hashes
    num_words = pc.list_value_length(lists).to_numpy(zero_copy_only=False)
    recordings = ordered["recording_id"].combine_chunks().dictionary_encode()
    owner_of_turn = recordings.indices.to_numpy(zero_copy_only=False)
    said = words != 0
    owners = np.repeat(owner_of_turn, num_words)[said]
    counts = np.bincount(owners, minlength=len(recordings.dictionary)) if len(recordings.dictionary) else np.zeros(0)
    starts = np.r_[0, np.cumsum(counts)].astype(np.int64)
    return Sequences(ids=recordings.dictionary.to_pylist(), values=words[said], starts=starts)


def _word_hash(text: str) -> int:
    """64 bits of a word; 0 for what is punctuation only."""
    said = _NO_WORD.sub("", text.casefold())
    return int.from_bytes(hashlib.blake2b(said.encode(), digest_size=8).digest()) | 1 if said else 0


# --------------------------------------------------------------------------------------------------------- candidates


def same_audio(recordings: pa.Table) -> pa.Table:
    """Pairs (recording_id, other_id) with the same decoded samples: each with the first by id that has them."""
    ordered = recordings.sort_by("id").combine_chunks()
    audio = ordered["audio"].combine_chunks()
    first = pc.index_in(audio, audio).to_numpy(zero_copy_only=False)
    later = np.flatnonzero(first != np.arange(len(first)))
    ids = ordered["id"].combine_chunks()
    return pa.table({"recording_id": ids.take(pa.array(later)), "other_id": ids.take(pa.array(first[later]))})


def sound_candidates(sequences: Sequences) -> Indices:
    """Pairs of places in ``sequences.ids`` that may share sound."""
    codes, owners = sequences.values, sequences.owners
    kept = without_runs(codes, owners) & (codes != NO_SOUND)
    index = CodeIndex(codes=codes[kept], owners=owners[kept], positions=sequences.positions[kept])
    return index.candidates(MIN_SHARED_CODES, _SHIFT_BIN)


def word_candidates(sequences: Sequences) -> Indices:
    """Pairs of places in ``sequences.ids`` that may share words."""
    found = shingles(sequences.values)
    owners = sequences.owners
    inside = owners[: found.size] == owners[SHINGLE_WORDS - 1 :] if found.size else np.zeros(0, bool)
    inside &= sequences.sizes[owners[: found.size]] >= MIN_WORDS
    # A run of words that a recording repeats is one thing that it shares.
    place = np.lexsort((found[inside], owners[: found.size][inside]))
    codes, kept_owners = found[inside][place], owners[: found.size][inside][place]
    once = without_runs(codes, kept_owners)
    codes, kept_owners = codes[once], kept_owners[once]
    index = CodeIndex(codes=codes, owners=kept_owners, positions=np.zeros(codes.size, np.int64))
    return index.candidates(MIN_SHARED_SHINGLES)


def _pairs(kind: str, sequences: Sequences, pairs: Indices, sizes: Indices, contents: pa.Array) -> pa.Table:
    """Items of candidate pairs, the one to leave out first: the clearly shorter, else the later by id."""
    earlier, later = pairs[:, 0], pairs[:, 1]
    is_earlier_shorter = sizes[earlier] < CLEARLY_SHORTER_RATIO * sizes[later]
    left_out, other = np.where(is_earlier_shorter, earlier, later), np.where(is_earlier_shorter, later, earlier)
    ids = pa.array(sequences.ids, pa.string())
    return _items(kind, ids.take(left_out), ids.take(other), contents.take(left_out), contents.take(other))


def _items(kind: str, recordings: pa.Array, others: pa.Array, contents: pa.Array, other_contents: pa.Array) -> pa.Table:
    kinds = pa.array([kind] * len(recordings), pa.string())
    shown = pa.array(["audio" if kind == "same" else kind] * len(recordings), pa.string())
    ids = pc.binary_join_element_wise(recordings, others, shown, "-")
    return pa.table([ids, kinds, recordings, others, contents, other_contents], names=list(_ITEM_COLUMNS))


def candidate_items(inputs: Inputs) -> pa.Table:
    """All pairs to compare. A pair's row holds what both are made of, so that it is compared again when one changes."""
    recordings = readable_recordings(inputs)
    same = same_audio(recordings)
    audio = dict(zip(recordings["id"].to_pylist(), recordings["audio"].to_pylist(), strict=True))
    keys = pa.array([audio[recording] for recording in same["recording_id"].to_pylist()], pa.string())
    same_items = _items("same", same["recording_id"].combine_chunks(), same["other_id"].combine_chunks(), keys, keys)

    fingerprints = inputs.table(FINGERPRINTS)
    repeats = pc.is_in(fingerprints["recording_id"], same["recording_id"].combine_chunks())
    sounds = fingerprint_sequences(fingerprints.filter(pc.invert(repeats)))
    sound_keys = pa.array([audio[recording] for recording in sounds.ids], pa.string())
    sound_items = _pairs("audio", sounds, sound_candidates(sounds), sounds.sizes, sound_keys)

    words = word_sequences(inputs.table(TRANSCRIPTS))
    word_keys = pa.array([digest_bytes(words.of(recording).tobytes()) for recording in words.ids], pa.string())
    word_items = _pairs("transcript", words, word_candidates(words), words.sizes, word_keys)
    return pa.concat_tables([same_items, sound_items, word_items])


# -------------------------------------------------------------------------------------------------------------- worker


class ComparePair:
    """Measures one candidate pair; holds the codes and words of all recordings."""

    def __init__(self, inputs: Inputs, min_similarity: float) -> None:
        self.inputs = inputs
        self.min_similarity = min_similarity

    def __call__(self, item: Item) -> Produced:
        similarity = self._similarity(item["kind"], item["recording_id"], item["other_id"])
        if similarity < self.min_similarity:
            return Produced(records={"duplicates": []})
        found = Duplicate(
            id=item["id"],
            recording_id=item["recording_id"],
            other_id=item["other_id"],
            kind="transcript" if item["kind"] == "transcript" else "audio",
            similarity=similarity,
        )
        return Produced(records={"duplicates": [found]})

    def _similarity(self, kind: str, recording: str, other: str) -> float:
        if kind == "same":
            return 1.0
        if kind == "audio":
            return sound_overlap(self.sounds.of(recording), self.sounds.of(other))
        return words_overlap(self.words.of(recording), self.words.of(other))

    @cached_property
    def sounds(self) -> Sequences:
        return fingerprint_sequences(self.inputs.table(FINGERPRINTS))

    @cached_property
    def words(self) -> Sequences:
        return word_sequences(self.inputs.table(TRANSCRIPTS))


@dataclass(frozen=True)
class _Maker:
    inputs: Inputs
    min_similarity: float

    def __call__(self) -> ComparePair:
        return ComparePair(self.inputs, self.min_similarity)


def duplicates_step(settings: CurateSettings) -> TableStep:
    """Pairs of recordings that share sound or words."""
    least = settings.min_duplicate_similarity
    return TableStep(
        name="duplicates",
        version=1,
        config={"min_duplicate_similarity": least, "fingerprints": FINGERPRINT_VERSION},
        inputs=(RECORDINGS, FINGERPRINTS, TRANSCRIPTS),
        outputs={"duplicates": Duplicate},
        items=candidate_items,
        worker=lambda inputs: _Maker(inputs, least),
        shard_items=256,
    )
