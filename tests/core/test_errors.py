import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spelangy.core.errors import Dropped, Quarantined, UserError, did_you_mean


class NoSuchVoice(UserError):
    pass


@pytest.mark.parametrize("kind", [UserError, NoSuchVoice])
def test_a_refusal_comes_whole_through_a_worker_process(kind: type[UserError]) -> None:
    error = pickle.loads(pickle.dumps(kind("what\nwhere", hint="try this")))
    assert type(error) is kind
    assert (error.message, error.hint, str(error)) == ("what\nwhere", "try this", "what\nwhere\nhint: try this")


def test_without_a_hint_there_is_no_hint_line() -> None:
    assert str(UserError("what")) == "what"


@pytest.mark.parametrize("kind", [Dropped, Quarantined])
def test_a_drop_keeps_its_numbers_through_a_worker_process(kind: type[Dropped]) -> None:
    dropped = pickle.loads(pickle.dumps(kind("too short", value=0.2, threshold=0.5, detail="x.wav")))
    assert type(dropped) is kind and isinstance(dropped, Dropped)
    assert (dropped.reason, dropped.value, dropped.threshold, dropped.detail) == ("too short", 0.2, 0.5, "x.wav")


def test_bad_data_is_no_bad_request() -> None:
    assert not issubclass(Dropped, UserError) and not issubclass(UserError, Dropped)


def test_the_nearest_name_or_all_of_them() -> None:
    allowed = ("fine", "coarse", "words")
    assert did_you_mean("coarce", allowed) == "did you mean 'coarse'?"
    assert did_you_mean("zzz", allowed) == "one of: coarse, fine, words"


@given(st.text(), st.lists(st.text(min_size=1), min_size=1))
def test_a_hint_only_ever_names_what_is_allowed(given_name: str, allowed: list[str]) -> None:
    hint = did_you_mean(given_name, allowed)
    assert hint in {f"did you mean {name!r}?" for name in allowed} | {f"one of: {', '.join(sorted(allowed))}"}
