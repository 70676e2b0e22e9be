"""Studies: arms over one store, contrasts that say which way, and what too few seeds allow."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from spelangy.core.errors import UserError
from spelangy.study.arms import load_study
from spelangy.study.run import StudyResult, compare, run_study
from tiny_run import ONE_WORKER, TinyRun

ARMS = """
base = "tiny.toml"
seeds = [0, 1]
[arms.deterministic]
[arms.stochastic]
"tokens.interleave.plan" = "stochastic"
"""


def study_file(folder: Path, text: str) -> Path:
    path = folder / "interleaving.toml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def ran(tiny: TinyRun) -> tuple[StudyResult, list[str]]:
    """A study over the finished run's own store, and the steps it had to build."""
    objects = tiny.path.parent / "store" / "objects"
    before = set(objects.iterdir())
    study = load_study(study_file(tiny.path.parent, ARMS))
    result = run_study(study, tiny.store, ONE_WORKER, lambda _: None)
    built = [
        json.loads((path / "lineage.json").read_text())["lineage"]["step"] for path in set(objects.iterdir()) - before
    ]
    return result, sorted(built)


def test_arms_share_all_but_training_and_evaluation(ran: tuple[StudyResult, list[str]]) -> None:
    """Of two arms and two seeds the first run is the recipe's own, which is there already."""
    assert ran[1] == ["eval"] * 3 + ["train"] * 3


def test_every_arm_is_told_with_its_spread_and_its_interval(ran: tuple[StudyResult, list[str]]) -> None:
    result = ran[0]
    assert [arm.arm for arm in result.arms] == ["deterministic", "stochastic"]
    for arm in result.arms:
        assert (arm.num_seeds, arm.num_items) == (2, result.arms[0].num_items)
        assert 0 <= arm.low_95 <= arm.accuracy <= arm.high_95 <= 1 and 0 <= arm.seed_spread <= 1
        assert arm.heldout_text_nats is not None and 0 < arm.heldout_text_nats < 20
    (contrast,) = result.contrasts
    assert (contrast.arm, contrast.against) == ("stochastic", "deterministic")
    points = 100 * (result.arms[1].accuracy - result.arms[0].accuracy)
    assert contrast.difference_points == pytest.approx(points)
    assert json.loads(json.dumps(result.to_json()))["contrasts"][0]["arm"] == "stochastic"


def test_fewer_than_three_seeds_allow_no_claim(ran: tuple[StudyResult, list[str]]) -> None:
    assert any("2 seed(s): fewer than 3 allow no claim" in note for note in ran[0].notes)
    enough = compared({"a": [0.0] * 8, "b": [1.0] * 8}, num_seeds=3)
    assert len(enough.notes) == 1 and "true difference" in enough.notes[0]


def compared(means: dict[str, list[float]], num_seeds: int = 1) -> StudyResult:
    credits: dict[str, list[NDArray[np.float64]]] = {
        arm: [np.array(values)] * num_seeds for arm, values in means.items()
    }
    return compare(list(means), credits, {arm: [] for arm in means})


def test_a_contrast_is_the_arm_less_the_first_arm() -> None:
    result = compared({"base": [0.0, 0.0, 1.0, 0.0], "better": [1.0, 1.0, 1.0, 0.0], "worse": [0.0] * 4})
    assert [(row.arm, row.difference_points) for row in result.contrasts] == [("better", 50.0), ("worse", -25.0)]
    assert all(row.low_95 <= row.difference_points <= row.high_95 for row in result.contrasts)


def test_seeds_are_averaged_before_items_are_compared() -> None:
    """Ten seeds of the same eight items are eight items, not eighty."""
    few, many = (compared({"a": [0.0] * 8, "b": [1.0] * 6 + [0.0] * 2}, num_seeds=seeds) for seeds in (3, 10))
    assert few.contrasts == many.contrasts and many.arms[0].num_items == 8
    apart = compare(
        ["a", "b"],
        {"a": [np.zeros(4), np.ones(4)], "b": [np.ones(4), np.zeros(4)]},
        {"a": [1.0, 3.0], "b": []},
    )
    assert [arm.seed_spread for arm in apart.arms] == [1.0, 1.0]
    assert [arm.heldout_text_nats for arm in apart.arms] == [2.0, None]
    assert apart.contrasts[0].difference_points == 0 and apart.contrasts[0].p_value == 1.0


