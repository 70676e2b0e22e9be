"""Pairs of recordings that share sound or words: found without comparing all with all, measured exactly."""

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
import recoded
from datasketch import MinHash, MinHashLSH
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import sound_files as sounds
from spelangy.backends.protocols import Audio
from spelangy.core.records import Duplicate, Fingerprint, Recording, Transcript, Word
from spelangy.core.schema import from_table, to_table
from spelangy.core.spans import samples
from spelangy.curate.config import CurateSettings
from spelangy.curate.duplicates import ComparePair, candidate_items, duplicates_step
from spelangy.curate.fingerprints import STEP_SAMPLES, fingerprint, fingerprints_step
from spelangy.curate.ingest import ingest_step
from spelangy.curate.overlap import words_overlap
from spelangy.curate.shared_codes import CodeIndex
from spelangy.engine.daft_runner import RunnerSettings
from spelangy.engine.pipeline import Pipeline
from spelangy.engine.progress import StepProgress
from spelangy.engine.step import Inputs, Item, Produced, TableStep
from spelangy.store.objects import Store

VOCABULARY = [f"word{index}" for index in range(3_000)]


class Tables:
    """Inputs of the step without a store: recordings by id, with codes and words."""

    def __init__(
        self,
        codes: Mapping[str, NDArray[np.uint32]] | None = None,
        texts: Mapping[str, str] | None = None,
        audio: Mapping[str, str] | None = None,
    ) -> None:
        codes, texts = codes or {}, texts or {}
        ids = sorted({*codes, *texts, *(audio or {})})
        self.tables = {
            "ingest/recordings": to_table([recording(name, (audio or {}).get(name, name)) for name in ids], Recording),
            "fingerprints": fingerprints_table(codes),
            "words/transcripts": to_table(
                [turn for name, text in texts.items() for turn in transcripts(name, text)], Transcript
            ),
        }

    def table(self, name: str) -> pa.Table:
        return self.tables[name]


def recording(name: str, audio: str) -> Recording:
    return Recording(
        id=name, uri=name, status="ok", reason="", num_samples=1, audio=audio, source="test", licence="CC0",
        source_codec="flac", source_sample_rate_hz=16_000, source_channels=1,
    )  # fmt: skip


def fingerprints_table(codes: Mapping[str, NDArray[np.uint32]]) -> pa.Table:
    """As the step writes it; column by column, because a test's two million codes are too many for Python objects."""
    ends = np.cumsum([0, *(len(found) for found in codes.values())])
    values = np.concatenate([np.zeros(0, np.uint32), *codes.values()])
    lists = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(values, pa.uint32()))
    names = pa.array(list(codes), pa.string())
    columns = [names, names, pa.array([STEP_SAMPLES] * len(codes), pa.int64()), lists]
    return pa.table(columns, names=[field.name for field in dataclasses.fields(Fingerprint)])


def transcripts(name: str, text: str, words_a_turn: int = 30) -> list[Transcript]:
    words = text.split()
    return [
        Transcript(
            id=f"{name}-{start // words_a_turn:06d}",
            recording_id=name,
            systems=("a",),
            words=tuple(
                Word(text=word, start=0, end=1, vote_ratio=1.0, confidence=1.0)
                for word in words[start : start + words_a_turn]
            ),
            dissent=(),
        )
        for start in range(0, len(words), words_a_turn)
    ]


def found(tables: Tables, least: float = 0.3) -> dict[tuple[str, str, str], float]:
    inputs = cast(Inputs, tables)
    compare = ComparePair(inputs, least)
    pairs = [pair for item in candidate_items(inputs).to_pylist() for pair in compare(item).records["duplicates"]]
    assert len({pair.id for pair in pairs}) == len(pairs)
    return {(pair.recording_id, pair.other_id, pair.kind): pair.similarity for pair in pairs}


def random_codes(num: int, seed: int) -> NDArray[np.uint32]:
    return np.random.default_rng(seed).integers(0, 1 << 32, num, np.uint32)


def random_text(num_words: int, seed: int) -> str:
    return " ".join(np.random.default_rng(seed).choice(VOCABULARY, num_words))


def with_errors(text: str, ratio: float, seed: int) -> str:
    rng = np.random.default_rng(seed)
    return " ".join("wrong" if rng.random() < ratio else word for word in text.split())


# --------------------------------------------------------------------------------------------------------------- sound


@pytest.fixture(scope="module")
def speech_S() -> Audio:
    return recoded.reading()


def test_a_copy_and_a_cut_are_found_and_another_recording_is_not(speech_S: Audio) -> None:
    cut_S = recoded.mp3(speech_S)[samples(12.0) + 700 :][: samples(20.0)]
    codes = {
        "a-whole": fingerprint(speech_S),
        "b-mp3": fingerprint(recoded.mp3(speech_S)),
        "c-cut": fingerprint(cut_S),
        "d-other": fingerprint(recoded.reading(sounds.READING)),
    }
    pairs = found(Tables(codes))
    assert pairs.keys() == {
        ("b-mp3", "a-whole", "audio"),
        ("c-cut", "a-whole", "audio"),
        ("c-cut", "b-mp3", "audio"),
    }
    assert min(pairs.values()) >= 0.9


