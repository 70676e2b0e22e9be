"""The word transition network, against the same computed by a full table."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spelangy.core.errors import Dropped
from spelangy.curate.rover_alignment import cuts_at_silence, network


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
    code = "from spelangy.curate import rover_alignment as r; print(len(r.align_all.signatures + r._trace.signatures))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"
