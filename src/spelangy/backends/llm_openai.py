"""Role ``llm`` by any server with OpenAI's ``/v1/chat/completions``: many requests in flight, each paid once.

    requests ──> rate limits ──> at most `concurrency` in flight ──> retries with backoff ──> answers as they arrive

Requests of all threads meet in one event loop, so the limits hold for the process as a whole.
"""

import asyncio
import json
import os
import queue
import threading
import weakref
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from spelangy.backends.protocols import LlmReply, LlmRequest, ModelInfo
from spelangy.core.errors import Dropped, UserError

MAX_ANSWER_CHARS = 200_000
"""Longer answers than any that is asked for: a server that does not keep to `max_tokens`."""

CHARS_PER_TOKEN = 4
"""For the token rate limit alone, which has to know before the server has counted. Source: OpenAI's rule of thumb."""

_Answer = LlmReply | Dropped | Exception
_Arrived = tuple[int, _Answer, asyncio.Event]
"""Index, answer, and what is set when somebody has taken it."""


class OpenAiWriter:
    """Asks a server; greedy (temperature 0, seed 0), though a server may answer otherwise the next time.

    A request is tried again after a pause that doubles, or that the server names, for errors that may pass (408, 409,
    429, 5xx, a broken connection). A request that the server refuses for good costs that one; a server that is
    not there, does not know the model or the key, or stays overloaded stops the run, which is then continued later.

    Args:
        model: As the server names it.
        base_url: Root of the API, ``https://host/v1``.
        revision: What the server runs, for the lineage: raise it when its model changes.
        api_key_variable: Environment variable that holds the key; where it is not set, none is sent.
        concurrency: Most requests in flight at once, those whose answer nobody has taken yet included.
        requests_per_minute: Most requests begun in a minute; None: no limit.
        tokens_per_minute: Most tokens asked for in a minute (prompt, about, and longest answer); None: no limit.
        max_retries: Tries after the first one.
        timeout_s: Limit of one try.
        structured: How the server is told of a schema: ``json_schema`` (it enforces it), ``json_object`` (it enforces
            JSON; the schema goes into the instruction) or ``prompt`` (the instruction alone).
        prompt_price: Of a million prompt tokens, in any currency.
        answer_price: Of a million answer tokens, in the same.

    Raises:
        UserError: When the client is not installed or an option is no number that works.
    """

    circumstances = frozenset({
        "base_url", "api_key_variable", "concurrency", "requests_per_minute", "tokens_per_minute", "max_retries",
        "timeout_s", "prompt_price", "answer_price",
    })  # fmt: skip
    """Options that decide no answer."""

    def __init__(
        self,
        *,
        model: str,
        base_url: str,
        revision: str = "server",
        api_key_variable: str = "OPENAI_API_KEY",
        concurrency: int = 16,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        max_retries: int = 6,
        timeout_s: float = 300.0,
        structured: Literal["json_schema", "json_object", "prompt"] = "json_schema",
        prompt_price: float = 0.0,
        answer_price: float = 0.0,
    ) -> None:
        if concurrency < 1 or max_retries < 0 or timeout_s <= 0 or prompt_price < 0 or answer_price < 0:
            raise UserError(
                f"concurrency={concurrency}, max_retries={max_retries}, timeout_s={timeout_s}, "
                f"prompt_price={prompt_price}, answer_price={answer_price}",
                hint="concurrency and timeout_s are above 0, the others 0 or more",
            )
        if structured not in ("json_schema", "json_object", "prompt"):
            raise UserError(f"structured={structured!r}", hint="json_schema, json_object or prompt")
        self.info = self.describe(model=model, base_url=base_url, revision=revision, concurrency=concurrency)
        self.model = model
        self.structured = structured
        self.prices = (prompt_price, answer_price)
        self._concurrency = asyncio.Semaphore(concurrency)
        self._requests, self._tokens = _limiter(requests_per_minute), _limiter(tokens_per_minute)
        self._client = _client(base_url, os.environ.get(api_key_variable) or "none", max_retries, timeout_s)
        self._loop = asyncio.new_event_loop()
        thread = threading.Thread(target=_run, args=(self._loop,), name="llm.openai", daemon=True)
        thread.start()
        self._free = weakref.finalize(self, _close, self._client, self._loop, thread)

    @classmethod
    def describe(
        cls, *, model: str, base_url: str, revision: str = "server", concurrency: int = 16, **_options: object
    ) -> ModelInfo:
        """Which model this would be with these options; the server is not asked."""
        return ModelInfo(
            role="llm",
            name=model,
            revision=revision,
            licence="the server's",
            origin=f"server {base_url}",
            concurrency=concurrency,
        )

    def answers(self, requests: Sequence[LlmRequest]) -> Iterator[tuple[int, LlmReply | Dropped]]:
        """Index and answer of each request, in the order they arrive; see `LanguageModel.answers`.

        Raises:
            UserError: When the server is not there, refuses model or key, or stays overloaded.
            openai.OpenAIError: When a request fails for now (the server's error, a time limit).
        """
        for request in requests:
            if request.max_tokens < 1:
                raise UserError(f"max_tokens is {request.max_tokens}", hint="at least 1")
        arrived: queue.SimpleQueue[_Arrived] = queue.SimpleQueue()
        asked = [
            asyncio.run_coroutine_threadsafe(self._ask(index, request, arrived), self._loop)
            for index, request in enumerate(requests)
        ]
        failed: Exception | None = None
        try:
            for _ in asked:  # what is in flight is paid for: it is handed on even where another request failed
                index, answer, taken = arrived.get()
                if isinstance(answer, Exception) and not isinstance(answer, Dropped):
                    failed = failed or answer
                else:
                    yield index, answer
                self._loop.call_soon_threadsafe(taken.set)
        finally:
            for request_task in asked:  # done, unless whoever asked has given up
                request_task.cancel()
        if failed:
            raise failed

    def close(self) -> None:
        """Ends the connections, for good; happens by itself when the object goes or Python ends."""
        self._free()

    async def _ask(self, index: int, request: LlmRequest, arrived: "queue.SimpleQueue[_Arrived]") -> None:
        """Asks, and keeps its place until the answer is taken: a killed process loses `concurrency` answers at most."""
        taken = asyncio.Event()
        try:
            async with self._concurrency:
                await self._wait_for_limits(request)
                completion = await self._client.chat.completions.create(**self._body(request))
                arrived.put((index, self._reply(completion), taken))
                await taken.wait()
        except Exception as error:  # anything must arrive, else `answers` waits for ever
            arrived.put((index, self._verdict(error), taken))

    async def _wait_for_limits(self, request: LlmRequest) -> None:
        if self._requests:
            await self._requests.acquire()
        if self._tokens:
            wanted = (len(request.instruction) + len(request.text)) / CHARS_PER_TOKEN + request.max_tokens
            await self._tokens.acquire(min(wanted, self._tokens.max_rate))

    def _body(self, request: LlmRequest) -> dict[str, Any]:
        instruction = request.instruction
        body: dict[str, Any] = {
            "model": self.model, "max_tokens": request.max_tokens, "temperature": 0.0, "seed": 0,
        }  # fmt: skip
        if request.schema and self.structured == "json_schema":
            schema = {"name": "answer", "strict": True, "schema": json.loads(request.schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif request.schema:
            instruction = f"{instruction}\n\nAnswer with one JSON object that follows this schema:\n{request.schema}"
            if self.structured == "json_object":
                body["response_format"] = {"type": "json_object"}
        system = [{"role": "system", "content": _sendable(instruction)}] if instruction else []
        return {**body, "messages": [*system, {"role": "user", "content": _sendable(request.text)}]}

    def _reply(self, completion: Any) -> LlmReply | Dropped:
        (choice, *_) = completion.choices or [None]
        text = (choice.message.content or "").strip() if choice and choice.message else ""
        if choice is None or choice.finish_reason == "content_filter":
            return Dropped("language model refused", detail="no answer" if choice is None else "content filter")
        if len(text) > MAX_ANSWER_CHARS:
            return Dropped("answer too long", value=len(text), threshold=MAX_ANSWER_CHARS)
        usage = completion.usage
        prompt_tokens, answer_tokens = (usage.prompt_tokens, usage.completion_tokens) if usage else (0, 0)
        cost = (prompt_tokens * self.prices[0] + answer_tokens * self.prices[1]) / 1e6
        return LlmReply(text=text, prompt_tokens=prompt_tokens, answer_tokens=answer_tokens, cost=cost)

    def _verdict(self, error: Exception) -> _Answer:
        """What an error of the client means: this request, the whole run, or only for now."""
        import openai

        told = f"{type(error).__name__}: {error}"[:500]
        if isinstance(error, openai.BadRequestError | openai.UnprocessableEntityError):
            return Dropped("language model refused", detail=told)
        if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError | openai.NotFoundError):
            return UserError(f"{self.info.origin}: {told}", hint="check model, base_url and the key")
        if isinstance(error, openai.RateLimitError):
            return UserError(
                f"{self.info.origin} stays overloaded: {told}",
                hint="lower concurrency, requests_per_minute or tokens_per_minute, and run again: answers are kept",
            )
        if isinstance(error, openai.APIConnectionError) and not isinstance(error, openai.APITimeoutError):
            return UserError(f"{self.info.origin} does not answer: {told}", hint="run again: answers are kept")
        return error


def _run(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.close()


def _close(client: Any, loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    asyncio.run_coroutine_threadsafe(_end(client), loop)
    if threading.current_thread() is not thread:  # the last request may be what held the writer
        thread.join(5)


async def _end(client: Any) -> None:
    await client.close()
    asyncio.get_running_loop().stop()


def _limiter(per_minute: float | None) -> Any:
    if per_minute is None:
        return None
    if per_minute <= 0:
        raise UserError(f"a rate limit of {per_minute} a minute", hint="above 0; leave it out for no limit")
    try:
        from aiolimiter import AsyncLimiter
    except ImportError as error:
        raise _not_installed() from error
    return AsyncLimiter(per_minute, 60.0)


def _client(base_url: str, key: str, max_retries: int, timeout_s: float) -> Any:
    try:
        from openai import AsyncOpenAI
    except ImportError as error:
        raise _not_installed() from error
    return AsyncOpenAI(base_url=base_url, api_key=key, max_retries=max_retries, timeout=timeout_s)


def _not_installed() -> UserError:
    return UserError("the OpenAI client is not installed", hint="pip install 'spelangy[openai]'")


def _sendable(text: str) -> str:
    """Lone surrogates have no JSON form."""
    return text.encode(errors="replace").decode()
