"""Step ``eval``: one model, every question under every condition, one stored row each; then intervals.

condition       context                                     tells
spoken          <|speech|> units of the question <|text|>   the headline
gold text       the question's text                         what listening costs (topline)
asr text        what a recogniser heard                     the cascade baseline
choices only    nothing                                     whether the options give themselves away (must be 25 %)
wrong audio     another question's units                    whether the sound matters at all
untrained       as spoken, model before training            what training brought
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from transformers import LlamaForCausalLM

from spelangy.core.errors import UserError
from spelangy.core.random import stream
from spelangy.core.records import Units
from spelangy.core.schema import to_table
from spelangy.engine.step import Inputs
from spelangy.evals.config import Condition
from spelangy.evals.questions import Question, questions_digest
from spelangy.evals.scoring import OptionScores, pick, score_options, score_unconditional
from spelangy.evals.spoken import HeardQuestion
from spelangy.evals.statistics import above_chance, mcnemar_exact, minimal_detectable_difference, wilson
from spelangy.evals.step import ASSUMED_DISCORDANT_RATIO, CHANCE, ITEMS_FILE, SCORES_FILE
from spelangy.store.tables import table_bytes
from spelangy.tokens.text_tokenizer import TextTokenizer
from spelangy.tokens.vocabulary import Vocabulary
from spelangy.train.config import TrainConfig
from spelangy.train.model import build_model, load_model
from spelangy.train.step import LAYOUT_FILE, MODEL_FOLDER

Ids = NDArray[np.int32]


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemScore:
    """One question under one condition; the four lists are in the order of its options.

    Attributes:
        credit: 1 right, 1/k in a tie of k, 0 wrong, by the recipe's norm.
        gold_probability: Softmax over the four normalised scores: a companion that sees more than right or wrong.
    """

    id: str
    question_id: str
    page_id: str
    condition: str
    kind: str
    gold: int
    credit: float
    gold_probability: float
    log_likelihood: tuple[float, ...]
    per_token: tuple[float, ...]
    per_byte: tuple[float, ...]
    pmi: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class ConditionScore:
    """One condition's accuracy with its Wilson 95 % interval, and an exact binomial test against chance."""

    condition: str
    num_items: int
    num_correct: float
    accuracy: float
    low: float
    high: float
    p_above_chance: float
    mean_gold_probability: float


class Contexts:
    """What stands before the options, by condition."""

    def __init__(self, vocabulary: Vocabulary, tokenizer: TextTokenizer) -> None:
        self.vocabulary = vocabulary
        self.tokenizer = tokenizer

    def spoken(self, units: Sequence[int]) -> Ids:
        """As in training: the switch to speech, the units, the switch to text."""
        heard = self.vocabulary.speech_id(np.asarray(units, dtype=np.uint16))
        return np.concatenate([[self.vocabulary.to_speech], heard, [self.vocabulary.to_text]]).astype(np.int32)

    def written(self, text: str) -> Ids:
        """A document that starts in text."""
        ids = self.tokenizer.encode(f" {text}").astype(np.int32)
        return np.concatenate([[self.vocabulary.to_text], ids]).astype(np.int32)

    def nothing(self) -> Ids:
        return np.array([self.vocabulary.to_text], dtype=np.int32)

    def option(self, text: str) -> Ids:
        """An option alone, with its leading space."""
        return self.tokenizer.encode(f" {text}").astype(np.int32)


def derangement(num_items: int, seed: int) -> list[int]:
    """Another item for each item: a random cycle through all of them, so nobody keeps its own."""
    order = stream(seed, "wrong audio", num_items).permutation(num_items).tolist()
    other = [0] * num_items
    for place, item in enumerate(order):
        other[item] = order[(place + 1) % num_items]
    return other


def contexts_by_condition(
    questions: Sequence[Question],
    units: Mapping[str, Sequence[int]],
    heard: Mapping[str, str],
    contexts: Contexts,
    seed: int,
) -> dict[Condition, list[Ids]]:
    """The context of every question under every condition."""
    spoken = [contexts.spoken(units[question.id]) for question in questions]
    wrong = derangement(len(questions), seed)
    return {
        "spoken": spoken,
        "gold text": [contexts.written(question.question) for question in questions],
        "asr text": [contexts.written(heard[question.id]) for question in questions],
        "choices only": [contexts.nothing() for _ in questions],
        "wrong audio": [spoken[wrong[place]] for place in range(len(questions))],
        "untrained": spoken,
    }


