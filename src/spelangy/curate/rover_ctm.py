"""NIST's ROVER over CTM files: the same words, times, confidences and lines as its `rover` program writes.

Source: Fiscus 1997, and SCTK 2.4 (`rover -m avgconf | maxconf | meth1`), whose outputs the tests compare with.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from spelangy.core.errors import UserError
from spelangy.curate.ctm import CtmGroup, CtmWord, read_ctm
from spelangy.curate.rover import VoteRule
from spelangy.curate.rover_alignment import MAX_WORDS, align_all, cuts_at_silence
from spelangy.curate.rover_spelling import FloatArray
from spelangy.curate.rover_vocabulary import IntArray
from spelangy.curate.rover_voting import vote

NIST_RULE = VoteRule(method="avgconf", alpha=1.0, null_confidence=0.0, agreement_power=0.0)
"""The defaults of NIST's program."""

MAX_SYSTEMS = 49
"""As many as NIST's program takes words in a slot."""

_MIN_SILENCE_S = 1.0


def combine_ctm(
    paths: Sequence[Path], rule: VoteRule = NIST_RULE, *, case_sensitive: bool = False
) -> Iterator[CtmWord]:
    """The consensus of the systems whose words the files hold, word by word as NIST's rover gives it.

    Files are aligned channel by channel, and within a channel between the silences that all systems share: where the
    first pauses for more than a second and the others within that time. Times and confidence of a word are means over
    the systems that said it. All files must hold the same files and channels in the same order; as in NIST's program,
    one that ends early says nothing in those that are left.

    Args:
        paths: One CTM a system. Their order matters (Fiscus 1997).
        rule: How a slot is decided; ``frequency`` is NIST's ``meth1`` at alpha 1. All systems weigh the same.
        case_sensitive: Words that differ in case differ; otherwise everything is lower-cased.

    Raises:
        UserError: When there are fewer than 2 files or more than 49, one cannot be read, or their channels differ.
    """
    if not 2 <= len(paths) <= MAX_SYSTEMS:
        raise UserError(f"ROVER of {len(paths)} files, allowed is 2 to {MAX_SYSTEMS}")
    systems = [read_ctm(path, lower_case=not case_sensitive) for path in paths]
    leaders = systems[0]
    for leader in leaders:
        groups = [leader, *(_matching(next(system, None), leader) for system in systems[1:])]
        yield from _channel(groups, rule)
    for system in systems[1:]:
        if (left := next(system, None)) is not None:
            raise UserError(
                f"{left.where}: channel {left.channel} of {left.recording} is not in {paths[0]}",
                hint="the first file must hold all files and channels",
            )


def _matching(group: CtmGroup | None, leader: CtmGroup) -> CtmGroup:
    if group is None:
        return CtmGroup(recording=leader.recording, channel=leader.channel, where="")
    if (group.recording, group.channel) != (leader.recording, leader.channel):
        raise UserError(
            f"{group.where}: channel {group.channel} of {group.recording}, "
            f"but channel {leader.channel} of {leader.recording} at {leader.where}",
            hint="all files must hold the same files and channels in the same order",
        )
    return group


def _channel(groups: Sequence[CtmGroup], rule: VoteRule) -> Iterator[CtmWord]:
    spans = [list(zip(group.starts_s, group.ends_s, strict=True)) for group in groups]
    numbers: dict[str, int] = {}
    keys = [np.array([numbers.setdefault(text, len(numbers)) for text in group.texts], np.int32) for group in groups]
    # NIST's program keeps confidences in single precision, and its ties depend on that.
    confidences = [np.array(group.confidences, np.float32).astype(np.float64) for group in groups]
    begins = [0] * len(groups)
    for ends in cuts_at_silence(spans, _MIN_SILENCE_S):
        if ends != begins:
            yield from _stretch(groups, keys, confidences, list(zip(begins, ends, strict=True)), rule)
        begins = ends


def _stretch(
    groups: Sequence[CtmGroup],
    keys: Sequence[IntArray],
    confidences: Sequence[FloatArray],
    ranges: Sequence[tuple[int, int]],
    rule: VoteRule,
) -> Iterator[CtmWord]:
    num_words = sum(end - begin for begin, end in ranges)
    if num_words > MAX_WORDS:
        raise UserError(
            f"{groups[0].where}: {num_words:,} words in channel {groups[0].channel} of {groups[0].recording} without a "
            f"second of silence that all systems share, allowed is {MAX_WORDS:,}",
            hint="split it, or check the times",
        )
    flat = np.concatenate([system[begin:end] for system, (begin, end) in zip(keys, ranges, strict=True)])
    flat_confidences = np.concatenate([own[begin:end] for own, (begin, end) in zip(confidences, ranges, strict=True)])
    begins = np.cumsum([0, *(end - begin for begin, end in ranges)]).astype(np.int32)
    owners = [index for begin, end in ranges for index in range(begin, end)]
    said = align_all(flat, begins)
    winners = vote(said, flat, flat_confidences, rule.compiled([1.0] * len(groups)))
    numbers = flat.tolist()
    for slot, winner in zip(said.tolist(), winners.tolist(), strict=True):
        if winner >= 0:
            backers = [
                (groups[system], owners[position])
                for system, position in enumerate(slot)
                if position >= 0 and numbers[position] == numbers[winner]
            ]
            yield _word(backers)


def _word(backers: Sequence[tuple[CtmGroup, int]]) -> CtmWord:
    group, first = backers[0]
    starts = sum(own.starts_s[index] for own, index in backers)
    ends = sum(own.ends_s[index] for own, index in backers)
    confidence = sum(float(np.float32(own.confidences[index])) for own, index in backers)
    num = len(backers)
    return CtmWord(
        group.recording, group.channel, starts / num, (ends - starts) / num, group.texts[first], confidence / num
    )
