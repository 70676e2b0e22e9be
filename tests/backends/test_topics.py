"""The shipped topic classifier and its contract."""

import io
from importlib import resources
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spelangy.backends.load import create, identity
from spelangy.backends.topics_words import MODEL_FILE, WordTopics
from spelangy.core.settings import BackendChoice
from spelangy.core.topics import TOPICS
from spelangy.testing import FakeTopicClassifier, check_topic_classifier

ABOUT = {
    "crime_law": "The judge sentenced the man to six years in prison after the jury found him guilty of robbery.",
    "food_dining": "Bake the dough in a hot oven, then add garlic, butter and cheese; serve the bread with soup.",
    "health": "Patients with diabetes should ask their doctor about symptoms, treatment and the dose of the medicine.",
    "religion": "The church prays to God; the gospel of Jesus Christ was read by the priest before the holy mass.",
    "software_development": "Call the function with an array argument; the compiler throws an exception in this code.",
    "sports_fitness": "The coach said his team scored twice and won the league match at the stadium.",
    "travel_tourism": "The hotel is a short walk from the beach; guests book tours of the island.",
}


LOADED = WordTopics()


@pytest.fixture
def words() -> WordTopics:
    return LOADED


def test_it_keeps_the_contract(words: WordTopics) -> None:
    check_topic_classifier(words)
    check_topic_classifier(FakeTopicClassifier())


@pytest.mark.parametrize(("topic", "text"), ABOUT.items())
def test_plain_cases(words: WordTopics, topic: str, text: str) -> None:
    probabilities_T = words.classify([text])[0]
    assert words.topics[int(probabilities_T.argmax())] == topic
    assert probabilities_T.max() > 0.5


def test_a_text_of_unknown_words_is_of_no_topic(words: WordTopics) -> None:
    assert words.classify(["qxzt vvkw", ""]).max() < 0.2


def test_its_answers_are_the_same_on_any_machine(words: WordTopics) -> None:
    found = words.classify(["The keeper of the tower said that the lamp was to be lit with oil."])[0]
    assert found[TOPICS.index("history_geography")] == found.max() == pytest.approx(0.359166, abs=1e-5)


@given(st.lists(st.sampled_from(list(ABOUT.values())), min_size=1, max_size=4))
def test_a_page_in_company_gets_the_answer_it_gets_alone(texts: list[str]) -> None:
    alone = np.concatenate([LOADED.classify([text]) for text in texts])
    assert np.array_equal(LOADED.classify(texts), alone)


def test_the_model_is_small_and_holds_no_code() -> None:
    content = resources.files("spelangy.backends").joinpath(MODEL_FILE).read_bytes()
    assert len(content) < 200_000
    with np.load(io.BytesIO(content), allow_pickle=False) as model:
        shapes = {name: model[name].shape for name in model.files}
    (num_words,) = shapes["idf"]
    assert shapes["weights"] == (num_words, len(TOPICS)) and shapes["bias"] == shapes["scales"] == (len(TOPICS),)


def test_it_is_found_by_name_and_its_revision_is_its_content() -> None:
    assert identity("topics", BackendChoice(name="words"))["revision"].startswith("sha256:")
    assert isinstance(create("topics", BackendChoice(name="words")), WordTopics)


class TestTheCheckItself:
    def broken(self, **changes: object) -> SimpleNamespace:
        class Broken(FakeTopicClassifier):
            pass

        for name, value in changes.items():
            setattr(Broken, name, value)
        return Broken()  # type: ignore[return-value]

    def test_topics_known_only_once_loaded_are_found(self) -> None:
        late = self.broken()
        late.topics = ("one", "two")
        with pytest.raises(AssertionError, match="attribute of the class"):
            check_topic_classifier(late)  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("classify", "says"),
        [
            (lambda self, texts: np.ones((len(texts), 24), np.float32), "do not sum to 1"),
            (lambda self, texts: np.full((len(texts), 3), 1 / 3, np.float32), "shape"),
            (lambda self, texts: np.full((len(texts), 24), 1 / 24), "float32"),
            (lambda self, texts: _favouring(len(texts) % 24, len(texts)), "alone"),
        ],
    )
    def test_bad_answers_are_found(self, classify: object, says: str) -> None:
        with pytest.raises(AssertionError, match=says):
            check_topic_classifier(self.broken(classify=classify))  # type: ignore[arg-type]


def _favouring(topic: int, num_texts: int) -> np.ndarray:
    probabilities = np.zeros((num_texts, 24), np.float32)
    probabilities[:, topic] = 1.0
    return probabilities
