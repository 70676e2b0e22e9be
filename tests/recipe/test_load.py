"""Reading a recipe: what it says is taken exactly; what it cannot say is refused with file, key and nearest name."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from spelangy.core.errors import UserError
from spelangy.recipe.load import default_curation, load_recipe, recipe_from
from spelangy.recipe.settings import Recipe

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text('seed = 7\n[curate]\nvad = "silero"\nmin_recording_s = 1.5\n[[curate.sources]]\nuris = ["a.wav"]\n')
    return path


def refusal(path: Path, *overrides: str) -> UserError:
    with pytest.raises(UserError) as caught:
        load_recipe(path, overrides)
    return caught.value


def test_the_published_recipes_load() -> None:
    loaded = [load_recipe(path) for path in RECIPES if not path.name.startswith("study-")]
    assert "quickstart" in {recipe.name for recipe in loaded}


def test_a_recipe_says_what_it_says_and_defaults_say_the_rest(recipe: Path) -> None:
    loaded = load_recipe(recipe)
    assert (loaded.name, loaded.seed, loaded.allow_network) == ("mine", 7, False)
    assert (loaded.curate.vad.name, loaded.curate.min_recording_s) == ("silero", 1.5)
    assert loaded.curate.sources[0].uris == ("a.wav",)
    assert set(loaded.curate.views) == {"fine", "coarse"}
    assert loaded.train == Recipe(name="x").train


def test_values_cannot_change_after_reading(recipe: Path) -> None:
    with pytest.raises(ValidationError):
        load_recipe(recipe).curate.min_recording_s = 3.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("override", "attribute", "value"),
    [
        ("curate.min_recording_s=2.5", "curate.min_recording_s", 2.5),
        ("curate.diarizer=other", "curate.diarizer.name", "other"),
        ('curate.diarizer="other"', "curate.diarizer.name", "other"),
        ("curate.vad={name='silero',options={threshold=0.4}}", "curate.vad.options", {"threshold": 0.4}),
        ("curate.vad.name=other", None, None),
        (" train.steps = 4000", "train.steps", 4000),
        ("name=another", "name", "another"),
        ("allow_network=true", "allow_network", True),
        ("curate.views.extra={granularity='coarse'}", None, None),
    ],
)
def test_overrides_are_toml_values_with_optional_quotes(
    recipe: Path, override: str, attribute: str | None, value: Any
) -> None:
    if attribute is None:
        assert refusal(recipe, override).message
        return
    found: Any = load_recipe(recipe, [override])
    for part in attribute.split("."):
        found = getattr(found, part)
    assert found == value


@given(st.floats(0, 1e9), st.integers(0, 2**63 - 1))
def test_numbers_survive_an_override_exactly(duration_s: float, seed: int) -> None:
    loaded = default_curation([f"curate.min_recording_s={duration_s!r}", f"seed={seed}"])
    assert (loaded.curate.min_recording_s, loaded.seed) == (duration_s, seed)


def test_the_last_override_of_a_key_counts(recipe: Path) -> None:
    assert load_recipe(recipe, ["seed=1", "seed=2"]).seed == 2


def test_a_curation_without_a_file_has_every_default_and_each_can_be_set() -> None:
    assert default_curation() == recipe_from({"name": "curate"}, where="here")
    changed = default_curation(["curate.views.fine.thresholds.max_chunk_s=9", "curate.max_quarantined_ratio=0.1"])
    assert changed.curate.views["fine"].thresholds.max_chunk_s == 9
    assert changed.curate.views["coarse"] == default_curation().curate.views["coarse"]
    assert changed.curate.max_quarantined_ratio == 0.1
    with pytest.raises(UserError, match=r"default curation: unknown key 'curate\.vaad'"):
        default_curation(["curate.vaad=silero"])


def tables(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], type[BaseModel]]]:
    """Every table of a recipe that is there without being named, with its dotted place."""
    yield path, model
    for name, field in model.model_fields.items():
        kind = next((option for option in (field.annotation, *get_args(field.annotation)) if _is_table(option)), None)
        if kind is not None and get_args(field.annotation)[1:] != (...,):
            yield from tables(kind, (*path, name))


def _is_table(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel) and kind.__name__ != "BackendChoice"


KEYS = [".".join((*path, name)) for path, model in tables(Recipe) if "views" not in path for name in model.model_fields]


def test_the_walk_over_all_keys_finds_them() -> None:
    assert {"seed", "curate.rover.alpha", "synth.quest.max_per_page", "train.steps"} <= set(KEYS)
    assert len(KEYS) > 50


@pytest.mark.parametrize("key", KEYS)
def test_every_misspelt_key_is_refused_with_file_key_and_the_right_name(recipe: Path, key: str) -> None:
    refused = refusal(recipe, f"{key}x=1")
    assert refused.message == f"{recipe}: unknown key '{key}x'"
    assert refused.hint == f"did you mean {key.rpartition('.')[2]!r}?"


@pytest.mark.parametrize(
    ("override", "message", "hint"),
    [
        ("curate.views.fine.thresholds.max_chunk_s=9", "curate.views.fine.granularity = ", ""),
        ("curate.sources=[{uris=['a'], license='x'}]", "unknown key 'curate.sources.0.license'", "'licence'"),
        ("synth.voices=[{tts='hibari', voise='heart'}]", "unknown key 'synth.voices.0.voise'", "'voice'"),
        ("something_else=1", "unknown key 'something_else'", "one of: "),
        ("curate.rover.alpha=7", "curate.rover.alpha = 7: ", ""),
        ("curate.min_recording_s=long", "curate.min_recording_s = 'long': ", ""),
        ("curate.min_recording_s=-1", "curate.min_recording_s = -1: ", ""),
        ("curate.max_recording_s=nan", "curate.max_recording_s = nan: ", ""),
        ("curate.asr_block_s=0", "curate.asr_block_s = 0: ", ""),
        ("curate.asr=[]", "name one system or more, each once", ""),
        ("curate.asr=['whisper-base','whisper-base']", "name one system or more, each once", ""),
        ("curate.views={mine={granularity='fine'}}", "'fine', which training reads", ""),
        ("curate.views={fine={granularity='fine'}, 'a/b'={granularity='fine'}}", "lower-case letters", ""),
        ("name=a/b", "name = 'a/b': ", ""),
        ("curate=3", "curate = 3: ", ""),
        ("seed.x=3", "seed is not a table", "it is 7"),
        ("seed", "--set seed", "--set key=value"),
        ("=3", "--set =3", "--set key=value"),
    ],
)
def test_what_a_recipe_cannot_say(recipe: Path, override: str, message: str, hint: str) -> None:
    refused = refusal(recipe, override)
    assert message in refused.message
    assert hint in refused.hint
    assert refused.hint


@pytest.mark.parametrize("content", [b"seed = ", b"[curate\n", b"\xff\xfe", b"seed = 1\nseed = 2\n"])
def test_what_is_no_toml(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    refused = refusal(path)
    assert refused.message.startswith(f"recipe {path} is not TOML: ")


def test_a_recipe_that_is_not_there_or_is_a_folder(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.toml").message == f"recipe {tmp_path / 'none.toml'}: No such file or directory"
    assert refusal(tmp_path).message.startswith(f"recipe {tmp_path}: ")


def test_a_file_name_that_is_no_recipe_name_is_refused_with_the_key(tmp_path: Path) -> None:
    path = tmp_path / "my recipe.toml"
    path.write_text("seed = 1\n")
    assert "name = 'my recipe'" in refusal(path).message
    assert load_recipe(path, ["name=mine"]).name == "mine"
