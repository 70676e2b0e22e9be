import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spelangy.backends import weights, weights_cache
from spelangy.backends.protocols import ROLES
from spelangy.core.errors import UserError

WHOLE = b"first half, " * 1000 + b"second half" * 1000
HALVES = WHOLE[:12000], WHOLE[12000:]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(autouse=True)
def cache_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("SPELANGY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "cache"


@pytest.fixture
def split_model(tmp_path, monkeypatch):
    """A catalogue of one model in two halves, carried by a wheel that cannot be imported without a trace."""
    site = tmp_path / "site"
    package = site / "carrier_of_weights"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    for index, half in enumerate(HALVES):
        (package / f"part{index}").write_bytes(half)
    (site / "carrier_of_weights-1.0.dist-info").mkdir()
    (site / "carrier_of_weights-1.0.dist-info/METADATA").write_text(
        "Metadata-Version: 2.1\nName: carrier-of-weights\nVersion: 1.0\n"
    )
    monkeypatch.syspath_prepend(str(site))
    use_catalogue(monkeypatch, version="1.0")
    return package


def use_catalogue(monkeypatch, *, version):
    parts = [
        {"package": "carrier_of_weights", "path": f"part{i}", "size": len(half), "sha256": sha256(half)}
        for i, half in enumerate(HALVES)
    ]
    row = {
        "name": "split",
        "role": "asr",
        "licence": "MIT",
        "revision": "1",
        "packages": {"carrier_of_weights": f"carrier-of-weights=={version}"},
        "hub": {"repo": "owner/split", "revision": "a" * 40},
        "files": [{"name": "model.bin", "size": len(WHOLE), "sha256": sha256(WHOLE), "parts": parts}],
    }
    entry = weights._entry(row)
    monkeypatch.setattr(weights, "catalogue", lambda: (entry,))


def put_into_hub_cache(tmp_path, content):
    snapshot = tmp_path / "hub/models--owner--split/snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "model.bin").write_bytes(content)
    return snapshot


class TestCatalogue:
    def test_every_entry_says_what_it_is_and_how_to_get_it(self):
        names = [entry.name for entry in weights.catalogue()]
        assert len(names) == len(set(names))
        for entry in weights.catalogue():
            assert entry.role in ROLES and entry.licence and entry.revision
            assert entry.packages or entry.hub
            assert all(pin.requirement in entry.install for pin in entry.packages)

    def test_every_file_of_a_wheel_is_pinned_by_content(self):
        for entry in weights.catalogue():
            for file in entry.files:
                assert len(file.sha256) == 64 or not file.parts
                assert sum(part.size for part in file.parts) in (file.size, 0)
                assert all(part.package in {pin.package for pin in entry.packages} for part in file.parts)

    def test_wheels_that_conflict_are_installed_without_their_dependencies(self):
        assert weights.find_entry("ge2e").install == "pip install --no-deps Resemblyzer==0.1.4"
        assert weights.find_entry("moonshine-tiny-en").install == "pip install moonshine-voice==0.1.0"

    def test_an_unknown_name_gets_the_nearest(self):
        with pytest.raises(UserError, match="did you mean 'whisper-base'"):
            weights.resolve("whisper-bas")


class TestInstalledWheels:
    @pytest.mark.parametrize("name", [entry.name for entry in weights.catalogue() if entry.packages])
    def test_each_embedded_model_resolves_and_keeps_its_files_together(self, name):
        assert weights.is_available(name).usable
        found = weights.resolve(name)
        assert found.origin == weights.is_available(name).origin
        assert found.origin.startswith("wheel ")
        assert all(path == found.directory / name and path.is_file() for name, path in found.files.items())
        assert found.info("asr").revision == found.revision

    def test_availability_and_resolution_import_no_model_package(self):
        script = (
            "import sys\n"
            "from spelangy.backends import weights\n"
            "assert all(weights.is_available(e.name).usable for e in weights.catalogue() if e.packages)\n"
            "weights.resolve('silero-vad')\n"
            "names = {pin.package for e in weights.catalogue() for pin in e.packages} | {'torch'}\n"
            "assert not names & set(sys.modules), names & set(sys.modules)\n"
        )
        subprocess.run([sys.executable, "-c", script], check=True)

    def test_processes_that_join_at_once_all_get_the_whole_file(self, cache_directory):
        script = "from spelangy.backends import weights; print(weights.resolve('kokoro-82m-int8').directory)"
        runs = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(3)]
        paths = {run.communicate()[0].strip() for run in runs}
        assert [run.returncode for run in runs] == [0, 0, 0]
        (path,) = paths
        (file,) = [file for file in weights.find_entry("kokoro-82m-int8").files if len(file.parts) > 1]
        assert sha256((Path(path) / file.name).read_bytes()) == file.sha256
        assert not list(cache_directory.rglob("*.part"))


