"""How many input words a second ROVER combines on one core, beside crowd-kit's ROVER and NIST's program.

Input words are those of all systems together. Times are of the processor, so that other work on the machine counts
less. Turns are 30 s of Earnings-21 calls heard by three systems (a folder with them: SPELANGY_DATA), or made up alike.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from figure import Figure, at_least
from spelangy.core.records import HypothesisWord
from spelangy.core.spans import samples
from spelangy.curate.config import RoverSettings
from spelangy.curate.ctm import CtmWord, read_ctm
from spelangy.curate.rover import VoteRule, combine
from spelangy.curate.rover_ctm import combine_ctm

WORDS_PER_S = 100_000
TIMES_CROWD_KIT = 100
TURN_S = 30.0
NUM_TURNS = {True: 100, False: 1000}
NUM_PEER_TURNS = {True: 12, False: 60}
PAUSE_S = 2.0
SYSTEMS = (1, 2, 5)
REPEATS = 9
SEED = 17

FIRST_CALL = """
import time
started = time.perf_counter()
from spelangy.core.records import HypothesisWord
from spelangy.curate.rover import combine
imported = time.perf_counter()
word = HypothesisWord(text="one", start=0, end=100, confidence=0.5, is_timed=True)
combine([[word], [word], []])
print(time.perf_counter() - imported)
"""

Turn = list[list[HypothesisWord]]


def figures(quick: bool) -> Iterator[Figure]:
    """All figures of this module."""
    turns = list(_turns(NUM_TURNS[quick]))
    num_words = _num_words(turns)
    rule = VoteRule(**RoverSettings().model_dump())
    _combine(turns, rule)  # compiles, and meets the words
    words_per_s = num_words / _processor_s(lambda: _combine(turns, rule))
    yield Figure(name="rover of three systems", value=words_per_s, unit="words/s", goals=at_least([WORDS_PER_S]))
    yield _against_crowd_kit(turns[:: max(1, len(turns) // NUM_PEER_TURNS[quick])], rule)
    yield Figure(name="rover, first call of a process", value=_first_call_s(), unit="s")
    with TemporaryDirectory() as folder:
        yield from _ctm_files(turns, Path(folder))


def _combine(turns: Sequence[Turn], rule: VoteRule) -> None:
    for turn in turns:
        combine(turn, rule)


def _num_words(turns: Sequence[Turn]) -> int:
    return sum(len(words) for turn in turns for words in turn)


def _processor_s(work: Callable[[], object], repeats: int = REPEATS) -> float:
    times = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return median(times)


def _against_crowd_kit(turns: Sequence[Turn], rule: VoteRule) -> Figure:
    """The same turns; crowd-kit gets words lower-case and free of punctuation already, and votes on nothing else."""
    import pandas as pd
    from crowdkit.aggregation import ROVER

    rows = [
        (number, system, " ".join(word.text.lower() for word in words))
        for number, turn in enumerate(turns)
        for system, words in enumerate(turn)
    ]
    frame = pd.DataFrame(rows, columns=["task", "worker", "text"])
    peer = ROVER(tokenizer=str.split, detokenizer=" ".join)
    ours_s = _processor_s(lambda: _combine(turns, rule))
    theirs_s = _processor_s(lambda: peer.fit_predict(frame), repeats=1)
    return Figure(name="rover, times as fast as crowd-kit", value=theirs_s / ours_s, unit="x",
                  goals=at_least([TIMES_CROWD_KIT]), peer="crowd-kit's words/s",
                  peer_value=_num_words(turns) / theirs_s)  # fmt: skip


def _first_call_s() -> float:
    """What a new process waits for compiled code, which lies on disk since this process ran."""
    done = subprocess.run([sys.executable, "-c", FIRST_CALL], capture_output=True, text=True, check=True)
    return float(done.stdout)


def _ctm_files(turns: Sequence[Turn], folder: Path) -> Iterator[Figure]:
    """Reading, combining and writing CTM files as ``spelangy rover`` does; NIST's program where it is installed."""
    paths = [folder / f"{system}.ctm" for system in range(len(SYSTEMS))]
    for system, path in enumerate(paths):
        path.write_text("".join(_ctm_lines(turns, system)))
    out = folder / "out.ctm"
    ours_s = _processor_s(lambda: out.write_text("".join(word.line() for word in combine_ctm(paths))))
    program = shutil.which("rover")
    peer_s = _program_s(program, paths, folder) if program else None
    yield Figure(
        name="rover of three CTM files",
        value=_num_words(turns) / ours_s,
        unit="words/s",
        goals=at_least([WORDS_PER_S]),
        peer="NIST's rover" if peer_s else "",
        peer_value=_num_words(turns) / peer_s if peer_s else None,
    )


