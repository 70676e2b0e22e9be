"""docs/recipes.md says what the settings classes say."""

import re
import runpy
from pathlib import Path

import pytest

from spelangy.recipe.load import load_recipe
from spelangy.recipe.settings import Recipe
from spelangy.study.arms import load_study

DOCS = Path(__file__).parents[2] / "docs"
BUILDER = runpy.run_path(str(DOCS / "build_recipes.py"))
PAGE = (DOCS / "recipes.md").read_text(encoding="utf-8")


def test_the_page_is_up_to_date() -> None:
    assert BUILDER["page"]() == PAGE, "run: python docs/build_recipes.py"


def test_every_key_of_a_recipe_has_a_line_in_its_own_section() -> None:
    for heading, name in (
        ("`[curate.views.NAME.thresholds]`", "min_chunk_s"),
        ("`[[synth.voices]]`", "weight"),
        ("`[tokens.interleave]`", "plan"),
        ("`[train]`", "learning_rate"),
    ):
        assert f"| `{name}` |" in section(heading)
    assert [line.split("`")[1] for line in rows(section("Top level"))] == list(Recipe.model_fields)


def test_ranges_choices_and_defaults_are_read_off_the_models() -> None:
    line = next(line for line in rows(section("`[tokens]`")) if line.startswith("| `heldout_share`"))
    assert "| number | `0.1` | ≥ 0, < 1 |" in line
    line = next(line for line in rows(section("`[train]`")) if line.startswith("| `loss`"))
    assert "| `both`, `understanding_only` |" in line


@pytest.mark.parametrize("text", re.findall(r"```toml\n(\[curate\].*?)```", PAGE, re.DOTALL))
def test_recipe_snippets_load(text: str, tmp_path: Path) -> None:
    (tmp_path / "snippet.toml").write_text(text)
    assert load_recipe(tmp_path / "snippet.toml").curate.diarizer.options == {"threshold": 0.33}


def test_the_study_snippet_loads(tmp_path: Path) -> None:
    (snippet,) = re.findall(r"```toml\n(base.*?)```", PAGE, re.DOTALL)
    (tmp_path / "quickstart.toml").write_text("")
    (tmp_path / "plans.toml").write_text(snippet)
    study = load_study(tmp_path / "plans.toml")
    assert study.recipes["stochastic", 2].name == "study-plans-stochastic-2"
    assert study.recipes["stochastic", 2].train.seed == 2
    assert study.recipes["stochastic", 2].tokens.interleave.plan == "stochastic"


def section(heading: str) -> str:
    return PAGE.partition(f"### {heading}\n")[2].partition("\n### ")[0].partition("\n## ")[0]


def rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("| `")]
