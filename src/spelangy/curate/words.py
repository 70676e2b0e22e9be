"""Step ``words``: hypotheses of all systems → consensus words, with scores of how well the systems agree."""

import zlib
from functools import partial

import pyarrow as pa

from spelangy.core.errors import Dropped
from spelangy.core.records import Hypothesis, Score, Transcript
from spelangy.core.schema import from_rows
from spelangy.core.spans import Span
from spelangy.curate.config import CurateSettings
from spelangy.curate.rover import Consensus, VoteRule, combine
from spelangy.engine.items import attach, nest
from spelangy.engine.step import Inputs, Item, Produced, TableStep


class Combine:
    """ROVER for one turn."""

    def __init__(self, systems: tuple[str, ...], rule: VoteRule) -> None:
        self.systems = systems
        self.rule = rule

    def __call__(self, item: Item) -> Produced:
        by_system = {found.system: found for found in from_rows(item["hypotheses"] or [], Hypothesis)}
        heard = [by_system[system] for system in self.systems if system in by_system]
        if not heard:
            raise Dropped("no hypothesis", value=0, threshold=1)
        consensus = combine([hypothesis.words for hypothesis in heard], self.rule)
        if not consensus.words:
            raise Dropped("no words", value=0, threshold=1)
        transcript = Transcript(
            id=item["id"],
            recording_id=item["recording_id"],
            systems=tuple(hypothesis.system for hypothesis in heard),
            words=consensus.words,
            dissent=consensus.dissent,
        )
        return Produced(records={"transcripts": [transcript], "scores": turn_scores(item, consensus)})


def turn_scores(item: Item, consensus: Consensus) -> list[Score]:
    """What the words themselves tell about a turn's quality.

    ``disagreement_ratio``: mean pairwise word error between systems · ``compression_ratio``: bytes / zlib bytes of
    the text · ``characters_per_s`` · ``mean_confidence``.
    """
    words = [word.text.casefold() for word in consensus.words]
    text = " ".join(words).encode()
    measured = {
        "disagreement_ratio": consensus.disagreement,
        "compression_ratio": len(text) / len(zlib.compress(text)),
        "characters_per_s": sum(map(len, words)) / Span(item["start"], item["end"]).duration_s,
        "mean_confidence": sum(word.confidence for word in consensus.words) / len(words),
    }
    return [
        Score(id=f"{item['id']}-{name}", turn_id=item["id"], recording_id=item["recording_id"], name=name, value=value)
        for name, value in measured.items()
    ]


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
        version=2,
        config={"rover": settings.rover.model_dump(), "systems": list(systems)},
        inputs=("turns", *tables),
        outputs={"transcripts": Transcript, "scores": Score},
        items=items,
        worker=lambda _: partial(Combine, systems, VoteRule(**settings.rover.model_dump())),
        shard_items=4096,
    )
