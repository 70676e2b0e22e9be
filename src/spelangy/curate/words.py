"""Step ``words``: hypotheses of all systems → consensus words, their language, and what they tell about the turn."""

from functools import partial

import pyarrow as pa

from spelangy.core.errors import Dropped
from spelangy.core.records import LanguageGuess, Score, Transcript, scores_of
from spelangy.core.spans import Span
from spelangy.curate.config import CurateSettings
from spelangy.curate.languages import text_language
from spelangy.curate.rover import Consensus, VoteRule, combine_rows
from spelangy.curate.word_scores import turn_scores
from spelangy.engine.items import attach, nest
from spelangy.engine.step import Inputs, Item, Produced, TableStep


class Combine:
    """ROVER for one turn."""

    def __init__(self, systems: tuple[str, ...], rule: VoteRule) -> None:
        self.systems = systems
        self.rule = rule

    def __call__(self, item: Item) -> Produced:
        words = {found["system"]: found["words"] or () for found in item["hypotheses"] or ()}
        heard = tuple(system for system in self.systems if system in words)
        if not heard:
            raise Dropped("no hypothesis", value=0, threshold=1)
        consensus = combine_rows([words[system] for system in heard], self.rule)
        if not consensus.words:
            raise Dropped("no words", value=0, threshold=1)
        return Produced(
            records={
                "transcripts": [_transcript(item, heard, consensus)],
                "scores": _scores(item, consensus),
                "languages": [_language(item, consensus)],
            }
        )


def _transcript(item: Item, systems: tuple[str, ...], consensus: Consensus) -> Transcript:
    return Transcript(
        id=item["id"],
        recording_id=item["recording_id"],
        systems=systems,
        words=consensus.words,
        dissent=consensus.dissent,
    )


def _scores(item: Item, consensus: Consensus) -> list[Score]:
    return scores_of(turn_scores(consensus, Span(item["start"], item["end"])), item["recording_id"], item["id"])


def _language(item: Item, consensus: Consensus) -> LanguageGuess:
    language, probability = text_language(" ".join(word.text for word in consensus.words))
    return LanguageGuess(
        id=f"{item['id']}-text",
        turn_id=item["id"],
        recording_id=item["recording_id"],
        evidence="text",
        language=language,
        probability=probability,
        num_windows=1,
    )


def words_step(settings: CurateSettings) -> TableStep:
    """Consensus of the recipe's systems, in the recipe's order: ROVER depends on it, so it is part of the key."""
    systems = tuple(choice.name for choice in settings.asr)
    tables = tuple(f"asr-{system}/hypotheses" for system in systems)

    def items(inputs: Inputs) -> pa.Table:
        turns = inputs.table("turns").select(["id", "recording_id", "start", "end"])
        hypotheses = pa.concat_tables([inputs.table(name) for name in tables])
        return attach(turns, nest(hypotheses, by="turn_id", name="hypotheses"), "hypotheses")

    return TableStep(
        name="words",
        version=3,
        config={"rover": settings.rover.model_dump(), "systems": list(systems)},
        inputs=("turns", *tables),
        outputs={"transcripts": Transcript, "scores": Score, "languages": LanguageGuess},
        items=items,
        worker=lambda _: partial(Combine, systems, VoteRule(**settings.rover.model_dump())),
        shard_items=4096,
    )
