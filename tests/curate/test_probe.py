"""Hours of audio from headers: quick, sampled, and honest about what could not be asked."""

from pathlib import Path

import pytest

from sound_files import sine, write_bad_files, write_wav
from spelangy.curate.config import AudioSource
from spelangy.curate.probe import header_duration_s, probe_audio
from spelangy.curate.sources import find_sources, sources_table


def items(folder: Path) -> object:
    return sources_table(find_sources([AudioSource(uris=(str(folder),))]))


def test_headers_tell_the_hours(tmp_path: Path) -> None:
    for index, duration_s in enumerate((1.0, 2.0, 6.0)):
        write_wav(tmp_path / f"{index}.wav", sine(duration_s, 16_000, 200.0 + index))
    probed = probe_audio(items(tmp_path))
    assert probed.hours == pytest.approx(9 / 3600, rel=1e-3)
    assert (probed.num_recordings, probed.how) == (3, "headers of 3 of 3 recordings")


def test_of_many_files_a_sample_is_asked(tmp_path: Path) -> None:
    for index in range(12):
        write_wav(tmp_path / f"{index}.wav", sine(1.0 + index % 2, 16_000, 200.0 + index))
    probed = probe_audio(items(tmp_path), max_probed=6)
    assert probed.how == "headers of 6 of 12 recordings"
    assert 12 / 3600 <= probed.hours <= 24 / 3600


def test_what_has_no_duration_is_no_error(tmp_path: Path) -> None:
    write_bad_files(tmp_path)
    probed = probe_audio(items(tmp_path))
    assert probed.hours >= 0
    assert header_duration_s(tmp_path / "nowhere.wav") is None


def test_nothing_to_ask_says_so(tmp_path: Path) -> None:
    probed = probe_audio(items(tmp_path / "none"))
    assert (probed.hours, probed.how) == (0.0, "no header tells a duration")
