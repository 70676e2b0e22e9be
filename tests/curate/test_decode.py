"""Decoding by what is there: hostile and broken files cost a reason, sound comes out at the right length and pitch."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

import sound_files as sounds
from spelangy.core.errors import Quarantined
from spelangy.core.spans import SAMPLE_RATE_HZ
from spelangy.curate.decode import Decoded, decode

TONE_HZ = 440.0


def decoded(path: Path, max_duration_s: float = 60.0) -> Decoded:
    return decode(path, max_duration_s=max_duration_s)


def refusal(path: Path, max_duration_s: float = 60.0) -> Quarantined:
    with pytest.raises(Quarantined) as caught:
        decode(path, max_duration_s=max_duration_s)
    return caught.value


# ------------------------------------------------------------------------------------------------- sound is kept


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_any_rate_keeps_length_and_pitch(tmp_path: Path, rate_hz: int) -> None:
    found = decoded(sounds.write_wav(tmp_path / "tone.wav", sounds.sine(2.0, rate_hz, TONE_HZ), rate_hz))
    assert abs(found.pcm_S.size - 2 * SAMPLE_RATE_HZ) <= 1
    assert abs(sounds.loudest_hz(found.pcm_S) - TONE_HZ) < 1.0
    assert np.abs(found.pcm_S[1000:-1000].astype(int)).max() == pytest.approx(16_384, rel=0.01)
    assert (found.sample_rate_hz, found.channels, found.damage) == (rate_hz, 1, "")


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(-32_768, 32_767), min_size=1, max_size=400))
def test_sixteen_bit_at_16_khz_comes_out_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, values: list[int]
) -> None:
    path = tmp_path_factory.getbasetemp() / "bits.wav"
    sounds.write_wav(path, np.array(values, np.int16))
    assert decoded(path).pcm_S.tolist() == values


def test_eight_channels_of_96_khz_floats_are_mixed(tmp_path: Path) -> None:
    audio_SC = sounds.sine(1.0, 96_000, channels=8)
    found = decoded(sounds.write_wav(tmp_path / "many.wav", audio_SC, 96_000, "FLOAT"))
    assert (found.channels, found.sample_rate_hz, found.codec) == (8, 96_000, "pcm_f32le")
    assert abs(found.pcm_S.size - SAMPLE_RATE_HZ) <= 1
    assert abs(sounds.loudest_hz(found.pcm_S) - TONE_HZ) < 2.0


@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
def test_samples_that_are_no_numbers_stay_a_local_damage(tmp_path: Path, rate_hz: int) -> None:
    found = decoded(sounds.write_wav(tmp_path / "nan.wav", sounds.with_nan(1.0, rate_hz), rate_hz, "FLOAT"))
    whole = decoded(sounds.write_wav(tmp_path / "tone.wav", sounds.sine(1.0, rate_hz), rate_hz, "FLOAT"))
    assert found.pcm_S.size == whole.pcm_S.size
    assert np.mean(found.pcm_S != whole.pcm_S) < 0.02


def test_silence_is_sound(tmp_path: Path) -> None:
    found = decoded(sounds.write_wav(tmp_path / "silence.wav", np.zeros((SAMPLE_RATE_HZ, 1))))
    assert (found.pcm_S.size, found.pcm_S.any()) == (SAMPLE_RATE_HZ, np.False_)


def test_a_header_that_lies_about_its_duration_is_not_believed(tmp_path: Path) -> None:
    path = sounds.write_wav(tmp_path / "lie.wav", sounds.sine(1.5, SAMPLE_RATE_HZ))
    path.write_bytes(sounds.with_false_duration(path.read_bytes()))
    assert decoded(path).pcm_S.size == 1.5 * SAMPLE_RATE_HZ


@pytest.mark.parametrize("faststart", [False, True])
def test_m4a_keeps_length_to_a_codec_frame_and_pitch(tmp_path: Path, faststart: bool) -> None:
    found = decoded(sounds.write_m4a(tmp_path / "tone.m4a", faststart=faststart))
    frame = sounds.AAC_FRAME_SAMPLES * SAMPLE_RATE_HZ / 44_100
    assert 0 <= found.pcm_S.size - 4 * SAMPLE_RATE_HZ <= frame
    assert abs(sounds.loudest_hz(found.pcm_S) - TONE_HZ) < 1.0
    assert (found.codec, found.damage) == ("aac", "")


def test_a_truncated_m4a_with_its_index_first_keeps_what_is_there(tmp_path: Path) -> None:
    path = sounds.write_m4a(tmp_path / "cut.m4a", faststart=True)
    path.write_bytes(sounds.truncated(path.read_bytes()))
    found = decoded(path)
    assert 1.5 * SAMPLE_RATE_HZ < found.pcm_S.size < 2.5 * SAMPLE_RATE_HZ
    assert abs(sounds.loudest_hz(found.pcm_S) - TONE_HZ) < 1.0
    assert found.damage


@pytest.mark.parametrize("faststart", [False, True])
def test_an_m4a_with_a_hole_keeps_the_sound_around_it(tmp_path: Path, faststart: bool) -> None:
    path = sounds.write_m4a(tmp_path / "hole.m4a", faststart=faststart)
    path.write_bytes(sounds.with_hole(path.read_bytes()))
    found = decoded(path)
    assert 3.0 * SAMPLE_RATE_HZ < found.pcm_S.size < 4.0 * SAMPLE_RATE_HZ
    assert "packets not decodable" in found.damage
    assert abs(sounds.loudest_hz(found.pcm_S[:SAMPLE_RATE_HZ]) - TONE_HZ) < 1.5


@pytest.mark.parametrize("jump_s", [100.0, -0.9, 1e6])
def test_jumps_of_time_stamps_neither_lose_nor_add_sound(tmp_path: Path, jump_s: float) -> None:
    path, rate_hz = tmp_path / "jump.mka", 8_000
    tone_S = (sounds.sine(2.0, rate_hz, TONE_HZ)[:, 0] * 32_767).astype(np.int16)
    with av.open(str(path), "w", format="matroska") as output:
        stream = output.add_stream("pcm_s16le", rate=rate_hz)
        stream.layout = "mono"
        for index, block in enumerate(np.split(tone_S, 20)):
            frame = av.AudioFrame.from_ndarray(block[None], format="s16", layout="mono")
            frame.sample_rate, frame.time_base = rate_hz, Fraction(1, rate_hz)
            frame.pts = index * block.size + (round(jump_s * rate_hz) if index >= 10 else 0)
            for packet in stream.encode(frame):
                packet.dts = index  # a muxer refuses what players meet all the time
                output.mux(packet)
    found = decoded(path)
    assert abs(found.pcm_S.size - 2 * SAMPLE_RATE_HZ) <= 1
    assert abs(sounds.loudest_hz(found.pcm_S) - TONE_HZ) < 1.0


def test_files_joined_end_to_end_are_heard_to_the_end(tmp_path: Path) -> None:
    """As radio archives are: an advertisement of another rate and channel count, then the programme."""
    first = sounds.encoded(sounds.sine(2.0, 44_100, channels=2), 44_100, container="mp3", codec="libmp3lame")
    second = sounds.encoded(sounds.sine(2.0, 22_050, 880.0), 22_050, container="mp3", codec="libmp3lame")
    (tmp_path / "joined.mp3").write_bytes(first + second)
    pcm_S = decoded(tmp_path / "joined.mp3").pcm_S
    assert pcm_S.size == pytest.approx(4 * SAMPLE_RATE_HZ, rel=0.06)
    assert abs(sounds.loudest_hz(pcm_S[:SAMPLE_RATE_HZ]) - TONE_HZ) < 2.0
    assert abs(sounds.loudest_hz(pcm_S[-SAMPLE_RATE_HZ:]) - 880.0) < 2.0


# ------------------------------------------------------------------------------------------- what must be refused


def test_each_bad_file_gets_its_reason(tmp_path: Path) -> None:
    reasons = sounds.write_bad_files(tmp_path)
    assert reasons.pop("click.wav") == "too short"  # a matter of the recipe's limit, not of decoding
    assert {name: refusal(tmp_path / name).reason for name in reasons} == reasons
    assert decoded(tmp_path / "click.wav").pcm_S.size == 1600


def test_what_is_not_there_and_what_is_no_file(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nowhere.wav").reason == "not found"
    assert refusal(tmp_path).reason == "not a file"


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = sounds.write_wav(tmp_path / "secret.wav", sounds.sine(1.0, SAMPLE_RATE_HZ))
    monkeypatch.setattr(Path, "open", deny)
    refused = refusal(path)
    assert (refused.reason, "Permission denied" in refused.detail) == ("not readable", True)


def test_a_header_without_sound(tmp_path: Path) -> None:
    path = sounds.write_wav(tmp_path / "header.wav", sounds.sine(1.0, SAMPLE_RATE_HZ))
    path.write_bytes(path.read_bytes()[:44])
    assert refusal(path).reason == "no sound decoded"


def test_the_longest_duration_bounds_the_work(tmp_path: Path) -> None:
    path = sounds.write_wav(tmp_path / "long.wav", sounds.sine(30.0, 8_000), 8_000)
    refused = refusal(path, max_duration_s=2.0)
    assert (refused.reason, refused.threshold) == ("too long", 2.0)
    assert refused.value is not None
    assert 2.0 < refused.value < 3.0, "decoding went on long after the limit"
    assert decoded(path, max_duration_s=30.0).pcm_S.size == 30 * SAMPLE_RATE_HZ


@pytest.mark.parametrize("name", ["list.m3u8", "list.wav", "list.txt"])
@pytest.mark.parametrize("place", ["{name}", "{path}", "file://{path}", "file:{path}", "{url}"])
@pytest.mark.parametrize("kind", ["hls", "ffconcat", "sdp"])
def test_a_file_that_points_to_another_reads_nothing_else(tmp_path: Path, name: str, place: str, kind: str) -> None:
    target = sounds.write_wav(tmp_path / "private.wav", sounds.sine(1.0, SAMPLE_RATE_HZ))
    with server_of(tmp_path) as (url, requests):
        reference = place.format(name=target.name, path=target, url=f"{url}/{target.name}")
        (tmp_path / name).write_text(playlist(kind, reference))
        assert refusal(tmp_path / name).reason in ("not decodable", "no audio stream", "no sound decoded")
    assert requests == []


def playlist(kind: str, reference: str) -> str:
    return {
        "hls": f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:9\n#EXTINF:1.0,\n{reference}\n#EXT-X-ENDLIST\n",
        "ffconcat": f"ffconcat version 1.0\nfile '{reference}'\n",
        "sdp": f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns={reference}\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    }[kind]


@contextmanager
def server_of(folder: Path) -> Iterator[tuple[str, list[str]]]:
    requests: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", requests
        finally:
            server.shutdown()
            thread.join()


def test_the_references_would_be_followed_without_our_guard(tmp_path: Path) -> None:
    """Else the test above would prove nothing."""
    target = sounds.write_wav(tmp_path / "private.wav", sounds.sine(1.0, SAMPLE_RATE_HZ))
    (tmp_path / "list.ffconcat").write_text(playlist("ffconcat", target.name))
    with av.open(str(tmp_path / "list.ffconcat")) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) == SAMPLE_RATE_HZ


@settings(max_examples=40, deadline=None)
@given(cut=st.integers(0, 400), garbage=st.binary(max_size=200))
def test_no_damage_of_a_file_escapes_as_another_error(
    cut: int, garbage: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "damage"
    folder.mkdir(exist_ok=True)
    whole = folder / "whole.flac"
    if not whole.exists():
        soundfile.write(whole, sounds.sine(0.2, SAMPLE_RATE_HZ), SAMPLE_RATE_HZ)
    data = whole.read_bytes()
    damaged = folder / "damaged.flac"
    damaged.write_bytes(data[:cut] + garbage + data[cut + len(garbage) :])
    try:
        assert decode(damaged, max_duration_s=60.0).pcm_S.size > 0
    except Quarantined as quarantined:
        assert quarantined.reason in ("not decodable", "no sound decoded", "empty file", "no audio stream", "too long")
