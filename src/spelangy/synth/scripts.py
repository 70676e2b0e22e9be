"""Steps ``pages``, ``krist`` and ``quest``: web archives → pages → what will be spoken of them.

Evaluation questions are kept out here, before an LLM or a synthesiser is paid: a line or a script that holds one of
them is dropped and counted.
"""

from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Literal

import pyarrow as pa

from spelangy.backends.load import create, identity
from spelangy.backends.protocols import LanguageModel
from spelangy.core.contamination import QuestionIndex
from spelangy.core.errors import Dropped, Quarantined
from spelangy.core.hashing import record_id
from spelangy.core.random import uniform
from spelangy.core.records import Page, Script, ScriptSegment
from spelangy.core.schema import from_rows
from spelangy.core.sentences import sentences
from spelangy.engine.step import Inputs, Item, Produced, TableStep
from spelangy.store.inputs import find_inputs
from spelangy.synth.config import KristSettings, QuestSettings, SynthSettings
from spelangy.synth.extract import page_from_html
from spelangy.synth.krist import krist_prompt, krist_script
from spelangy.synth.quest import mine_questions, quest_script
from spelangy.synth.speakable import speakable
from spelangy.synth.warc import read_responses

CONTAMINATED = "holds an evaluation question"


class ReadPages:
    """The usable pages of one archive."""

    def __call__(self, item: Item) -> Produced:
        path = Path(item["path"])
        if not path.is_file():
            raise Quarantined("not found", detail=item["uri"])
        pages: dict[str, Page] = {}
        drops: list[tuple[str, Dropped, float]] = []
        for response in read_responses(path):
            if isinstance(response, Dropped):
                drops.append((item["id"], response, 0.0))
                continue
            try:
                page = page_from_html(response.html, response.uri)
            except Dropped as dropped:
                dropped.detail = f"{response.uri} {dropped.detail}".strip()
                drops.append((item["id"], dropped, 0.0))
                continue
            if page.id in pages:
                drops.append((page.id, Dropped("exact duplicate", detail=page.uri), 0.0))
            pages.setdefault(page.id, page)
        return Produced(records={"pages": list(pages.values())}, drops=drops)


class WriteKrist:
    """One page's knowledge as prose."""

    def __init__(self, settings: KristSettings, gate: "QuestionGate", seed: int) -> None:
        self.settings = settings
        self.gate = gate
        self.llm: LanguageModel | None = create("llm", settings.llm) if settings.llm else None
        self.seed = seed

    def __call__(self, item: Item) -> Produced:
        (page,) = from_rows([item], Page)
        text, drops = _without_questions(page, self.gate)
        script = krist_script(replace(page, text=text), self._llm_for(page))
        # A model may put back what was taken out, and a question may stand across two lines.
        self.gate.check("\n".join(segment.text for segment in script.segments))
        self.gate.check(text)
        return Produced(records={"scripts": [script], "texts": [text_document(page, text)]}, drops=drops)

    def _llm_for(self, page: Page) -> LanguageModel | None:
        return self.llm if uniform(self.seed, page.id, "krist llm") < self.settings.llm_share else None


def text_document(page: Page, text: str) -> Script:
    """The page's prose as it is written, to be read and not spoken: keeps the LM's text ability."""
    return Script(
        id=record_id("text", page.id),
        page_id=page.id,
        kind="text",
        method="template",
        note="",
        licence=page.licence,
        segments=tuple(ScriptSegment(role="text", text=sentence) for sentence in sentences(text)),
    )


def _without_questions(page: Page, gate: "QuestionGate") -> tuple[str, list[tuple[str, Dropped, float]]]:
    kept, drops = [], []
    for line in page.text.split("\n"):
        try:
            gate.check(line)
            kept.append(line)
        except Dropped as dropped:
            drops.append((page.id, dropped, 0.0))
    return "\n".join(kept), drops


