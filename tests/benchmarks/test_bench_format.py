"""What benchmarks print: one shape for every figure, goals that mean what they say, names that are found."""

import importlib
import json
import math
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
KEYS = ["name", "value", "unit", "goal", "peer", "peer_value", "ok"]
MODULES = ("run", "figure", "measure", "material", "stages", "tiny")


@pytest.fixture(autouse=True, scope="module")
def benchmark_modules() -> Iterator[None]:
    """The benchmarks' folder on the path, as for the script itself; all as before afterwards."""
    before = set(sys.modules)
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))
    for name in set(sys.modules) - before:
        if name in MODULES or name.startswith("stage_"):
            del sys.modules[name]


def module(name: str) -> ModuleType:
    return importlib.import_module(name)


numbers = st.floats(min_value=-1e9, max_value=1e9)


@given(value=numbers, limit=numbers, peer=st.none() | numbers, lower=st.booleans())
def test_a_figure_is_one_line_of_json_and_ok_is_what_the_goal_says(
    value: float, limit: float, peer: float | None, lower: bool
) -> None:
    figure = module("figure")
    goals = (figure.at_most if lower else figure.at_least)([limit] if peer is None else [limit, None])
    made = figure.Figure(
        name="a", value=value, unit="s", goals=goals, peer="" if peer is None else "them", peer_value=peer
    )
    told = json.loads(json.dumps(made.as_json()))
    assert list(told) == KEYS
    limits = [limit] if peer is None else [limit, peer]
    assert told["ok"] is (value <= min(limits) if lower else value >= max(limits))
    assert told["goal"].count("<=" if lower else ">=") == len(limits)
    assert (told["peer"] is None) == (told["peer_value"] is None) == (peer is None)
    assert "\n" not in made.as_row()


def test_a_figure_without_goal_is_neither_met_nor_missed() -> None:
    figure = module("figure")
    told = figure.Figure(name="a", value=1.0, unit="s").as_json()
    assert [told[key] for key in ("goal", "peer", "peer_value", "ok")] == [None] * 4


def test_a_peer_without_a_value_is_our_mistake() -> None:
    with pytest.raises(AssertionError, match="peer"):
        module("figure").Figure(name="a", value=1.0, unit="s", peer="them")


def test_every_registered_benchmark_can_be_called_and_what_only_serves_them_is_not_registered() -> None:
    run = module("run")
    assert {"stages", "stage_engine", "stage_hearing"} <= set(run.registry())
    assert not {"run", "figure", "measure", "material"} & set(run.registry())


def test_an_unknown_name_is_refused_with_the_nearest_one() -> None:
    asked = subprocess.run(
        [sys.executable, str(BENCHMARKS / "run.py"), "stags", "--json"], capture_output=True, text=True, timeout=60
    )
    assert (asked.returncode, asked.stdout) == (2, "")
    assert "did you mean 'stages'?" in asked.stderr


TINY = """
from figure import Figure, at_most

def figures(quick):
    print("a library talks")
    yield Figure(name="quick" if quick else "full", value=2.0, unit="s", goals=at_most([1.0]))
    yield Figure(name="second", value=12345.6, unit="tokens/s")
"""


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tiny.py").write_text(TINY)
    monkeypatch.syspath_prepend(tmp_path)
    run = module("run")
    monkeypatch.setattr(run, "find", lambda name: name)


def test_json_goes_to_stdout_alone_and_missed_goals_are_no_error(
    tiny: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert module("run").main(["tiny", "--json", "--quick"]) == 0
    out, err = capsys.readouterr()
    told = [json.loads(line) for line in out.splitlines()]
    assert [(row["name"], row["ok"]) for row in told] == [("quick", False), ("second", None)]
    assert "a library talks" in err


def test_the_table_names_units_goals_and_misses(tiny: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert module("run").main(["tiny"]) == 0
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["figure", "value", "unit", "goal", "peer"]
    assert first.split() == ["full", "2", "s", "<=", "1", "MISSED"]
    assert second.split() == ["second", "12,346", "tokens/s"]


def test_load_is_the_making_and_the_slowness_of_the_first_call(monkeypatch: pytest.MonkeyPatch) -> None:
    measure = module("measure")
    clock = iter([0.0, 3.0, 10.0, 12.0, 20.0, 20.5])
    monkeypatch.setattr(measure.time, "perf_counter", lambda: next(clock))
    worker, load_s = measure.loaded(lambda: "worker", lambda worker: None)
    assert (worker, load_s) == ("worker", 3.0 + 1.5)


def test_repetitions_stay_within_their_budget() -> None:
    measure = module("measure")
    calls = count(1)
    took_s, result = measure.repeated(lambda: next(calls), budget_s=60.0, max_repeats=4)
    assert result == 4
    assert 0 <= took_s < 1
    assert measure.repeated(lambda: next(calls), budget_s=0.0)[1] == 5


def test_memory_is_seen_in_this_process_and_in_what_it_starts() -> None:
    measure = module("measure")
    if not Path("/proc/self/statm").exists():
        pytest.skip("this system has no /proc")
    command = "import time; held = b'x' * (200 << 20); print(len(held), flush=True); time.sleep(20)"
    with subprocess.Popen([sys.executable, "-c", command], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        seen_mb = measure._tree_mb(child.pid)
        child.kill()
    assert 200 < seen_mb < 400
    assert measure.peak_memory_mb() > 20


@pytest.mark.slow
def test_the_stages_measure_what_they_name() -> None:
    """All of them, on real speech with real models; about a minute on an idle machine."""
    measured = list(module("run").figures_of("stages", quick=True))
    names = [figure.name for figure in measured]
    assert len(set(names)) == len(names)
    for stage in ("vad silero", "diarizer ge2e", "asr whisper-base", "rover of three systems", "tts kokoro"):
        assert stage in names
    assert all(math.isfinite(figure.value) and figure.value >= 0 for figure in measured)
