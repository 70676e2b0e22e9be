"""What is measured of a page's text, and the rules held against it."""

from dataclasses import asdict, fields

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spelangy.core.records import Page, PageScores
from spelangy.core.schema import from_table, to_table
from spelangy.core.settings import BackendChoice
from spelangy.synth.config import SelectSettings, SynthSettings
from spelangy.synth.page_scores import RULES, ScorePage, measure_text, page_scores_step, text_id
from spelangy.testing import FakeTopicClassifier

PROSE = "\n".join(
    f"The keeper of tower {number} said that the lamp was to be lit with oil, and he would have to wait for the boat."
    for number in ("one", "two", "three", "four", "five")
)


def a_page(text: str, title: str = "") -> Page:
    return Page(id="p", uri="https://a.org", title=title, text=text, licence="CC0", questions=())


def score(text: str, title: str = "", choice: BackendChoice | None = None) -> PageScores:
    (scores,) = ScorePage(choice)(asdict(a_page(text, title))).records["measures"]
    assert isinstance(scores, PageScores)
    return scores


def broken(text: str) -> set[str]:
    measured = measure_text(text)
    return {rule.measure for rule in RULES if not rule.is_kept(measured)}


def test_good_prose_keeps_every_rule() -> None:
    assert broken(PROSE) == set()
    assert score(PROSE).quality == 1.0


@pytest.mark.parametrize(
    ("text", "measure"),
    [
        ("The lamp was to be lit. And it was. It is out.", "num_words"),
        (PROSE.replace("keeper", "Ü" * 1000), "mean_word_length"),
        (PROSE.replace("keeper", "###"), "symbol_ratio"),
        (PROSE.replace("to ", "5 7 : 9 12 : 3 "), "alphabetic_ratio"),
        (" ".join(["Lamp tower keeper stone oil island boat weather winter rock sea."] * 6), "num_stop_words"),
        ("\n".join(f"• {line}" for line in PROSE.split("\n")), "bullet_ratio"),
        ("\n".join(line.replace(" to", " …") + ".." for line in PROSE.split("\n")), "ellipsis_ratio"),
        ("\n".join([PROSE] * 2), "duplicate_line_ratio"),
        (PROSE + " the lamp" * 40, "top_bigram_ratio"),
        (PROSE.replace(".", ""), "num_sentences"),
        (PROSE + " {", "has_placeholder"),
        (PROSE + " Lorem Ipsum.", "has_placeholder"),
        (PROSE + "\nHome\nAbout" * 30, "punctuated_ratio"),
        (PROSE.replace(" that", ".\n").replace("oil, and", "oil.\n").replace(" to", ".\n"), "short_line_ratio"),
        (PROSE + "\n" + PROSE.split("\n")[0], "duplicate_character_ratio"),
    ],
)
def test_each_rule_finds_its_fault(text: str, measure: str) -> None:
    assert measure in broken(text)
    assert score(text).quality < 1.0


def test_every_rule_is_about_a_measurement_and_has_a_source() -> None:
    assert {rule.measure for rule in RULES} == set(measure_text(PROSE))
    assert all("20" in rule.source for rule in RULES)
    named = {field.name for field in fields(PageScores)}
    assert set(measure_text("")) < named


def test_measures_by_hand() -> None:
    measured = measure_text("The cat...\n• the cat\nThe cat...\n\nshort # one 12")
    assert measured["num_words"] == 11 and measured["num_stop_words"] == 1
    assert measured["symbol_ratio"] == pytest.approx(3 / 11)
    assert measured["alphabetic_ratio"] == pytest.approx(8 / 11)
    assert (measured["bullet_ratio"], measured["ellipsis_ratio"]) == (1 / 4, 2 / 4)
    assert (measured["duplicate_line_ratio"], measured["duplicate_character_ratio"]) == (1 / 4, 10 / 43)
    assert measured["top_bigram_ratio"] == pytest.approx(2 * 9 / 36)


@given(st.text(max_size=200) | st.text("a .#\n•…", max_size=60))
def test_any_text_is_measured_and_ratios_stay_within_0_and_1(text: str) -> None:
    measured = measure_text(text)
    assert all(
        0 <= value <= 1 for name, value in measured.items() if name.endswith("_ratio") and name != "symbol_ratio"
    )
    assert all(value >= 0 for value in measured.values())


def test_a_text_id_ignores_case_punctuation_and_spacing_but_no_word() -> None:
    assert text_id("The cat,\n sat.") == text_id("the cat sat") != text_id("the cats sat")
    assert text_id("it's") == text_id("ITS") and text_id("one two") != text_id("two one")


def test_the_topic_is_the_likeliest_of_title_and_text() -> None:
    worker = ScorePage(None)
    assert (score(PROSE).topic, score(PROSE).topic_probability) == ("", 0.0)
    worker.classifier = FakeTopicClassifier()
    (scores,) = worker(asdict(a_page(f"{PROSE} health", title="religion religion"))).records["measures"]
    assert scores.topic == "religion" and scores.topic_probability == pytest.approx((2 + 1 / 24) / 4)


def test_a_real_model_reads_a_page() -> None:
    scores = score("The oven is hot; bake the bread with butter and garlic.", choice=BackendChoice(name="words"))
    assert scores.topic == "food_dining" and scores.topic_probability > 0.5


def test_the_step_asks_for_the_model_that_the_recipe_names() -> None:
    step = page_scores_step(SynthSettings())
    assert step.config["classifier"]["revision"].startswith("sha256:") and step.loads_model
    without = page_scores_step(SynthSettings(select=SelectSettings(classifier=None)))
    assert without.config == {"classifier": None} and not without.loads_model


def test_scores_survive_their_table() -> None:
    scores = score(PROSE)
    (read,) = from_table(to_table([scores], PageScores), PageScores)
    assert read.quality == 1.0 and read.text_id == scores.text_id
    assert to_table([scores], PageScores).schema.field("quality").type == pa.float32()
