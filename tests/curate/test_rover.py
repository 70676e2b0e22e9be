import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spelangy.core.errors import Dropped, UserError
from spelangy.core.records import HypothesisWord
from spelangy.core.spans import SAMPLE_RATE_HZ
from spelangy.curate.rover import VoteRule, align, combine, normalise, verbatim, vote
from spelangy.curate.rover_alignment import cuts_at_silence, network

DATA = Path(os.environ.get("SPELANGY_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))
DEMO, EARNINGS = DATA / "rover_sctk", DATA / "rover_earnings21"
FREQUENCY = VoteRule(method="frequency")


def word(text: str, start: int = 0, end: int = 0, confidence: float = 1.0, is_timed: bool = True) -> HypothesisWord:
    return HypothesisWord(text=text, start=start, end=end, confidence=confidence, is_timed=is_timed)


def said(text: str, confidence: float = 1.0) -> list[HypothesisWord]:
    """Words of 800 samples, one every 1,000."""
    return [word(token, 1000 * i, 1000 * i + 800, confidence) for i, token in enumerate(text.split())]


def texts(hypotheses: Sequence[Sequence[HypothesisWord]], rule: VoteRule = FREQUENCY) -> str:
    return " ".join(word.text for word in combine(hypotheses, rule).words)


# NIST


def read_ctm(path: Path) -> dict[str, list[HypothesisWord]]:
    """Ends are cut to whole samples from the sum in floating point: NIST's rover compares these very sums.

    3.90 + 0.05 < 3.95 is a pause to it, and the demo's expected output depends on that.
    """
    recordings: dict[str, list[HypothesisWord]] = {}
    for line in path.read_text().splitlines():
        recording, _, start_s, duration_s, text, *confidence = line.split()
        start, end = float(start_s), float(start_s) + float(duration_s)
        recordings.setdefault(recording, []).append(
            word(text, round(start * SAMPLE_RATE_HZ), int(end * SAMPLE_RATE_HZ), float((confidence or ["-1"])[0]))
        )
    return recordings


@pytest.mark.parametrize(
    ("inputs", "expected", "rule"),
    [
        (
            [DEMO / f"images_src/sys{i}.ctm" for i in (1, 2, 3)],
            DEMO / "rover_demo/rover.ctm",
            VoteRule(method="avgconf", alpha=1.0, null_confidence=0.0),
        ),
        (
            [EARNINGS / f"sys{i}.ctm" for i in (1, 2, 5)],
            EARNINGS / "out/s125_avgconf_a05_c05.ctm",
            VoteRule(method="avgconf", alpha=0.5, null_confidence=0.5),
        ),
        (
            [EARNINGS / f"sys{i}.ctm" for i in (1, 2, 5)],
            EARNINGS / "out/s125_maxconf_a02_c05.ctm",
            VoteRule(method="maxconf", alpha=0.2, null_confidence=0.5),
        ),
        ([EARNINGS / f"sys{i}.ctm" for i in (3, 4, 5)], EARNINGS / "out/s345_vote.ctm", FREQUENCY),
    ],
    ids=["demo", "avgconf", "maxconf", "frequency"],
)
def test_words_equal_those_of_nist_rover(inputs: list[Path], expected: Path, rule: VoteRule) -> None:
    if not expected.exists():
        pytest.skip(f"needs {expected} (NIST's outputs; set SPELANGY_DATA)")
    systems, nist = [read_ctm(path) for path in inputs], read_ctm(expected)
    assert set(systems[0]) == set(nist)
    for recording, words in nist.items():
        slots = align([system.get(recording, []) for system in systems], verbatim, min_silence_s=1.0)
        winners = [slot[system] for slot, system in zip(slots, vote(slots, rule), strict=True)]
        assert [entry.key for entry in winners if entry] == [word.text for word in words]


# Alignment


def reference_network(systems: list[list[int]]) -> list[list[int]]:
    """The same network by a full table over single arcs, as Fiscus describes it; slots list arcs as they entered."""
    slots = [[(0, index)] for index in range(len(systems[0]))]
    for system in range(1, len(systems)):
        slots = _reference_merge(slots, systems, system)
    return [[dict(slot).get(system, -1) for system in range(len(systems))] for slot in slots]


def _reference_merge(
    slots: list[list[tuple[int, int]]], systems: list[list[int]], system: int
) -> list[list[tuple[int, int]]]:
    words = systems[system]
    keys = [[None if index < 0 else systems[owner][index] for owner, index in slot] for slot in slots]
    rows = [[[(3000 * b, "ins", 0) for b in range(len(words) + 1)]]]
    for slot in keys:
        before = [min((row[b][0], arc) for arc, row in enumerate(rows[-1])) for b in range(len(words) + 1)]
        rows.append([])
        for key in slot:
            row: list[tuple[int, str, int]] = []
            for b, (above, above_arc) in enumerate(before):
                delete = above + (1 if key is None else 3000)
                replace = 0 if b and key == words[b - 1] else 1000 if key is None else 4000
                substitute = before[b - 1][0] + replace if b else 1 << 40
                insert = row[b - 1][0] + 3000 if b else 1 << 40
                if substitute <= delete and substitute <= insert:
                    row.append((substitute, "sub", before[b - 1][1]))
                elif delete < insert:
                    row.append((delete, "del", above_arc))
                else:
                    row.append((insert, "ins", -1))
            rows[-1].append(row)
    merged: list[list[tuple[int, int]]] = []
    i, b = len(slots), len(words)
    arc = min((row[b][0], index) for index, row in enumerate(rows[i]))[1]
    while i or b:
        _, move, back_arc = rows[i][arc][b]
        if move == "ins":
            merged.append([(system, b - 1), *((earlier, -1) for earlier in range(system))])
            b -= 1
        else:
            merged.append([*slots[i - 1], (system, b - 1 if move == "sub" else -1)])
            i, b, arc = i - 1, b - (move == "sub"), back_arc
    return merged[::-1]


def as_ids(systems: list[list[int]]) -> list[np.ndarray]:
    return [np.array(words, dtype=np.int32) for words in systems]


@given(st.lists(st.lists(st.integers(0, 4), max_size=12), min_size=1, max_size=4))
@settings(max_examples=200, deadline=None)
def test_network_is_the_best_of_all_alignments_ties_included(systems: list[list[int]]) -> None:
    assert network(as_ids(systems)).tolist() == reference_network(systems)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("error_ratio", [0.1, 0.4])
def test_the_band_changes_nothing(seed: int, error_ratio: float) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 40, 110)
    systems = []
    for shift in (0, 45, 0):
        noisy = np.where(rng.random(len(truth)) < error_ratio, rng.integers(0, 40, len(truth)), truth)
        kept = noisy[rng.random(len(noisy)) > error_ratio / 2]
        systems.append(np.roll(kept, shift).tolist())
    assert network(as_ids(systems)).tolist() == reference_network(systems)


def test_a_block_that_moved_far_is_found_outside_the_first_band() -> None:
    block, rest = list(range(100)), list(range(100, 160))
    aligned = network(as_ids([block + rest, rest + block])).tolist()
    assert [0, 60] in aligned and [99, 159] in aligned


def test_too_many_words_are_dropped_with_their_number() -> None:
    with pytest.raises(Dropped) as dropped:
        network([np.zeros(300_001, np.int32)])
    assert (dropped.value.value, dropped.value.threshold) == (300_001, 300_000)


def test_cuts_are_where_all_systems_pause() -> None:
    first = [(0, 100), (100, 200), (1300, 1400), (2600, 2700)]
    second = [(0, 110), (110, 190), (1310, 1390), (1390, 2650), (2650, 2700)]
    assert cuts_at_silence([first, second], 1000) == [[2, 2], [4, 5], [4, 5]]


def test_importing_compiles_nothing() -> None:
    code = "from spelangy.curate import rover_alignment as r; print(len(r._trace.signatures + r._cost_rows.signatures))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"


# Laws

spoken_words = st.sampled_from(["the", "The,", "cat", "sat", "21", "twenty-one", "twenty", "one", "o'clock", "–"])


@st.composite
def spoken(draw: st.DrawFn) -> list[HypothesisWord]:
    start, words = 0, []
    for text in draw(st.lists(spoken_words, max_size=8)):
        start += draw(st.integers(0, 300))
        length = draw(st.integers(1, 300))
        confidence = draw(st.integers(0, 10)) / 10
        words.append(word(text, start, start + length, confidence, draw(st.booleans())))
        start += length
    return words


rules = st.builds(
    VoteRule,
    method=st.sampled_from(["frequency", "avgconf", "maxconf"]),
    alpha=st.integers(0, 4).map(lambda n: n / 4),
    null_confidence=st.integers(0, 4).map(lambda n: n / 4),
)


@given(spoken(), st.integers(1, 4), rules)
@settings(deadline=None)
def test_identical_hypotheses_give_themselves(words: list[HypothesisWord], num_systems: int, rule: VoteRule) -> None:
    consensus = combine([words] * num_systems, rule)
    assert [(w.text, w.start, w.end) for w in consensus.words] == [(w.text, w.start, w.end) for w in words]
    assert all(heard.vote_ratio == 1.0 for heard in consensus.words)
    assert [w.confidence for w in consensus.words] == pytest.approx([w.confidence for w in words])
    assert (consensus.dissent, consensus.disagreement) == ((), 0.0)


@given(st.lists(spoken(), max_size=4), rules)
@settings(deadline=None)
def test_no_word_is_invented_and_time_never_goes_back(systems: list[list[HypothesisWord]], rule: VoteRule) -> None:
    consensus = combine(systems, rule)
    surfaces = {w.text for words in systems for w in words}
    keys = {key for words in systems for w in words for key in normalise(w.text)}
    assert {w.text for w in consensus.words} <= surfaces | keys
    borders = [sample for w in consensus.words for sample in (w.start, w.end)]
    assert borders == sorted(borders)
    assert len(consensus.dissent) == sum(w.vote_ratio < 1 for w in consensus.words)
    assert all(0 < w.vote_ratio <= 1 and 0 <= w.confidence <= 1 for w in consensus.words)
    assert 0 <= consensus.disagreement <= 1


@given(st.lists(spoken(), min_size=1, max_size=4))
@settings(deadline=None)
def test_the_network_holds_every_word_once_in_order(systems: list[list[HypothesisWord]]) -> None:
    slots = align(systems)
    for system, words in enumerate(systems):
        entries = [slot[system] for slot in slots]
        assert [entry.word for entry in entries if entry and entry.part == 0] == words


@given(spoken(), spoken(), st.permutations([0, 0, 1]))
@settings(deadline=None)
def test_two_of_three_that_agree_win_by_frequency(
    agreed: list[HypothesisWord], other: list[HypothesisWord], order: list[int]
) -> None:
    slots = align([(agreed, other)[which] for which in order])
    winners = [slot[system] for slot, system in zip(slots, vote(slots, FREQUENCY), strict=True)]
    for slot, winner in zip(slots, winners, strict=True):
        keys = [entry and entry.key for entry in slot]
        majority = [key for key in keys if keys.count(key) >= 2]
        assert not majority or (winner and winner.key) == majority[0]
    if order == [0, 0, 1]:
        assert [winner.key for winner in winners if winner] == [key for w in agreed for key in normalise(w.text)]


# Examples


def test_casing_and_punctuation_come_from_most_winners_then_the_most_confident() -> None:
    assert texts([said("the cat"), said("The cat,"), said("The cat")]) == "The cat"
    assert texts([said("paris", 0.4), said("Paris", 0.9)]) == "Paris"


def test_nothing_said_wins_by_majority_and_loses_ties_to_the_word() -> None:
    assert texts([said("the uh cat"), said("the cat"), said("the cat")]) == "the cat"
    assert texts([said("the cat"), said("the uh cat"), said("the uh cat")]) == "the uh cat"
    assert texts([said("the cat"), said("the uh cat")]) == "the uh cat"


def test_confidence_decides_as_the_methods_say() -> None:
    systems = [said("hat", 0.3), said("cat", 0.9), said("hat", 0.3)]
    assert texts(systems, FREQUENCY) == "hat"
    assert texts(systems, VoteRule(method="avgconf", alpha=0.0)) == "cat"
    assert texts(systems, VoteRule(method="maxconf", alpha=0.5)) == "cat"
    assert texts(systems, VoteRule(method="maxconf", alpha=0.7)) == "hat"
    assert (
        texts([said("a uh b", 0.5), said("a b"), said("a b")], VoteRule(method="maxconf", alpha=0, null_confidence=0.4))
        == "a uh b"
    )


def test_digits_meet_words_and_the_form_of_most_systems_is_written_whole() -> None:
    spelled, digits = said("chapter twenty one begins"), said("Chapter 21 begins")
    assert texts([spelled, digits, digits]) == "Chapter 21 begins"
    assert texts([digits, spelled, spelled]) == "chapter twenty one begins"
    consensus = combine([digits, said("chapter twenty-one begins"), digits])
    assert [w.vote_ratio for w in consensus.words] == [1.0, 1.0, 1.0]
    assert consensus.disagreement == 0.0
    assert combine([spelled, digits], compare=verbatim).disagreement > 0


def test_a_number_that_won_in_part_is_not_written_whole() -> None:
    systems = [said("21"), said("twenty two"), said("thirty two")]
    assert texts(systems) == "twenty two"
    assert texts([said("fifty two"), said("21"), said("31")]) == "fifty one"


def test_times_are_medians_of_the_winners_with_own_times() -> None:
    systems = [
        [word("cat", 100, 200)],
        [word("cat", 120, 260)],
        [word("cat", 0, 900, is_timed=False)],
        [word("cat", 140, 240)],
        [word("hat", 500, 600)],
    ]
    (heard,) = combine(systems).words
    assert (heard.text, heard.start, heard.end, heard.vote_ratio) == ("cat", 120, 240, 0.8)
    (spread,) = combine([[word("cat", 0, 900, is_timed=False)]] * 2).words
    assert (spread.start, spread.end) == (0, 900)


def test_one_word_far_off_does_not_push_its_followers() -> None:
    times = [(0, 90), (100, 190), (9000, 9090), (300, 390), (400, 490)]
    words = combine([[word(f"w{i}", *span) for i, span in enumerate(times)]]).words
    assert [(w.start, w.end) for w in words[:2]] == times[:2]
    borders = [sample for w in words for sample in (w.start, w.end)]
    assert borders == sorted(borders)


def test_dissent_names_what_else_was_heard() -> None:
    consensus = combine([said("the word 21"), said("the wurd 21"), said("the word"), said("the 22")], FREQUENCY)
    assert consensus.dissent == ("word (2/4; other: wurd, –)", "21 (2/4; other: –, 22)")
    assert combine([said("a"), said("a b")]).dissent == ("b (1/2; other: –)",)


def test_disagreement_is_mean_pairwise_edit_distance() -> None:
    assert combine([said("a b c d"), said("a b c d"), said("a b x d")]).disagreement == pytest.approx(2 / 3 * 1 / 4)
    assert combine([said("a b"), []]).disagreement == 1.0


def test_empty_hypotheses() -> None:
    assert combine([]).words == combine([[], []]).words == ()
    assert texts([[], [], said("uh")]) == ""
    assert texts([[], said("hello there"), said("hello there")]) == "hello there"


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("Hello,", "hello"),
        ("“Don’t", "don't"),
        ("'cause", "cause"),
        ("well-known", "well known"),
        ("and/or", "and or"),
        ("Ｃａｆé", "café"),
        ("...", "..."),
        ("&", "and"),
        ("21", "twenty one"),
        ("21st,", "twenty first"),
        ("1,250", "one thousand two hundred fifty"),
        ("3.5%", "three point five percent"),
        ("$40", "forty dollars"),
        ("1984.", "nineteen eighty four"),
        ("2020", "twenty twenty"),
        ("2005", "two thousand five"),
        ("3:30", "three thirty"),
        ("Q3", "q3"),
    ],
)
def test_normalise(text: str, keys: str) -> None:
    assert " ".join(normalise(text)) == keys


def test_numbers_stay_digits_when_asked() -> None:
    assert normalise("1,250", expand_numbers=False) == ("1250",)


@given(st.text(max_size=12))
@settings(deadline=None)
def test_every_token_has_a_key(text: str) -> None:
    assert normalise(text) and all(key or not text.strip() for key in normalise(text))


def test_vote_rule_refuses_what_it_does_not_know() -> None:
    with pytest.raises(UserError, match="avgconf"):
        VoteRule(method="avgcnf")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="alpha"):
        VoteRule(alpha=1.5)
