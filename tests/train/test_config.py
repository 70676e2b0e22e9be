import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tiny_language import tiny_config

from spelangy.core.errors import UserError
from spelangy.train.config import TrainConfig, learning_rate


@given(st.integers(2, 300), st.floats(0, 0.5), st.floats(0, 0.5))
def test_the_schedule_warms_up_stays_and_decays(steps: int, warmup_share: float, decay: float) -> None:
    config = tiny_config(steps=steps, warmup_steps=int(warmup_share * (steps - 1)), decay=decay * (steps - 1) / steps)
    rates = [learning_rate(config, step) for step in range(steps)]
    assert all(0 < rate <= config.learning_rate for rate in rates)
    stable = slice(max(0, config.warmup_steps - 1), steps - config.decay_steps + 1)
    assert set(rates[stable]) == {config.learning_rate}
    assert rates[: config.warmup_steps] == sorted(rates[: config.warmup_steps])
    assert rates[steps - config.decay_steps :] == sorted(rates[steps - config.decay_steps :], reverse=True)


def test_the_decay_ends_near_zero() -> None:
    config = tiny_config(steps=1000, warmup_steps=0, decay=0.2)
    assert learning_rate(config, 800) == config.learning_rate
    assert learning_rate(config, 999) < 0.01 * config.learning_rate


@pytest.mark.parametrize(
    "changes",
    [
        {"widht": 64},
        {"heads": 5},
        {"width": 36, "heads": 4},
        {"accumulation": 3},
        {"warmup_steps": 9, "decay": 0.5},
        {"loss": "speech"},
        {"precision": "fp16"},
        {"steps": 0},
    ],
)
def test_what_cannot_be_trained_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        tiny_config(**changes)


def test_another_start_is_refused_with_what_is_allowed() -> None:
    with pytest.raises(UserError, match=r"'smollm2-135m' is not a start.*allowed: scratch"):
        tiny_config(init="smollm2-135m")


def test_identity_leaves_circumstances_out() -> None:
    config = tiny_config()
    assert tiny_config(threads=2, eval_every=1, checkpoint_every=1, keep_last=1).identity() == config.identity()
    for name, value in {"seed": 1, "precision": "bf16", "steps": 20, "accumulation": 2}.items():
        assert tiny_config(**{name: value}).identity() != config.identity()
    assert TrainConfig.model_validate(config.model_dump()) == config
