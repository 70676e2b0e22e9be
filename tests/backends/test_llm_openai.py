"""`llm.openai` against a real server on loopback."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import xllamacpp

from chat_server import ChatServer, told
from spelangy.backends.llm_openai import OpenAiWriter
from spelangy.backends.load import create, describe, identity
from spelangy.backends.protocols import LlmReply, LlmRequest
from spelangy.backends.weights import resolve
from spelangy.core.errors import Dropped, UserError
from spelangy.core.settings import BackendChoice
from spelangy.testing import check_language_model

pytest.importorskip("openai")


def first_words(body):
    return 200, " ".join(told(body).split()[: body["max_tokens"]])


def ask(text, **more):
    return LlmRequest(**{"instruction": "Do it.", "text": text, "max_tokens": 50, **more})


def writer(server, **options):
    return OpenAiWriter(model="m", base_url=server.url, **options)


def test_it_keeps_the_contract():
    with ChatServer(first_words) as server:
        check_language_model(writer(server))


def test_answers_come_as_they_arrive_with_tokens_and_cost():
    gate = threading.Event()

    def rule(body):
        if told(body) == "slow":
            gate.wait(10)
        return 200, "an answer"

    with ChatServer(rule) as server:
        arrived = writer(server, prompt_price=1e6, answer_price=2e6).answers([ask("slow"), ask("quick")])
        index, reply = next(arrived)
        assert (index, reply) == (1, LlmReply(text="an answer", prompt_tokens=20, answer_tokens=2, cost=24.0))
        gate.set()
        assert [index for index, _ in arrived] == [0]
        body = server.bodies[0]
        assert (body["model"], body["temperature"], body["max_tokens"]) == ("m", 0.0, 50)
        assert [message["role"] for message in body["messages"]] == ["system", "user"]


def test_requests_of_all_threads_share_the_limit():
    with ChatServer(first_words, delay_s=0.05) as server:
        llm = writer(server, concurrency=5)
        with ThreadPoolExecutor(6) as threads:
            asked = [threads.submit(lambda: list(llm.answers([ask(f"word {n}") for n in range(6)]))) for _ in range(6)]
            assert all(len(one.result(30)) == 6 for one in asked)
        assert server.most_busy == 5 and len(server.bodies) == 36
    assert llm.info.concurrency == 5


def test_what_may_pass_is_tried_again():
    tries = []

    def rule(body):
        tries.append(1)
        return [(503, {"error": {"message": "busy"}}), (429, {"error": {"message": "slow down"}}), (200, "yes")][
            min(2, len(tries) - 1)
        ]

    with ChatServer(rule) as server:
        assert dict(writer(server).answers([ask("a")]))[0].text == "yes"
    assert len(tries) == 3


@pytest.mark.parametrize("status", [400, 422])
def test_a_refused_request_costs_itself_alone(status):
    def rule(body):
        return (status, {"error": {"message": "no such thing"}}) if told(body) == "bad" else (200, "good")

    with ChatServer(rule) as server:
        answers = dict(writer(server).answers([ask("bad"), ask("good")]))
    assert isinstance(answers[0], Dropped) and answers[0].reason == "language model refused"
    assert "no such thing" in answers[0].detail
    assert answers[1].text == "good"


@pytest.mark.parametrize(
    ("status", "says"), [(401, "check model, base_url"), (404, "check model, base_url"), (429, "lower concurrency")]
)
def test_a_request_that_no_other_would_do_better_stops_the_run(status, says):
    with (
        ChatServer(lambda _: (status, {"error": {"message": "no"}})) as server,
        pytest.raises(UserError) as caught,
    ):
        list(writer(server, max_retries=1).answers([ask("a"), ask("b")]))
    assert says in caught.value.hint


def test_a_server_that_is_not_there_stops_the_run():
    with ChatServer(first_words) as server:
        llm = writer(server, max_retries=0)
    with pytest.raises(UserError, match="does not answer"):
        list(llm.answers([ask("a")]))


def test_a_server_in_trouble_fails_the_call_and_what_was_answered_is_handed_on():
    def rule(body):
        return (500, {"error": {"message": "trouble"}}) if told(body) == "bad" else (200, "good")

    with ChatServer(rule) as server:
        arrived = writer(server, max_retries=0).answers([ask("bad"), ask("good"), ask("fine")])
        found = []
        with pytest.raises(Exception, match="trouble") as caught:
            for one in arrived:
                found.append(one)
    assert not isinstance(caught.value, UserError | Dropped)
    assert sorted(index for index, _ in found) == [1, 2]


@pytest.mark.parametrize(
    ("structured", "format_type"), [("json_schema", "json_schema"), ("json_object", "json_object"), ("prompt", None)]
)
def test_a_schema_reaches_the_server_in_the_way_it_understands(structured, format_type):
    schema = json.dumps({"type": "object", "properties": {"valid": {"type": "boolean"}}})
    with ChatServer(lambda _: (200, '{"valid": true}')) as server:
        list(writer(server, structured=structured).answers([ask("a", schema=schema)]))
    (body,) = server.bodies
    assert (body.get("response_format") or {}).get("type") == format_type
    in_format = (body.get("response_format") or {}).get("json_schema", {}).get("schema") == json.loads(schema)
    assert in_format or schema in body["messages"][0]["content"]


def test_rate_limits_hold():
    with ChatServer(first_words) as server:
        llm = writer(server, requests_per_minute=1200)  # 20 a second, of which a full bucket goes at once
        llm._requests.max_rate, llm._requests.time_period = 20, 1.0
        llm._requests._rate_per_sec = 20.0
        started = time.monotonic()
        assert len(list(llm.answers([ask(str(number)) for number in range(40)]))) == 40
        assert time.monotonic() - started > 0.8


@pytest.mark.parametrize(
    "body",
    [
        {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": []},
        {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [
            {"index": 0, "finish_reason": "content_filter", "message": {"role": "assistant", "content": None}}]},
    ],
)  # fmt: skip
def test_an_empty_answer_is_a_refusal(body):
    with ChatServer(lambda _: (200, body)) as server:
        ((_, answer),) = writer(server).answers([ask("a")])
    assert isinstance(answer, Dropped)


def test_odd_text_can_be_sent():
    with ChatServer(lambda _: (200, "x")) as server:
        assert len(list(writer(server).answers([ask("\ud800 \x00 😀")]))) == 1


def test_where_the_server_is_and_how_hard_it_is_asked_is_not_its_identity(monkeypatch):
    monkeypatch.setenv("MY_KEY", "secret")
    with ChatServer(first_words) as server:
        one = BackendChoice(name="openai", options={"model": "m", "base_url": server.url, "api_key_variable": "MY_KEY"})
        two = BackendChoice(name="openai", options={"model": "m", "base_url": "http://b/v1", "concurrency": 64})
        assert identity("llm", one) == identity("llm", two)
        other = BackendChoice(name="openai", options={**one.options, "model": "n"})
        assert identity("llm", one) != identity("llm", other)
        assert describe("llm", two).concurrency == 64
        list(create("llm", one).answers([ask("a")]))
        assert server.keys == {"Bearer secret"}


@pytest.mark.parametrize(
    "options",
    [{"concurrency": 0}, {"timeout_s": 0}, {"structured": "yaml"}, {"requests_per_minute": 0}, {"prompt_price": -1}],
)
def test_options_that_cannot_work_are_refused(options):
    with pytest.raises(UserError):
        OpenAiWriter(model="m", base_url="http://127.0.0.1:9/v1", **options)
    with ChatServer(first_words) as server, pytest.raises(UserError, match="max_tokens"):
        list(writer(server).answers([ask("a", max_tokens=0)]))


def test_who_gives_up_leaves_the_places_to_others():
    with ChatServer(first_words) as server:
        llm = writer(server, concurrency=2)
        first = llm.answers([ask(f"word {number}") for number in range(8)])
        next(first)
        first.close()
        assert len(dict(llm.answers([ask(f"other {number}") for number in range(8)]))) == 8


@pytest.fixture(scope="module")
def llama_server():
    """llama.cpp's own server with SmolLM2 on loopback."""
    params = xllamacpp.CommonParams()
    params.model.path = str(resolve("smollm2-135m-instruct").files["SmolLM2-135M-Instruct.Q4_1.gguf"])
    params.hostnames, params.port = ["127.0.0.1"], 0
    params.n_ctx, params.n_parallel = 1024, 2
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.verbosity, params.offline = -1, True
    params.warmup = params.fit_params = params.cache_prompt = params.ui = False
    yield xllamacpp.Server(params)


def test_a_real_server_answers_in_text_and_by_schema(llama_server):
    llm = OpenAiWriter(model="smollm2", base_url=f"{llama_server.listening_address}/v1", concurrency=2)
    schema = {
        "type": "object",
        "properties": {"reason": {"type": "string", "maxLength": 60}, "valid": {"type": "boolean"}},
        "required": ["reason", "valid"],
        "additionalProperties": False,
    }
    asked = [
        ask("What is the capital of France?", instruction="Answer the question.", max_tokens=16),
        ask("Is snow white?", max_tokens=64, schema=json.dumps(schema)),
    ]
    answers = dict(llm.answers(asked))
    assert "Paris" in answers[0].text and answers[0].prompt_tokens > 10 and answers[0].answer_tokens > 2
    assert json.loads(answers[1].text).keys() == {"reason", "valid"}
    too_long = dict(llm.answers([ask("word " * 3000)]))[0]
    assert isinstance(too_long, Dropped) and too_long.reason == "language model refused"
