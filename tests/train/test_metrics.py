from pathlib import Path

import pytest

from spelangy.core.errors import UserError
from spelangy.train.metrics import MetricsLog, read_metrics


def steps(path: Path) -> list[tuple[str, int]]:
    return [(row["event"], row["step"]) for row in read_metrics(path)]


def test_rewind_takes_out_what_will_be_run_again(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "run" / "metrics.jsonl")
    for event, step in [("start", 0), ("step", 1), ("step", 2), ("checkpoint", 2), ("checkpoint_refused", 9)]:
        log.append(event, step)
    log.rewind(1)
    assert steps(log.path) == [("start", 0), ("step", 1), ("checkpoint_refused", 9)]


def test_a_line_cut_off_by_a_crash_is_left_out(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.append("step", 1, loss=0.1)
    with log.path.open("a") as file:
        file.write('{"event":"step","st')
    assert steps(log.path) == [("step", 1)]
    log.rewind(1)
    log.append("step", 2)
    assert steps(log.path) == [("step", 1), ("step", 2)]


def test_nan_has_no_row(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    with pytest.raises(TypeError, match="no canonical form"):
        log.append("step", 1, loss=float("nan"))
    assert read_metrics(log.path) == []


def test_a_place_that_cannot_be_made_is_a_bad_request(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot train into"):
        MetricsLog(tmp_path / "file" / "run" / "metrics.jsonl")
