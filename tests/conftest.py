"""What several rooms' tests share, once a session: a Ray cluster, and a finished run of the whole path."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tiny_run import TinyRun, run_tiny

# A machine shared with other work must not turn a slow example into a failure.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Real recordings and archives, from SPELANGY_DATA or ../shared/data beside the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SPELANGY_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"needs real data: no folder {folder} (set SPELANGY_DATA)")
    return folder


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="session")
def ray_address() -> Iterator[str]:
    """A one-node cluster on loopback, ended by the id of the process that was started."""
    pytest.importorskip("ray")
    port = free_port()
    command = [
        str(Path(sys.executable).parent / "ray"), "start", "--head", "--block", "--node-ip-address=127.0.0.1",
        f"--port={port}", "--num-cpus=2", "--include-dashboard=false", "--disable-usage-stats",
        "--object-store-memory=200000000",
    ]  # fmt: skip
    # Workers import what the tests define by name: the folder of the one test module that defines a worker.
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent / "engine")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env) as head:
        assert head.stdout is not None
        told = []
        for line in head.stdout:
            told.append(line)
            if "Ray runtime started" in line:
                break
        else:
            pytest.fail("ray start --head: " + "".join(told))
        yield f"127.0.0.1:{port}"
        head.send_signal(signal.SIGTERM)
        head.communicate(timeout=60)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """The whole path with real models, on four pages and ten seconds of speech."""
    return run_tiny(tmp_path_factory.mktemp("tiny"))
