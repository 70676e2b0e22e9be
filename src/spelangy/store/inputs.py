"""Finds the input files that a recipe names and identifies each by its content.

A file is read once to hash it, files side by side on all cores; what was hashed is remembered by `StatCache`.
"""

import glob
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from spelangy.core.errors import UserError
from spelangy.core.hashing import ID_HEX_DIGITS, record_id
from spelangy.store.stat_cache import StatCache

PACKAGE = "package:"
_HASHES = "sha256-id-1"
_LARGE_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class FoundInput:
    """One distinct content: its id, where it was found first, and the other places that hold the same bytes."""

    id: str
    uri: str
    path: str
    copies: tuple[str, ...] = ()


def find_inputs(uris: Iterable[str], suffixes: Sequence[str]) -> list[FoundInput]:
    """All inputs in the order found, one entry per distinct content.

    An input that is not there gets an entry too, so that it is counted instead of vanishing; so do a folder and a glob
    in which nothing is found.

    Args:
        uris: Files, folders (searched for `suffixes`), globs of either, or ``package:NAME/FILE`` inside an installed
            package.
        suffixes: What a folder is searched for. A file named outright is taken whatever its name.

    Raises:
        UserError: When a ``package:`` is not installed.
    """
    found: dict[str, FoundInput] = {}
    places = find_paths(uris, suffixes)
    for (place, path), known in zip(places, content_ids([path for _, path in places]), strict=True):
        uri = printable(place)
        content = known or missing_id(uri)
        entry = FoundInput(id=content, uri=uri, path=printable(str(path.absolute())))
        found[content] = with_copy(found[content], uri) if content in found else entry
    return list(found.values())


def find_paths(uris: Iterable[str], suffixes: Sequence[str]) -> list[tuple[str, Path]]:
    """(uri, path) of each place that `uris` name, once, in order; see `find_inputs`, which reads them too.

    Raises:
        UserError: When a ``package:`` is not installed.
    """
    return list(dict(_paths(uris, tuple(suffixes))).items())


def missing_id(uri: str) -> str:
    """The id of what has no bytes to be named by."""
    return record_id("missing", uri)


def with_copy(entry: FoundInput, uri: str) -> FoundInput:
    """`entry` with one more place of the same content; a place it already names is not another copy."""
    return entry if uri in (entry.uri, *entry.copies) else replace(entry, copies=(*entry.copies, uri))


def _paths(uris: Iterable[str], suffixes: tuple[str, ...]) -> Iterator[tuple[str, Path]]:
    for uri in uris:
        if uri.startswith(PACKAGE):
            yield uri, package_file(uri)
        else:
            found = [pair for place in _matches(uri) for pair in _files(place, suffixes)]
            yield from found or [(uri, Path(uri))]


def _matches(uri: str) -> list[str]:
    if not glob.has_magic(uri) or Path(uri).exists():
        return [uri]
    return sorted(glob.glob(uri, recursive=True))  # noqa: PTH207


def _files(place: str, suffixes: tuple[str, ...]) -> list[tuple[str, Path]]:
    path = Path(place)
    return [(str(file), file) for file in _in_folder(path, suffixes)] if path.is_dir() else [(place, path)]


def printable(name: str) -> str:
    """`name` as tables can hold it: bytes that are no UTF-8 are spelled out, and the file is then not found by name."""
    return name.encode("utf-8", "backslashreplace").decode()


def _in_folder(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.name.lower().endswith(suffixes) and path.is_file())


def package_file(uri: str) -> Path:
    """The file that ``package:NAME/FILE`` names, without importing the package.

    Raises:
        UserError: When the package is not installed, or the name leads out of it.
    """
    package, _, name = uri.removeprefix(PACKAGE).partition("/")
    spec = find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"{uri}: package {package!r} is not installed", hint=f"pip install {package.replace('_', '-')}")
    root = Path(spec.submodule_search_locations[0]).resolve()
    path = (root / name).resolve()
    if not path.is_relative_to(root):
        raise UserError(f"{uri} leads out of the package", hint="name a file inside it")
    return path


def content_ids(paths: Sequence[Path]) -> list[str | None]:
    """The id of each file's bytes, None for what is no file or cannot be read.

    Files whose size and time stamps are those of an earlier call are not read again.
    """
    cache = StatCache(_HASHES)
    states = {path: state for path in dict.fromkeys(paths) if (state := _file_state(path))}
    known = cache.known(states)
    unread = [path for path in states if path not in known]
    # Hashing leaves the interpreter free only in large files; handing over small ones costs more than reading them.
    large = [path for path in unread if states[path].st_size >= _LARGE_BYTES]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        read = dict(zip(large, threads.map(_content_id, large), strict=True))
    read.update((path, _content_id(path)) for path in unread if path not in read)
    cache.remember((path, states[path], content) for path, content in read.items() if content)
    return [known.get(path) or read.get(path) for path in paths]


def _file_state(path: Path) -> os.stat_result | None:
    try:
        state = path.stat()
    except (OSError, ValueError):
        return None
    return state if stat.S_ISREG(state.st_mode) else None  # a pipe or device would never end


def _content_id(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:ID_HEX_DIGITS]
    except OSError:
        return None
