"""What a view decides: languages, private words, repeats, thresholds on what was measured; and the view of words."""

from dataclasses import asdict
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spelangy.core.records import Chunk, Duplicate, LanguageGuess, PrivateSpan, Transcript, Turn, Word
from spelangy.core.schema import to_table
from spelangy.core.spans import Span
from spelangy.curate.chunks import Piece, cut_words
from spelangy.curate.config import Thresholds, ViewSettings
from spelangy.curate.policy import REASONS, limits, masked, score_fault, scores_needed
from spelangy.curate.views import CutChunks, _with_duplicates
from spelangy.engine.step import Produced

TURN = Turn(id="r-000000", recording_id="r", audio="key", start=0, end=64_000, speaker="S0", is_overlap=False)


def words(*texts: str, vote_ratio: float = 1.0) -> tuple[Word, ...]:
    return tuple(
        Word(text=text, start=index * 8_000, end=index * 8_000 + 6_000, vote_ratio=vote_ratio, confidence=0.5)
        for index, text in enumerate(texts)
    )


def cut(
    settings: ViewSettings, said: tuple[Word, ...] = words("call", "Ann", "Lee", "now."), **measured: Any
) -> Produced:
    dissent = tuple(f"{word.text} (1/2; other: –)" for word in said if word.vote_ratio < 1)
    transcript = Transcript(id=TURN.id, recording_id="r", systems=("a", "b"), words=said, dissent=dissent)
    item = {
        "id": "r", "audio": "key", "source": "test", "licence": "CC0", "metadata": '{"title":"T"}',
        "turns": [asdict(TURN)], "transcripts": [asdict(transcript)], "scores": None, **measured,
    }  # fmt: skip
    return CutChunks("any", settings)(item)


def texts(produced: Produced) -> list[str]:
    return [chunk.text for chunk in produced.records["chunks"]]


def reasons(produced: Produced) -> list[str]:
    return [why.reason for _, why, _ in produced.drops]


def view(granularity: Any = "fine", **settings: Any) -> ViewSettings:
    return ViewSettings(granularity=granularity, **settings)


def guess(evidence: str, language: str, probability: float) -> dict[str, Any]:
    found = LanguageGuess(
        id=f"{TURN.id}-{evidence}", turn_id=TURN.id, recording_id="r", evidence=evidence, language=language,
        probability=probability, num_windows=1,
    )  # fmt: skip
    return asdict(found)


def private(first_word: int, num_words: int, kind: str = "person") -> PrivateSpan:
    return PrivateSpan(
        id="p", turn_id=TURN.id, recording_id="r", kind=kind, first_word=first_word, num_words=num_words,
        start=0, end=1, confidence=0.9,
    )  # fmt: skip


# --------------------------------------------------------------------------------------------------------- languages


@pytest.mark.parametrize(
    ("heard", "stays"),
    [
        ([guess("audio", "en", 0.9), guess("text", "en", 0.9)], True),
        ([guess("audio", "fr", 0.9), guess("text", "fr", 0.9)], False),
        ([guess("audio", "fr", 0.6), guess("text", "en", 1.0)], True),
        ([guess("audio", "fr", 0.95), guess("text", "en", 0.9)], False),
        ([guess("audio", "en", 0.3)], True),
        ([guess("audio", "cy", 0.3)], False),
        ([guess("audio", "und", 0.0)], True),
        ([], True),
    ],
)
def test_sound_and_text_together_decide_the_language(heard: list[dict[str, Any]], stays: bool) -> None:
    produced = cut(view(), words("call", "Ann", "Lee", "right", "now."), languages=heard)
    assert bool(texts(produced)) is stays
    assert reasons(produced) == ([] if stays else ["other language"])


def test_the_text_of_a_few_words_tells_no_language() -> None:
    assert texts(cut(view(), languages=[guess("text", "fi", 0.9)]))
    assert texts(cut(view(), languages=[guess("audio", "en", 0.6), guess("text", "fi", 0.9)]))


