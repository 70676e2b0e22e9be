"""Laws of chunk views: nothing is said twice, lost uncounted, or laid over sound that it does not transcribe."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tone_backends import Curate, conversation

import sound_files as sounds
from spelangy.core.records import Chunk, Score, Transcript, Turn, Word, turn_id
from spelangy.core.schema import from_table
from spelangy.core.spans import Span, samples
from spelangy.curate.chunks import Piece, cut_sentences, merge_speaker, split_long
from spelangy.curate.config import Thresholds, ViewSettings
from spelangy.curate.views import CutChunks
from spelangy.engine.step import Produced
from spelangy.store.objects import Store

WORDS = ("so", "it", "was", "Late.", "Really?", "yes,", "No!", "Mr.", "3.5", "New York", "…", "end.”", "U.S.", "a")
GOOD_SCORES = {"disagreement_ratio": 0.1, "compression_ratio": 1.0, "characters_per_s": 12.0, "mean_confidence": 1.0}
EVERYTHING = Thresholds(min_chunk_s=0.0, max_chunk_s=1e6)


@dataclass(frozen=True, kw_only=True)
class Said:
    """A turn as a test makes it up; `words` None: no transcript."""

    turn: Turn
    words: tuple[Word, ...] | None
    disagreement_ratio: float = 0.1

    @property
    def transcript(self) -> Transcript:
        assert self.words is not None
        return Transcript(
            id=self.turn.id, recording_id="r", systems=("a", "b"), words=self.words, dissent=dissent_of(self.words)
        )


def dissent_of(words: Sequence[Word]) -> tuple[str, ...]:
    return tuple(f"{word.text} ({word.start})" for word in words if word.vote_ratio < 1)


def words_between(draw: Any, start: int, end: int) -> tuple[Word, ...]:
    texts = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=12))
    times = sorted(draw(st.lists(st.integers(start, end), min_size=2 * len(texts), max_size=2 * len(texts))))
    votes = draw(st.lists(st.sampled_from([1.0, 0.5]), min_size=len(texts), max_size=len(texts)))
    return tuple(
        Word(text=text, start=times[2 * i], end=times[2 * i + 1], vote_ratio=vote, confidence=0.5)
        for i, (text, vote) in enumerate(zip(texts, votes, strict=True))
    )


@st.composite
def pieces(draw: Any) -> Piece:
    start = draw(st.integers(0, 10**6))
    span = Span(start, start + draw(st.integers(1, 10**6)))
    words = words_between(draw, span.start, span.end)
    return Piece(span=span, speaker="S0", words=words, dissent=dissent_of(words))


@st.composite
def recordings(draw: Any) -> list[Said]:
    found, clock = [], 0
    for index in range(draw(st.integers(0, 7))):
        start = clock + draw(st.sampled_from([0, 1_000, 16_000, 40_000]))
        clock = start + draw(st.integers(1_000, 300_000))
        turn = Turn(
            id=turn_id("r", index), recording_id="r", audio="key", start=start, end=clock,
            speaker=draw(st.sampled_from(["S0", "S1"])), is_overlap=False,
        )  # fmt: skip
        words = words_between(draw, start, clock) if draw(st.integers(0, 4)) else None
        found.append(Said(turn=turn, words=words, disagreement_ratio=draw(st.sampled_from([0.0, 0.0, 0.9]))))
    return found


def cut(said: Sequence[Said], settings: ViewSettings, view: str = "any") -> Produced:
    heard = [one for one in said if one.words is not None]
    scores = [
        asdict(Score(id=f"{one.turn.id}-{name}", turn_id=one.turn.id, recording_id="r", name=name, value=value))
        for one in heard
        for name, value in {**GOOD_SCORES, "disagreement_ratio": one.disagreement_ratio}.items()
    ]
    item = {
        "id": "r", "audio": "key", "source": "test", "licence": "CC0", "metadata": "{}", "scores": scores or None,
        "turns": [asdict(one.turn) for one in said],
        "transcripts": [asdict(one.transcript) for one in heard] or None,
    }  # fmt: skip
    return CutChunks(view, settings)(item)


def chunks_of(produced: Produced) -> list[Chunk]:
    return list(produced.records["chunks"])


def fine(thresholds: Thresholds = EVERYTHING) -> ViewSettings:
    return ViewSettings(granularity="fine", thresholds=thresholds)


def coarse(max_gap_s: float = 2.0, thresholds: Thresholds = EVERYTHING) -> ViewSettings:
    return ViewSettings(granularity="coarse", max_gap_s=max_gap_s, thresholds=thresholds)


def assert_parts_make_up(parts: Sequence[Piece], whole: Piece) -> None:
    assert tuple(word for part in parts for word in part.words) == whole.words
    assert [entry for part in parts for entry in part.dissent] == list(whole.dissent)
    assert (parts[0].span.start, parts[-1].span.end) == (whole.span.start, whole.span.end)
    assert all(left.span.end == right.span.start for left, right in pairwise(parts))
    for part in parts:
        assert part.words
        assert part.dissent == dissent_of(part.words), "a dissent entry left its word"


# ------------------------------------------------------------------------------------------------ parts of a turn


@given(pieces())
def test_sentences_partition_a_turn_its_words_and_its_dissent(piece: Piece) -> None:
    assert_parts_make_up(cut_sentences(piece), piece)


@given(pieces(), st.integers(1, 400_000))
def test_long_pieces_are_cut_to_the_cap_as_far_as_words_allow(piece: Piece, max_length: int) -> None:
    parts = split_long(piece, max_length)
    assert_parts_make_up(parts, piece)
    assert all(part.span.num_samples <= max_length or len(part.words) == 1 for part in parts)
    if piece.span.num_samples <= max_length:
        assert parts == [piece]


@given(pieces())
def test_cuts_fall_into_the_silence_between_words(piece: Piece) -> None:
    for left, right in pairwise(split_long(piece, 1)):
        assert left.words[-1].end <= left.span.end <= right.words[0].start


def words_at(*spoken: tuple[str, float, float]) -> tuple[Word, ...]:
    return tuple(
        Word(text=text, start=samples(start_s), end=samples(end_s), vote_ratio=1.0, confidence=1.0)
        for text, start_s, end_s in spoken
    )


def test_a_cut_lies_in_the_middle_of_the_pause_after_a_sentence() -> None:
    words = words_at(("It", 0.1, 0.3), ("rained.", 0.4, 1.0), ("Mr.", 2.0, 2.2), ("Day", 2.3, 2.6), ("left.", 2.7, 3.0))
    parts = cut_sentences(Piece(span=Span(0, 50_000), speaker="S0", words=words, dissent=()))
    assert [(part.text, part.span) for part in parts] == [
        ("It rained.", Span(0, samples(1.5))),
        ("Mr. Day left.", Span(samples(1.5), 50_000)),
    ]


def test_the_widest_silence_is_cut_first() -> None:
    words = words_at(("a", 0.0, 1.0), ("b", 1.1, 2.0), ("c", 2.5, 3.0), ("d", 3.1, 4.0))
    parts = split_long(Piece(span=Span(0, samples(4.0)), speaker="S0", words=words, dissent=()), samples(2.5))
    assert [part.text for part in parts] == ["a b", "c d"]


# ------------------------------------------------------------------------------------------------ whole recordings


@given(recordings())
def test_fine_chunks_tile_every_kept_turn_with_its_words(said: list[Said]) -> None:
    chunks = chunks_of(cut(said, fine()))
    for one in said:
        own = [chunk for chunk in chunks if chunk.span.overlap(one.turn.span)]
        if one.words is None or one.disagreement_ratio > 0.5:
            assert own == []
            continue
        assert sum(chunk.span.num_samples for chunk in own) == one.turn.span.num_samples
        inside = [chunk for chunk in chunks if one.turn.start <= chunk.start and chunk.end <= one.turn.end]
        assert set(own) <= set(inside)
        assert {chunk.speaker for chunk in own} == {one.turn.speaker}
    assert " ".join(chunk.text for chunk in chunks) == said_by(kept(said))


def kept(said: Sequence[Said]) -> list[Said]:
    return [one for one in said if one.words is not None and one.disagreement_ratio <= 0.5]


def said_by(said: Sequence[Said]) -> str:
    return " ".join(word.text for one in said for word in one.words or ())


@given(recordings(), st.sampled_from([0.0, 0.5, 2.0, 5.0]), st.sampled_from([1.0, 10.0, 30.0]))
def test_coarse_chunks_hold_one_speaker_no_long_gap_and_no_turn_left_out(
    said: list[Said], max_gap_s: float, max_chunk_s: float
) -> None:
    thresholds = Thresholds(min_chunk_s=0.0, max_chunk_s=max_chunk_s)
    produced = cut(said, coarse(max_gap_s, thresholds))
    wanted = {one.turn.id for one in kept(said)}
    for chunk in chunks_of(produced):
        assert chunk.span.duration_s <= max_chunk_s
        inside = [one.turn for one in said if one.turn.span.overlap(chunk.span)]
        assert {turn.id for turn in inside} <= wanted
        assert {turn.speaker for turn in inside} <= {chunk.speaker}
        assert all(right.start - left.end <= samples(max_gap_s) for left, right in pairwise(inside))


@given(recordings(), st.sampled_from(["fine", "coarse"]), st.sampled_from([0.0, 0.3]), st.sampled_from([2.0, 30.0]))
def test_every_word_of_a_transcript_is_in_a_chunk_or_in_a_drop(
    said: list[Said], granularity: Any, min_chunk_s: float, max_chunk_s: float
) -> None:
    thresholds = Thresholds(min_chunk_s=min_chunk_s, max_chunk_s=max_chunk_s)
    produced = cut(said, ViewSettings(granularity=granularity, thresholds=thresholds))
    by_turn = {one.turn.id: said_by([one]) for one in said if one.words is not None}
    dropped = [by_turn.get(part_id, why.detail) for part_id, why, _ in produced.drops]
    in_chunks = [chunk.text for chunk in chunks_of(produced)]
    assert sorted(" ".join([*in_chunks, *dropped]).split()) == sorted(" ".join(by_turn.values()).split())
    in_chunks_s = sum(chunk.span.duration_s for chunk in chunks_of(produced))
    dropped_s = sum(duration_s for _, _, duration_s in produced.drops)
    spoken_s = sum(one.turn.span.duration_s for one in said if one.words is not None)
    assert in_chunks_s + dropped_s >= spoken_s - 1e-6
    if granularity == "fine":
        assert in_chunks_s + dropped_s == pytest.approx(spoken_s)
    for _, why, duration_s in produced.drops:
        assert why.value is not None
        assert why.threshold is not None
        assert duration_s >= 0


@given(recordings(), st.sampled_from(["fine", "coarse"]))
def test_chunks_are_numbered_in_time_order_and_say_where_they_come_from(said: list[Said], granularity: Any) -> None:
    chunks = chunks_of(cut(said, ViewSettings(granularity=granularity, thresholds=EVERYTHING), view="mine"))
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
    assert [chunk.id for chunk in chunks] == [f"r-mine-{index:05d}" for index in range(len(chunks))]
    assert all(left.end <= right.start for left, right in pairwise(chunks))
    for chunk in chunks:
        assert (chunk.document_id, chunk.audio, chunk.role) == ("r", "key", "speech")
        assert (chunk.source, chunk.licence) == ("test", "CC0")
        assert chunk.min_vote_ratio == (0.5 if chunk.dissent else 1.0)
        assert chunk.confidence == pytest.approx(0.5)


# ----------------------------------------------------------------------------------------------------- thresholds


def one_turn(duration_s: float, speaker: str = "S0", start_s: float = 0.0, index: int = 0, **fields: Any) -> Said:
    turn = Turn(
        id=turn_id("r", index), recording_id="r", audio="key", start=samples(start_s),
        end=samples(start_s + duration_s), speaker=speaker, is_overlap=False,
    )  # fmt: skip
    return Said(turn=turn, words=words_at((f"word{index}", start_s, start_s + duration_s)), **fields)


@pytest.mark.parametrize(
    ("limits", "reason", "value", "threshold"),
    [
        ({"max_disagreement_ratio": 0.05}, "systems disagree", 0.1, 0.05),
        ({"max_compression_ratio": 0.5}, "repetition", 1.0, 0.5),
        ({"max_characters_per_s": 11.0}, "text too fast", 12.0, 11.0),
        ({"min_chunk_s": 1.5}, "chunk too short", 1.0, 1.5),
        ({"max_chunk_s": 0.5}, "chunk too long", 1.0, 0.5),
    ],
)
def test_each_threshold_drops_with_reason_value_and_threshold(
    limits: dict[str, float], reason: str, value: float, threshold: float
) -> None:
    produced = cut([one_turn(1.0)], fine(Thresholds(**limits)))
    ((_, why, duration_s),) = produced.drops
    assert why.value == pytest.approx(value)
    assert (why.reason, why.threshold, duration_s) == (reason, threshold, 1.0)
    assert chunks_of(produced) == []
    assert len(chunks_of(cut([one_turn(1.0)], fine(Thresholds())))) == 1


@pytest.mark.parametrize(
    "between",
    [
        one_turn(0.5, "S0", 1.2, 1, disagreement_ratio=0.9),
        one_turn(0.5, "S1", 1.2, 1, disagreement_ratio=0.9),
        Said(turn=one_turn(0.5, "S1", 1.2, 1).turn, words=None),
    ],
    ids=["dropped", "dropped, another speaker", "no words"],
)
def test_a_merge_does_not_reach_over_a_turn_that_was_left_out(between: Said) -> None:
    around = [one_turn(1.0), one_turn(1.0, start_s=1.9, index=2)]
    assert [chunk.text for chunk in chunks_of(cut(around, coarse()))] == ["word0 word2"]
    said = [around[0], between, around[1]]
    assert [chunk.text for chunk in chunks_of(cut(said, coarse()))] == ["word0", "word2"]


def test_merging_stops_at_the_gap_the_cap_and_another_speaker() -> None:
    starts = [("S0", 0.0), ("S0", 2.0), ("S0", 6.0), ("S1", 7.0), ("S0", 8.0), ("S0", 9.0)]
    spoken = [one_turn(1.0, speaker, start_s, index) for index, (speaker, start_s) in enumerate(starts)]
    chunks = chunks_of(cut(spoken, coarse(1.0, Thresholds(max_chunk_s=3.0))))
    assert [chunk.text for chunk in chunks] == ["word0 word1", "word2", "word3", "word4 word5"]
    chunks = chunks_of(cut(spoken, coarse(1.0, Thresholds(max_chunk_s=2.9))))
    assert [chunk.text for chunk in chunks] == ["word0", "word1", "word2", "word3", "word4 word5"]


def test_a_turn_inside_another_of_the_same_speaker_shortens_nothing() -> None:
    outer, inner = one_turn(4.0), one_turn(1.0, start_s=1.0, index=1)
    both = [Piece(span=one.turn.span, speaker="S0", words=one.words or (), dissent=()) for one in (outer, inner)]
    (merged,) = merge_speaker(both, samples(2.0), samples(30.0))
    assert merged.span == outer.turn.span


def test_views_of_one_store_from_sound(tmp_path: Path, store: Store, curate: Curate) -> None:
    spoken = conversation(("alto", "good morning"), ("alto", "slept well"), ("bass", "no"))
    path = sounds.write_wav(tmp_path / "talk.wav", spoken)
    texts = {}
    for view in ("fine", "coarse"):
        finished = curate([path], upto=f"chunks-{view}")
        table = store.table(finished[f"chunks-{view}"].stored.key, "chunks")
        texts[view] = [(chunk.text, chunk.speaker) for chunk in from_table(table, Chunk)]
    assert texts["fine"] == [("good morning", "S0"), ("slept well", "S0")]
    assert texts["coarse"] == [("good morning slept well", "S0")]
    (drop,) = store.table(finished["chunks-coarse"].stored.key, "drops").to_pylist()
    assert (drop["reason"], drop["detail"]) == ("chunk too short", "no")


def test_another_threshold_builds_one_view_and_runs_no_model(tmp_path: Path, curate: Curate) -> None:
    path = sounds.write_wav(tmp_path / "talk.wav", conversation(("alto", "good morning")))
    curate([path], upto="chunks-coarse")
    curate([path])
    views = {
        "fine": {"granularity": "fine", "thresholds": {"min_chunk_s": 0.2}},
        "coarse": {"granularity": "coarse"},
    }
    finished = {**curate([path], views=views), **curate([path], upto="chunks-coarse", views=views)}
    assert {name for name, step in finished.items() if step.status == "built"} == {"chunks-fine"}
    assert finished["chunks-fine"].why == "config.thresholds.min_chunk_s None → 0.2"
