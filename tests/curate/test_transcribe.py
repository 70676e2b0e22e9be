"""Turns to hypotheses: words lie inside their turn, work comes in blocks, and a broken system costs only its voice."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tone_backends import Curate, conversation

import sound_files as sounds
from spelangy.backends.protocols import RecognizedClip
from spelangy.core.records import Drop, Hypothesis, HypothesisWord, Transcript, Turn, turn_id
from spelangy.core.schema import from_table, to_table
from spelangy.core.settings import BackendChoice
from spelangy.core.spans import samples
from spelangy.curate.transcribe import Transcribe, turn_blocks
from spelangy.store.audio import AudioStore
from spelangy.store.objects import Store

LINES = (("alto", "good morning"), ("bass", "thirteen o'clock"), ("alto", "so late"))


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    return sounds.write_wav(tmp_path / "talk.wav", conversation(*LINES))


def table(store: Store, finished: Any, step: str, name: str, record_type: type[Any]) -> list[Any]:
    return from_table(store.table(finished[step].stored.key, name), record_type)


def turn_at(recording: str, index: int, start: int, end: int) -> Turn:
    return Turn(
        id=turn_id(recording, index), recording_id=recording, audio="", start=start, end=end, speaker="S0",
        is_overlap=False,
    )  # fmt: skip


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 10**7)), max_size=30),
    st.sampled_from([1.0, 60.0, 600.0]),
)
def test_blocks_hold_every_turn_once_none_spans_two_stretches(starts: list[tuple[str, int]], block_s: float) -> None:
    turns = [turn_at(name, index, start, start + 10) for index, (name, start) in enumerate(starts)]
    blocks = turn_blocks(to_table(turns, Turn), block_s).to_pylist()
    assert len({block["id"] for block in blocks}) == len(blocks)
    in_blocks = [turn["id"] for block in blocks for turn in block["turns"]]
    assert sorted(in_blocks) == sorted(turn.id for turn in turns)
    for block in blocks:
        stretches = {(turn["recording_id"], turn["start"] // samples(block_s)) for turn in block["turns"]}
        assert len(stretches) == 1
        assert [turn["id"] for turn in block["turns"]] == sorted(turn["id"] for turn in block["turns"])


class OneAnswer:
    """Gives the same words for every clip."""

    def __init__(self, *words: HypothesisWord) -> None:
        self.words = words

    def transcribe(self, clips: list[object]) -> list[RecognizedClip]:
        return [RecognizedClip(words=self.words, language="en", mean_logprob=-0.5) for _ in clips]


@given(start=st.integers(-100, 3000), length=st.integers(-100, 3000))
def test_words_lie_inside_their_turn_whatever_a_system_says(start: int, length: int) -> None:
    word = HypothesisWord(text="word", start=max(0, start), end=max(0, start + length), confidence=0.5, is_timed=True)
    worker = Transcribe.__new__(Transcribe)
    worker.system = "any"
    turn = {"id": "r-000001", "recording_id": "r", "audio": "", "start": 5_000, "end": 6_000}
    (found,) = worker._hypothesis(turn, OneAnswer(word).transcribe([None])[0]).words
    assert 5_000 <= found.start <= found.end <= 6_000
    if start >= 0 and length >= 0 and start + length <= 1_000:
        assert (found.start, found.end) == (5_000 + start, 5_000 + start + length)


def test_a_hypothesis_a_turn_with_its_words_where_they_were_said(talk: Path, store: Store, curate: Curate) -> None:
    finished = curate([talk], upto="asr-tones")
    turns = {turn.id: turn for turn in table(store, finished, "turns", "turns", Turn)}
    hypotheses = table(store, finished, "asr-tones", "hypotheses", Hypothesis)
    assert [[word.text for word in found.words] for found in hypotheses] == [line.split() for _, line in LINES]
    assert {found.turn_id for found in hypotheses} == set(turns)
    for found in hypotheses:
        span = turns[found.turn_id].span
        assert all(span.start <= word.start < word.end <= span.end for word in found.words)
        assert found.words[0].start == pytest.approx(span.start, abs=2)
        assert found.id == f"{found.turn_id}-tones"


def test_the_size_of_blocks_changes_the_work_and_not_the_words(talk: Path, store: Store, curate: Curate) -> None:
    whole = curate([talk], upto="asr-tones")["asr-tones"].stored
    parts = curate([talk], upto="asr-tones", asr_block_s=1.0)["asr-tones"].stored
    assert (whole.circumstances["num_items"], parts.circumstances["num_items"]) == (1, 3)
    assert whole.digest_of("hypotheses") == parts.digest_of("hypotheses")


def test_a_system_that_breaks_on_a_block_leaves_a_consensus_of_the_others(
    talk: Path, store: Store, curate: Curate
) -> None:
    finished = curate([talk], upto="words", asr=["tones", "tones-breaking", "tones-b"], asr_block_s=1.0)
    (failure,) = table(store, finished, "asr-tones-breaking", "drops", Drop)
    assert (failure.kind, failure.detail) == ("failed", "RuntimeError: unlucky clip")
    transcripts = table(store, finished, "words", "transcripts", Transcript)
    assert [len(found.systems) for found in transcripts] == [3, 2, 3]
    assert transcripts[1].systems == ("tones", "tones-b")
    assert [word.text for word in transcripts[1].words] == ["thirteen", "o'clock"]
    assert {word.vote_ratio for found in transcripts for word in found.words} == {1.0}


def test_a_clip_that_a_system_cannot_hear_costs_that_turn_its_voice_alone(
    talk: Path, store: Store, curate: Curate
) -> None:
    finished = curate([talk], upto="words", asr=["tones", "tones-refusing"])
    (drop,) = table(store, finished, "asr-tones-refusing", "drops", Drop)
    assert (drop.kind, drop.reason, drop.detail) == ("dropped", "not heard", "unlucky clip")
    assert drop.item_id == table(store, finished, "turns", "turns", Turn)[1].id
    transcripts = table(store, finished, "words", "transcripts", Transcript)
    assert [len(found.systems) for found in transcripts] == [2, 1, 2]


def test_a_system_that_breaks_on_everything_is_told_as_a_bug(talk: Path, curate: Curate) -> None:
    with pytest.raises(AssertionError, match=r"asr-tones-breaking failed on every item.*unlucky clip"):
        curate([talk], upto="words", asr=["tones", "tones-breaking"])


def test_another_system_re_runs_none_of_the_first(talk: Path, curate: Curate) -> None:
    curate([talk], upto="words", asr=["tones"])
    finished = curate([talk], upto="words", asr=["tones", "tones-b"])
    status = {name: step.status for name, step in finished.items()}
    assert status == {
        "ingest": "reused", "turns": "reused", "asr-tones": "reused", "asr-tones-b": "built", "words": "built",
    }  # fmt: skip


def test_the_backend_of_a_step_is_the_recipe_s(tmp_path: Path, tones: None) -> None:
    worker = Transcribe(AudioStore(str(tmp_path)), BackendChoice(name="tones", options={"mishears": {"cat": "hat"}}))
    key = worker.audio.put(conversation(("alto", "cat"), pause_s=0.0))
    turn = {"id": "r-000001", "recording_id": "r", "audio": key, "start": 0, "end": 3 * 640}
    (hypothesis,) = worker({"id": "b", "turns": [turn]}).records["hypotheses"]
    assert [word.text for word in hypothesis.words] == ["hat"]


def test_no_turns_make_no_blocks() -> None:
    blocks = turn_blocks(to_table([], Turn), 600.0)
    assert (blocks.num_rows, blocks.schema.names) == (0, ["id", "turns"])
    assert pa.types.is_list(blocks.schema.field("turns").type)
