"""Krist by a language model behind a server, beside the most that the server gives to anybody.

**Slots**: a server of our own in a process of its own, which answers with the paragraph it was given after 0.2 s and
takes so many requests at once, as a GPU with continuous batching would. Its maximum is measured in the same run by bare
sockets that keep all slots full. Ours is the whole `krist` step over pages of four paragraphs: processes, client, the
answers kept on disk one by one, gate, sentences, tables.

**llama.cpp**: its real server on loopback with SmolLM2-135M and two slots, on the cores that the step uses as well.
"""

import asyncio
import json
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from tempfile import TemporaryDirectory

import pyarrow as pa
import xllamacpp

from figure import Figure, at_least
from measure import timed
from spelangy.backends.weights import resolve
from spelangy.core.records import Page
from spelangy.core.settings import BackendChoice
from spelangy.engine.daft_runner import RunnerSettings
from spelangy.engine.pipeline import Pipeline
from spelangy.engine.progress import StepProgress
from spelangy.engine.step import Item, Produced, TableStep
from spelangy.evals.questions import Question
from spelangy.store.objects import Store
from spelangy.synth.config import KristSettings, SynthSettings
from spelangy.synth.contaminated import gate_step
from spelangy.synth.krist import rewrite_request
from spelangy.synth.scripts import krist_step
from stage_speaking import SENTENCES

DELAY_S = 0.2
SLOTS = (16, 64)
PARAGRAPHS = 4
SECONDS = 25.0
REPEATS, QUICK_REPEATS = 3, 1
MIN_RATIO = 0.9
LLAMA_SLOTS = 2
LLAMA_PAGES = 4


def figures(quick: bool) -> Iterator[Figure]:
    repeats = QUICK_REPEATS if quick else REPEATS
    for slots in SLOTS:
        yield _against_slots(slots, SECONDS, repeats)
    if not quick:
        yield _against_llama(LLAMA_PAGES)


def _against_slots(slots: int, seconds: float, repeats: int) -> Figure:
    num_pages = int(seconds * slots / DELAY_S / PARAGRAPHS)
    with _slow_server(slots) as url:
        rates = [_both_rates(url, slots, num_pages) for _ in range(repeats)]
    most, ours = (median(rate) for rate in zip(*rates, strict=True))
    return _figure(f"krist step, server of {slots} slots", ours, most)


def _both_rates(url: str, slots: int, num_pages: int) -> tuple[float, float]:
    return _bare_rate(url, slots, num_pages * PARAGRAPHS), _step_rate(url, slots, num_pages)


def _against_llama(num_pages: int) -> Figure:
    with _llama_server() as url:
        most = _bare_rate(url, LLAMA_SLOTS, num_pages * PARAGRAPHS)
        ours = _step_rate(url, LLAMA_SLOTS, num_pages)
    return _figure(f"krist step, llama.cpp of {LLAMA_SLOTS} slots", ours, most)


def _figure(name: str, ours: float, most: float) -> Figure:
    goals = at_least([MIN_RATIO * most])
    return Figure(name=name, value=ours, unit="answers/s", goals=goals, peer="the server's maximum", peer_value=most)


# ------------------------------------------------------------------------------------------------------------- the step


class _Pages:
    """The pages of the benchmark, one an item."""

    def __call__(self, item: Item) -> Produced:
        return Produced(records={"pages": [_page(int(item["id"]))]})


class _Nothing:
    def __call__(self, _: Item) -> Produced:
        return Produced(records={"questions": []})


def _page(number: int) -> Page:
    return Page(
        id=f"{number:08d}", uri=f"https://example.org/{number}", title="", text="\n\n".join(_paragraphs(number)),
        licence="", questions=(),
    )  # fmt: skip


def _paragraphs(number: int) -> list[str]:
    """Paragraphs of three sentences, no two alike."""
    places = range(number * PARAGRAPHS, (number + 1) * PARAGRAPHS)
    return [f"Paragraph {place} begins here. {' '.join(_three(place))}" for place in places]


def _three(place: int) -> list[str]:
    return [SENTENCES[(place + step) % len(SENTENCES)] for step in range(3)]