def _ctm_lines(turns: Sequence[Turn], system: int) -> Iterator[str]:
    for number, turn in enumerate(turns):
        for word in turn[system]:
            start_s = number * (TURN_S + PAUSE_S) + word.start / samples(1.0)
            duration_s = (word.end - word.start) / samples(1.0)
            yield CtmWord("f", "1", start_s, duration_s, word.text, word.confidence).line()


def _program_s(program: str, paths: Sequence[Path], folder: Path) -> float:
    inputs = [part for path in paths for part in ("-h", str(path), "ctm")]
    command = [program, *inputs, "-o", str(folder / "peer.ctm"), "-m", "avgconf", "-f", "0"]
    before = os.times()
    subprocess.run(command, check=True, capture_output=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def _turns(num_turns: int) -> Iterator[Turn]:
    """As many turns of three systems, from Earnings-21 (again and again) where it is there."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SPELANGY_DATA", beside)) / "rover_earnings21"
    if not folder.is_dir():
        print(f"note: no folder {folder}: turns are made up", file=sys.stderr)
    heard = _earnings_turns(folder) if folder.is_dir() else _made_up_turns(num_turns)
    yield from (heard[index % len(heard)] for index in range(num_turns))


def _earnings_turns(folder: Path) -> list[Turn]:
    turns: dict[tuple[str, int], Turn] = {}
    for system, number in enumerate(SYSTEMS):
        for group in read_ctm(folder / f"sys{number}.ctm"):
            columns = (group.texts, group.starts_s, group.ends_s, group.confidences)
            for text, start_s, end_s, confidence in zip(*columns, strict=True):
                index = int(start_s // TURN_S)
                turn = turns.setdefault((group.recording, index), [[] for _ in SYSTEMS])
                turn[system].append(_word(text, start_s - index * TURN_S, end_s - index * TURN_S, confidence))
    return list(turns.values())


def _word(text: str, start_s: float, end_s: float, confidence: float) -> HypothesisWord:
    return HypothesisWord(text=text, start=samples(start_s), end=samples(end_s), confidence=confidence, is_timed=True)


def _made_up_turns(num_turns: int) -> list[Turn]:
    """Turns of 80 words out of 5,000, as frequent as words are; each system mishears, skips or adds one in eight."""
    rng = np.random.default_rng(SEED)
    vocabulary = [f"{first}{second}" for first in "bcdfghjklm" for second in range(500)]
    chances = 1.0 / np.arange(1, len(vocabulary) + 1)
    chances /= chances.sum()
    turns: list[Turn] = []
    for _ in range(num_turns):
        said = rng.choice(len(vocabulary), 80, p=chances)
        turns.append([_misheard(said, vocabulary, rng) for _ in SYSTEMS])
    return turns


def _misheard(said: NDArray[np.int64], vocabulary: Sequence[str], rng: np.random.Generator) -> list[HypothesisWord]:
    words: list[HypothesisWord] = []
    for index, (number, luck) in enumerate(zip(said.tolist(), rng.random(len(said)).tolist(), strict=True)):
        heard = (
            [vocabulary[number]] * int(luck > 0.04) if luck > 0.08 else [vocabulary[int(rng.integers(len(vocabulary)))]]
        )
        heard += [vocabulary[int(rng.integers(len(vocabulary)))]] * int(luck > 0.96)
        words += [_word(text, 0.35 * index, 0.35 * index + 0.3, round(float(rng.beta(8, 2)), 2)) for text in heard]
    return words
