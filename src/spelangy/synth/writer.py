"""A language model as a writer whose answers are kept: none is paid twice, none is lost.

    requests ──> kept? ──yes──────────────────────────────────> replies
                   └─no──> language model ──each as it arrives──> answers/<model>/<key>.json ──┘

The key hashes the model, its revision and all of the request. A killed run, a changed gate or another recipe finds what
was paid before. Answers are kept per store, on any file system that a store can be on.
"""

import json
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import asdict

from spelangy.backends.protocols import LanguageModel, LlmReply, LlmRequest
from spelangy.core.errors import Dropped
from spelangy.core.hashing import digest
from spelangy.store.files import Files

FOLDER = "answers"

Reply = LlmReply | Dropped


class Writer:
    """Asks `llm`, keeping every answer below `root`. Safe for threads.

    Args:
        llm: The language model.
        root: The store's root, a path or fsspec URL.
    """

    def __init__(self, llm: LanguageModel, root: str) -> None:
        self.llm = llm
        self.files = Files(root)
        self.name = llm.info.name
        self._model = digest({"name": llm.info.name, "revision": llm.info.revision})
        self._asked: dict[str, Future[Reply]] = {}
        self._lock = threading.Lock()

    def replies(self, requests: Sequence[LlmRequest]) -> list[Reply]:
        """One reply per request, in order. The same request, here or in another thread, is asked once.

        Raises:
            UserError: When the model cannot be asked at all.
            Exception: When it fails for now; what has arrived is kept.
        """
        keys = [digest([self._model, asdict(request)]) for request in requests]
        mine, replies = self._claim(keys)
        try:
            self._ask({key: request for key, request in zip(keys, requests, strict=True) if key in mine})
        except BaseException as error:
            self._give_up(mine, error)
            raise
        finally:
            with self._lock:
                for key in mine:
                    del self._asked[key]
        return [replies[key].result() for key in keys]

    def _claim(self, keys: Sequence[str]) -> tuple[set[str], dict[str, Future[Reply]]]:
        """The requests that nobody is asking now, and where the reply to each will be."""
        with self._lock:
            mine = {key for key in keys if key not in self._asked}
            self._asked.update((key, Future()) for key in mine)
            return mine, {key: self._asked[key] for key in keys}

    def _ask(self, requests: dict[str, LlmRequest]) -> None:
        unpaid = [key for key in requests if not self._is_kept(key)]
        for index, reply in self.llm.answers([requests[key] for key in unpaid]):
            key = unpaid[index]
            if isinstance(reply, LlmReply):
                self.files.write(self._place(key), json.dumps(asdict(reply)).encode())
            self._asked[key].set_result(reply)

    def _is_kept(self, key: str) -> bool:
        try:
            reply = LlmReply(**json.loads(self.files.read(self._place(key))))
        except (OSError, ValueError, TypeError):  # not there, or not ours: asked again, and written anew
            return False
        self._asked[key].set_result(reply)
        return True

    def _give_up(self, mine: set[str], error: BaseException) -> None:
        for key in mine:
            if not self._asked[key].done():
                self._asked[key].set_exception(error)

    def _place(self, key: str) -> str:
        return f"{FOLDER}/{self._model[:16]}/{key[:2]}/{key}.json"