@settings(max_examples=10)
@given(st.lists(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=9, max_size=9), min_size=2, max_size=4))
def test_correction_never_helps_and_keeps_the_order(credits: list[list[float]]) -> None:
    contrasts = compared({f"arm{place}": values for place, values in enumerate(credits)}).contrasts
    assert all(row.p_value <= row.p_holm <= 1 for row in contrasts)
    by_p = sorted(contrasts, key=lambda row: row.p_value)
    assert [row.p_holm for row in by_p] == sorted(row.p_holm for row in by_p)
    assert by_p[0].p_holm == pytest.approx(min(1.0, len(contrasts) * by_p[0].p_value))


def test_every_run_has_its_own_name_seed_and_change(tiny: TinyRun) -> None:
    study = load_study(study_file(tiny.path.parent, ARMS))
    assert set(study.recipes) == {(arm, seed) for arm in ("deterministic", "stochastic") for seed in (0, 1)}
    assert len({recipe.name for recipe in study.recipes.values()}) == 4
    for (arm, seed), recipe in study.recipes.items():
        assert (recipe.tokens.interleave.plan, recipe.train.seed) == (arm, seed)
        assert recipe.seed == tiny.recipe.seed, "the split and the questions are the recipe's"


@pytest.mark.parametrize(
    "written",
    [
        'tokens.interleave.plan = "stochastic"\nevals.norm = "sum"\ncurate.asr = ["whisper-base"]\ntrain.decay = 0.0',
        '[arms.b.tokens.interleave]\nplan = "stochastic"\n[arms.b.evals]\nnorm = "sum"\n[arms.b.curate]\n'
        'asr = [{ name = "whisper-base" }]\n[arms.b.train]\ndecay = 0',
    ],
)
def test_an_arm_may_be_written_with_dots_or_with_tables(tiny: TinyRun, written: str) -> None:
    text = f'base = "tiny.toml"\nseeds = [0]\n[arms.a]\n[arms.b]\n{written}\n'
    recipe = load_study(study_file(tiny.path.parent, text)).recipes["b", 0]
    assert (recipe.tokens.interleave.plan, recipe.evals.norm, recipe.train.decay) == ("stochastic", "sum", 0.0)
    assert [choice.name for choice in recipe.curate.asr] == ["whisper-base"]


def test_a_value_may_hold_any_letter(tiny: TinyRun) -> None:
    uri = 'a "quoted" back\\slash.warc.gz'
    text = f'base = "tiny.toml"\nseeds = [0]\n[arms."à la carte"]\n[arms.b]\n"synth.pages" = [{json.dumps(uri)}]\n'
    study = load_study(study_file(tiny.path.parent, text))
    assert study.recipes["b", 0].synth.pages == (uri,)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            'base = "tiny.toml"\n[arms.a]\n[arms.b]\n"tokens.interleave.plam" = "x"',
            ["arm 'b'", "tokens.interleave.plam"],
        ),
        ('base = "tiny.toml"\n[arms.a]\n[arms.b]\n"train.steps" = "many"', ["arm 'b'", "train.steps"]),
        ('base = "gone.toml"\n[arms.a]\n[arms.b]\n', ["gone.toml"]),
        ('base = "tiny.toml"\n[arms.a]\n', ["arms"]),
        ('base = "tiny.toml"\nseeds = []\n[arms.a]\n[arms.b]', ["seeds"]),
        ('base = "tiny.toml"\nseed = 1\n[arms.a]\n[arms.b]', ["seed"]),
        ("base = ", ["interleaving.toml"]),
    ],
)
def test_a_study_that_cannot_be_run_says_why(tiny: TinyRun, text: str, told: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        load_study(study_file(tiny.path.parent, text))
    assert all(part in caught.value.message for part in told), caught.value.message


def test_a_misspelt_key_is_set_right_by_the_hint(tiny: TinyRun) -> None:
    text = 'base = "tiny.toml"\n[arms.a]\n[arms.b]\n"tokens.interleave.plam" = "stochastic"'
    with pytest.raises(UserError) as caught:
        load_study(study_file(tiny.path.parent, text))
    assert "plan" in caught.value.hint


def test_a_study_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        load_study(tmp_path / "none.toml")