def _step_rate(url: str, concurrency: int, num_pages: int) -> float:
    llm = BackendChoice(name="openai", options={"model": "m", "base_url": url, "concurrency": concurrency})
    settings = SynthSettings(krist=KristSettings(llm=llm))
    with TemporaryDirectory() as folder:
        store = Store(folder)
        ids = [f"{number:08d}" for number in range(num_pages)]
        made = TableStep(
            name="pages", version=1, config={}, outputs={"pages": Page},
            items=lambda _: _ids(ids), worker=lambda _: _Pages,
        )  # fmt: skip
        none = TableStep(
            name="questions", version=1, config={}, outputs={"questions": Question},
            items=lambda _: _ids(["none"]), worker=lambda _: _Nothing,
        )  # fmt: skip
        gate = gate_step(settings.gate, "pages", "questions")
        before = Pipeline("asking", [made, none, gate])
        before.run(store, RunnerSettings(), StepProgress(quiet=True))
        whole = Pipeline("asking", [made, none, gate, krist_step(settings, "questions", store.files.root, 0)])
        took_s, finished = timed(lambda: whole.run(store, RunnerSettings(), StepProgress(quiet=True)))
        answers = finished["krist"].stored.num_rows("answers")
        assert answers == num_pages * PARAGRAPHS, f"{answers} answers"
    return answers / took_s


def _ids(ids: list[str]) -> pa.Table:
    return pa.table({"id": ids})


# ------------------------------------------------------------------------------------------------------- bare requests


def _bare_rate(url: str, connections: int, num_requests: int) -> float:
    bodies = [paragraph for number in range(num_requests // PARAGRAPHS) for paragraph in _paragraphs(number)]
    took_s, _ = timed(lambda: asyncio.run(_send_all(url, connections, bodies)))
    return len(bodies) / took_s


async def _send_all(url: str, connections: int, texts: list[str]) -> None:
    host, _, port = url.removeprefix("http://").removesuffix("/v1").partition(":")
    waiting = iter(texts)
    await asyncio.gather(*(_send(host, int(port), waiting) for _ in range(connections)))


async def _send(host: str, port: int, waiting: Iterator[str]) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    for text in waiting:
        body = json.dumps(_body(text)).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await _read_message(reader)
    writer.close()


def _body(text: str) -> dict[str, object]:
    """What the step asks of a paragraph."""
    request = rewrite_request(text)
    messages = [{"role": "system", "content": request.instruction}, {"role": "user", "content": request.text}]
    return {"model": "m", "messages": messages, "max_tokens": request.max_tokens, "temperature": 0.0, "seed": 0}


async def _read_message(reader: asyncio.StreamReader) -> bytes:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = int(next(line.partition(":")[2] for line in head.split("\r\n") if line.startswith("content-length")))
    return await reader.readexactly(length)


# ------------------------------------------------------------------------------------------------------------- servers


@contextmanager
def _slow_server(slots: int) -> Iterator[str]:
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(slots, sender), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{receiver.recv()}/v1"
    finally:
        process.terminate()
        process.join()


def _serve(slots: int, sender: object) -> None:
    asyncio.run(_serve_for_ever(slots, sender))


async def _serve_for_ever(slots: int, sender: object) -> None:
    free = asyncio.Semaphore(slots)

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                body = json.loads(await _read_message(reader))
                async with free:
                    await asyncio.sleep(DELAY_S)
                writer.write(_completion(body["messages"][-1]["content"]))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", 0)
    sender.send(server.sockets[0].getsockname()[1])  # type: ignore[attr-defined]  # a Connection
    await server.serve_forever()


def _completion(text: str) -> bytes:
    body = json.dumps(
        {
            "id": "1", "object": "chat.completion", "created": 0, "model": "m",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 60, "total_tokens": 160},
        }
    ).encode()  # fmt: skip
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@contextmanager
def _llama_server() -> Iterator[str]:
    params = xllamacpp.CommonParams()
    params.model.path = str(resolve("smollm2-135m-instruct").files["SmolLM2-135M-Instruct.Q4_1.gguf"])
    params.n_ctx, params.n_parallel = 2048 * LLAMA_SLOTS, LLAMA_SLOTS
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 2
    params.hostnames, params.port, params.verbosity, params.offline = ["127.0.0.1"], 0, -1, True
    params.cache_prompt = False
    server = xllamacpp.Server(params)
    time.sleep(1)
    yield f"{server.listening_address}/v1"
    del server