class WriteQuest:
    """One page's questions, each with reasoning and answer."""

    def __init__(self, settings: QuestSettings, gate: "QuestionGate", seed: int) -> None:
        self.settings = settings
        self.gate = gate
        self.seed = seed

    def __call__(self, item: Item) -> Produced:
        (page,) = from_rows([item], Page)
        scripts: list[Script] = []
        drops: list[tuple[str, Dropped, float]] = []
        for mined in mine_questions(page):
            try:
                script = quest_script(page, mined, seed=self.seed)
                self._check(script, len(scripts))
                scripts.append(script)
            except Dropped as dropped:
                dropped.detail = dropped.detail or mined.question
                drops.append((page.id, dropped, 0.0))
        return Produced(records={"scripts": scripts}, drops=drops)

    def _check(self, script: Script, num_before: int) -> None:
        self.gate.check("\n".join(segment.text for segment in script.segments))
        if num_before >= self.settings.max_per_page:
            raise Dropped("enough of this page", value=num_before + 1, threshold=self.settings.max_per_page)


@dataclass(frozen=True)
class QuestionGate:
    """Keeps evaluation questions out of training text.

    Attributes:
        grade: ``whole``: only questions found word for word; ``partial``: six of their words in a row, too.
    """

    questions: tuple[str, ...]
    grade: Literal["whole", "partial"]

    def check(self, text: str) -> None:
        """Raises `Dropped` when `text` holds one of the questions, as it is written or as it is spoken."""
        counted = ("whole",) if self.grade == "whole" else ("whole", "partial")
        for index in _indices(self.questions):
            for hit in index.hits(text):
                if hit.grade in counted:
                    raise Dropped(CONTAMINATED, value=hit.num_words, threshold=index.min_n, detail=hit.question)


@cache
def _indices(questions: tuple[str, ...]) -> tuple[QuestionIndex, QuestionIndex]:
    """Written and spoken forms apart, so that a question's own other form never makes its words look common.

    ``in 1852`` stands in no script, ``in eighteen fifty-two`` may.
    """
    return QuestionIndex(questions), QuestionIndex(map(speakable, questions))


def pages_step(settings: SynthSettings) -> TableStep:
    """The pages of the recipe's web archives."""
    found = find_inputs(settings.pages, suffixes=(".warc", ".warc.gz"))
    return TableStep(
        name="pages",
        version=1,
        config={"archives": [entry.id for entry in found]},
        listing=("archives",),
        outputs={"pages": Page},
        items=lambda _: pa.table({name: [getattr(entry, name) for entry in found] for name in ("id", "uri", "path")}),
        worker=lambda _: ReadPages,
        shard_items=1,
    )


def krist_step(settings: SynthSettings, questions: str, seed: int) -> TableStep:
    """A Krist script a page to be spoken, and beside it the page's prose as a text-only document.

    Args:
        questions: Name of the table of evaluation questions to keep out, column ``question``.
    """
    krist = settings.krist
    llm = {"llm": identity("llm", krist.llm), "share": krist.llm_share, "prompt": krist_prompt()} if krist.llm else {}
    return TableStep(
        name="krist",
        version=2,
        config={**llm, "contamination": settings.gate.grade},
        inputs=("pages",),
        shared=(questions,),
        outputs={"scripts": Script, "texts": Script},
        items=lambda inputs: inputs.table("pages"),
        worker=lambda inputs: partial(WriteKrist, krist, _gate(inputs, questions, settings), seed),
        seed=seed,
        loads_model=krist.llm is not None,
        shard_items=64,
    )


def quest_step(settings: SynthSettings, questions: str, seed: int) -> TableStep:
    """Quest scripts of all pages. `questions` as in `krist_step`."""
    return TableStep(
        name="quest",
        version=2,
        config={**settings.quest.model_dump(), "contamination": settings.gate.grade},
        inputs=("pages",),
        shared=(questions,),
        outputs={"scripts": Script},
        items=lambda inputs: inputs.table("pages"),
        worker=lambda inputs: partial(WriteQuest, settings.quest, _gate(inputs, questions, settings), seed),
        seed=seed,
        shard_items=256,
    )


def _gate(inputs: Inputs, table: str, settings: SynthSettings) -> QuestionGate:
    return QuestionGate(tuple(inputs.table(table)["question"].to_pylist()), settings.gate.grade)
