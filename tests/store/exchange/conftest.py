import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What these tests write need not outlive a power cut."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture(autouse=True, scope="session")
def offline_tools(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Set before `datasets` and `lhotse` are imported: nothing is fetched, nothing is kept in the home directory."""
    folder: Path = tmp_path_factory.mktemp("hub")
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_DATASETS_DISABLE_PROGRESS_BARS"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("HF_DATASETS_CACHE", str(folder / "datasets"))
