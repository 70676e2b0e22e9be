"""How a recipe names topics."""

import pytest

from spelangy.core.errors import UserError
from spelangy.core.topics import TOPIC_TITLES, TOPICS, find_topic


def test_there_are_24_with_titles() -> None:
    assert len(TOPICS) == 24 and TOPIC_TITLES["science_math_technology"] == "Science, Math & Technology"


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_is_found_by_its_name_and_title(topic: str) -> None:
    assert find_topic(topic) == find_topic(TOPIC_TITLES[topic]) == find_topic(topic.upper()) == topic


@pytest.mark.parametrize(
    ("given", "topic"),
    [
        ("science", "science_math_technology"),
        ("math", "science_math_technology"),
        ("tech", "science_math_technology"),
        ("software", "software"),
        ("development", "software_development"),
        ("law", "crime_law"),
        ("hist", "history_geography"),
    ],
)
def test_a_part_names_what_it_is_part_of(given: str, topic: str) -> None:
    assert find_topic(given) == topic


def test_what_could_be_several_is_refused_with_all_of_them() -> None:
    with pytest.raises(UserError, match="one of: electronics_hardware, health, history_geography, home_hobbies"):
        find_topic("h")
    with pytest.raises(UserError, match="did you mean 'health'"):
        find_topic("healht")
    with pytest.raises(UserError):
        find_topic("")
