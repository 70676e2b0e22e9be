import json
from pathlib import Path

import pytest
import torch
from tiny_language import VOCABULARY, tiny_config

from spelangy.core.errors import UserError
from spelangy.train import checkpoint as module
from spelangy.train.checkpoint import (
    TrainState,
    list_checkpoints,
    load_checkpoint,
    newest_checkpoint,
    read_state,
    save_checkpoint,
)


def state(step: int) -> TrainState:
    return TrainState(
        step=step,
        next_row=step * 4,
        tokens_seen={"text": step, "speech": 2 * step},
        fingerprint="toy",
        identity=tiny_config().identity(),
        vocabulary=VOCABULARY.to_manifest(),
    )


def stepped(seed: int, width: int = 4) -> tuple[torch.nn.Module, torch.optim.AdamW]:
    """A module and an optimiser that has moments."""
    generator = torch.Generator().manual_seed(seed)
    model = torch.nn.Linear(width, 2)
    with torch.no_grad():
        model.weight.copy_(torch.randn(2, width, generator=generator))
    optimizer = torch.optim.AdamW(list(model.named_parameters()), lr=0.1, fused=True)
    model(torch.ones(width)).sum().backward()
    optimizer.step()
    return model, optimizer


def test_comes_back_as_it_went(tmp_path: Path) -> None:
    model, optimizer = stepped(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        path = save_checkpoint(tmp_path, model, optimizer, state(7), keep_last=2)
        expected = torch.rand(3)
        other, other_optimizer = stepped(1)
        assert load_checkpoint(path, other, other_optimizer) == state(7)
        assert torch.equal(torch.rand(3), expected)
    assert torch.equal(other.weight, model.weight)  # type: ignore[arg-type]  # Module attributes are untyped
    for old, new in zip(model.parameters(), other.parameters(), strict=True):
        left, right = optimizer.state[old], other_optimizer.state[new]
        assert left.keys() == right.keys() == {"step", "exp_avg", "exp_avg_sq"}
        assert all(torch.equal(left[key], right[key]) for key in left)


def test_keeps_the_last_ones(tmp_path: Path) -> None:
    for step in (1, 2, 3, 10):
        save_checkpoint(tmp_path, *stepped(0), state(step), keep_last=2)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-00000003", "step-00000010"]
    assert newest_checkpoint(tmp_path).path == tmp_path / "step-00000010"


def test_a_damaged_later_one_does_not_push_out_the_new_one(tmp_path: Path) -> None:
    damaged = save_checkpoint(tmp_path, *stepped(0), state(10), keep_last=1)
    (damaged / "state.json").unlink()
    new = save_checkpoint(tmp_path, *stepped(0), state(7), keep_last=1)
    assert newest_checkpoint(tmp_path).path == new
    assert save_checkpoint(tmp_path, *stepped(0), state(10), keep_last=1) == damaged
    assert newest_checkpoint(tmp_path) == module.FoundCheckpoint(path=damaged, state=state(10), refused=())
    assert list_checkpoints(tmp_path) == [damaged]


def test_a_crash_before_the_rename_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = save_checkpoint(tmp_path, *stepped(0), state(1), keep_last=1)

    def crash(*arguments: object) -> Path:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "rename", crash)
        save_checkpoint(tmp_path, *stepped(1), state(2), keep_last=1)
    assert [path.name for path in tmp_path.iterdir() if path != good] == [".writing-step-00000002"]
    assert newest_checkpoint(tmp_path) == module.FoundCheckpoint(path=good, state=state(1), refused=())
    after = save_checkpoint(tmp_path, *stepped(1), state(2), keep_last=1)
    assert list(tmp_path.iterdir()) == [after]


def test_a_full_disk_is_told_and_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = save_checkpoint(tmp_path, *stepped(0), state(1), keep_last=1)

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_write_files", full)
    with pytest.raises(UserError, match="No space left"):
        save_checkpoint(tmp_path, *stepped(1), state(2), keep_last=1)
    assert newest_checkpoint(tmp_path).path == good


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.safetensors", "state.json"])
@pytest.mark.parametrize("fault", ["flipped", "cut", "gone"])
def test_every_fault_is_seen(tmp_path: Path, file: str, fault: str) -> None:
    old = save_checkpoint(tmp_path, *stepped(0), state(1), keep_last=2)
    new = save_checkpoint(tmp_path, *stepped(0), state(2), keep_last=2)
    content = bytearray((new / file).read_bytes())
    content[len(content) // 2] ^= 1
    if fault == "gone":
        (new / file).unlink()
    else:
        (new / file).write_bytes(content if fault == "flipped" else content[:-1])
    found = newest_checkpoint(tmp_path)
    assert found.path == old
    assert [refused.path for refused in found.refused] == [new]
    with pytest.raises(UserError, match="damaged"):
        load_checkpoint(new, *stepped(0))


def test_a_state_rewritten_by_hand_is_seen(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, *stepped(0), state(1), keep_last=2)
    content = json.loads((path / "state.json").read_text())
    content["state"]["next_row"] = 0
    (path / "state.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"state\.json was changed"):
        read_state(path)


def test_a_missing_path_is_no_fresh_start(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no checkpoint at"):
        load_checkpoint(tmp_path / "step-00000001", *stepped(0))


def test_another_shape_is_refused(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, *stepped(0), state(1), keep_last=2)
    with pytest.raises(UserError, match="another shape"):
        load_checkpoint(path, *stepped(0, width=6))


def test_nothing_there_is_nothing_found(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path / "none") == module.FoundCheckpoint(path=None, state=None, refused=())
