"""Final word times: whose they are, that they never overlap or leave the turn, and what the scores tell."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tone_backends import Curate, conversation

import sound_files as sounds
from spelangy.backends.protocols import Audio
from spelangy.core.errors import UserError
from spelangy.core.records import HypothesisWord, Score, Transcript, Turn, Word, turn_id
from spelangy.core.schema import from_table, to_table
from spelangy.core.settings import BackendChoice
from spelangy.core.spans import Span, samples
from spelangy.curate.aligned import Align, AlignmentRule, aligned_step, settle, spoken_blocks, turn_scores
from spelangy.curate.config import CurateSettings
from spelangy.curate.rover import combine
from spelangy.store.audio import AudioStore
from spelangy.store.objects import Store
from spelangy.testing import FakeSynthesizer

FORCED = AlignmentRule(prefer_forced=True, check_share=0.0)
FALLBACK = AlignmentRule(prefer_forced=False, check_share=0.0)
TURN = Span(1_000, 9_000)
POINT = st.integers(0, 10_000)
ANY_SPAN = st.tuples(POINT, POINT).map(lambda ends: Span(min(ends), max(ends)))
ITEM = {"id": "r-000000", "recording_id": "r"}


def word(text: str, start: int, end: int, *, is_timed: bool = True) -> Word:
    return Word(text=text, start=start, end=end, vote_ratio=1.0, confidence=0.5, is_timed=is_timed)


@given(st.lists(st.tuples(st.one_of(st.none(), ANY_SPAN), ANY_SPAN), max_size=12))
def test_settled_spans_are_disjoint_in_order_and_inside_whatever_is_wanted(
    pairs: list[tuple[Span | None, Span]],
) -> None:
    anchors = [anchor for anchor, _ in pairs]
    settled = settle(anchors, [anchor or wanted for anchor, wanted in pairs], TURN)
    assert len(settled) == len(pairs)
    assert all(TURN.start <= span.start <= span.end <= TURN.end for span in settled)
    assert all(left.end <= right.start for left, right in pairwise(settled))


@given(st.lists(st.integers(1_000, 9_000), min_size=2, max_size=20), st.data())
def test_anchors_in_order_stay_and_what_fits_between_them_too(borders: list[int], data: st.DataObject) -> None:
    spans = [Span(start, end) for start, end in list(pairwise(sorted(borders)))[::2]]
    anchors = [span if data.draw(st.booleans()) else None for span in spans]
    assert settle(anchors, spans, TURN) == spans


def test_a_word_without_anchor_gets_the_room_between_its_neighbours() -> None:
    anchors = [Span(1_000, 3_000), None, Span(5_000, 6_000), None]
    wanted = [Span(1_000, 3_000), Span(2_000, 8_000), Span(5_000, 6_000), Span(0, 100)]
    assert settle(anchors, wanted, TURN)[1::2] == [Span(3_000, 5_000), Span(6_000, 6_000)]


def test_whose_times_count() -> None:
    words = [word("one", 1_000, 2_000), word("two", 2_000, 3_000, is_timed=False), word("3", 4_000, 5_000)]
    forced = [Span(1_100, 2_100), Span(2_200, 2_800), None]
    preferred = FORCED.times(words, forced, TURN)
    assert preferred == [(Span(1_100, 2_100), True), (Span(2_200, 2_800), True), (Span(4_000, 5_000), True)]
    filled_in = FALLBACK.times(words, forced, TURN)
    assert filled_in == [(Span(1_000, 2_000), True), (Span(2_200, 2_800), True), (Span(4_000, 5_000), True)]
    nobody = FALLBACK.times(words, [None] * 3, TURN)
    assert nobody[1] == (Span(2_000, 3_000), False)


def test_the_consensus_tells_which_words_nobody_timed() -> None:
    timed = [HypothesisWord(text="one", start=100, end=200, confidence=0.9, is_timed=True)]
    spread = [
        HypothesisWord(text=text, start=start, end=start + 300, confidence=0.9, is_timed=False)
        for text, start in (("one", 0), ("two", 300))
    ]
    words = combine([timed, spread, spread]).words
    assert [(said.text, said.is_timed) for said in words] == [("one", True), ("two", False)]
    assert (words[0].start, words[0].end) == (100, 200)


def test_which_turns_are_aligned() -> None:
    timed, untimed = [word("a", 0, 1)], [word("a", 0, 1), word("b", 1, 2, is_timed=False)]
    assert FORCED.needs_alignment("t", timed)
    assert FALLBACK.needs_alignment("t", untimed)
    assert not FALLBACK.needs_alignment("t", timed)
    checking = AlignmentRule(prefer_forced=False, check_share=0.2)
    chosen = [checking.needs_alignment(turn_id("r", index), timed) for index in range(1_000)]
    assert chosen == [checking.needs_alignment(turn_id("r", index), timed) for index in range(1_000)]
    assert 150 < sum(chosen) < 250


def scored(words: Sequence[Word], forced: Sequence[Span | None]) -> dict[str, float]:
    scores = turn_scores(ITEM, words, forced)
    assert all(score.id == f"r-000000-{score.name}" and score.turn_id == "r-000000" for score in scores)
    return {score.name: score.value for score in scores}


def test_scores_tell_how_far_the_clocks_are_apart() -> None:
    words = [word(str(i), 1_600 * i, 1_600 * i + 800) for i in range(9)]
    same = [Span(w.start, w.end) for w in words]
    assert scored(words, same) == {"unaligned_ratio": 0.0, "edge_error_ms": 0.0, "drift_ms": 0.0}
    later = [span.shift(160) for span in same]
    assert scored(words, later) == pytest.approx({"unaligned_ratio": 0.0, "edge_error_ms": 10.0, "drift_ms": 0.0})
    slipping = [span.shift(16 * index) for index, span in enumerate(same)]
    found = scored(words, slipping)
    assert found["edge_error_ms"] == pytest.approx(4.0)
    assert found["drift_ms"] == pytest.approx(6.0)
    # The way in which they slip makes no difference.
    running_ahead = [span.shift(16 * (8 - index)) for index, span in enumerate(same)]
    assert scored(words, running_ahead)["drift_ms"] == pytest.approx(6.0)


def test_words_that_one_side_did_not_time_count_for_the_unaligned_alone() -> None:
    words = [word("a", 0, 100), word("b", 100, 200, is_timed=False), word("c", 200, 300)]
    assert scored(words, [None, Span(100, 200), None]) == {"unaligned_ratio": pytest.approx(2 / 3)}
    few = scored(words, [Span(0, 100), Span(999, 9_999), Span(216, 316)])
    assert few == pytest.approx({"unaligned_ratio": 0.0, "edge_error_ms": 0.5})


@pytest.fixture
def talk_S() -> Audio:
    silence = np.zeros(samples(0.2), np.float32)
    return np.concatenate([silence, FakeSynthesizer().synthesize("the cat sat", "alto"), silence])


def aligner() -> BackendChoice:
    return BackendChoice(name="tones")


def block(audio: AudioStore, audio_S: Audio, words: Sequence[Word]) -> dict[str, Any]:
    row = {"text": "", "start": 0, "end": 0, "vote_ratio": 1.0, "confidence": 1.0, "is_timed": True}
    turn = {
        "id": "r-000000", "recording_id": "r", "audio": audio.put(audio_S), "start": 1_600, "end": audio_S.size,
        "systems": ["a"], "dissent": ["cat (1/2; other: hat)"],
        "words": [{name: getattr(said, name) for name in row} for said in words],
    }  # fmt: skip
    return {"id": "r-b000000", "turns": [turn]}


def test_words_keep_all_but_their_times(tmp_path: Path, tones: None, talk_S: Audio) -> None:
    audio = AudioStore(str(tmp_path))
    worker = Align(audio, aligner(), FORCED)
    words = [word("The", 1_600, 4_000), word("cat,", 4_000, 7_000, is_timed=False), word("slept.", 9_000, 9_500)]
    made = worker(block(audio, talk_S, words)).records
    (transcript,) = made["transcripts"]
    assert (transcript.id, transcript.systems, transcript.dissent) == ("r-000000", ("a",), ("cat (1/2; other: hat)",))
    assert [said.text for said in transcript.words] == ["The", "cat,", "slept."]
    assert [said.vote_ratio for said in transcript.words] == [1.0] * 3
    the, cat, slept = transcript.words
    assert (the.start, the.end) == pytest.approx((3_200, 3_200 + 3 * 640), abs=40)
    assert (cat.start, cat.end) == pytest.approx((3_200 + 2_880, 3_200 + 4_800), abs=40)
    assert (slept.start, slept.end) == (9_000, 9_500)
    assert [said.is_timed for said in transcript.words] == [True, True, True]
    measured = {score.name: score.value for score in made["scores"]}
    assert set(measured) == {"unaligned_ratio", "edge_error_ms"}
    assert measured["unaligned_ratio"] == pytest.approx(1 / 3)


def test_a_turn_that_needs_no_alignment_costs_none_and_changes_nothing(
    tmp_path: Path, tones: None, talk_S: Audio
) -> None:
    audio = AudioStore(str(tmp_path))
    worker = Align(audio, aligner(), FALLBACK)
    words = [word("the", 1_600, 4_000), word("cat", 4_000, 7_000)]
    made = worker(block(audio, talk_S, words)).records
    assert made["transcripts"][0].words == tuple(words)
    assert made["scores"] == []


def test_blocks_hold_the_turns_that_have_words() -> None:
    turns = [
        Turn(id=turn_id("r", index), recording_id="r", audio="k", start=start, end=start + 10, speaker="S0",
             is_overlap=False)
        for index, start in enumerate((0, 50, samples(700.0)))
    ]  # fmt: skip
    said = [
        Transcript(id=turn_id("r", index), recording_id="r", systems=("a",), words=(word("w", 0, 5),), dissent=())
        for index in (0, 2)
    ]
    blocks = spoken_blocks(to_table(turns, Turn), to_table(said, Transcript), 600.0).to_pylist()
    assert [[turn["id"] for turn in found["turns"]] for found in blocks] == [["r-000000"], ["r-000002"]]
    assert blocks[0]["turns"][0]["words"][0]["text"] == "w"
    assert spoken_blocks(to_table(turns, Turn), to_table([], Transcript), 600.0).num_rows == 0


def test_the_whole_way_from_sound_to_final_times(tmp_path: Path, store: Store, curate: Curate) -> None:
    path = sounds.write_wav(tmp_path / "talk.wav", conversation(("alto", "the cat sat"), ("bass", "on a mat")))
    finished = curate([path], upto="aligned")
    key = finished["aligned"].stored.key
    before = from_table(store.table(finished["words"].stored.key, "transcripts"), Transcript)
    after = from_table(store.table(key, "transcripts"), Transcript)
    assert [[said.text for said in found.words] for found in after] == [["the", "cat", "sat"], ["on", "a", "mat"]]
    # Both fakes read the same tones: the aligner finds exactly what the recogniser timed.
    assert after == before
    scores = from_table(store.table(key, "scores"), Score)
    assert {(score.name, score.value) for score in scores} == {
        ("edge_error_ms", 0.0), ("drift_ms", 0.0), ("unaligned_ratio", 0.0)
    }  # fmt: skip


def test_the_policy_is_part_of_the_lineage(tmp_path: Path, tones: None) -> None:
    audio = AudioStore(str(tmp_path))
    one, other = (
        aligned_step(CurateSettings(aligner="tones", alignment=alignment), audio)
        for alignment in ("forced", "fallback")
    )
    assert one.config != other.config
    shared = aligned_step(CurateSettings(aligner="tones", align_check_share=0.5), audio)
    assert shared.config == one.config
    with pytest.raises(UserError, match="nobody"):
        aligned_step(CurateSettings(aligner="nobody"), audio)
