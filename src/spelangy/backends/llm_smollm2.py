"""Role ``llm``: SmolLM2-135M-Instruct (GGUF, Q4_1), run inside this process by llama.cpp."""

import json
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import xllamacpp

from spelangy.backends.protocols import LlmReply, LlmRequest, ModelInfo
from spelangy.backends.weights import ResolvedWeights, resolve
from spelangy.core.errors import Dropped, UserError

MIN_CONTEXT_TOKENS, MAX_CONTEXT_TOKENS = 256, 8_192
"""Source: the upper one is the context length that the model's own header states."""

_SILENT = -1


class SmolLM2:
    """A very small instruction-tuned model: quick, but its rewrites drop facts. Always check what it writes.

    Greedy, without a prompt cache, one request at a time: an answer depends on nothing but its own request. llama.cpp's
    server code runs in this process; it insists on listening, so it gets a socket in a private directory that is
    removed at once: no port is opened and nobody can connect. It logs nothing.

    Args:
        threads: llama.cpp's threads; another number may tip a near tie between two words.
        context_tokens: Room for instruction, text and answer together.
        path: Directory with the weights instead of the installed package's.

    Raises:
        UserError: When the weights are missing or not the pinned ones, or llama.cpp refuses them.
    """

    def __init__(self, *, threads: int = 2, context_tokens: int = 2048, path: str | Path | None = None) -> None:
        if not MIN_CONTEXT_TOKENS <= context_tokens <= MAX_CONTEXT_TOKENS:
            raise UserError(
                f"context_tokens of SmolLM2 is {context_tokens}",
                hint=f"from {MIN_CONTEXT_TOKENS} to {MAX_CONTEXT_TOKENS}",
            )
        weights = resolve("smollm2-135m-instruct", path=path)
        self.info = _info(weights)
        self._context_tokens = context_tokens
        self._server = [_server(weights.files["SmolLM2-135M-Instruct.Q4_1.gguf"], threads, context_tokens)]
        self._free = weakref.finalize(self, self._server.clear)

    @classmethod
    def describe(cls, *, path: str | Path | None = None, allow_network: bool = False, **_options: object) -> ModelInfo:
        """Which model this would be with these options; nothing is loaded."""
        return _info(resolve("smollm2-135m-instruct", path=path, allow_network=allow_network))

    def answers(self, requests: Sequence[LlmRequest]) -> Iterator[tuple[int, LlmReply | Dropped]]:
        """Index and answer of each request, in order; see `LanguageModel.answers`."""
        for index, request in enumerate(requests):
            try:
                yield index, self._reply(request)
            except Dropped as dropped:
                yield index, dropped

    def complete(self, instruction: str, text: str, max_tokens: int) -> str:
        """The model's answer to `instruction` (the system message) applied to `text` (the user's), greedy.

        Args:
            instruction: What to do; the model's own default system message when empty.
            text: What to do it with. Spellings of the template's control tokens (``<|im_end|>``) lose their effect.
            max_tokens: Longest answer; longer ones are cut there. At least 1.

        Raises:
            Dropped: ``too long for the language model`` when instruction, text and answer do not fit into the context.
            UserError: When `max_tokens` is below 1.
        """
        return self._reply(LlmRequest(instruction=instruction, text=text, max_tokens=max_tokens)).text

    def _reply(self, request: LlmRequest) -> LlmReply:
        if request.max_tokens < 1:
            raise UserError(f"max_tokens is {request.max_tokens}", hint="at least 1")
        assert self._server, "SmolLM2 was closed"
        asked: dict[str, Any] = {
            "messages": _messages(request.instruction, request.text),
            "max_tokens": request.max_tokens,
            "temperature": 0.0,
            "seed": 0,
            "cache_prompt": False,
        }
        if request.schema:
            schema = {"name": "answer", "strict": True, "schema": json.loads(request.schema)}
            asked["response_format"] = {"type": "json_schema", "json_schema": schema}
        return self._answer(self._server[0].handle_chat_completions(asked), request.max_tokens)

    def close(self) -> None:
        """Frees the model and ends its threads, for good; happens by itself when the object goes or Python ends."""
        self._free()

    def _answer(self, reply: dict[str, Any], max_tokens: int) -> LlmReply:
        error = reply.get("error")
        if error and error.get("type") == "exceed_context_size_error":
            raise self._too_long(error["n_prompt_tokens"] + max_tokens)
        assert not error, f"llama.cpp refused our request: {error}"
        (choice,) = reply["choices"]
        wanted_tokens = reply["usage"]["prompt_tokens"] + max_tokens
        if choice["finish_reason"] == "length" and wanted_tokens > self._context_tokens:
            raise self._too_long(wanted_tokens)
        return LlmReply(
            text=str(choice["message"]["content"]).strip(),
            prompt_tokens=reply["usage"]["prompt_tokens"],
            answer_tokens=reply["usage"]["completion_tokens"],
        )

    def _too_long(self, wanted_tokens: int) -> Dropped:
        return Dropped("too long for the language model", value=wanted_tokens, threshold=self._context_tokens)


def _info(weights: ResolvedWeights) -> ModelInfo:
    """The version of llama.cpp decides near ties, so it is part of the revision."""
    info = weights.info("llm")
    return replace(info, revision=f"{info.revision}, xllamacpp {version('xllamacpp')}")


def _messages(instruction: str, text: str) -> list[dict[str, str]]:
    messages = [{"role": "system", "content": _inert(instruction)}] if instruction else []
    return [*messages, {"role": "user", "content": _inert(text)}]


def _inert(text: str) -> str:
    """llama.cpp reads control tokens wherever they stand in a message; lone surrogates have no JSON form."""
    return text.replace("<|", "< |").encode(errors="replace").decode()


def _server(model: Path, threads: int, context_tokens: int) -> Any:
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.n_ctx = context_tokens
    params.n_parallel = 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.n_threads_http = 1
    params.verbosity = _SILENT
    params.offline = True
    params.warmup = params.fit_params = params.cache_prompt = params.ui = params.endpoint_slots = False
    params.cache_ram_mib = 0
    with TemporaryDirectory(prefix="spelangy-") as directory:
        params.hostnames = [f"{directory}/llm.sock"]
        try:
            return xllamacpp.Server(params)
        except RuntimeError as error:
            raise UserError(
                f"llama.cpp cannot run {model}: {error}",
                hint="is the file whole, and TMPDIR a short path (under 80 characters) that can be written?",
            ) from error
