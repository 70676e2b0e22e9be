"""A bad request ends with exit code 2, one message and a hint on stderr, nothing on stdout and no traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

from spelangy.cli.main import main

QUICKSTART = str(Path(__file__).parents[2] / "recipes" / "quickstart.toml")


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPELANGY_STORE", str(tmp_path / "store"))
    return tmp_path / "store"


def exit_code(*arguments: str) -> int:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(sys, "argv", ["spelangy", *arguments])
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["plan", QUICKSTART, "--set", "curate.vads=silero"], f"{QUICKSTART}: unknown key 'curate.vads'", "'vad'"),
        (["run", QUICKSTART, "--set", "curate.views.fine.threshold.x=1"],
         f"{QUICKSTART}: unknown key 'curate.views.fine.threshold'", "'thresholds'"),
        (["curate", QUICKSTART, "--set", "curate.rover.method=average"],
         f"{QUICKSTART}: curate.rover.method = 'average'", "docs/recipes.md"),
        (["curate", "--audio", "a.wav", "--set", "curate.maxquarantined_ratio=1"],
         "default curation: unknown key 'curate.maxquarantined_ratio'", "'max_quarantined_ratio'"),
        (["plan", QUICKSTART, "--set", "curate.vad=silerio"], "no vad backend named 'silerio'", "'silero'"),
        (["plan", QUICKSTART, "--set", "curate.asr=['moonshine-tiny']"],
         "no asr backend named 'moonshine-tiny'", "'moonshine-tiny-en'"),
        (["curate", "--audio", "a.wav", "--set", "curate.vad={name='silero',options={treshold=0.2}}"],
         "vad backend 'silero'", "it takes: threshold"),
        (["curate"], "curate: no recordings", "--audio"),
        (["curate", "--audio", "package:not_installed_here/a.wav"], "'not_installed_here' is not installed", "pip"),
        (["curate", "nowhere.toml"], "recipe nowhere.toml: No such file", "quickstart"),
        (["curate", "--audio", "a.wav", "--runner", "spark"], "--runner spark", "native or ray"),
        (["curate", "--audio", "a.wav", "--runner", "ray", "--address", "127.0.0.1:1"],
         "no cluster answers at '127.0.0.1:1'", "ray start --head"),
        (["curate", "--audio", "a.wav", "--out", "nothing://here"], "store 'nothing://here'", "local path"),
        (["report", QUICKSTART], "not everything is built", "spelangy run"),
    ],
)  # fmt: skip
def test_a_bad_request_is_told_and_hinted(
    arguments: list[str], message: str, hint: str, capfd: pytest.CaptureFixture[str], store: Path
) -> None:
    assert exit_code(*arguments) == 2
    told = capfd.readouterr()
    assert told.out == ""
    log, _, refusal = told.err.rpartition("spelangy: ")
    assert all(line.startswith("model ") for line in log.splitlines())
    first, _, last = refusal.partition("\nhint: ")
    assert message in first
    assert hint in last
    assert "Traceback" not in told.err
    assert not store.exists(), "a refused request leaves nothing behind"


def test_a_wrong_option_of_the_command_line_itself(capfd: pytest.CaptureFixture[str]) -> None:
    assert exit_code("curate", "--adio", "a.wav") == 2
    told = capfd.readouterr()
    assert (told.out, "--audio" in told.err) == ("", True)


def test_the_same_from_a_shell(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text('[curate]\ndiarizr = "ge2e"\n')
    command = [str(Path(sys.executable).parent / "spelangy"), "curate", str(recipe)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == f"spelangy: {recipe}: unknown key 'curate.diarizr'\nhint: did you mean 'diarizer'?\n"
