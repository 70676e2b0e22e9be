import pytest
from hypothesis import given
from hypothesis import strategies as st

from spelangy.core.records import turn_id
from spelangy.core.splits import group_of, is_heldout

GROUPS = st.text(st.characters(exclude_characters="-", exclude_categories=["Cs"]), min_size=1)


@given(GROUPS, st.lists(st.text(), max_size=3), st.floats(0, 1), st.integers(0, 9))
def test_all_views_of_one_page_fall_on_one_side(group: str, views: list[str], share: float, seed: int) -> None:
    sides = {is_heldout("-".join([group, view]), share, seed) for view in views} | {is_heldout(group, share, seed)}
    assert len(sides) == 1


def test_group_of() -> None:
    assert group_of("0123abcd") == group_of(turn_id("0123abcd", 7)) == group_of("0123abcd-fine-00001") == "0123abcd"


@given(st.text(), st.integers())
def test_nothing_is_held_out_of_a_zero_share_and_everything_of_one(document: str, seed: int) -> None:
    assert not is_heldout(document, 0.0, seed) and is_heldout(document, 1.0, seed)


@given(st.text(), st.floats(0, 1), st.floats(0, 1))
def test_a_greater_share_holds_out_all_that_a_smaller_one_did(document: str, left: float, right: float) -> None:
    smaller, greater = sorted((left, right))
    assert is_heldout(document, greater, 0) or not is_heldout(document, smaller, 0)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
def test_the_share_is_met(share: float) -> None:
    num_groups = 5_000
    held_out = sum(is_heldout(f"{index:032x}", share, 0) for index in range(num_groups))
    standard_error = (share * (1 - share) * num_groups) ** 0.5
    assert abs(held_out - share * num_groups) < 4 * standard_error


def test_another_seed_holds_out_others() -> None:
    chosen = [{index for index in range(200) if is_heldout(str(index), 0.5, seed)} for seed in (0, 1)]
    assert chosen[0] != chosen[1]
