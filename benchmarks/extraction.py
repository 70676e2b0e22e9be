"""Main text of web pages: F1 against gold text, and pages a second, beside trafilatura and resiliparse alone.

    python benchmarks/extraction.py

Pages and gold are those of scrapinghub's article-extraction-benchmark, and so is the metric: shingles of four words,
precision and recall a page, their means over pages, F1 of the means. Our lists were made by reading half of the pages,
``seen``; ``unseen`` are the others. Times are of the processor, so that a busy machine disturbs less; the settings take
turns, page set by page set.
"""

import gzip
import json
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from statistics import fmean, median

import trafilatura
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree

from figure import Figure, Goal, at_least
from spelangy.core.errors import Dropped, UserError
from spelangy.synth.web.extract import page_from_html
from spelangy.synth.web.html_limits import check_html
from spelangy.synth.web.main_text import Extraction, main_text

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"
SHINGLE_WORDS = 4
MIN_FAST_F1, MIN_SPEED_UP = 0.93, 3.0
ROUNDS, QUICK_ROUNDS = 5, 2
PEER = "trafilatura, precision, no comments"
_ROW = "{:<38} {:>15} {:>15} {:>15} {:>7} {:>7} {:>9}"


def _main_text(html: str, extraction: Extraction) -> str:
    # At least one word: in use the fallback for pages of under 50 words precedes their drop.
    check_html(html)
    return main_text(html, HTMLTree.parse(html), extraction, min_words=1)


def _trafilatura(html: str, **options: bool) -> str:
    return trafilatura.extract(html, **options) or ""  # type: ignore[arg-type]


def _resiliparse(html: str, **options: bool) -> str:
    text: str = extract_plain_text(HTMLTree.parse(html), alt_texts=False, list_bullets=False, **options)
    return text


def _whole(html: str, extraction: Extraction) -> str:
    try:
        return page_from_html(html, "page", extraction=extraction).text
    except Dropped:
        return ""


SETTINGS: Mapping[str, Callable[[str], str]] = {
    "spelangy, best": partial(_main_text, extraction="best"),
    "spelangy, fast": partial(_main_text, extraction="fast"),
    "trafilatura, its defaults": _trafilatura,
    "trafilatura, fast": partial(_trafilatura, fast=True),
    "trafilatura, no comments": partial(_trafilatura, include_comments=False),
    "trafilatura, precision": partial(_trafilatura, favor_precision=True),
    PEER: partial(_trafilatura, favor_precision=True, include_comments=False),
    "trafilatura, the same, fast": partial(_trafilatura, favor_precision=True, include_comments=False, fast=True),
    "trafilatura, recall, no comments": partial(_trafilatura, favor_recall=True, include_comments=False),
    "resiliparse, main content": partial(_resiliparse, main_content=True),
    "resiliparse, no comments, no dates": partial(_resiliparse, main_content=True, comments=False, post_meta=False),
    "resiliparse, all visible text": partial(_resiliparse, main_content=False),
}
WHOLE: Mapping[str, Callable[[str], str]] = {
    "spelangy, page_from_html, best": partial(_whole, extraction="best"),
    "spelangy, page_from_html, fast": partial(_whole, extraction="fast"),
}
"""With language, licence and questions; only timed."""


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Scores in [0, 1] with their standard errors, by leaving out a page at a time (jackknife)."""

    f1: float
    precision: float
    recall: float
    f1_error: float
    precision_error: float
    recall_error: float


@cache
def pages() -> Mapping[str, tuple[str, str]]:
    """HTML and gold text of each page, by name.

    Raises:
        UserError: When the data are not there.
    """
    folder = Path(os.environ.get("SPELANGY_DATA", BESIDE)) / "html_articles"
    if not (folder / "ground-truth.json").is_file():
        raise UserError(f"no article-extraction-benchmark in {folder}", hint="set SPELANGY_DATA to the data folder")
    gold = json.loads((folder / "ground-truth.json").read_text(encoding="utf-8"))
    html = {path.name.partition(".")[0]: path for path in sorted((folder / "html").glob("*.html.gz"))}
    return {
        name: (
            gzip.decompress(path.read_bytes()).decode("utf-8", "replace").replace("\x00", ""),
            gold[name]["articleBody"],
        )
        for name, path in html.items()
    }


def half(seen: bool) -> list[str]:
    """Names of the pages that our lists were made from, or of the others: by the first 32 bits of the name's hash."""
    return [name for name in pages() if (int(name[:8], 16) % 2 == 0) == seen]