def item_scores(
    condition: Condition,
    questions: Sequence[Question],
    scores: OptionScores,
    prior: OptionScores,
    norm: str,
) -> list[ItemScore]:
    """One row per question, with all four norms."""
    norms = {
        "sum": scores.log_likelihood,
        "per_token": scores.per_token,
        "per_byte": scores.per_byte,
        "pmi": scores.pmi(prior),
    }
    picks = pick(norms[norm])
    return [
        ItemScore(
            id=f"{question.id}-{condition.replace(' ', '-')}",
            question_id=question.id,
            page_id=question.page_id,
            condition=condition,
            kind=question.kind,
            gold=question.gold,
            credit=picks[place].credit(question.gold),
            gold_probability=float(softmax(norms[norm][place])[question.gold]),
            log_likelihood=tuple(norms["sum"][place].tolist()),
            per_token=tuple(norms["per_token"][place].tolist()),
            per_byte=tuple(norms["per_byte"][place].tolist()),
            pmi=tuple(norms["pmi"][place].tolist()),
        )
        for place, question in enumerate(questions)
    ]


def condition_score(condition: str, items: Sequence[ItemScore]) -> ConditionScore:
    """Accuracy of one condition with its interval."""
    correct = sum(item.credit for item in items)
    interval = wilson(correct, len(items))
    return ConditionScore(
        condition=condition,
        num_items=len(items),
        num_correct=correct,
        accuracy=correct / len(items),
        low=interval.low,
        high=interval.high,
        p_above_chance=above_chance(correct, len(items), CHANCE),
        mean_gold_probability=sum(item.gold_probability for item in items) / len(items),
    )


def comparisons(by_condition: Mapping[str, Sequence[ItemScore]]) -> list[dict[str, Any]]:
    """The spoken condition (b) against each other one (a): exact McNemar on the same items."""
    spoken = by_condition["spoken"]
    return [
        {"against": name, **asdict(mcnemar_exact(_right(items), _right(spoken)))}
        for name, items in by_condition.items()
        if name != "spoken"
    ]


def _right(items: Sequence[ItemScore]) -> list[bool]:
    """Right alone: a tie is no answer in a paired test of right and wrong."""
    return [item.credit == 1.0 for item in items]


def score_model(
    inputs: Inputs, directory: Path, report: Callable[[int, int], None], norm: str, train: TrainConfig, seed: int
) -> Mapping[str, Any]:
    """Scores the trained model and, beside it, the same model before training, under every condition.

    Raises:
        UserError: When no question could be spoken.
    """
    questions = sorted(inputs.records("questions/questions", Question), key=lambda question: question.id)
    units = {row.recording_id: row.units for row in inputs.records("question-units/units", Units)}
    heard = {row.id: row.text for row in inputs.records("question-heard/heard", HeardQuestion)}
    asked = [question for question in questions if question.id in units and question.id in heard]
    if not asked:
        raise UserError(
            "no evaluation question could be spoken", hint="see the drops of steps questions and question-speech"
        )
    folder = inputs.directory("train") / MODEL_FOLDER
    vocabulary = Vocabulary.from_manifest(json.loads((folder / LAYOUT_FILE).read_text())["vocabulary"])
    contexts = Contexts(vocabulary, TextTokenizer.load(inputs.directory("text-tokenizer")))
    prepared = contexts_by_condition(asked, units, heard, contexts, seed)
    trained, untrained = load_model(folder), build_model(train, vocabulary)
    by_condition: dict[str, list[ItemScore]] = {}
    for done, (condition, before) in enumerate(prepared.items()):
        report(done, len(prepared))
        model = untrained if condition == "untrained" else trained
        by_condition[condition] = score_condition(model, condition, asked, before, contexts, norm)
    report(len(prepared), len(prepared))
    return write_scores(directory, asked, len(questions), by_condition)


def score_condition(
    model: LlamaForCausalLM,
    condition: Condition,
    questions: Sequence[Question],
    before: Sequence[Ids],
    contexts: Contexts,
    norm: str,
) -> list[ItemScore]:
    """Every question's options after its context, and after nothing (for PMI)."""
    options = [[contexts.option(text) for text in question.options] for question in questions]
    sizes = [[len(text.encode()) for text in question.options] for question in questions]
    scores = score_options(model, before, options, option_bytes=sizes)
    prior = score_unconditional(model, contexts.nothing(), options, option_bytes=sizes)
    return item_scores(condition, questions, scores, prior, norm)


def write_scores(
    directory: Path, asked: Sequence[Question], num_questions: int, by_condition: Mapping[str, Sequence[ItemScore]]
) -> Mapping[str, Any]:
    """Stores every item and the summary; returns the summary."""
    rows = [item for items in by_condition.values() for item in items]
    (directory / ITEMS_FILE).write_bytes(table_bytes(to_table(rows, ItemScore)))
    smallest = minimal_detectable_difference(len(asked), ASSUMED_DISCORDANT_RATIO)
    summary = {
        "chance": CHANCE,
        "questions_digest": questions_digest(asked),
        "num_questions_not_asked": num_questions - len(asked),
        "conditions": [asdict(condition_score(name, items)) for name, items in by_condition.items()],
        "comparisons": comparisons(by_condition),
        "assumed_discordant_ratio": ASSUMED_DISCORDANT_RATIO,
        "minimal_detectable_difference_points": smallest if math.isfinite(smallest) else None,
    }
    (directory / SCORES_FILE).write_text(json.dumps(summary, indent=1, sort_keys=True) + "\n")
    return summary
