"""A step whose worker can be asked, item by item, to misbehave in every way a model can."""

import ctypes
import os
import signal
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa

from spelangy.core.errors import UserError
from spelangy.engine.pipeline import Pipeline
from spelangy.engine.step import Item, Produced, TableStep


@dataclass(frozen=True, kw_only=True)
class Answer:
    id: str
    text: str


class Misbehaving:
    """Does what each item says; notes every call in a folder, a line a call."""

    def __init__(self, calls: Path) -> None:
        self.calls = calls
        self.kept: list[bytearray] = []

    def __call__(self, item: Item) -> Produced:
        self.calls.mkdir(exist_ok=True)
        with (self.calls / item["id"]).open("a") as file:
            file.write(f"{os.getpid()}\n")
        text = getattr(self, item["deed"])()
        return Produced(records={"answers": [Answer(id=item["id"], text=str(text))]})

    def nothing(self) -> str:
        return "fine"

    def raises(self) -> None:
        raise RuntimeError("unlucky")

    def sleeps(self) -> None:
        time.sleep(1000)

    def hangs_in_c(self) -> None:
        """Deaf to SIGTERM: Python's handlers never get their turn."""
        ctypes.PyDLL(None).sleep(1000)

    def segfaults(self) -> None:
        ctypes.string_at(0)

    def killed(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def exits(self) -> None:
        os._exit(7)

    def leaves_quietly(self) -> None:
        os._exit(0)

    def wants_too_much(self) -> None:
        bytearray(10**17)

    def eats(self) -> None:
        """Memory that is really touched, until somebody stops it."""
        for _ in range(400):
            self.kept.append(bytearray(os.urandom(1_000_000) * 10))
        raise AssertionError("nobody stopped it at 4 GB")

    def refuses(self) -> None:
        raise UserError("cannot be asked", hint="ask something else")

    def asserts(self) -> None:
        raise AssertionError("ours")

    def prints(self) -> str:
        print("chatter of a model library", flush=True)
        return "fine"

    def environment(self) -> str:
        return os.environ.get("SPELANGY_TEST", "")

    def pauses(self) -> str:
        time.sleep(0.05)
        return "fine"


class Broken:
    """A worker that cannot be made."""

    def __init__(self, deed: str, calls: Path) -> None:
        getattr(Misbehaving(calls), deed)()


def deeds_step(deeds: list[str], calls: Path, shard_items: int = 3) -> TableStep:
    ids = [f"{index:03d}-{deed}" for index, deed in enumerate(deeds)]
    return TableStep(
        name="answers",
        version=1,
        config={},
        outputs={"answers": Answer},
        items=lambda _: pa.table({"id": ids, "deed": deeds}),
        worker=lambda _: partial(Misbehaving, calls),
        loads_model=True,
        shard_items=shard_items,
    )


def deeds_pipeline(deeds: list[str], calls: Path, shard_items: int = 3) -> Pipeline:
    return Pipeline("deeds", [deeds_step(deeds, calls, shard_items)])