def f1(setting: str, names: Sequence[str] | None = None) -> Quality:
    """How well `setting` finds the gold text of the pages named; of all without `names`."""
    by_page = _by_page(setting)
    scored = [by_page[name] for name in (pages() if names is None else names)]
    left_out = [_means(scored[:place] + scored[place + 1 :]) for place in range(len(scored))]
    errors = [_jackknife([means[index] for means in left_out]) for index in range(3)]
    found = _means(scored)
    return Quality(
        f1=found[0], precision=found[1], recall=found[2],
        f1_error=errors[0], precision_error=errors[1], recall_error=errors[2],
    )  # fmt: skip


def pages_per_second(settings: Sequence[str], rounds: int = ROUNDS) -> dict[str, float]:
    """Median over rounds; in each round every setting takes all pages, one setting after the other."""
    every = {**SETTINGS, **WHOLE}
    html = [page for page, _ in pages().values()]
    took: dict[str, list[float]] = {setting: [] for setting in settings}
    for setting in settings:
        every[setting](html[0])
    for _ in range(rounds):
        for setting in settings:
            started = time.process_time()
            for page in html:
                every[setting](page)
            took[setting].append(time.process_time() - started)
    return {setting: len(html) / median(times) for setting, times in took.items()}


@cache
def _by_page(setting: str) -> Mapping[str, tuple[float | None, float | None]]:
    return {name: precision_recall(SETTINGS[setting](html), gold) for name, (html, gold) in pages().items()}


def precision_recall(found: str, gold: str) -> tuple[float | None, float | None]:
    """Of one page, over shingles as often as they occur; None where there is nothing found, or no gold.

    Source: evaluate.py of the article-extraction-benchmark, described, not copied.
    """
    found_shingles, gold_shingles = shingles(found), shingles(gold)
    num_common = (found_shingles & gold_shingles).total()
    return (
        num_common / found_shingles.total() if found_shingles else None,
        num_common / gold_shingles.total() if gold_shingles else None,
    )


def shingles(text: str) -> Counter[tuple[str, ...]]:
    """Runs of four words, case kept; a shorter text is one shingle."""
    words = re.findall(r"\w+", text)
    starts = range(max(1, len(words) - SHINGLE_WORDS + 1)) if words else range(0)
    return Counter(tuple(words[start : start + SHINGLE_WORDS]) for start in starts)


def _means(scored: Sequence[tuple[float | None, float | None]]) -> tuple[float, float, float]:
    precisions = [precision for precision, _ in scored if precision is not None]
    recalls = [recall for _, recall in scored if recall is not None]
    precision, recall = fmean(precisions) if precisions else 0.0, fmean(recalls) if recalls else 0.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0, precision, recall


def _jackknife(estimates: Sequence[float]) -> float:
    mean = fmean(estimates)
    num = len(estimates)
    return float(((num - 1) / num * sum((estimate - mean) ** 2 for estimate in estimates)) ** 0.5)


def figures(quick: bool) -> Iterator[Figure]:
    """All figures of this module."""
    best_peer = max((name for name in SETTINGS if name.startswith("trafilatura")), key=lambda name: f1(name).f1)
    peer_f1 = f1(best_peer).f1
    goals = {"best": at_least([None]), "fast": at_least([MIN_FAST_F1])}
    for name, goal in goals.items():
        for part, names in (("all", None), ("unseen", half(False))):
            value, peer = f1(f"spelangy, {name}", names).f1, f1(best_peer, names).f1 if names else peer_f1
            label = f"main text, {name}, {part} pages"
            yield Figure(name=label, value=value, unit="F1", goals=goal, peer=best_peer, peer_value=peer)
    timed = pages_per_second(["spelangy, best", "spelangy, fast", best_peer, *WHOLE], QUICK_ROUNDS if quick else ROUNDS)
    for name in timed:
        if name != best_peer:
            least = (Goal(compare=">=", limit=MIN_SPEED_UP * timed[best_peer]),) if name == "spelangy, fast" else ()
            yield Figure(
                name=name, value=timed[name], unit="pages/s", goals=least, peer=best_peer, peer_value=timed[best_peer]
            )


def main() -> None:
    """Prints one table of all settings."""
    speeds = pages_per_second([*SETTINGS, *WHOLE])
    print(f"{len(pages())} pages, {len(half(True))} of them seen; standard errors by jackknife; one core")
    print(_ROW.format("", "F1", "precision", "recall", "seen", "unseen", "pages/s"))
    for setting in SETTINGS:
        found = f1(setting)
        parts = (
            f"{value:.3f} ± {error:.3f}"
            for value, error in (
                (found.f1, found.f1_error), (found.precision, found.precision_error), (found.recall, found.recall_error)
            )
        )  # fmt: skip
        halves = (f"{f1(setting, half(seen)).f1:.3f}" for seen in (True, False))
        print(_ROW.format(setting, *parts, *halves, f"{speeds[setting]:.0f}"))
    for setting in WHOLE:
        print(_ROW.format(setting, "", "", "", "", "", f"{speeds[setting]:.0f}"))


if __name__ == "__main__":
    main()