class TestSplitFiles:
    def test_joins_without_importing_the_package(self, split_model):
        found = weights.resolve("split")
        assert found.files["model.bin"].read_bytes() == WHOLE
        assert found.origin == "wheel carrier-of-weights 1.0"

    @pytest.mark.parametrize("damage", [WHOLE[:500], b"", WHOLE[:-1] + b"?"])
    def test_a_damaged_file_in_the_cache_is_made_again(self, split_model, damage):
        path = weights.resolve("split").files["model.bin"]
        path.write_bytes(damage)
        assert weights.resolve("split").files["model.bin"].read_bytes() == WHOLE

    def test_a_writer_that_was_killed_does_no_harm(self, split_model, tmp_path):
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        target = weights.resolve("split").files["model.bin"]
        target.unlink()
        script = (
            "import sys; from pathlib import Path; from spelangy.backends import weights_cache\n"
            "target, half, pipe = map(Path, sys.argv[1:])\n"
            "weights_cache.join(target, [half, pipe], size=1, sha256='0')\n"
        )
        writer = subprocess.Popen([sys.executable, "-c", script, target, split_model / "part0", pipe])
        while not list(target.parent.glob(".*.part")):
            assert writer.poll() is None
            time.sleep(0.01)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        assert list(target.parent.glob(".*.part")), "the kill left nothing behind: this test tests nothing"
        assert weights.resolve("split").files["model.bin"].read_bytes() == WHOLE
        assert not list(target.parent.glob(".*.part"))

    def test_a_damaged_wheel_names_what_to_reinstall(self, split_model):
        (split_model / "part1").write_bytes(HALVES[1][:-1] + b"?")
        with pytest.raises(UserError, match=r"pip install --force-reinstall --no-deps carrier-of-weights==1\.0"):
            weights.resolve("split")

    def test_a_truncated_wheel_is_not_available(self, split_model):
        (split_model / "part1").write_bytes(b"")
        assert not weights.is_available("split").usable
        assert "--force-reinstall" in weights.is_available("split").fix

    def test_another_version_does_not_serve(self, split_model, monkeypatch):
        use_catalogue(monkeypatch, version="2.0")
        assert weights.is_available("split").fix == "pip install carrier-of-weights==2.0"
        with pytest.raises(UserError, match=r"carrier-of-weights 1\.0 is installed, 2\.0 is needed"):
            weights.resolve("split")

    def test_a_cache_that_cannot_be_written_says_so(self, split_model, tmp_path, monkeypatch):
        (tmp_path / "file").touch()
        monkeypatch.setenv("SPELANGY_CACHE", str(tmp_path / "file"))
        with pytest.raises(UserError, match="set SPELANGY_CACHE"):
            weights.resolve("split")


class TestVerificationStamps:
    def test_a_file_is_read_once_until_it_changes(self, tmp_path, monkeypatch):
        path = tmp_path / "weights"
        path.write_bytes(b"one")
        assert weights_cache.content_sha256(path) == sha256(b"one")
        reads = []
        digest_file = hashlib.file_digest
        monkeypatch.setattr(hashlib, "file_digest", lambda *args: reads.append(1) or digest_file(*args))
        assert weights_cache.content_sha256(path) == sha256(b"one")
        assert not reads
        path.write_bytes(b"three")
        assert weights_cache.content_sha256(path) == sha256(b"three")
        assert reads

    def test_a_broken_stamp_is_read_over(self, tmp_path, cache_directory):
        path = tmp_path / "weights"
        path.write_bytes(b"one")
        weights_cache.content_sha256(path)
        (stamp,) = (cache_directory / "verified").iterdir()
        stamp.write_text('{"size"')
        assert weights_cache.content_sha256(path) == sha256(b"one")


class TestExplicitPath:
    def test_pinned_content_keeps_the_pinned_revision(self, split_model, tmp_path):
        (tmp_path / "mine").write_bytes(WHOLE)
        found = weights.resolve("split", path=tmp_path / "mine")
        assert (found.revision, found.origin) == ("1", f"path {tmp_path / 'mine'}")

    def test_other_content_is_another_revision(self, split_model, tmp_path):
        (tmp_path / "model.bin").write_bytes(b"fine-tuned")
        first = weights.resolve("split", path=tmp_path).revision
        (tmp_path / "model.bin").write_bytes(b"fine-tuned more")
        second = weights.resolve("split", path=tmp_path).revision
        assert first.startswith("sha256:") and second.startswith("sha256:") and first != second

    def test_a_directory_without_the_files_is_refused(self, split_model, tmp_path):
        with pytest.raises(UserError, match=r"there is no .*model\.bin"):
            weights.resolve("split", path=tmp_path)


class TestHub:
    @pytest.fixture(autouse=True)
    def no_wheel(self, split_model, monkeypatch):
        use_catalogue(monkeypatch, version="2.0")

    @pytest.fixture
    def no_network(self, monkeypatch):
        monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: pytest.fail("asked the network"))

    def test_the_hub_cache_serves_offline(self, tmp_path, no_network):
        snapshot = put_into_hub_cache(tmp_path, WHOLE)
        found = weights.resolve("split")
        assert found.origin == weights.is_available("split").origin == "hub cache owner/split@aaaaaaa"
        assert found.directory == snapshot

    def test_other_bytes_under_the_pinned_commit_are_refused(self, tmp_path, no_network):
        put_into_hub_cache(tmp_path, b"something else")
        with pytest.raises(UserError, match="is not the pinned file"):
            weights.resolve("split")

    def test_the_network_is_not_asked_unless_allowed(self, no_network):
        with pytest.raises(UserError, match=r"pip install carrier-of-weights==2\.0"):
            weights.resolve("split")

    def test_the_hub_is_asked_when_allowed(self, tmp_path, monkeypatch):
        snapshot = tmp_path / "download"
        snapshot.mkdir()
        (snapshot / "model.bin").write_bytes(WHOLE)
        asked = []

        def download(repo, *, revision, allow_patterns):
            asked.append((repo, revision, allow_patterns))
            return str(snapshot)

        monkeypatch.setattr("huggingface_hub.snapshot_download", download)
        assert weights.resolve("split", allow_network=True).origin == "hub owner/split@aaaaaaa"
        assert asked == [("owner/split", "a" * 40, ["model.bin"])]

    def test_a_hub_that_does_not_answer_is_a_bad_request(self, monkeypatch):
        def refuse(*_, **__):
            raise ConnectionError("no route")

        monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
        with pytest.raises(UserError, match="no route"):
            weights.resolve("split", allow_network=True)
