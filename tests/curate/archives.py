"""Tar archives good and bad, written by the tests themselves."""

import gzip
import io
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

Member = tuple[tarfile.TarInfo, bytes]


def member(name: str, data: bytes = b"sound", **fields: object) -> Member:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> Member:
    return member(name, b"", type=kind, linkname=target)


def device(name: str) -> Member:
    return member(name, b"", type=tarfile.CHRTYPE, devmajor=1, devminor=5)


def sparse(name: str) -> Member:
    """Says that its one byte stands for a terabyte."""
    return member(name, b"x", pax_headers={"GNU.sparse.map": "0,1", "GNU.sparse.size": str(10**12)})


def tar_bytes(members: Iterable[Member]) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return sink.getvalue()


def write(path: Path, members: Iterable[Member], change: Callable[[bytes], bytes] = bytes) -> Path:
    data = change(tar_bytes(members))
    path.write_bytes(gzip.compress(data) if path.name.endswith("gz") else data)
    return path
