"""Which pages are taken: laws of the draw, reasons of the rest, topic names, coverage."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spelangy.core.errors import Dropped, UserError
from spelangy.core.hashing import record_id
from spelangy.core.records import Drop, Page, PageScores
from spelangy.core.schema import from_table, to_table
from spelangy.core.topic_coverage import topic_coverage
from spelangy.core.topics import TOPICS
from spelangy.engine.daft_runner import RunnerSettings
from spelangy.engine.pipeline import Pipeline
from spelangy.engine.progress import StepProgress
from spelangy.engine.step import TableStep
from spelangy.store.objects import Store
from spelangy.synth.config import SelectSettings, SynthSettings
from spelangy.synth.page_scores import measure_text, page_scores_step
from spelangy.synth.select import (
    DUPLICATE,
    LOW_QUALITY,
    NOT_SCORED,
    OVER_BUDGET,
    REASONS,
    THINNED,
    TOPIC_NOT_TAKEN,
    Selection,
    TakeOrDrop,
    parse_topics,
    planned,
    selected_items,
    selected_step,
    topic_weights,
)

BLANK = measure_text("")


def a_score(number: int, topic: str = "health", quality: float = 1.0, text: str = "") -> PageScores:
    return PageScores(
        id=record_id("page", number),
        topic=topic,
        topic_probability=0.9,
        quality=quality,
        text_id=record_id("text", text or number),
        **BLANK,
    )


def table(scores: Sequence[PageScores]) -> pa.Table:
    return to_table(scores, PageScores)


def selection(seed: int = 0, **settings: object) -> Selection:
    return Selection.from_settings(SelectSettings.model_validate(settings), seed)


def why(scores: Sequence[PageScores], chosen: Selection) -> dict[str, str]:
    plan = planned(table(scores), chosen)
    return dict(zip(plan["id"].to_pylist(), plan["reason"].to_pylist(), strict=True))


def taken(scores: Sequence[PageScores], chosen: Selection) -> set[str]:
    return {page for page, reason in why(scores, chosen).items() if not reason}


SOME_TOPICS = ("health", "games", "religion")
WEIGHTS = st.dictionaries(st.sampled_from(SOME_TOPICS), st.sampled_from([0.0, 0.3, 1.0, 2.0, 7.5]))
BUDGETS = st.none() | st.integers(1, 30)
SCORES = st.lists(
    st.tuples(st.sampled_from(SOME_TOPICS), st.sampled_from([0.2, 0.5, 1.0]), st.sampled_from(["", "same", "other"])),
    max_size=40,
).map(lambda rows: [a_score(number, *row) for number, row in enumerate(rows)])


class TestLaws:
    @given(SCORES, WEIGHTS, BUDGETS, st.integers(0, 3), st.randoms(use_true_random=False))
    def test_the_order_of_pages_means_nothing(self, scores, topics, max_pages, seed, random) -> None:
        chosen = selection(seed, topics=topics, max_pages=max_pages, min_quality=0.3)
        shuffled = list(scores)
        random.shuffle(shuffled)
        assert why(scores, chosen) == why(shuffled, chosen)

    @given(SCORES, WEIGHTS, BUDGETS, st.sampled_from(SOME_TOPICS), st.sampled_from([0.1, 1.5, 20.0]))
    def test_raising_a_topic_s_weight_loses_none_of_its_pages(self, scores, topics, max_pages, topic, more) -> None:
        before = selection(topics=topics, max_pages=max_pages)
        after = selection(topics={**topics, topic: topics.get(topic, 1.0) + more}, max_pages=max_pages)
        of_topic = {score.id for score in scores if score.topic == topic}
        assert taken(scores, before) & of_topic <= taken(scores, after)

    @given(SCORES, WEIGHTS, st.integers(1, 30))
    def test_a_budget_is_filled_and_kept(self, scores, topics, max_pages) -> None:
        chosen = selection(topics=topics, max_pages=max_pages)
        could = sum(reason in ("", OVER_BUDGET) for reason in why(scores, chosen).values())
        assert len(taken(scores, chosen)) == min(max_pages, could)

    @given(SCORES, WEIGHTS, st.integers(1, 30))
    def test_a_larger_budget_takes_what_a_smaller_took(self, scores, topics, max_pages) -> None:
        small, large = (selection(topics=topics, max_pages=most) for most in (max_pages, max_pages + 3))
        assert taken(scores, small) <= taken(scores, large)

    @given(SCORES, WEIGHTS, BUDGETS)
    def test_each_text_is_taken_once_at_most(self, scores, topics, max_pages) -> None:
        kept = taken(scores, selection(topics=topics, max_pages=max_pages))
        texts = [score.text_id for score in scores if score.id in kept]
        assert len(texts) == len(set(texts))

    @given(SCORES)
    def test_without_wishes_all_distinct_texts_are_taken(self, scores) -> None:
        assert len(taken(scores, selection())) == len({score.text_id for score in scores})

    @given(SCORES, WEIGHTS)
    def test_a_page_alone_decides_whether_it_is_thinned_out(self, scores, topics) -> None:
        distinct = [replace(score, text_id=score.id) for score in scores]
        chosen = selection(topics=topics)
        alone = {page for score in distinct for page in taken([score], chosen)}
        assert taken(distinct, chosen) == alone


class TestShares:
    """Realised shares go to natural share x weight: 12,000 pages, 60 % health, 30 % games, 10 % religion."""

    SCORES = tuple(
        a_score(number, topic)
        for number, topic in enumerate(["health"] * 7_200 + ["games"] * 3_600 + ["religion"] * 1_200)
    )

    def shares(self, chosen: Selection) -> dict[str, float]:
        kept = taken(self.SCORES, chosen)
        counts = Counter(score.topic for score in self.SCORES if score.id in kept)
        return {topic: counts[topic] / len(kept) for topic in SOME_TOPICS}

    @pytest.mark.parametrize("max_pages", [None, 600])
    def test_they_go_to_natural_share_times_weight(self, max_pages: int | None) -> None:
        weights = {"health": 0.5, "games": 1.0, "religion": 3.0}
        expected = {"health": 0.3, "games": 0.3, "religion": 0.3}
        assert self.shares(selection(3, topics=weights, max_pages=max_pages)) == pytest.approx(
            {topic: share / 0.9 for topic, share in expected.items()}, abs=0.06
        )

    def test_another_seed_takes_other_pages_in_the_same_shares(self) -> None:
        one, two = (taken(self.SCORES, selection(seed, max_pages=1_200)) for seed in (1, 2))
        assert len(one & two) == pytest.approx(120, abs=40)


class TestReasons:
    def rows(self, scores: Sequence[PageScores], chosen: Selection) -> dict[str, dict[str, object]]:
        return {row["id"]: row for row in planned(table(scores), chosen).to_pylist()}

    def test_each_has_its_value_and_threshold(self) -> None:
        scores = [a_score(0, quality=0.4), a_score(1, "games"), *(a_score(number, text="same") for number in (2, 3))]
        rows = self.rows(scores, selection(topics={"games": 0}, min_quality=0.5))
        poor, unwanted = rows[scores[0].id], rows[scores[1].id]
        assert (poor["reason"], poor["value"], poor["threshold"]) == (LOW_QUALITY, pytest.approx(0.4), 0.5)
        assert (unwanted["reason"], unwanted["value"], unwanted["detail"]) == (TOPIC_NOT_TAKEN, 0.0, "games")
        first, second = sorted(score.id for score in scores[2:])
        assert rows[first]["reason"] == "" and rows[first]["value"] is None
        assert (rows[second]["reason"], rows[second]["detail"]) == (DUPLICATE, first)

    def test_the_draw_says_what_was_drawn(self) -> None:
        scores = [a_score(number) for number in range(40)]
        for chosen, reason in ((selection(topics={"games": 4}), THINNED), (selection(max_pages=10), OVER_BUDGET)):
            rows = self.rows(scores, chosen)
            assert Counter(row["reason"] for row in rows.values())[reason] in range(20, 39)
            assert all((row["value"] >= row["threshold"]) for row in rows.values() if row["reason"] == reason)

    def test_the_duplicate_of_a_page_that_is_left_out_is_taken(self) -> None:
        scores = sorted([a_score(2, text="same"), a_score(3, text="same")], key=lambda score: score.id)
        poor = replace(scores[0], quality=0.1)
        assert taken([poor, scores[1]], selection(min_quality=0.5)) == {scores[1].id}

    def test_a_threshold_is_met_by_its_own_value(self) -> None:
        assert taken([a_score(0, quality=11 / 14)], selection(min_quality=11 / 14))

    def test_no_page_is_no_trouble(self) -> None:
        assert planned(table([]), selection(topics={"health": 2}, max_pages=3)).num_rows == 0

    def test_a_page_without_scores_is_dropped(self) -> None:
        pages = to_table([a_page(0), a_page(1)], Page)
        rows = selected_items(pages, table([a_score(1)]), selection()).to_pylist()
        assert [row["reason"] for row in rows] == [NOT_SCORED, ""]
        with pytest.raises(Dropped, match=NOT_SCORED):
            TakeOrDrop()(rows[0])
        assert TakeOrDrop()(rows[1]).records["pages"] == [a_page(1)]


def a_page(number: int, text: str = "") -> Page:
    return Page(
        id=record_id("page", number), uri=f"https://a.org/{number}", title="", text=text, licence="CC0", questions=()
    )


class TestRecipe:
    def test_topics_are_named_by_part_and_unnamed_ones_weigh_1(self) -> None:
        weights = topic_weights(SelectSettings(topics={"science": 2, "health": 0}))
        assert (weights["science_math_technology"], weights["health"], weights["games"]) == (2, 0, 1)
        assert tuple(weights) == TOPICS
        assert topic_weights(SelectSettings(classifier=None)) == {}

    @pytest.mark.parametrize(
        ("settings", "says"),
        [
            ({"topics": {"science": 2}, "classifier": None}, "nothing measures them"),
            ({"topics": {"science": 2, "math": 1}}, "named twice"),
            ({"topics": {"magic": 2}}, "no topic 'magic'"),
            ({"topics": dict.fromkeys(TOPICS, 0.0)}, "every topic has weight 0"),
        ],
    )
    def test_a_bad_request_is_refused_before_anything_runs(self, settings: dict[str, object], says: str) -> None:
        with pytest.raises(UserError, match=says):
            selected_step(SynthSettings(select=SelectSettings.model_validate(settings)), seed=0)

    def test_the_command_line_s_form(self) -> None:
        assert parse_topics("science=2, health=1.5,") == {"science": 2.0, "health": 1.5}

    @pytest.mark.parametrize("text", ["", "science", "=2", "science=two", "science=-1", "science=nan", "health=inf"])
    def test_nonsense_is_refused(self, text: str) -> None:
        with pytest.raises(UserError):
            parse_topics(text)

    def test_a_topic_given_twice_is_refused(self) -> None:
        with pytest.raises(UserError, match="one weight"):
            parse_topics("health=1,health=2")


class TestCoverage:
    def test_counts_and_distance(self) -> None:
        scores = [*(a_score(number, "health") for number in range(3)), a_score(3, "games")]
        kept = table(scores[2:]).select(["id"])
        coverage = topic_coverage(table(scores), kept)
        assert coverage.before == {"games": 1, "health": 3} and coverage.after == {"games": 1, "health": 1}
        middle = np.array([0.375, 0.625])
        divergence = sum(np.sum(p * np.log2(p / middle)) / 2 for p in (np.array([0.25, 0.75]), np.array([0.5, 0.5])))
        assert coverage.distance == pytest.approx(np.sqrt(divergence))

    def test_the_same_mix_has_distance_0_and_nothing_taken_has_none(self) -> None:
        scores = [a_score(number, topic) for number, topic in enumerate(SOME_TOPICS * 2)]
        assert topic_coverage(table(scores), table(scores[:3])).distance == pytest.approx(0.0, abs=1e-9)
        assert topic_coverage(table(scores), table([])).distance is None


def listed_pages(pages: Sequence[Page]) -> TableStep:
    return TableStep(
        name="pages",
        version=1,
        config={},
        outputs={"pages": Page},
        items=lambda _: to_table(pages, Page),
        worker=lambda _: Listed,
    )


class Listed:
    def __call__(self, item):
        return TakeOrDrop()({**item, "reason": ""})


def test_pages_go_through_both_steps(tmp_path: Path) -> None:
    about = {
        "health": "Patients with diabetes should ask their doctor about the symptoms, treatment and dose.",
        "religion": "The church prays to God; the gospel of Jesus Christ was read before the holy mass.",
    }
    pages = [a_page(number, text) for number, text in enumerate([*about.values(), about["health"].upper()])]
    settings = SynthSettings(select=SelectSettings(topics={"religion": 0}))
    steps = [listed_pages(pages), page_scores_step(settings), selected_step(settings, seed=0)]
    store = Store(str(tmp_path))
    finished = Pipeline("test", steps).run(store, RunnerSettings(num_workers=1), StepProgress(quiet=True))
    key = finished["selected"].stored.key
    (kept,) = from_table(store.table(key, "pages"), Page)
    assert asdict(kept) == asdict(min((pages[0], pages[2]), key=lambda page: page.id))
    reasons = Counter(drop.reason for drop in from_table(store.table(key, "drops"), Drop))
    assert reasons == {TOPIC_NOT_TAKEN: 1, DUPLICATE: 1} and set(reasons) < set(REASONS)
