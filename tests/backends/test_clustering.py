from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spelangy.backends import clustering
from spelangy.backends.clustering import ClusterRule, find_speakers, unit
from spelangy.backends.speaker_runs import Run, as_turns, merged
from spelangy.core.errors import UserError
from spelangy.core.spans import Span, samples

RULE = ClusterRule(threshold=0.5)


def voices(directions, each, *, noise=0.02, seed=0):
    """`each` noisy rows around every one of so many axes."""
    rng = np.random.default_rng(seed)
    rows = np.repeat(np.eye(8)[:directions], each, axis=0) + noise * rng.standard_normal((directions * each, 8))
    return unit(rows.astype(np.float32))


@given(st.integers(1, 6), st.integers(1, 6))
def test_as_many_speakers_are_found_as_there_are(directions, each):
    embeddings = voices(directions, each)
    speakers = find_speakers(embeddings, np.full(len(embeddings), samples(2.0)), RULE)
    assert len(speakers) == directions
    labels = np.argmax(embeddings @ speakers.T, axis=1).reshape(directions, each)
    assert all(len(set(row)) == 1 for row in labels.tolist())


def test_who_speaks_most_comes_first():
    embeddings = voices(3, 1)
    speakers = find_speakers(embeddings, np.array([samples(s) for s in (2.0, 9.0, 4.0)]), RULE)
    assert np.argmax(speakers @ embeddings.T, axis=1).tolist() == [1, 2, 0]


def test_short_pieces_found_no_speaker():
    embeddings = voices(3, 1)
    speakers = find_speakers(embeddings, np.array([samples(s) for s in (3.0, 3.0, 0.5)]), RULE)
    assert len(speakers) == 2
    assert len(find_speakers(embeddings, np.full(3, samples(0.1)), RULE)) >= 1


def test_the_number_of_speakers_has_limits():
    embeddings, lengths = voices(5, 3), np.full(15, samples(2.0))
    assert len(find_speakers(embeddings, lengths, ClusterRule(threshold=0.5, max_speakers=2))) == 2
    one = voices(1, 6)
    assert len(find_speakers(one, lengths[:6], ClusterRule(threshold=0.5, min_speakers=3))) == 3


def test_of_a_long_recording_the_longest_pieces_found(monkeypatch):
    monkeypatch.setattr(clustering, "MAX_CLUSTERED_PIECES", 4)
    embeddings = voices(2, 4)
    lengths = np.array([samples(9.0)] * 4 + [samples(2.0)] * 4)
    assert len(find_speakers(embeddings, lengths, RULE)) == 1


@pytest.mark.parametrize("given", [{"threshold": 0.0}, {"threshold": 2.0}, {"threshold": 0.5, "min_speakers": 0}])
def test_rules_that_cannot_work_are_refused(given):
    with pytest.raises(UserError):
        ClusterRule(**given)


def test_no_sound_is_the_even_direction():
    rows = unit(np.array([[0, 0], [np.nan, np.nan], [3, 4]], np.float32))
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(rows[2], [0.6, 0.8], rtol=1e-6)


ROWS = st.lists(
    st.tuples(st.integers(0, 30_000), st.integers(1, 1_000_000), st.integers(0, 1), st.booleans()),
    min_size=1,
    max_size=20,
)


@given(ROWS)
def test_merging_loses_no_speech_and_mixes_neither_speakers_nor_overlap(rows):
    runs, position = [], 0
    for gap, length, speaker, is_overlap in rows:
        span = Span(position + gap, position + gap + length)
        runs.append(Run(span=span, speaker=speaker, is_overlap=is_overlap, embedding_D=np.ones(4, np.float32) / 2))
        position = span.end
    turns = merged(runs)
    assert all(turn.span.num_samples <= samples(28.0) for turn in turns)
    assert all(left.span.end <= right.span.start for left, right in pairwise(turns))
    for run in runs:
        kind = (run.speaker, run.is_overlap)
        shares = [turn.span.overlap(run.span) for turn in turns if (turn.speaker, turn.is_overlap) == kind]
        assert sum(shares) == run.span.num_samples


def test_speakers_are_named_in_the_order_in_which_they_speak():
    runs = [
        Run(span=Span(i * 10_000, i * 10_000 + 5_000), speaker=speaker, embedding_D=np.ones(1, np.float32))
        for i, speaker in enumerate((7, 2, 7, 0))
    ]
    assert [turn.speaker for turn in as_turns(runs)] == ["S0", "S1", "S0", "S2"]
