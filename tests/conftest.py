"""What several rooms' tests share, once a session: a Ray cluster, and a finished run of the whole path."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tiny_run import TinyRun, run_tiny

# A machine shared with other work must not turn a slow example into a failure, nor a lucky example a green commit red:
# under CI the examples are the same each time, elsewhere they explore (further with --hypothesis-profile=deep).
settings.register_profile("no-deadline", deadline=None)
settings.register_profile("same-examples", deadline=None, derandomize=True)
settings.register_profile("deep", deadline=None, max_examples=2000)
settings.load_profile("same-examples" if os.environ.get("CI") else "no-deadline")


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Real recordings and archives, from SPELANGY_DATA or ../shared/data beside the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SPELANGY_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"needs real data: no folder {folder} (set SPELANGY_DATA)")
    return folder


TWO_NODES = """
import sys
from ray.cluster_utils import Cluster

node = {"num_cpus": 1, "object_store_memory": 100_000_000, "include_dashboard": False}
cluster = Cluster(initialize_head=True, head_node_args=node)
try:
    cluster.add_node(num_cpus=1, object_store_memory=100_000_000)
    print(f"address {cluster.address}", flush=True)
    sys.stdin.read()
finally:
    cluster.shutdown()
"""


@pytest.fixture(scope="session")
def ray_address() -> Iterator[str]:
    """A cluster of two nodes on this machine; it ends when the pipe to the process that holds it is closed."""
    pytest.importorskip("ray")
    # Workers import what the tests define by name: the folder of the test modules that define workers.
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent / "engine"), "RAY_USAGE_STATS_ENABLED": "0"}
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", TWO_NODES],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env,
        start_new_session=True,
    ) as holder:  # fmt: skip
        assert holder.stdout is not None and holder.stdin is not None
        told = []
        for line in holder.stdout:
            told.append(line)
            if line.startswith("address "):
                break
        else:
            pytest.fail("two nodes of Ray: " + "".join(told))
        try:
            yield told[-1].split()[1]
        finally:
            holder.stdin.close()
            _end_session(holder)


def _end_session(holder: "subprocess.Popen[str]") -> None:
    """Waits for the holder to shut the cluster down; what is left after a minute is killed with its session."""
    try:
        holder.wait(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(holder.pid, signal.SIGKILL)
    assert holder.stdout is not None
    holder.stdout.close()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """The whole path with real models, on four pages and ten seconds of speech."""
    return run_tiny(tmp_path_factory.mktemp("tiny"))