def test_the_one_to_leave_out_is_the_shorter_else_the_later() -> None:
    codes = random_codes(1_000, 1)
    pairs = found(Tables({"a-cut": codes[100:400], "b-whole": codes, "c-whole": codes[5:]}))
    assert {pair[:2] for pair in pairs} == {("a-cut", "b-whole"), ("a-cut", "c-whole"), ("c-whole", "b-whole")}


def test_the_same_samples_in_two_containers_are_one_sound_even_without_a_code() -> None:
    short = {"a": random_codes(0, 1), "b": random_codes(0, 1), "c": random_codes(0, 1)}
    pairs = found(Tables(short, audio={"a": "same", "b": "other", "c": "same"}))
    assert pairs == {("c", "a", "audio"): 1.0}


def test_a_jingle_that_a_thousand_share_does_not_pair_all_with_all() -> None:
    jingle = random_codes(60, 0)
    codes = {f"{index:04d}": np.r_[jingle, random_codes(240, index + 1)] for index in range(1_000)}
    items = candidate_items(cast(Inputs, Tables(codes)))
    assert items.num_rows < 10 * 1_000
    firsts = {row["recording_id"] for row in items.to_pylist() if row["other_id"] == "0000"}
    assert firsts == {f"{index:04d}" for index in range(1, 1_000)}, "each meets the first that has it"


def test_a_steady_tone_and_silence_pair_nothing() -> None:
    rng = np.random.default_rng(3)
    codes = {str(index): np.repeat(rng.integers(0, 1 << 32, 40, np.uint32), 50) for index in range(20)}
    codes |= {f"s{index}": np.zeros(1_000, np.uint32) for index in range(20)}
    codes |= {f"t{index}": np.full(1_000, 77, np.uint32) for index in range(20)}
    assert candidate_items(cast(Inputs, Tables(codes))).num_rows == 0


def test_two_thousand_recordings_take_seconds() -> None:
    codes = {f"{index:04d}": random_codes(1_000, index) for index in range(1_900)}
    texts = {f"{index:04d}": random_text(60, index) for index in range(1_900)}
    for index in range(100):
        codes[f"copy{index:03d}"] = codes[f"{index:04d}"][index : index + 500] ^ np.uint32(1) * (
            np.arange(500, dtype=np.uint32) % 2
        )
        texts[f"copy{index:03d}"] = with_errors(texts[f"{index:04d}"], 0.05, index)
    tables = Tables(codes, texts)
    started = time.perf_counter()
    pairs = found(tables)
    spent_s = time.perf_counter() - started
    expected = {(f"copy{index:03d}", f"{index:04d}", kind) for index in range(100) for kind in ("audio", "transcript")}
    assert pairs.keys() == expected
    assert spent_s < 20.0  # 1 s on a quiet machine


@settings(max_examples=60)
@given(
    st.lists(st.lists(st.integers(1, 6), max_size=12), min_size=1, max_size=7),
    st.integers(1, 3),
    st.sampled_from([1, 4]),
)
def test_the_index_finds_what_comparing_all_with_all_finds(rows: list[list[int]], votes: int, shift_bin: int) -> None:
    """Small alphabets make groups larger than neighbours reach; then each still meets the group's first owner."""
    owners = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    index = CodeIndex(
        codes=np.array([code for row in rows for code in row], np.uint64),
        owners=owners,
        positions=np.array([place for row in rows for place in range(len(row))], np.int64),
    )
    pairs = {tuple(pair) for pair in index.candidates(votes, shift_bin).tolist()}
    brute = brute_pairs(rows, votes, shift_bin)
    assert pairs <= brute
    sizes = np.unique(index.codes, return_counts=True)[1]
    if index.codes.size and sizes.max() <= 8:
        assert pairs == brute


