"""Hypotheses of all systems to consensus words, with what their agreement says about the turn."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from tone_backends import Curate, conversation

import sound_files as sounds
from spelangy.core.errors import Dropped
from spelangy.core.records import Drop, Hypothesis, HypothesisWord, Transcript
from spelangy.core.schema import from_table
from spelangy.curate.rover import VoteRule
from spelangy.curate.words import Combine
from spelangy.store.objects import Store

START = 16_000
SYSTEMS = ("a", "b", "c")


def hypothesis(system: str, text: str) -> dict[str, Any]:
    words = tuple(
        HypothesisWord(text=word, start=START + 1000 * i, end=START + 1000 * i + 800, confidence=1.0, is_timed=True)
        for i, word in enumerate(text.split())
    )
    return asdict(
        Hypothesis(
            id=f"t-{system}", turn_id="t", recording_id="r", system=system, language="en", mean_logprob=0.0,
            words=words,
        )
    )  # fmt: skip


def item(**said: str) -> dict[str, Any]:
    hypotheses = [hypothesis(system, text) for system, text in said.items()]
    return {"id": "t", "recording_id": "r", "start": START, "end": START + 32_000, "hypotheses": hypotheses}


def combined(**said: str) -> tuple[Transcript, Mapping[str, float]]:
    produced = Combine(SYSTEMS, VoteRule())(item(**said))
    (transcript,) = produced.records["transcripts"]
    return transcript, {score.name: score.value for score in produced.records["scores"]}


def test_the_majority_is_heard_and_the_dissent_is_kept() -> None:
    transcript, scores = combined(a="the cat sat", b="the hat sat", c="the cat sat")
    assert [word.text for word in transcript.words] == ["the", "cat", "sat"]
    assert [word.vote_ratio for word in transcript.words] == pytest.approx([1, 2 / 3, 1])
    assert transcript.dissent == ("cat (2/3; other: hat)",)
    assert scores["disagreement_ratio"] == pytest.approx((1 / 3 + 0 + 1 / 3) / 3)


def test_systems_vote_in_the_recipe_s_order_whatever_the_order_of_rows() -> None:
    rows = item(c="sat", a="the", b="cat")
    transcript = Combine(SYSTEMS, VoteRule())(rows).records["transcripts"][0]
    rows["hypotheses"].sort(key=lambda row: row["system"])
    assert transcript == Combine(SYSTEMS, VoteRule())(rows).records["transcripts"][0]
    assert transcript.systems == SYSTEMS


def test_a_missing_system_has_no_vote_and_one_that_hears_nothing_has() -> None:
    missing, _ = combined(a="the cat", b="the cat")
    assert (missing.systems, {word.vote_ratio for word in missing.words}) == (("a", "b"), {1.0})
    silent, _ = combined(a="the cat", b="the cat", c="")
    assert silent.systems == SYSTEMS
    assert [word.vote_ratio for word in silent.words] == pytest.approx([2 / 3, 2 / 3])


@pytest.mark.parametrize(("said", "reason"), [({}, "no hypothesis"), ({"a": "", "b": "", "c": ""}, "no words")])
def test_a_turn_without_words_is_dropped_with_a_reason(said: dict[str, str], reason: str) -> None:
    with pytest.raises(Dropped) as caught:
        combined(**said)
    assert (caught.value.reason, caught.value.value, caught.value.threshold) == (reason, 0, 1)


def test_a_turn_that_no_system_answered_for() -> None:
    with pytest.raises(Dropped, match="no hypothesis"):
        Combine(SYSTEMS, VoteRule())({**item(), "hypotheses": None})


def test_scores_tell_speed_repetition_and_agreement() -> None:
    _, scores = combined(a="one two three", b="one two three", c="one two three")
    assert scores["characters_per_s"] == pytest.approx(11 / 2)
    assert scores["disagreement_ratio"] == 0.0
    assert scores["mean_confidence"] == 1.0
    _, looping = combined(a="and so on " * 40)
    assert looping["compression_ratio"] > 2.4 > scores["compression_ratio"]


def test_scores_belong_to_their_turn() -> None:
    scores = Combine(SYSTEMS, VoteRule())(item(a="cat")).records["scores"]
    assert {score.turn_id for score in scores} == {"t"}
    assert len({score.id for score in scores}) == len(scores)
    assert all(score.id == f"t-{score.name}" for score in scores)


@pytest.mark.parametrize(
    ("text", "language"),
    [("the cat sat on the mat and looked at me", "en"), ("le chat est assis sur le tapis et me regarde", "fr")],
)
def test_the_consensus_tells_its_language(text: str, language: str) -> None:
    (guess,) = Combine(SYSTEMS, VoteRule())(item(a=text, b=text)).records["languages"]
    assert (guess.id, guess.turn_id, guess.recording_id, guess.evidence) == ("t-text", "t", "r", "text")
    assert (guess.language, guess.num_windows) == (language, 1)
    assert 0.5 < guess.probability <= 1.0


def test_the_whole_way_from_sound_to_consensus(tmp_path: Path, store: Store, curate: Curate) -> None:
    path = sounds.write_wav(tmp_path / "talk.wav", conversation(("alto", "the cat sat"), ("bass", "hm")))
    asr = ["tones", {"name": "tones-b", "options": {"mishears": {"cat": "hat", "hm": ""}}},
           {"name": "tones-c", "options": {"mishears": {"hm": ""}}}]  # fmt: skip
    finished = curate([path], upto="words", asr=asr)
    (transcript,) = from_table(store.table(finished["words"].stored.key, "transcripts"), Transcript)
    assert [word.text for word in transcript.words] == ["the", "cat", "sat"]
    assert transcript.dissent == ("cat (2/3; other: hat)",)
    (drop,) = from_table(store.table(finished["words"].stored.key, "drops"), Drop)
    assert drop.reason == "no words"
    assert drop.duration_s == pytest.approx(2 * 640 / 16_000, abs=0.001)


def test_an_order_of_systems_is_another_consensus(tmp_path: Path, curate: Curate) -> None:
    path = sounds.write_wav(tmp_path / "talk.wav", conversation(("alto", "the cat sat")))
    first = curate([path], upto="words", asr=["tones", "tones-b"])["words"].stored
    second = curate([path], upto="words", asr=["tones-b", "tones"])["words"].stored
    assert first.key != second.key
