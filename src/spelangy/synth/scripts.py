"""Steps ``krist`` and ``quest``: pages without evaluation questions → what will be spoken of them.

Whatever a language model answered is kept in the table ``answers``, with the reason where it was not taken, and its
tokens and cost add up in the table's lineage.
"""

from collections.abc import Callable
from functools import partial

from spelangy.backends.load import create, describe, identity
from spelangy.core.errors import Dropped
from spelangy.core.hashing import record_id
from spelangy.core.random import uniform
from spelangy.core.records import LlmAnswer, Page, Script, ScriptSegment
from spelangy.core.schema import from_rows
from spelangy.core.sentences import sentences
from spelangy.engine.step import Item, Produced, TableStep
from spelangy.synth.config import KristSettings, QuestSettings, SynthSettings
from spelangy.synth.contaminated import Drops, QuestionGate, gate_of
from spelangy.synth.krist import krist_script
from spelangy.synth.page_metadata import about
from spelangy.synth.prompts import prompt
from spelangy.synth.quest import MinedQuestion, check_question, mine_questions, quest_script
from spelangy.synth.quest_writing import valid_questions, written_scripts
from spelangy.synth.writer import Writer
from spelangy.synth.written import Asked, texts_of, written_totals

PAGES = "gate/pages"


def _writer(settings: KristSettings | QuestSettings, root: str) -> Writer | None:
    """The recipe's language model, loaded, its answers kept in the store at `root`."""
    return Writer(create("llm", settings.llm), root) if settings.llm else None


class WriteKrist:
    """One page's knowledge as prose."""

    def __init__(self, settings: KristSettings, gate: QuestionGate, root: str, seed: int) -> None:
        self.settings = settings
        self.gate = gate
        self.writer = _writer(settings, root)
        self.seed = seed

    def __call__(self, item: Item) -> Produced:
        (page,) = from_rows([item], Page)
        is_offered = uniform(self.seed, page.id, "krist llm") < self.settings.llm_share
        written = krist_script(page, self.writer if is_offered else None)
        drops: Drops = []
        try:
            self.gate.check(texts_of(written.script.segments))  # a model may put back what was taken out
            scripts = [written.script]
        except Dropped as dropped:
            scripts, drops = [], [(page.id, dropped, 0.0)]
        return Produced(
            records={"scripts": scripts, "texts": [text_document(page)], "answers": list(written.answers)}, drops=drops
        )


def text_document(page: Page) -> Script:
    """The page's prose as it is written, to be read and not spoken: keeps the LM's text ability."""
    return Script(
        id=record_id("text", page.id),
        page_id=page.id,
        kind="text",
        method="template",
        note="",
        licence=page.licence,
        segments=tuple(ScriptSegment(role="text", text=sentence) for sentence in sentences(page.text)),
        metadata=about(page),
    )


class WriteQuest:
    """One page's questions, each with reasoning and answer."""

    def __init__(self, settings: QuestSettings, gate: QuestionGate, root: str, seed: int) -> None:
        self.settings = settings
        self.gate = gate
        self.writer = _writer(settings, root)
        self.seed = seed

    def __call__(self, item: Item) -> Produced:
        (page,) = from_rows([item], Page)
        is_offered = uniform(self.seed, page.id, "quest llm") < self.settings.llm_share
        return _QuestPage(self, page, self.writer if is_offered else None).produced()


