"""Checkpoints: everything a run needs to go on as if it had never stopped, and proof that it is all there.

    checkpoints/
        step-00000100/
            model.safetensors        parameters, float32
            optimizer.safetensors    first and second moments and step count of each parameter, and the rng state
            state.json               the `TrainState`, the SHA-256 of both files, and its own
        .writing-step-00000200/      left by a crash: ignored, and removed by the next save

Written beside, synced, renamed: a directory without the dot is complete unless the disk damaged it, which the digests
show. Nothing is ever unpickled. The learning rate is a function of step and config, so those two are the schedule.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from spelangy.core.errors import UserError
from spelangy.core.hashing import digest, digest_bytes

MODEL_FILE = "model.safetensors"
OPTIMIZER_FILE = "optimizer.safetensors"
STATE_FILE = "state.json"
RNG_KEY = "rng"
WRITING = ".writing-"


@dataclass(frozen=True, kw_only=True)
class TrainState:
    """Where a run stands.

    Attributes:
        step: Optimiser steps done.
        next_row: Index of the first row not yet trained on.
        tokens_seen: Tokens trained on, by modality, padding left out.
        fingerprint: Identity of the rows: which data, which plan.
        identity: Identity of the run: `TrainConfig.identity`.
        vocabulary: The vocabulary's manifest.
    """

    step: int
    next_row: int
    tokens_seen: Mapping[str, int]
    fingerprint: str
    identity: Mapping[str, Any]
    vocabulary: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class RefusedCheckpoint:
    """A checkpoint that is not what was written."""

    path: Path
    reason: str


@dataclass(frozen=True, kw_only=True)
class FoundCheckpoint:
    """The newest checkpoint that is whole, if any, and the newer ones that are not."""

    path: Path | None
    state: TrainState | None
    refused: tuple[RefusedCheckpoint, ...]


def save_checkpoint(
    directory: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, state: TrainState, *, keep_last: int
) -> Path:
    """Writes ``step-<step>`` in `directory`, then removes all but the `keep_last` newest up to it.

    A later one can only be one that was refused; it is left for people to look at until its step comes again.

    Raises:
        UserError: When the disk is full or read-only; the checkpoints before stay as they were.
    """
    final = directory / f"step-{state.step:08d}"
    beside = directory / f"{WRITING}{final.name}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _remove_unfinished(directory)
        beside.mkdir()
        _write_files(beside, model, optimizer, state)
        if final.exists():
            shutil.rmtree(final)
        beside.rename(final)
        _sync(directory)
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"cannot write checkpoint {final}: {error}", hint="free space; the checkpoints before it are intact"
        ) from error
    for old in [path for path in list_checkpoints(directory) if path.name <= final.name][:-keep_last]:
        shutil.rmtree(old)
    return final


def _remove_unfinished(directory: Path) -> None:
    for leftover in directory.glob(f"{WRITING}*"):
        shutil.rmtree(leftover)


def _write_files(beside: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, state: TrainState) -> None:
    save_file(_parameters(model), beside / MODEL_FILE)
    save_file(_optimizer_tensors(optimizer) | {RNG_KEY: torch.get_rng_state()}, beside / OPTIMIZER_FILE)
    files = {name: _file_digest(beside / name) for name in (MODEL_FILE, OPTIMIZER_FILE)}
    content = {"state": asdict(state), "files": files}
    text = json.dumps(content | {"digest": digest(content)}, indent=1, sort_keys=True)
    (beside / STATE_FILE).write_text(text)
    for name in (MODEL_FILE, OPTIMIZER_FILE, STATE_FILE):
        _sync(beside / name)
    _sync(beside)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _file_digest(path: Path) -> str:
    return digest_bytes(path.read_bytes())


def _parameters(model: torch.nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach().contiguous() for name, parameter in model.named_parameters()}


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    content = optimizer.state_dict()
    names = _parameter_names(content)
    return {
        f"{names[index]}/{key}": value.contiguous()
        for index, values in content["state"].items()
        for key, value in values.items()
    }


def _parameter_names(content: Mapping[str, Any]) -> dict[int, str]:
    return {
        index: name
        for group in content["param_groups"]
        for index, name in zip(group["params"], group["param_names"], strict=True)
    }


def list_checkpoints(directory: Path) -> list[Path]:
    """Checkpoints in `directory`, oldest first, damaged ones among them."""
    return sorted(path for path in directory.glob("step-*") if path.is_dir())


def newest_checkpoint(directory: Path) -> FoundCheckpoint:
    """Looks for the newest checkpoint whose every byte is as written.

    Raises:
        UserError: When there are checkpoints and none is whole: a run is never silently begun again.
    """
    refused: list[RefusedCheckpoint] = []
    for path in reversed(list_checkpoints(directory)):
        try:
            return FoundCheckpoint(path=path, state=read_state(path), refused=tuple(refused))
        except UserError as error:
            refused.append(RefusedCheckpoint(path=path, reason=error.message))
    if refused:
        raise UserError(
            f"none of the {len(refused)} checkpoints in {directory} can be read: {refused[0].reason}",
            hint="restore one of them, or train into another directory",
        )
    return FoundCheckpoint(path=None, state=None, refused=())


def read_state(path: Path) -> TrainState:
    """The state of the checkpoint at `path`, after checking every file against its digest.

    Raises:
        UserError: When there is no checkpoint at `path`, or it is damaged.
    """
    if not path.is_dir():
        raise UserError(f"there is no checkpoint at {path}", hint="name a step-… folder that exists")
    try:
        content = json.loads((path / STATE_FILE).read_text())
        claimed = content.pop("digest")
        if claimed != digest(content):
            raise ValueError(f"{STATE_FILE} was changed after it was written")
        for name, expected in content["files"].items():
            if _file_digest(path / name) != expected:
                raise ValueError(f"{name} was changed after it was written")
        return TrainState(**content["state"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"checkpoint {path} is damaged: {error}", hint="use an older checkpoint") from error


def load_checkpoint(path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> TrainState:
    """Puts weights, optimiser state and torch's rng back to what they were, in place.

    Raises:
        UserError: When there is no checkpoint at `path`, it is damaged, or it is of another model.
    """
    state = read_state(path)
    model_tensors = load_file(path / MODEL_FILE)
    parameters = dict(model.named_parameters())
    shapes = {name: tuple(tensor.shape) for name, tensor in parameters.items()}
    if shapes != {name: tuple(tensor.shape) for name, tensor in model_tensors.items()}:
        raise UserError(f"checkpoint {path} is of a model of another shape", hint="train into another directory")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(model_tensors[name])
    optimizer_tensors = load_file(path / OPTIMIZER_FILE)
    torch.set_rng_state(optimizer_tensors.pop(RNG_KEY))
    _restore_optimizer(optimizer, optimizer_tensors)
    return state


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    content = optimizer.state_dict()
    indices = {name: index for index, name in _parameter_names(content).items()}
    states: dict[int, dict[str, Tensor]] = {}
    for full_name, tensor in tensors.items():
        name, _, key = full_name.rpartition("/")
        states.setdefault(indices[name], {})[key] = tensor
    optimizer.load_state_dict({"state": states, "param_groups": content["param_groups"]})