def brute_pairs(rows: list[list[int]], votes: int, shift_bin: int) -> set[tuple[int, int]]:
    pairs = set()
    for first, second in ((a, b) for a in range(len(rows)) for b in range(a + 1, len(rows))):
        shifts = [q - p for p, x in enumerate(rows[first]) for q, y in enumerate(rows[second]) if x == y]
        for offset in {0, shift_bin // 2}:
            bins = [(shift + offset) // shift_bin for shift in shifts]
            if any(bins.count(one) >= votes for one in bins):
                pairs.add((first, second))
    return pairs


# --------------------------------------------------------------------------------------------------------- transcripts


def test_two_readings_that_differ_in_a_word_of_twenty_are_found() -> None:
    text = random_text(400, 1)
    pairs = found(Tables(texts={"a": text, "b": with_errors(text, 0.05, 2), "c": random_text(400, 3)}))
    ((pair, similarity),) = pairs.items()
    assert pair == ("b", "a", "transcript")
    assert 0.75 < similarity < 1.0


def test_casing_punctuation_and_turns_do_not_count() -> None:
    text = random_text(100, 4)
    shouted = " , ".join(f"{word.upper()}!" for word in text.split())
    assert found(Tables(texts={"a": text, "b": shouted})) == {("b", "a", "transcript"): 1.0}


def test_a_passage_of_a_long_talk_is_found() -> None:
    text = random_text(9_000, 5).split()
    pairs = found(Tables(texts={"a": " ".join(text), "b": " ".join(text[4_000:4_060])}))
    assert pairs == {("b", "a", "transcript"): 1.0}


def test_what_everybody_says_is_no_duplicate() -> None:
    thanks = "thank you for listening and see you again next week"
    assert found(Tables(texts={"a": thanks, "b": thanks})) == {}
    pairs = found(Tables(texts={name: f"{random_text(500, seed)} {thanks}" for seed, name in enumerate("abc")}))
    assert pairs == {}


def test_a_run_of_words_said_over_and_over_is_one_thing_shared() -> None:
    loop = "and so on and on " * 50
    pairs = found(Tables(texts={"a": f"{random_text(400, 8)} {loop}", "b": f"{random_text(400, 9)} {loop}"}))
    assert pairs.keys() == {("b", "a", "transcript")}
    assert found(Tables(texts={"a": loop, "b": random_text(100, 1)})) == {}


def test_nothing_that_minhash_finds_is_missed() -> None:
    """The usual tool, on texts of one length, where the Jaccard similarity that it estimates can tell."""
    texts = {f"{index:03d}": random_text(200, index // 2) for index in range(80)}
    texts = {name: with_errors(text, 0.02 * (int(name) % 5), int(name)) for name, text in texts.items()}
    lsh = MinHashLSH(threshold=0.5, num_perm=128)
    sketches = {}
    for name, text in texts.items():
        words = text.split()
        sketches[name] = MinHash(num_perm=128)
        sketches[name].update_batch([" ".join(words[at : at + 5]).encode() for at in range(len(words) - 4)])
        lsh.insert(name, sketches[name])
    theirs = {(a, b) for a, sketch in sketches.items() for b in lsh.query(sketch) if a > b}
    ours = {pair[:2] for pair in found(Tables(texts=texts))}
    assert len(theirs) > 20
    assert theirs <= ours
    assert ours == {(f"{2 * index + 1:03d}", f"{2 * index:03d}") for index in range(40)}


@settings(max_examples=50)
@given(st.lists(st.integers(1, 9), max_size=40), st.lists(st.integers(1, 9), max_size=40))
def test_overlap_of_words_is_a_share_and_the_same_both_ways(one: list[int], other: list[int]) -> None:
    a, b = np.array(one, np.uint64), np.array(other, np.uint64)
    assert 0.0 <= words_overlap(a, b) <= 1.0
    if len(one) != len(other):
        assert words_overlap(a, b) == words_overlap(b, a)
    assert words_overlap(a, a) == (1.0 if len(one) >= 5 else 0.0)


# ---------------------------------------------------------------------------------------------------------- whole step


class SayTheSame:
    """A recogniser in place of the ensemble: every recording says one text."""

    def __call__(self, item: Item) -> Produced:
        return Produced(records={"transcripts": transcripts(item["id"], random_text(100, 1))})


def words_stub() -> TableStep:
    return TableStep(
        name="words",
        version=1,
        config={},
        inputs=("ingest/recordings",),
        outputs={"transcripts": Transcript},
        items=lambda inputs: inputs.table("ingest/recordings").select(["id"]),
        worker=lambda _: SayTheSame,
    )


def run(store: Store, **settings: Any) -> tuple[list[Duplicate], Mapping[str, Any]]:
    chosen = CurateSettings.model_validate(settings)
    steps = [
        ingest_step(chosen, store.audio),
        fingerprints_step(chosen, store.audio),
        words_stub(),
        duplicates_step(chosen),
    ]
    finished = Pipeline("p", steps).run(store, RunnerSettings(num_workers=1), StepProgress(quiet=True))
    stored = finished["duplicates"].stored
    return from_table(store.table(stored.key, "duplicates"), Duplicate), stored.circumstances


def test_from_files_to_recorded_pairs_and_only_new_pairs_are_compared(tmp_path: Path, speech_S: Audio) -> None:
    store = Store(tmp_path / "store")
    (tmp_path / "copy.mp3").write_bytes(recoded.mp3_bytes(speech_S))
    sources = [{"uris": [recoded.LONG_READING, str(tmp_path / "copy.mp3")]}]
    first, _ = run(store, sources=sources)
    assert sorted(pair.kind for pair in first) == ["audio", "transcript"]
    assert all(pair.similarity >= 0.9 and pair.recording_id > pair.other_id for pair in first)

    sources[0]["uris"].append(sounds.READING)
    second, circumstances = run(store, sources=sources)
    assert {pair.id for pair in first} < {pair.id for pair in second}
    assert circumstances["num_items_from_earlier_runs"] == 2
    strict, _ = run(store, sources=sources, min_duplicate_similarity=1.0)
    assert all(pair.similarity == 1.0 for pair in strict)