class _QuestPage:
    """The questions of one page, taken in the page's order until there are enough."""

    def __init__(self, worker: WriteQuest, page: Page, writer: Writer | None) -> None:
        self.worker = worker
        self.page = page
        self.writer = writer
        self.asked = Asked(page.id, writer.name if writer else "")
        self.scripts: list[Script] = []
        self.drops: Drops = []

    def produced(self) -> Produced:
        waiting = [mined for mined in mine_questions(self.page) if self._passes(mined, self._check_question)]
        most = self.worker.settings.max_per_page
        while waiting and len(self.scripts) < most:
            wave, waiting = waiting[: most - len(self.scripts)], waiting[most - len(self.scripts) :]
            self._write(wave)
        for mined in waiting:
            self._drop(mined, Dropped("enough of this page", value=most + 1, threshold=most))
        return Produced(records={"scripts": self.scripts, "answers": self.asked.answers}, drops=self.drops)

    def _check_question(self, mined: MinedQuestion) -> None:
        """Before anything is paid."""
        check_question(mined.question)
        self.worker.gate.check(mined.question)

    def _write(self, wave: list[MinedQuestion]) -> None:
        written: list[Script | None] = [None] * len(wave)
        if self.writer:
            verdicts = valid_questions(self.page, wave, self.writer, self.asked)
            for mined, verdict in zip(wave, verdicts, strict=True):
                if verdict:
                    self._drop(mined, verdict)
            wave = [mined for mined, verdict in zip(wave, verdicts, strict=True) if verdict is None]
            written = written_scripts(self.page, wave, self.writer, self.asked, self.worker.seed)
        for mined, script in zip(wave, written, strict=True):
            self._passes(mined, partial(self._take, script))

    def _take(self, written: Script | None, mined: MinedQuestion) -> None:
        script = written or quest_script(self.page, mined, seed=self.worker.seed)
        self.worker.gate.check(texts_of(script.segments))
        self.scripts.append(script)

    def _passes(self, mined: MinedQuestion, check: Callable[[MinedQuestion], None]) -> bool:
        try:
            check(mined)
        except Dropped as dropped:
            self._drop(mined, dropped)
            return False
        return True

    def _drop(self, mined: MinedQuestion, dropped: Dropped) -> None:
        dropped.detail = dropped.detail or mined.question
        self.drops.append((self.page.id, dropped, 0.0))


def krist_step(settings: SynthSettings, questions: str, root: str, seed: int) -> TableStep:
    """A Krist script a page to be spoken, and beside it the page's prose as a text-only document.

    Args:
        questions: Name of the table of evaluation questions to keep out, column ``question``.
        root: The store's root, where a language model's answers are kept.
    """
    return _writing_step(
        "krist",
        settings,
        questions,
        settings.krist,
        outputs={"scripts": Script, "texts": Script, "answers": LlmAnswer},
        prompts=("rewrite",),
        config={},
        worker=lambda gate: partial(WriteKrist, settings.krist, gate, root, seed),
        seed=seed,
    )


def quest_step(settings: SynthSettings, questions: str, root: str, seed: int) -> TableStep:
    """Quest scripts of all pages. `questions` and `root` as in `krist_step`."""
    return _writing_step(
        "quest",
        settings,
        questions,
        settings.quest,
        outputs={"scripts": Script, "answers": LlmAnswer},
        prompts=("question_check", "question_answer"),
        config={"max_per_page": settings.quest.max_per_page},
        worker=lambda gate: partial(WriteQuest, settings.quest, gate, root, seed),
        seed=seed,
    )


def _writing_step(
    name: str,
    settings: SynthSettings,
    questions: str,
    own: KristSettings | QuestSettings,
    *,
    outputs: dict[str, type],
    prompts: tuple[str, ...],
    config: dict[str, object],
    worker: Callable[[QuestionGate], Callable[[], WriteKrist | WriteQuest]],
    seed: int,
) -> TableStep:
    """A model in this process gets processes of its own; one behind a server as many threads as it takes."""
    llm, concurrency = {}, 1
    if own.llm:
        llm = {
            "llm": identity("llm", own.llm),
            "share": own.llm_share,
            "prompts": {name: prompt(name) for name in prompts},
        }
        concurrency = describe("llm", own.llm).concurrency
    return TableStep(
        name=name,
        version=3,
        config={**llm, **config, "contamination": settings.gate.grade},
        inputs=(PAGES,),
        shared=(questions,),
        outputs=outputs,
        items=lambda inputs: inputs.table(PAGES),
        worker=lambda inputs: worker(gate_of(inputs, questions, settings.gate)),
        seed=seed,
        summary=written_totals,
        loads_model=own.llm is not None and concurrency == 1,
        in_flight=concurrency,
        shard_items=max(64, 8 * concurrency),
    )
