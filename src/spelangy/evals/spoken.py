"""Steps ``questions`` and ``question-heard``: pages → a frozen four-option set → the questions as an ASR hears them.

The questions are spoken by the synth room's own speech step, from the scripts made here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from spelangy.backends.load import create, identity
from spelangy.core.errors import Dropped
from spelangy.core.records import Page, Script, ScriptSegment
from spelangy.core.schema import from_rows
from spelangy.core.settings import BackendChoice
from spelangy.core.spans import Span
from spelangy.core.splits import is_heldout
from spelangy.engine.step import Inputs, Item, Produced, TableStep
from spelangy.evals.config import EvalSettings
from spelangy.evals.questions import Question, build_questions, split_pairs
from spelangy.store.audio import AudioStore


class BuildQuestions:
    """The whole set at once: distractors are other items' answers."""

    def __init__(self, question_share: float, heldout_share: float, seed: int) -> None:
        self.question_share = question_share
        self.heldout_share = heldout_share
        self.seed = seed

    def __call__(self, item: Item) -> Produced:
        pages = [page for page in from_rows(item["pages"], Page) if not self._is_heldout(page)]
        pairs = [(page.id, pair) for page in pages for pair in page.questions]
        split = split_pairs(pairs, eval_share=self.question_share, seed=self.seed)
        built = build_questions(split.evaluation, seed=self.seed)
        questions = [entry for entry in built if isinstance(entry, Question)]
        drops = [("all", entry, 0.0) for entry in built if isinstance(entry, Dropped)]
        return Produced(
            records={"questions": questions, "scripts": [question_script(question) for question in questions]},
            drops=drops,
        )

    def _is_heldout(self, page: Page) -> bool:
        """A question is fair only when its page's facts were in training."""
        return is_heldout(page.id, self.heldout_share, self.seed)


def question_script(question: Question) -> Script:
    """What is spoken of a question: the question alone."""
    return Script(
        id=question.id,
        page_id=question.page_id,
        kind="question",
        method="template",
        note="",
        licence="",
        segments=(ScriptSegment(role="question", text=question.question),),
    )


def questions_step(settings: EvalSettings, pages: str, heldout_share: float, seed: int) -> TableStep:
    """The recipe's evaluation questions, made before anything is written or spoken for training.

    Args:
        pages: Name of the table of pages whose questions are asked.
    """

    def items(inputs: Inputs) -> pa.Table:
        found = inputs.table(pages)
        return pa.Table.from_pylist(
            [{"id": "all", "pages": found.to_pylist()}],
            schema=pa.schema([("id", pa.string()), ("pages", pa.list_(pa.struct(list(found.schema))))]),
        )

    return TableStep(
        name="questions",
        version=2,
        config={"question_share": settings.question_share, "heldout_share": heldout_share},
        inputs=(pages,),
        outputs={"questions": Question, "scripts": Script},
        items=items,
        worker=lambda _: partial(BuildQuestions, settings.question_share, heldout_share, seed),
        seed=seed,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class HeardQuestion:
    """A spoken question as the ASR wrote it down; `id` is the question's."""

    id: str
    text: str


class HearQuestion:
    """One spoken question through the cascade's recogniser."""

    def __init__(self, audio: AudioStore, choice: BackendChoice) -> None:
        self.audio = audio
        self.asr = create("asr", choice)

    def __call__(self, item: Item) -> Produced:
        clip = self.audio.read(item["audio"], Span(0, item["num_samples"]))
        (heard,) = self.asr.transcribe([clip])
        text = " ".join(word.text for word in heard.words)
        return Produced(records={"heard": [HeardQuestion(id=item["id"], text=text)]})


def heard_step(settings: EvalSettings, recordings: str, audio: AudioStore) -> TableStep:
    """ASR text of the spoken questions.

    Args:
        recordings: Name of the table of their recordings.
    """

    def items(inputs: Inputs) -> pa.Table:
        return inputs.table(recordings).select(["id", "audio", "num_samples"])

    config: Mapping[str, object] = {"asr": identity("asr", settings.asr)}
    return TableStep(
        name="question-heard",
        version=1,
        config=config,
        inputs=(recordings,),
        outputs={"heard": HeardQuestion},
        items=items,
        worker=lambda _: partial(HearQuestion, audio, settings.asr),
        loads_model=True,
        shard_items=32,
    )
