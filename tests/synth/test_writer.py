"""Answers that are paid for are kept: by content, at once, and for every thread."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from spelangy.backends.protocols import LlmReply, LlmRequest, ModelInfo
from spelangy.core.errors import Dropped, UserError
from spelangy.synth.writer import FOLDER, Reply, Writer

ASK = LlmRequest(instruction="Say it.", text="one", max_tokens=9)


class Counting:
    """Answers with what it was asked, counts, and fails where the text says so."""

    def __init__(self, revision: str = "1") -> None:
        self.info = ModelInfo(role="llm", name="counting", revision=revision, licence="none")
        self.asked: list[str] = []
        self.slow = threading.Event()
        self.slow.set()

    def answers(self, requests: Sequence[LlmRequest]) -> Iterator[tuple[int, Reply]]:
        for index, request in reversed(list(enumerate(requests))):
            self.slow.wait(10)
            self.asked.append(request.text)
            if request.text == "broken":
                raise ConnectionError("gone")
            if request.text == "refused":
                yield index, Dropped("language model refused")
            else:
                yield index, LlmReply(text=request.text.upper(), prompt_tokens=1, answer_tokens=1, cost=1.0)


def texts(replies: Sequence[Reply]) -> list[str]:
    return [reply.text if isinstance(reply, LlmReply) else reply.reason for reply in replies]


def asks(*words: str) -> list[LlmRequest]:
    return [replace(ASK, text=word) for word in words]


def test_replies_come_in_order_and_the_same_request_is_paid_once(tmp_path: Path) -> None:
    llm = Counting()
    writer = Writer(llm, str(tmp_path))
    assert texts(writer.replies(asks("one", "two", "one"))) == ["ONE", "TWO", "ONE"]
    assert texts(writer.replies(asks("two", "three"))) == ["TWO", "THREE"]
    assert sorted(llm.asked) == ["one", "three", "two"]


def test_another_process_finds_what_was_paid_and_another_model_or_request_does_not(tmp_path: Path) -> None:
    Writer(Counting(), str(tmp_path)).replies(asks("one"))
    again, other = Counting(), Counting(revision="2")
    kept = Writer(again, str(tmp_path)).replies([ASK])
    assert kept == [LlmReply(text="ONE", prompt_tokens=1, answer_tokens=1, cost=1.0)] and not again.asked
    Writer(other, str(tmp_path)).replies([ASK])
    Writer(again, str(tmp_path)).replies([replace(ASK, max_tokens=8), replace(ASK, schema="{}")])
    assert (other.asked, again.asked) == (["one"], ["one", "one"])


def test_what_arrived_before_a_failure_is_kept_and_the_rest_asked_again(tmp_path: Path) -> None:
    llm = Counting()
    with pytest.raises(ConnectionError):
        Writer(llm, str(tmp_path)).replies(asks("broken", "one", "two"))  # answered from the last to the first
    again = Counting()
    assert texts(Writer(again, str(tmp_path)).replies(asks("one", "two", "three"))) == ["ONE", "TWO", "THREE"]
    assert again.asked == ["three"]


def test_refusals_are_not_kept(tmp_path: Path) -> None:
    llm = Counting()
    writer = Writer(llm, str(tmp_path))
    for _ in range(2):
        assert texts(writer.replies(asks("refused"))) == ["language model refused"]
    assert len(llm.asked) == 2


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"text": "x"}', b"\xff"])
def test_a_damaged_answer_is_asked_again(tmp_path: Path, content: bytes) -> None:
    Writer(Counting(), str(tmp_path)).replies([ASK])
    (file,) = (tmp_path / FOLDER).rglob("*.json")
    file.write_bytes(content)
    llm = Counting()
    assert texts(Writer(llm, str(tmp_path)).replies([ASK])) == ["ONE"] and llm.asked == ["one"]
    assert texts(Writer(Counting(), str(tmp_path)).replies([ASK])) == ["ONE"]


def test_threads_that_ask_the_same_pay_once(tmp_path: Path) -> None:
    llm = Counting()
    llm.slow.clear()
    writer = Writer(llm, str(tmp_path))
    with ThreadPoolExecutor(8) as threads:
        replies = [threads.submit(writer.replies, asks("one", "two")) for _ in range(8)]
        llm.slow.set()
        assert {tuple(texts(reply.result(20))) for reply in replies} == {("ONE", "TWO")}
    assert sorted(llm.asked) == ["one", "two"]


def test_who_waits_for_anothers_request_hears_of_its_failure_and_may_ask_again(tmp_path: Path) -> None:
    llm = Counting()
    llm.slow.clear()
    writer = Writer(llm, str(tmp_path))
    with ThreadPoolExecutor(3) as threads:
        waiting = [threads.submit(writer.replies, asks("broken")) for _ in range(3)]
        llm.slow.set()
        assert [type(reply.exception(20)) for reply in waiting] == [ConnectionError] * 3
    with pytest.raises(ConnectionError):
        writer.replies(asks("broken"))


def test_a_full_disk_stops_the_run(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_bytes(b"no folder")
    with pytest.raises(UserError, match="cannot write"):
        Writer(Counting(), str(tmp_path)).replies([ASK])