def test_a_strict_view_asks_for_more_than_the_likeliest_language() -> None:
    strict = view(thresholds=Thresholds(min_language_score=0.8))
    assert not texts(cut(strict, languages=[guess("audio", "en", 0.7)]))
    assert texts(cut(strict, languages=[guess("audio", "en", 0.9)]))


def test_other_languages_may_be_wanted_or_all() -> None:
    french = [guess("audio", "fr", 0.9)]
    assert texts(cut(view(languages=("fr", "de")), languages=french))
    assert texts(cut(view(languages=()), languages=french))


# ----------------------------------------------------------------------------------------------------- private words


def test_private_words_stay_are_masked_or_cost_the_turn() -> None:
    rows = [asdict(private(1, 2))]
    assert texts(cut(view(), private=rows)) == ["call Ann Lee now."]
    assert texts(cut(view(private="mask"), private=rows)) == ["call [person] now."]
    dropped = cut(view(private="drop"), private=rows)
    assert (texts(dropped), reasons(dropped)) == ([], ["private words"])


def test_a_mask_hides_what_was_heard_otherwise_and_keeps_the_rest_in_step() -> None:
    said = words("call", "Ann", "Lee", "now.", vote_ratio=0.5)
    produced = cut(view(private="mask"), said, private=[asdict(private(1, 2))])
    (chunk,) = produced.records["chunks"]
    assert "Ann" not in "".join(chunk.dissent) and "Lee" not in "".join(chunk.dissent)
    assert [entry.split()[0] for entry in chunk.dissent] == ["call", "now."]


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.data())
def test_masking_keeps_time_order_and_the_words_around(unsure: list[bool], data: st.DataObject) -> None:
    said = tuple(
        Word(text=f"w{i}", start=i * 10, end=i * 10 + 5, vote_ratio=0.5 if odd else 1.0, confidence=0.5)
        for i, odd in enumerate(unsure)
    )
    first = data.draw(st.integers(0, len(said) - 1))
    count = data.draw(st.integers(1, len(said) - first))
    dissent = tuple(word.text for word in said if word.vote_ratio < 1)
    piece = Piece(span=Span(0, 10_000), speaker="S0", words=said, dissent=dissent)
    found = masked(piece, [private(first, count, "phone")])
    outside = [word for i, word in enumerate(said) if not first <= i < first + count]
    assert [word for word in found.words if word.text != "[phone]"] == outside
    assert [word.text for word in found.words].count("[phone]") == 1
    assert all(left.end <= right.start for left, right in pairwise(found.words))
    assert found.dissent == tuple(word.text for word in outside if word.vote_ratio < 1)


# ------------------------------------------------------------------------------------------------------- thresholds


def test_every_threshold_is_about_one_score_and_none_of_them_is_forgotten() -> None:
    own = {"min_chunk_s", "max_chunk_s", "max_duplicate_ratio", "min_language_score"}
    assert {limit.field for limit in limits()} == set(Thresholds.model_fields) - own
    assert {limit.score for limit in limits()} == set(REASONS)


@pytest.mark.parametrize("field", [limit.field for limit in limits()])
def test_a_threshold_drops_what_is_beyond_it_with_value_and_threshold(field: str) -> None:
    (limit,) = [limit for limit in limits() if limit.field == field]
    beyond, within = (6.0, 4.0) if limit.is_maximum else (4.0, 6.0)
    rows = [{"turn_id": TURN.id, "name": limit.score, "value": beyond}]
    only = {**dict.fromkeys(limit.field for limit in limits()), field: 5.0}
    produced = cut(view(thresholds=Thresholds(**only)), scores=rows)
    ((_, why, seconds),) = produced.drops
    assert (why.reason, why.value, why.threshold, seconds) == (REASONS[limit.score], beyond, 5.0, 4.0)
    rows[0]["value"] = within
    assert texts(cut(view(thresholds=Thresholds(**only)), scores=rows))


