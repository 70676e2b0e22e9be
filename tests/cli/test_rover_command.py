"""``spelangy rover`` from the shell."""

import json
import sys
from pathlib import Path

import pytest

from spelangy.cli.main import main

FIRST = "f 1 0.10 0.20 the 0.9\nf 1 0.30 0.20 cat 0.4\n"
SECOND = "f 1 0.10 0.20 the 0.7\nf 1 0.30 0.20 hat 0.9\n"
FREQUENT = "f 1 0.100 0.200 the 0.800000\nf 1 0.300 0.200 cat 0.400000\n"
CONFIDENT = "f 1 0.100 0.200 the 0.800000\nf 1 0.300 0.200 hat 0.900000\n"


@pytest.fixture
def ctms(tmp_path: Path) -> list[str]:
    (tmp_path / "a.ctm").write_text(FIRST)
    (tmp_path / "b.ctm").write_text(SECOND)
    return [str(tmp_path / "a.ctm"), str(tmp_path / "b.ctm")]


def rover(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["spelangy", "rover", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0
    told = capsys.readouterr()
    return code, told.out, told.err


def test_the_voted_ctm_goes_to_stdout_and_what_is_told_to_stderr(
    capsys: pytest.CaptureFixture[str], ctms: list[str]
) -> None:
    assert rover(capsys, *ctms) == (0, FREQUENT, "words: 2, channels: 1, systems: 2\n")
    assert rover(capsys, *ctms, "-o", "-")[1] == FREQUENT


def test_method_alpha_and_null_confidence_decide(
    capsys: pytest.CaptureFixture[str], ctms: list[str], tmp_path: Path
) -> None:
    for method in ("avgconf", "maxconf"):
        assert rover(capsys, *ctms, "--method", method, "--alpha", 0.2)[1] == CONFIDENT
    assert rover(capsys, *ctms, "--method", "frequency", "--alpha", 0.2)[1] == FREQUENT
    (tmp_path / "b.ctm").write_text("f 1 0.10 0.20 the 0.7\n")
    sure = ("--method", "maxconf", "--alpha", 0.0, "--null-confidence")
    assert rover(capsys, *ctms, *sure, 0.5)[1] == FREQUENT.splitlines(keepends=True)[0]
    assert rover(capsys, *ctms, *sure, 0.3)[1] == FREQUENT


def test_a_file_is_written_whole_with_a_summary_as_json(
    capsys: pytest.CaptureFixture[str], ctms: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "out.ctm"
    code, told, _ = rover(capsys, *ctms, "-o", out, "--json")
    assert (code, out.read_text()) == (0, FREQUENT)
    summary = json.loads(told)
    assert (summary["num_words"], summary["num_channels"], summary["systems"]) == (2, 1, ctms)
    assert rover(capsys, *ctms, "-o", out)[1:] == ("words: 2, channels: 1, systems: 2\n", "")


def test_case_is_kept_when_asked(capsys: pytest.CaptureFixture[str], ctms: list[str], tmp_path: Path) -> None:
    (tmp_path / "a.ctm").write_text(FIRST.replace("cat", "Cat").replace("f 1", "F 1"))
    (tmp_path / "b.ctm").write_text(SECOND.replace("f 1", "F 1"))
    assert "F 1 0.300 0.200 Cat" in rover(capsys, *ctms, "--case-sensitive")[1]
    assert "f 1 0.300 0.200 cat" in rover(capsys, *ctms)[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "avgcnf"], "did you mean 'avgconf'?"),
        (["--alpha", "1.5"], "alpha is 1.5, allowed is 0 to 1"),
        (["--null-confidence", "nan"], "null_confidence is nan"),
        (["--json"], "-o OUT.ctm"),
        (["-o", "a.ctm"], "is one of the inputs"),
        (["-o", "."], "is a folder"),
        (["-o", "nowhere/out.ctm"], "cannot write nowhere/out.ctm"),
    ],
)
def test_what_cannot_be_met_is_refused_with_a_hint(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    ctms: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, told, refused = rover(capsys, *ctms, *arguments)
    assert (code, told) == (2, "")
    assert message in refused
    assert "Traceback" not in refused
    assert (tmp_path / "a.ctm").read_text() == FIRST


def test_a_bad_input_leaves_no_output_behind(
    capsys: pytest.CaptureFixture[str], ctms: list[str], tmp_path: Path
) -> None:
    (tmp_path / "b.ctm").write_text("f 1 0.10 0.20 the 0.7\ng 1 nan 1 a\n")
    (tmp_path / "out.ctm").write_text("kept")
    code, _, refused = rover(capsys, *ctms, "-o", tmp_path / "out.ctm")
    assert code == 2
    assert "b.ctm:2: start is 'nan'" in refused
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.ctm", "b.ctm", "out.ctm"]
    assert (tmp_path / "out.ctm").read_text() == "kept"
