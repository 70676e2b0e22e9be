import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spelangy.core.hashing import canonical_json, digest, digest_bytes, record_id

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Voice:
    name: str
    weights: tuple[float, ...]


@dataclass(frozen=True)
class Cast:
    voices: tuple[Voice, ...]
    seed: int


@given(st.dictionaries(st.text(), VALUES, max_size=6), st.randoms())
def test_the_order_of_keys_does_not_count(value: dict[str, Any], random: Any) -> None:
    keys = list(value)
    random.shuffle(keys)
    assert digest({key: value[key] for key in keys}) == digest(value)


@given(VALUES)
def test_the_canonical_form_says_the_value_and_is_a_fixed_point(value: Any) -> None:
    text = canonical_json(value)
    assert json.loads(text) == value
    assert canonical_json(json.loads(text)) == text


@given(VALUES, VALUES)
def test_different_values_have_different_forms(left: Any, right: Any) -> None:
    if left != right:
        assert canonical_json(left) != canonical_json(right)


def test_floats_have_one_shortest_form() -> None:
    assert canonical_json([1e3, 1000.0, np.float64(0.5), 1e22]) == "[1000.0,1000.0,0.5,1e+22]"
    assert canonical_json(0.1 + 0.2) == "0.30000000000000004"
    assert digest(1.0) != digest(1), "an int and a float are two settings"


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), [-float("inf")], {"a": {1, 2}}, b"bytes", np.int64(1), np.float32(1), Voice, "\ud800"],
    ids=repr,
)
def test_what_json_cannot_say_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        digest(value)


def test_a_value_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(TypeError, match="no canonical form"):
        canonical_json(endless)


@given(st.lists(SCALARS))
def test_a_tuple_is_a_list(values: list[Any]) -> None:
    assert canonical_json(tuple(values)) == canonical_json(values)


def test_a_dataclass_is_the_dict_of_its_fields_however_deep() -> None:
    cast = Cast(voices=(Voice(name="ä", weights=(0.5, 1.0)),), seed=3)
    plain = {"seed": 3, "voices": [{"weights": [0.5, 1.0], "name": "ä"}]}
    assert canonical_json(cast) == canonical_json(plain) == '{"seed":3,"voices":[{"name":"ä","weights":[0.5,1.0]}]}'
    assert canonical_json({"cast": cast}) == canonical_json({"cast": plain})


def test_digests_are_sha256_of_the_utf8_form() -> None:
    assert digest({"ä": 1}) == hashlib.sha256('{"ä":1}'.encode()).hexdigest()
    assert digest_bytes(memoryview(b"abc")) == hashlib.sha256(b"abc").hexdigest()


def test_record_ids_tell_their_parts_apart() -> None:
    assert record_id("a", 1) == hashlib.sha256(b'["a",1]').hexdigest()[:32]
    assert len({record_id("a", "b"), record_id("ab"), record_id("a", "b", ""), record_id(["a", "b"])}) == 4
