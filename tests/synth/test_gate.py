import pytest

from spelangy.core.errors import Dropped
from spelangy.synth.gate import GateLimits, check_faithful, entities, is_boilerplate, numbers

SOURCE = (
    "In 1889 Gustave Eiffel opened his iron tower in Paris, 300 m tall. It was not meant to stand for more than 20 "
    "years, but its use as an antenna saved the tower."
)


@pytest.mark.parametrize(
    "rewritten",
    [
        SOURCE,
        "Gustave Eiffel opened his iron tower in Paris in eighteen eighty-nine. It stood three hundred meters tall. It "
        "was not meant to stand for more than twenty years, but being used as an antenna saved the tower.",
    ],
)
def test_takes_what_says_the_same(rewritten: str) -> None:
    check_faithful(SOURCE, rewritten)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("1889", "1899", "numbers"),
        ("300 m tall", "very tall", "numbers"),
        ("antenna", "antenna for 45 stations", "new numbers"),
        ("Gustave Eiffel", "an engineer", "entities"),
        ("in Paris", "in Paris near Versailles", "new entities"),
        ("not meant", "meant", "negations"),
        ("In 1889", "**In 1889**", "markup"),
        ("In 1889", "Here is the rewritten text: In 1889", "leakage"),
        ("In 1889", "As an AI, I say that in 1889", "leakage"),
        ("saved the tower.", "saved the tower. Subscribe for more.", "boilerplate"),
        (", but its use as an antenna saved the tower", "", "words"),
    ],
)
def test_names_what_went_wrong(old: str, new: str, reason: str) -> None:
    assert old in SOURCE
    limits = GateLimits(min_word_recall=0.9) if reason == "words" else GateLimits()
    with pytest.raises(Dropped) as drop:
        check_faithful(SOURCE, SOURCE.replace(old, new), limits=limits)
    assert drop.value.reason == reason
    assert drop.value.value is not None and drop.value.threshold is not None


@pytest.mark.parametrize(
    ("rewritten", "value"), [("", 0.0), ("Eiffel built a tower.", 4 / 32), (f"{SOURCE} {SOURCE}", 2.0)]
)
def test_length_band(rewritten: str, value: float) -> None:
    with pytest.raises(Dropped, match="length") as drop:
        check_faithful(SOURCE, rewritten)
    assert drop.value.value == pytest.approx(value, abs=0.02)


def test_other_subject_and_other_language() -> None:
    plain = "Most plants take water from the ground through fine roots and lose it again through their green leaves."
    with pytest.raises(Dropped, match="words"):
        check_faithful(
            plain, "People often enjoy walking along beaches because waves make such calming sounds every single day."
        )
    with pytest.raises(Dropped, match="not English"):
        check_faithful(
            plain, "die meisten pflanzen nehmen wasser mit feinen wurzeln aus dem boden auf und verlieren es wieder."
        )


def test_numbers_are_compared_by_value() -> None:
    assert numbers("In 1969, 3 men flew 384,400 km, 3.5%.") == {"1969", "3", "384400", "3.5%"}
    assert numbers("in nineteen sixty-nine, three men flew three hundred eighty-four thousand four hundred km") == {
        "1969", "3", "384400",
    }  # fmt: skip
    assert numbers("one of the first") == frozenset()


def test_entities_do_not_open_sentences() -> None:
    assert entities("The Nile is long. Egypt's capital is Cairo's twin (Giza) and I know") == {"nile", "cairo", "giza"}


def test_boilerplate_is_about_the_site() -> None:
    assert is_boilerplate("This site uses cookies.") and is_boilerplate("Sign up for our newsletter")
    assert not is_boilerplate("Bakers let cookies cool on a rack before they share them.")
