"""``rover``: the CTM files of several recognisers voted into one, as NIST's program does."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TextIO, get_args

import typer

from spelangy.cli.options import JsonOption
from spelangy.cli.printing import print_json
from spelangy.core.errors import UserError, did_you_mean
from spelangy.curate.rover import VoteMethod, VoteRule
from spelangy.curate.rover_ctm import NIST_RULE, combine_ctm
from spelangy.store.files import WRITING, refused_writes

STDOUT = "-"

CtmArguments = Annotated[
    list[Path],
    typer.Argument(metavar="A.ctm B.ctm …", help="One CTM a system; their order breaks ties.", show_default=False),
]
OutOption = Annotated[str, typer.Option("--out", "-o", help="The voted CTM; - is stdout.")]
MethodOption = Annotated[
    str, typer.Option("--method", help="avgconf, maxconf, or frequency (votes alone, whatever alpha): NIST's meth1.")
]
AlphaOption = Annotated[float, typer.Option("--alpha", help="Weight of votes against confidences, 0 to 1.")]
NullOption = Annotated[
    float, typer.Option("--null-confidence", help="Confidence of a system that says nothing, 0 to 1.")
]
CaseOption = Annotated[bool, typer.Option("--case-sensitive", help="Keep case, and tell words apart by it.")]


def rover(
    ctms: CtmArguments,
    out: OutOption = STDOUT,
    method: MethodOption = NIST_RULE.method,
    alpha: AlphaOption = NIST_RULE.alpha,
    null_confidence: NullOption = NIST_RULE.null_confidence,
    case_sensitive: CaseOption = False,
    json: JsonOption = False,
) -> None:
    """Votes the CTM files of several recognisers into one; the same words, times and lines as NIST's rover."""
    rule = VoteRule(method=_method(method), alpha=alpha, null_confidence=null_confidence, agreement_power=0.0)
    if out == STDOUT and json:
        raise UserError("--json: stdout takes the CTM already", hint="write the CTM to a file: -o OUT.ctm")
    channels: set[tuple[str, str]] = set()
    num_words = 0
    with _writing(out, ctms) as file:
        for word in combine_ctm(ctms, rule, case_sensitive=case_sensitive):
            file.write(word.line())
            channels.add((word.recording, word.channel))
            num_words += 1
    if json:
        given = {"out": out, "systems": list(map(str, ctms)), "method": method, "alpha": alpha}
        counted = {"num_channels": len(channels), "num_words": num_words}
        print_json({**given, "null_confidence": null_confidence, **counted})
    else:
        told = sys.stderr if out == STDOUT else sys.stdout
        print(f"words: {num_words:,}, channels: {len(channels):,}, systems: {len(ctms)}", file=told)


def _method(given: str) -> VoteMethod:
    methods: dict[str, VoteMethod] = {name: name for name in get_args(VoteMethod)}
    if given not in methods:
        raise UserError(f"--method {given}", hint=did_you_mean(given, methods))
    return methods[given]


@contextmanager
def _writing(out: str, inputs: list[Path]) -> Iterator[TextIO]:
    """Where lines go: stdout, or a file that is there only when it is complete."""
    if out == STDOUT:
        yield sys.stdout
        return
    path = Path(out)
    if any(path.exists() and given.exists() and path.samefile(given) for given in inputs):
        raise UserError(f"--out {out} is one of the inputs", hint="give another name")
    if path.is_dir():
        raise UserError(f"--out {out} is a folder", hint="give a file name")
    if path.exists() and not path.is_file():  # a device or a pipe: not ours to replace
        with refused_writes(out), path.open("w", encoding="utf-8", newline="\n") as file:
            yield file
        return
    with refused_writes(out):
        handle, partial = tempfile.mkstemp(prefix=WRITING, dir=path.parent)
    try:
        with refused_writes(out), os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            yield file
        with refused_writes(out):
            Path(partial).chmod(0o644)
            Path(partial).replace(path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


def register(app: typer.Typer) -> None:
    """Adds this module's command."""
    app.command()(rover)
