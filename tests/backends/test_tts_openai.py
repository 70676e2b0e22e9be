"""`tts.openai` against a real server on loopback that speaks in the tones of `FakeSynthesizer`."""

import io
import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import soundfile

from spelangy.backends.load import create, identity
from spelangy.backends.tts_openai import OpenAiSynthesizer
from spelangy.core.errors import Dropped, UserError
from spelangy.core.settings import BackendChoice
from spelangy.core.spans import SAMPLE_RATE_HZ
from spelangy.testing import FakeRecognizer, FakeSynthesizer, check_synthesizer

pytest.importorskip("openai")

STREAMED = 0xFFFF_FFFF
"""The length in the header of a WAV file that was not yet finished when its beginning was sent."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests, self.tries, self.status = [], Counter(), 200

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, self.headers["Authorization"], asked))
        self.server.tries[asked["input"]] += 1
        status, content, length = self.answer(asked)
        self.send_response(status)
        self.send_header("Content-Type", "audio/wav" if status == 200 else "application/json")
        self.send_header("Content-Length", str(length or len(content)))
        self.send_header("Retry-After-Ms", "1")
        self.end_headers()
        self.send_content(content, slowly="drip" in asked["input"])

    def send_content(self, content, slowly):
        try:
            for start in range(0, len(content), 2_000 if slowly else len(content)):
                self.wfile.write(content[start : start + 2_000] if slowly else content)
                self.wfile.flush()
                time.sleep(0.02 if slowly else 0)
        except OSError:
            pass  # the client has had enough

    def answer(self, asked):
        text = asked["input"]
        if self.server.status != 200:
            return self.server.status, b'{"error": {"message": "not you"}}', 0
        if "refuse" in text:
            return 400, b'{"error": {"message": "no such words"}}', 0
        if "fail" in text or ("busy" in text and self.server.tries[text] < 3):
            return 503, b'{"error": {"message": "come again"}}', 0
        if "late" in text:
            time.sleep(0.3)
        if "nonsense" in text:
            return 200, b"<html>no sound</html>", 0
        if "nothing" in text:
            return 200, sound_file(np.zeros((0, 1)), "WAV"), 0
        content = sound_file(self.spoken(asked), asked["response_format"].upper())
        return 200, content, len(content) * 2 if "breaks" in text else 0

    def spoken(self, asked):
        sound = FakeSynthesizer().synthesize(asked["input"], asked["voice"], asked.get("speed", 1.0))
        if "nan" in asked["input"]:
            sound[100] = np.nan
        if "stereo" in asked["input"]:
            return np.stack([1.5 * sound, 0.5 * sound], axis=1)
        return sound

    def log_message(self, *_):
        pass


def sound_file(sound, kind):
    file = io.BytesIO()
    soundfile.write(file, sound, SAMPLE_RATE_HZ, format=kind, subtype="FLOAT" if kind == "WAV" else "PCM_16")
    return file.getvalue()


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def synthesizer(server, **options):
    return OpenAiSynthesizer(**{"model": "tones-1", "base_url": server.url, "voices": ["alto", "bass"], **options})


def dropped(call, *arguments):
    with pytest.raises(Dropped) as caught:
        call(*arguments)
    assert caught.value.reason == "speech server failed"
    return caught.value


def heard(audio_S):
    (clip,) = FakeRecognizer().transcribe([audio_S])
    return [word.text for word in clip.words]


@pytest.mark.parametrize("response_format", ["wav", "flac"])
def test_keeps_the_contract(server, response_format):
    check_synthesizer(synthesizer(server, response_format=response_format), "one two")


def test_the_server_s_sound_is_what_is_spoken(server, monkeypatch):
    monkeypatch.setenv("MY_KEY", "sesame")
    tts = synthesizer(server, api_key_variable="MY_KEY")
    assert heard(tts.synthesize("Hello <b>there</b>!", "bass")) == ["hello", "there"]
    ((path, key, asked),) = server.requests
    assert (path, key) == ("/v1/audio/speech", "Bearer sesame")
    assert asked == {"model": "tones-1", "voice": "bass", "input": "Hello there !", "response_format": "wav"}


def test_speed_is_asked_for_where_it_is_not_the_voice_s_own(server):
    tts = synthesizer(server)
    assert tts.synthesize("hello there", "alto", 2.0).size < 0.6 * tts.synthesize("hello there", "alto").size
    assert [asked.get("speed") for _, _, asked in server.requests] == [2.0, None]


def test_channels_are_mixed(server):
    sound = synthesizer(server).synthesize("stereo", "alto")
    assert np.abs(sound - synthesizer(server).synthesize("stereq", "alto")).max() > 0
    assert heard(sound) == ["stereo"]


def test_a_wav_header_without_a_length_is_read(server, monkeypatch):
    plain = synthesizer(server).synthesize("hello", "alto")

    def streamed(self, asked):
        content = bytearray(sound_file(self.spoken(asked), "WAV"))
        for place in (content.index(b"RIFF") + 4, content.index(b"data") + 4):
            content[place : place + 4] = STREAMED.to_bytes(4, "little")
        return 200, bytes(content), 0

    monkeypatch.setattr(Handler, "answer", streamed)
    assert np.array_equal(synthesizer(server).synthesize("hello", "alto"), plain)


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("refuse", "no such words"),
        ("fail", "come again"),
        ("nonsense", "<html>"),
        ("nan", "not finite"),
        ("breaks", "peer closed connection"),
    ],
)
def test_what_fails_for_one_sentence_costs_that_sentence(server, text, detail):
    tts = synthesizer(server, max_retries=1)
    assert detail in dropped(tts.synthesize, text, "alto").detail
    assert server.tries[text] == (2 if text == "fail" else 1)
    assert heard(tts.synthesize("next", "alto")) == ["next"]


def test_no_sound_is_nothing_to_say(server):
    with pytest.raises(Dropped, match="nothing to say"):
        synthesizer(server).synthesize("nothing", "alto")


def test_an_answer_has_a_size_limit(server):
    drop = dropped(synthesizer(server, max_answer_mb=0.001).synthesize, "hello", "alto")
    assert drop.threshold == 1_048 and drop.value is not None and drop.value > 1_048


def test_a_busy_server_is_asked_again(server):
    assert heard(synthesizer(server).synthesize("busy", "alto")) == ["busy"]
    assert server.tries["busy"] == 3


@pytest.mark.parametrize(("text", "detail"), [("late", "did not answer in time"), ("drip drop drip", "did not end")])
def test_a_try_has_a_time_limit(server, text, detail):
    assert detail in dropped(synthesizer(server, timeout_s=0.1, max_retries=0).synthesize, text, "alto").detail


@pytest.mark.parametrize("status", [401, 403, 404, 429])
def test_what_would_fail_for_every_sentence_ends_the_run(server, status):
    server.status = status
    with pytest.raises(UserError, match=r"refuses.*not you(?s:.*)hint:"):
        synthesizer(server, max_retries=0).synthesize("hello", "alto")


def test_a_server_that_is_gone_ends_the_run(server):
    gone = Server()
    gone.server_close()
    with pytest.raises(UserError, match="start the speech server"):
        synthesizer(gone, max_retries=0).synthesize("hello", "alto")


def test_is_found_by_entry_point_and_describes_without_asking():
    options = {"model": "m", "base_url": "http://127.0.0.1:9/v1", "voices": ["a"], "revision": "2026-10"}
    choice = BackendChoice(name="openai", options=options)
    info = create("tts", choice).info
    assert (info.name, info.revision, info.origin) == ("m", "m 2026-10", "server http://127.0.0.1:9/v1")
    later = BackendChoice(name="openai", options={**options, "revision": "2026-11"})
    assert identity("tts", choice)["revision"] != identity("tts", later)["revision"]


@pytest.mark.parametrize(
    "options",
    [
        {"max_retries": -1},
        {"timeout_s": 0.0},
        {"max_answer_mb": 0.0},
        {"voices": []},
        {"voices": "alto"},
        {"response_format": "mp3"},
    ],
)
def test_options_that_cannot_work_are_refused(options):
    with pytest.raises(UserError, match="hint:"):
        OpenAiSynthesizer(**{"model": "m", "base_url": "http://127.0.0.1:9/v1", "voices": ["a"], **options})
