"""Which rows a run trains on: the recipe's sources in its shares, and nothing of what is held out."""

from collections.abc import Iterable
from itertools import islice

import numpy as np
import pytest

from spelangy.core.contamination import normalised_words
from spelangy.core.errors import UserError
from spelangy.core.records import Script
from spelangy.tokens.interleave import Modality
from spelangy.tokens.mixture import realised
from spelangy.tokens.packing import PackedRow
from spelangy.tokens.text_tokenizer import TextTokenizer
from spelangy.train.rows import TrainingRows
from tiny_run import TinyRun


def rows_of(tiny: TinyRun, *overrides: str) -> TrainingRows:
    recipe = tiny.changed(*overrides)
    return TrainingRows(tiny.spans, recipe.tokens, recipe.train, recipe.seed)


def read_text(tiny: TinyRun, rows: Iterable[PackedRow]) -> str:
    """All that stands in rows as text, as words."""
    tokenizer = TextTokenizer.load(tiny.directory("text-tokenizer"))
    texts = (tokenizer.decode(row.ids[row.modality == Modality.TEXT]) for row in rows)
    return " ".join(normalised_words(" ".join(texts)))


def sentences_of(tiny: TinyRun, heldout: bool) -> list[str]:
    scripts = [text for text in tiny.records("krist", "texts", Script) if tiny.is_heldout(text.page_id) == heldout]
    texts = (segment.text for script in scripts for segment in script.segments)
    return [" ".join(normalised_words(text)) for text in texts if len(text.split()) >= 6]


def test_the_split_is_by_page_and_holds_out_one_of_four(tiny: TinyRun) -> None:
    rows, store = rows_of(tiny), tiny.spans
    held = {store.document_id(int(number)).partition("-")[0] for number in np.flatnonzero(rows.is_heldout)}
    kept = {store.document_id(int(number)).partition("-")[0] for number in np.flatnonzero(~rows.is_heldout)}
    assert len(held) == 1 and len(kept) == 4 and not held & kept, "three pages and the recording train"


def test_no_training_row_holds_a_held_out_document(tiny: TinyRun) -> None:
    rows = rows_of(tiny)
    for stream in rows.mixture().streams:
        assert not rows.is_heldout[stream.documents].any()


def test_held_out_sentences_are_never_trained_on_and_training_sentences_never_tested(tiny: TinyRun) -> None:
    rows = rows_of(tiny, "tokens.interleave.plan=text-only")
    trained = read_text(tiny, islice(rows.mixture().rows_from(0), 150))
    tested = read_text(tiny, rows.heldout()["text"])
    heldout, training = sentences_of(tiny, heldout=True), sentences_of(tiny, heldout=False)
    assert sum(sentence in trained for sentence in training) > 0.8 * len(training)
    assert not [sentence for sentence in heldout if sentence in trained]
    assert sum(sentence in tested for sentence in heldout) > 0.8 * len(heldout)
    assert not [sentence for sentence in training if sentence in tested]


def test_a_training_seed_reorders_the_rows_and_leaves_the_split(tiny: TinyRun) -> None:
    first, second = rows_of(tiny), rows_of(tiny, "train.seed=1")
    assert np.array_equal(first.is_heldout, second.is_heldout)
    assert first.mixture().fingerprint != second.mixture().fingerprint
    assert not np.array_equal(first.mixture().row(0).ids, second.mixture().row(0).ids)


def test_rows_are_the_same_each_time_and_sources_keep_their_shares(tiny: TinyRun) -> None:
    mixture = rows_of(tiny).mixture()
    rows = list(islice(mixture.rows_from(0), 200))
    again = islice(rows_of(tiny).mixture().rows_from(0), 200)
    assert all(np.array_equal(row.ids, other.ids) for row, other in zip(rows, again, strict=True))
    counted = {source: sum(found.modality_tokens.values()) for source, found in realised(rows).items()}
    total = sum(counted.values())
    for source, share in tiny.recipe.tokens.mixture.items():
        assert abs(counted[source] - share * total) <= tiny.recipe.train.row_tokens


def test_held_out_sets_are_text_alone_speech_alone_and_both(tiny: TinyRun) -> None:
    heldout = rows_of(tiny).heldout()
    kinds = {name: {int(kind) for row in rows for kind in row.modality} for name, rows in heldout.items()}
    assert kinds == {
        "text": {Modality.TEXT, Modality.SPECIAL},
        "speech": {Modality.SPEECH, Modality.SPECIAL},
        "interleaved": {Modality.TEXT, Modality.SPEECH, Modality.SPECIAL},
    }


def test_nothing_held_out_leaves_nothing_to_test_on(tiny: TinyRun) -> None:
    assert rows_of(tiny, "tokens.heldout_share=0").heldout() == {}


def test_a_source_that_is_not_there_is_named(tiny: TinyRun) -> None:
    with pytest.raises(UserError, match=r"tokens\.mixture\.qest") as caught:
        rows_of(tiny, "tokens.mixture.qest=0.1").mixture()
    assert "quest" in caught.value.hint


def test_weight_nought_leaves_a_source_out_even_one_that_is_not_there(tiny: TinyRun) -> None:
    mixture = rows_of(tiny, "tokens.mixture.quest=0", "tokens.mixture.songs=0").mixture()
    assert {stream.source for stream in mixture.streams} == {"text", "krist", "crawl"}
