"""`asr.openai` against a real server on loopback that hears the tones of `FakeSynthesizer`."""

import io
import json
import re
import threading
import time
from collections import Counter
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import soundfile

from spelangy.backends.asr_openai import OpenAiRecognizer
from spelangy.backends.load import create
from spelangy.core.errors import UserError
from spelangy.core.settings import BackendChoice
from spelangy.testing import FakeRecognizer, FakeSynthesizer, check_recognizer

pytest.importorskip("openai")


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests, self.busy, self.most_busy, self.lock = [], 0, 0, threading.Lock()
        self.tries = Counter()
        self.words, self.delay_s = True, 0.0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        form = BytesParser(policy=HTTP).parsebytes(
            b"Content-Type: " + self.headers["Content-Type"].encode() + b"\r\n\r\n" + body
        )
        parts = [
            (part.get_param("name", header="content-disposition"), part.get_payload(decode=True))
            for part in form.iter_parts()
        ]
        fields = dict(parts)
        with self.server.lock:
            self.server.busy += 1
            self.server.most_busy = max(self.server.most_busy, self.server.busy)
            self.server.requests.append((self.path, self.headers["Authorization"], parts))
        time.sleep(self.server.delay_s)
        status, answer = self.answer(fields)
        with self.server.lock:
            self.server.busy -= 1
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Retry-After-Ms", "1")
        self.end_headers()
        self.wfile.write(content)

    def answer(self, fields):
        audio, _ = soundfile.read(io.BytesIO(fields["file"]), dtype="float32")
        words = FakeRecognizer().transcribe([audio])[0].words
        text = " ".join(word.text for word in words)
        self.server.tries[text] += 1
        if "refuse" in text:
            return 400, {"error": {"message": "no such sound"}}
        if "busy" in text and self.server.tries[text] < 3:
            return 503, {"error": {"message": "come again"}}
        timed = [{"word": w.text, "start": w.start / 16_000, "end": w.end / 16_000} for w in words]
        segment = {"id": 0, "start": 0.0, "end": audio.size / 16_000, "text": text, "avg_logprob": -0.25}
        answer = {"language": "english", "duration": audio.size / 16_000, "text": text, "segments": [segment]}
        return 200, {**answer, "words": timed} if self.server.words else answer

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def spoken(text):
    return FakeSynthesizer().synthesize(text, "alto")


def texts(results):
    return [" ".join(word.text for word in result.words) for result in results]


def recognizer(server, **options):
    return OpenAiRecognizer(**{"model": "tones-1", "base_url": server.url, **options})


def test_words_times_and_confidences_are_the_server_s(server, monkeypatch):
    monkeypatch.setenv("MY_KEY", "sesame")
    (heard,) = recognizer(server, api_key_variable="MY_KEY").transcribe([spoken("hello there")])
    (expected,) = FakeRecognizer().transcribe([spoken("hello there")])
    assert [w.text for w in heard.words] == ["hello", "there"]
    for word, true in zip(heard.words, expected.words, strict=True):
        assert word.is_timed and abs(word.start - true.start) <= 40 and abs(word.end - true.end) <= 40
        assert word.confidence == pytest.approx(np.exp(-0.25))
    assert (heard.language, heard.mean_logprob) == ("en", -0.25)
    ((path, key, parts),) = server.requests
    assert (path, key) == ("/v1/audio/transcriptions", "Bearer sesame")
    fields = {name: value.decode() for name, value in parts if name != "file"}
    assert (fields["model"], fields["response_format"], fields["language"]) == ("tones-1", "verbose_json", "en")
    assert {value for name, value in parts if name == "timestamp_granularities[]"} == {b"word", b"segment"}


def test_keeps_the_contract(server):
    check_recognizer(recognizer(server), spoken("one two"))


def test_without_word_times_the_text_is_spread(server):
    server.words = False
    (heard,) = recognizer(server).transcribe([spoken("hello there")])
    assert [(w.text, w.is_timed) for w in heard.words] == [("hello", False), ("there", False)]
    assert heard.words[0].confidence == pytest.approx(np.exp(-0.25))


def test_a_refused_clip_costs_no_other_and_says_why(server):
    heard = recognizer(server).transcribe([spoken("one"), spoken("refuse"), spoken("two")])
    assert texts(heard) == ["one", "", "two"]
    assert [bool(result.failure) for result in heard] == [False, True, False]
    assert re.search("BadRequestError.*no such sound", heard[1].failure)
    assert server.tries["refuse"] == 1


def test_when_no_clip_can_be_heard_the_call_fails(server):
    with pytest.raises(Exception, match="no such sound"):
        recognizer(server).transcribe([spoken("refuse"), spoken("refuse this")])


def test_a_busy_server_is_asked_again(server):
    assert texts(recognizer(server).transcribe([spoken("busy")])) == ["busy"]
    assert server.tries["busy"] == 3


def test_no_more_requests_at_once_than_allowed(server):
    server.delay_s = 0.05
    words = ["one", "two", "three", "four", "five", "six"]
    assert texts(recognizer(server, concurrency=2).transcribe([spoken(word) for word in words])) == words
    assert server.most_busy == 2


def test_a_try_has_a_time_limit(server):
    server.delay_s = 0.5
    with pytest.raises(Exception, match="timed out"):
        recognizer(server, timeout_s=0.05, max_retries=0).transcribe([spoken("slow")])


def test_is_found_by_entry_point_and_describes_without_asking():
    choice = BackendChoice(
        name="openai", options={"model": "m", "base_url": "http://127.0.0.1:9/v1", "revision": "2026-10"}
    )
    info = create("asr", choice).info
    assert (info.name, info.revision, info.origin) == ("m", "2026-10", "server http://127.0.0.1:9/v1")


@pytest.mark.parametrize("options", [{"concurrency": 0}, {"max_retries": -1}, {"timeout_s": 0.0}])
def test_options_that_cannot_work_are_refused(options):
    with pytest.raises(UserError, match="hint:"):
        OpenAiRecognizer(model="m", base_url="http://127.0.0.1:9/v1", **options)
