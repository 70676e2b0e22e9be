import sys
from pathlib import Path

import pytest

from spelangy.core.errors import UserError
from spelangy.core.plugins import BACKEND_GROUP, backends, find_backend


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution of somebody else's, as pip would lay it down."""
    metadata = tmp_path / "their_asr-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: their-asr\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{BACKEND_GROUP}]\nasr.theirs = their_asr:Recognizer\n")
    (tmp_path / "their_asr.py").write_text("class Recognizer: pass\n")
    monkeypatch.syspath_prepend(tmp_path)


def test_our_own_backends_are_found_and_can_be_imported() -> None:
    assert find_backend("vad", "silero").value == "spelangy.backends.vad_silero:SileroVad"
    assert list(backends()) == sorted(backends())


def test_names_are_found_without_importing_anything(plugin: None, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = find_backend("asr", "theirs")
    assert entry.value == "their_asr:Recognizer"
    assert "their_asr" not in sys.modules
    assert entry.load().__name__ == "Recognizer"


def test_an_unknown_name_names_the_nearest_one(plugin: None) -> None:
    with pytest.raises(UserError, match="no asr backend named 'theris' is installed") as caught:
        find_backend("asr", "theris")
    assert caught.value.hint == "did you mean 'theirs'?"


def test_a_name_of_another_role_is_not_offered() -> None:
    with pytest.raises(UserError) as caught:
        find_backend("tts", "silero")
    assert "silero" not in caught.value.hint