def test_two_thresholds_on_one_score_are_a_band() -> None:
    band = Thresholds(min_disagreement_ratio=0.1, max_disagreement_ratio=0.25)
    kept = [value for value in (0.05, 0.1, 0.2, 0.25, 0.3) if score_fault({"disagreement_ratio": value}, band) is None]
    assert kept == [0.1, 0.2, 0.25]
    assert scores_needed(band).count("disagreement_ratio") == 1


def test_what_was_not_measured_or_has_no_threshold_passes() -> None:
    thresholds = Thresholds(min_mos_overall=3.0, max_disagreement_ratio=None)
    assert score_fault({"disagreement_ratio": 1.0}, thresholds) is None
    assert "disagreement_ratio" not in scores_needed(thresholds)
    assert "mos_overall" in scores_needed(thresholds)


# ---------------------------------------------------------------------------------------------------------- repeats


def repeats(*pairs: tuple[str, str, float]) -> pa.Table:
    return to_table(
        [
            Duplicate(id=f"{one}-{other}", recording_id=one, other_id=other, kind="audio", similarity=ratio)
            for one, other, ratio in pairs
        ],
        Duplicate,
    )


def test_a_recording_is_told_what_it_repeats_most() -> None:
    items = pa.table({"id": ["a", "b", "c"]})
    rows = _with_duplicates(items, repeats(("c", "b", 0.5), ("b", "a", 0.75), ("c", "a", 1.0))).to_pylist()
    assert [(row["duplicate_of"], row["duplicate_ratio"]) for row in rows] == [(None, None), ("a", 0.75), ("a", 1.0)]


def test_no_duplicates_leave_everything() -> None:
    rows = _with_duplicates(pa.table({"id": ["a"]}), repeats()).to_pylist()
    assert rows == [{"id": "a", "duplicate_ratio": None, "duplicate_of": None}]


def test_a_recording_that_repeats_another_is_one_counted_drop() -> None:
    produced = cut(view(), duplicate_ratio=0.95, duplicate_of="other")
    ((part, why, seconds),) = produced.drops
    assert (part, why.reason, why.value, why.threshold, seconds) == ("r", "near duplicate", 0.95, 0.8, 4.0)
    assert texts(cut(view(thresholds=Thresholds(max_duplicate_ratio=None)), duplicate_ratio=0.95, duplicate_of="o"))


# ------------------------------------------------------------------------------------------------------------ words


def test_the_view_of_words_cuts_after_every_so_many_in_the_silence_between() -> None:
    assert texts(cut(view("words"))) == ["call", "Ann", "Lee", "now."]
    assert texts(cut(view("words", words_per_chunk=3))) == ["call Ann Lee", "now."]
    chunks: list[Chunk] = list(cut(view("words")).records["chunks"])
    assert [chunk.start for chunk in chunks] == [0, 7_000, 15_000, 23_000]
    assert all(left.end == right.start for left, right in pairwise(chunks))


@given(st.integers(1, 9), st.integers(1, 30))
def test_words_are_shared_out_in_order(num_words: int, count: int) -> None:
    said = words(*(f"w{i}" for i in range(count)))
    whole = Piece(span=Span(0, 8_000 * count), speaker="S0", words=said, dissent=())
    parts = cut_words(whole, num_words)
    assert tuple(word for part in parts for word in part.words) == said
    assert [len(part.words) for part in parts[:-1]] == [num_words] * (len(parts) - 1)


def test_chunks_carry_what_their_source_said_of_itself() -> None:
    (chunk,) = cut(view()).records["chunks"]
    assert (chunk.metadata, chunk.licence, chunk.source) == ('{"title":"T"}', "CC0", "test")


def test_items_of_a_view_hold_nothing_that_no_threshold_needs() -> None:
    assert set(scores_needed(Thresholds())) == {
        "disagreement_ratio", "compression_ratio", "ngram_repeats", "phantom_ratio", "longest_word_characters",
        "characters_per_s",
    }  # fmt: skip
    assert isinstance(pa.array(scores_needed(Thresholds()), pa.string()), pa.StringArray)
