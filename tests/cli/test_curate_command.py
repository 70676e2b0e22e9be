"""``spelangy curate`` from the shell, with real models on real speech between bad files."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import sound_files as sounds
from spelangy.cli.main import main
from spelangy.core.records import Chunk, Recording, Transcript
from spelangy.core.schema import from_table
from spelangy.store.objects import Store

ONE_SYSTEM = 'curate.asr=["moonshine-tiny-en"]'
STEPS = [
    "ingest", "fingerprints", "events", "turns", "languages", "asr-moonshine-tiny-en", "words", "aligned", "sound",
    "quality", "private", "duplicates", "chunks-fine", "chunks-coarse",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def spelangy(*arguments: object) -> Ran:
    command = [str(Path(sys.executable).parent / "spelangy"), *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=110)
    return Ran(code=ran.returncode, out=ran.stdout, err=ran.stderr)


def here(capfd: pytest.CaptureFixture[str], *arguments: object) -> Ran:
    """The same command in this process, for what needs no model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["spelangy", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0
    told = capfd.readouterr()
    return Ran(code=code, out=told.out, err=told.err)


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Two recordings of speech among files that cannot be read."""

    arguments: Sequence[object]
    store: Path
    reasons: dict[str, str]
    ran: Ran

    def key(self, step: str) -> str:
        keys: dict[str, str] = {row["step"]: row["key"] for row in self.ran.json["steps"]}
        return keys[step]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("corpus")
    reasons = sounds.write_bad_files(folder / "bad")
    reasons["nowhere.wav"] = "not found"
    audio = [sounds.SHORT_SPEECH, sounds.READING, folder / "bad" / "*", folder / "nowhere.wav"]
    arguments = [part for uri in audio for part in ("--audio", uri)] + ["--set", ONE_SYSTEM, "--workers", 1]
    ran = spelangy("curate", *arguments, "--set", "curate.max_quarantined_ratio=0.9", "-o", folder / "store", "--json")
    assert ran.code == 0, ran.err
    return Corpus(arguments=arguments, store=folder / "store", reasons=reasons, ran=ran)


def test_the_run_goes_on_past_bad_files_and_counts_them_by_reason(corpus: Corpus) -> None:
    summary = corpus.ran.json
    assert [step["step"] for step in summary["steps"]] == STEPS
    funnel = {stage["stage"]: stage for stage in summary["funnel"]}
    counted = {drop["reason"]: drop["count"] for drop in funnel["ingest"]["drops"]}
    assert counted == {reason: list(corpus.reasons.values()).count(reason) for reason in corpus.reasons.values()}
    assert {drop["kind"] for drop in funnel["ingest"]["drops"]} == {"quarantined"}
    assert (funnel["ingest"]["num_kept"], funnel["ingest"]["num_in"]) == (2, 2 + len(corpus.reasons))
    assert 60 * funnel["chunks-fine"]["hours_kept"] > 0.15
    assert Path(summary["report"]).is_file()


def test_progress_goes_to_stderr_without_a_traceback(corpus: Corpus) -> None:
    lines = [line.split() for line in corpus.ran.err.splitlines()]
    assert [line[1] for line in lines if line[0] == "built"] == STEPS
    assert {line[0] for line in lines} <= {"model", "built"}


def test_what_was_said_is_in_the_chunks(corpus: Corpus) -> None:
    store = Store(corpus.store)
    recordings = from_table(store.table(corpus.key("ingest"), "recordings"), Recording)
    by_uri = {recording.uri: recording.id for recording in recordings}
    chunks = from_table(store.table(corpus.key("chunks-coarse"), "chunks"), Chunk)
    text = " ".join(chunk.text.lower() for chunk in chunks if chunk.recording_id == by_uri[sounds.READING])
    assert "ever tried" in text
    assert "no matter try again fail again" in re.sub(r"[.,!?]", "", text)
    assert {chunk.recording_id for chunk in chunks} == {by_uri[sounds.READING], by_uri[sounds.SHORT_SPEECH]}


def test_a_second_run_reuses_everything_and_quiet_says_nothing(corpus: Corpus) -> None:
    again = spelangy(
        "curate",
        *corpus.arguments,
        "--set",
        "curate.max_quarantined_ratio=0.2",
        "-o",
        corpus.store,
        "--json",
        "--quiet",
    )
    assert again.err == ""
    assert again.code == 3, "more was quarantined than the recipe allows"
    steps = again.json["steps"]
    assert [(step["status"], step["why"]) for step in steps] == [("reused", "unchanged")] * len(STEPS)
    assert [step["key"] for step in steps] == [step["key"] for step in corpus.ran.json["steps"]]
    assert again.json["funnel"] == corpus.ran.json["funnel"]


def test_the_limit_itself_is_allowed(corpus: Corpus, capfd: pytest.CaptureFixture[str]) -> None:
    num_bad = len(corpus.reasons)
    for ratio, code in ((num_bad / (num_bad + 2), 0), (num_bad / (num_bad + 2) - 0.01, 3)):
        limit = f"curate.max_quarantined_ratio={ratio!r}"
        ran = here(capfd, "curate", *corpus.arguments, "--set", limit, "-o", corpus.store, "--json", "-q")
        assert ran.code == code


def test_people_get_a_table_and_the_place_of_the_report(corpus: Corpus, capfd: pytest.CaptureFixture[str]) -> None:
    ran = here(capfd, "curate", *corpus.arguments, "-o", corpus.store)
    assert ran.code == 3
    assert "not found 1" in ran.out
    assert ran.out.rstrip().endswith("reports/curate.html")
    assert [line.split()[1] for line in ran.err.splitlines() if line.startswith("reused")] == STEPS


def recipe_of(corpus: Corpus, folder: Path) -> Path:
    uris = json.dumps([str(uri) for uri in corpus.arguments[1:8:2]])
    path = folder / "curate.toml"
    path.write_text(
        f'[curate]\nasr = ["moonshine-tiny-en"]\n[[curate.sources]]\nuris = {uris}\n'
        '[curate.views.fine]\ngranularity = "fine"\n[curate.views.coarse]\ngranularity = "coarse"\n'
    )
    return path


def test_another_threshold_rebuilds_one_view(corpus: Corpus, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    recipe = recipe_of(corpus, tmp_path)
    changed = "curate.views.fine.thresholds.max_chunk_s=20"
    plans = [
        here(capfd, "plan", recipe, "--store", corpus.store, "--json", *options) for options in ((), ("--set", changed))
    ]
    assert [plan.code for plan in plans] == [0, 0]
    same, other = ({row["step"]: row for row in plan.json["steps"] if row["step"] in STEPS} for plan in plans)
    assert {row["status"] for row in same.values()} == {"reuse"}
    assert [name for name, row in other.items() if row["status"] != "reuse"] == ["chunks-fine"]
    assert other["chunks-fine"]["why"] == "config.thresholds.max_chunk_s 30.0 → 20.0"
    assert not (Store(corpus.store).find(other["chunks-fine"]["key"])), "plan builds nothing"


def test_nothing_readable_is_a_run_with_nothing_kept(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ran = here(capfd, "curate", "--audio", tmp_path / "*.wav", "--set", ONE_SYSTEM, "-o", tmp_path / "store", "--json")
    assert ran.code == 3
    funnel = {stage["stage"]: stage for stage in ran.json["funnel"]}
    assert [(drop["reason"], drop["count"]) for drop in funnel["ingest"]["drops"]] == [("not found", 1)]
    assert funnel["chunks-fine"]["num_in"] == 0


def test_a_ray_cluster_gives_the_same_bytes(corpus: Corpus, ray_address: str, tmp_path: Path) -> None:
    ran = spelangy(
        "curate",
        *corpus.arguments,
        "--runner",
        "ray",
        "--address",
        ray_address,
        "-o",
        tmp_path / "store",
        "--json",
        "-q",
    )
    assert (ran.code, ran.err) == (3, "")
    native, ray = Store(corpus.store), Store(tmp_path / "store")
    for step in ran.json["steps"]:
        assert step["key"] == corpus.key(step["step"]), step["step"]
        ours, theirs = native.find(step["key"]), ray.find(step["key"])
        assert ours is not None
        assert theirs is not None
        assert ours.files == theirs.files, step["step"]


@pytest.mark.slow
def test_three_systems_agree_on_a_reading(tmp_path: Path) -> None:
    ran = spelangy("curate", "--audio", sounds.READING, "-o", tmp_path / "store", "--json", "--workers", 1)
    assert ran.code == 0, ran.err
    keys = {step["step"]: step["key"] for step in ran.json["steps"]}
    transcripts = from_table(Store(tmp_path / "store").table(keys["words"], "transcripts"), Transcript)
    assert {transcript.systems for transcript in transcripts} == {
        ("moonshine-tiny-en", "whisper-tiny-en", "whisper-base")
    }
    words = [word for transcript in transcripts for word in transcript.words]
    assert sum(word.vote_ratio == 1.0 for word in words) > 0.8 * len(words)
