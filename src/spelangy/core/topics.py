"""The 24 topics of web pages, and how a recipe names them.

Source: WebOrganizer (Wettig et al. 2025, arXiv:2502.10341).
"""

from collections.abc import Mapping, Sequence

from spelangy.core.errors import UserError, did_you_mean

TOPIC_TITLES: Mapping[str, str] = {
    "adult": "Adult",
    "art_design": "Art & Design",
    "software_development": "Software Development",
    "crime_law": "Crime & Law",
    "education_jobs": "Education & Jobs",
    "electronics_hardware": "Electronics & Hardware",
    "entertainment": "Entertainment",
    "social_life": "Social Life",
    "fashion_beauty": "Fashion & Beauty",
    "finance_business": "Finance & Business",
    "food_dining": "Food & Dining",
    "games": "Games",
    "health": "Health",
    "history_geography": "History & Geography",
    "home_hobbies": "Home & Hobbies",
    "industrial": "Industrial",
    "literature": "Literature",
    "politics": "Politics",
    "religion": "Religion",
    "science_math_technology": "Science, Math & Technology",
    "software": "Software",
    "sports_fitness": "Sports & Fitness",
    "transportation": "Transportation",
    "travel_tourism": "Travel & Tourism",
}
"""Full title by name, in the order of the taxonomy's numbers."""

TOPICS = tuple(TOPIC_TITLES)


def find_topic(given: str, topics: Sequence[str] = TOPICS) -> str:
    """The one of `topics` that `given` names: in full, else by words of it (``science``), else by the beginning of one.

    Raises:
        UserError: When it names none of them, or several; the hint holds the candidates.
    """
    wanted = "_".join(given.casefold().replace("&", " ").replace("-", " ").replace(",", " ").replace("_", " ").split())
    for found in (
        [topic for topic in topics if topic == wanted],
        [topic for topic in topics if wanted and f"_{wanted}_" in f"_{topic}_"],
        [topic for topic in topics if wanted and f"_{wanted}" in f"_{topic}"],
    ):
        if len(found) == 1:
            return found[0]
        if found:
            raise UserError(f"topic {given!r} is ambiguous", hint=f"one of: {', '.join(found)}")
    raise UserError(f"no topic {given!r}", hint=did_you_mean(wanted, topics))
