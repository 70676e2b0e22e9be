"""The report page: complete, self-contained, deterministic, and deaf to whatever its data says."""

import base64
import dataclasses
import hashlib
import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from html.parser import HTMLParser

import matplotlib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spelangy.core.chunk_statistics import ViewStatistics
from spelangy.report.data import (
    DropCount,
    FunnelStage,
    ListenChunk,
    ListenWord,
    LossCurve,
    ModelRow,
    RefusedAnswer,
    ReportData,
    ScoreRange,
    ScoreRow,
    StepRow,
    TopicRow,
    ViewLengths,
    WriterRow,
)
from spelangy.report.figures import length_histogram, loss_panel, score_forest
from spelangy.report.page import bar_parts, count, duration, interval, measure, p_value, percent, render, vote_level

HOSTILE = (
    "</script><script>alert(1)</script><img src=x onerror=alert(2)>\" onmouseover='alert(3)' $x^{ "
    "]]><!-- </style><svg/onload=alert(4)> {{ 7*7 }} javascript:alert(5) \x00\u202e\ud800 http://evil.example/a.js"
)
SECTIONS = (
    "funnel", "measured", "lengths", "listen", "writing", "training", "scores", "models", "lineage", "reproduce",
)  # fmt: skip

Wording = Callable[[str], str]


def filled(say: Wording = str) -> ReportData:
    """A page with every record in it; `say` rewrites every free string."""
    return ReportData(
        title=say("the title"),
        subtitle=say("the subtitle"),
        recipe=say("seed = 7"),
        created=say("the day"),
        findings=(say("a finding"),),
        funnel=(a_stage(say),),
        measured=(ScoreRange(name=say("snr_db"), num_turns=12, p10=3.0, median=14.5, p90=31.0),),
        views=(a_view(say),),
        chunk_seconds=(
            ViewLengths(view=say("fine"), source=say("crawl"), seconds=(1.0, 2.0, 6.0)),
            ViewLengths(view=say("coarse"), source=say("crawl"), seconds=(20.0, 31.0)),
            ViewLengths(view=say("fine"), source=say("quest"), seconds=()),
        ),
        chunks=(a_chunk(say),),
        topics=(TopicRow(topic=say("Health"), num_read=31, num_taken=17),),
        topic_distance=0.125,
        writers=(
            WriterRow(
                purpose=say("rewrite"),
                model=say("a model"),
                num_asked=40,
                num_taken=10,
                refused=((say("numbers"), 20), (say("length"), 10)),
                prompt_tokens=4321,
                answer_tokens=1234,
                cost=0.5,
            ),
        ),
        refused=(
            RefusedAnswer(
                purpose=say("rewrite"),
                reason=say("numbers"),
                detail=say("1889"),
                source=say("in 1889"),
                text=say("1898"),
            ),
        ),
        losses=(
            LossCurve(
                name=say("train text"), modality=say("text"), split="train", points=((0, 5.0), (10, math.log(2)))
            ),
            LossCurve(name=say("other"), modality=say("text"), split="held-out", points=((0, 5.0), (5, math.nan))),
            LossCurve(name=say("silent"), modality=say("speech"), split="held-out", points=()),
        ),
        scores=(
            a_score(condition=say("spoken question"), note=say("a note")),
            a_score(condition=say("choices only"), note=say("a control"), low=0.1, p_value=None),
            a_score(condition=say("no one"), note=say("unasked"), num_items=0, num_correct=0.0),
        ),
        score_notes=(say("chance is a quarter"),),
        models=(
            ModelRow(role=say("asr"), name=say("ear"), revision=say("1.2.3"), licence=say("MIT"), origin=say("wheel")),
        ),
        steps=(
            StepRow(name=say("turns"), key="0f" * 32, status="built", num_rows=1234, seconds=0.25, why=say("was new")),
        ),
        commands=(say("spelangy one"), say("spelangy two")),
    )


def a_stage(say: Wording = str) -> FunnelStage:
    drops = (
        DropCount(reason=say("too short"), kind="dropped", count=20, hours=0.5, threshold=0.3, example=say("0.12 s")),
        DropCount(reason=say("broken"), kind="quarantined", count=4, hours=None, threshold=None, example=say("a.mp3")),
    )
    return FunnelStage(
        name=say("decode"), unit=say("turns"), num_in=2000, num_kept=1975, hours_in=4.2, hours_kept=3.1, drops=drops
    )


def a_view(say: Wording = str) -> ViewStatistics:
    return ViewStatistics(
        view=say("fine"), num_documents=2, num_chunks=9, hours=0.5, mean_s=4.0, median_s=4.0, p10_s=1.0, p90_s=9.0,
        max_s=11.0, words_per_chunk=9.5, characters_per_s=14.0, speakers_per_document=1.5, switches_deterministic=7,
        switches_stochastic=3.5, switches_per_hour=14.0,
    )  # fmt: skip


def a_chunk(say: Wording = str) -> ListenChunk:
    words = (
        ListenWord(text=say("Hello"), start_s=0.25, end_s=0.5, vote_ratio=1.0, confidence=0.875),
        ListenWord(text=say("whirled"), start_s=0.5, end_s=1.125, vote_ratio=1 / 3, confidence=math.nan),
    )
    return ListenChunk(
        audio=b"fLaC\x00\x01",
        media_type="audio/flac",
        text=say("Hello, world."),
        words=words,
        hypotheses=((say("system-a"), say("hello world")), (say("system-b"), "")),
        dissent=(say("whirled (1/3: world)"),),
        speaker=say("S0"),
        source=say("podcast"),
        view=say("fine-grained"),
        document=say("https://example.org/a.mp3"),
        duration_s=1.5,
    )


def a_score(
    *, condition: str = "c", note: str = "", num_items: int = 60, num_correct: float = 25.5, low: float = 0.302,
    high: float = 0.541, p_value: float | None = 0.031,
) -> ScoreRow:  # fmt: skip
    return ScoreRow(
        condition=condition, num_items=num_items, num_correct=num_correct, accuracy=0.417, low=low, high=high,
        chance=0.25, p_value=p_value, note=note,
    )  # fmt: skip


class Outline(HTMLParser):
    """Elements with attributes, and the text of each kind of element."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []
        self.inside = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        self.inside = tag

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        self.texts.append((self.inside, data))

    @property
    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        """Tags and attribute names: what a value could change only by escaping from its place."""
        return [(tag, tuple(attributes)) for tag, attributes in self.elements]

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def text_of(self, tag: str) -> str:
        return "".join(text for name, text in self.texts if name == tag)

    @property
    def visible(self) -> str:
        texts = [text for tag, text in self.texts if tag not in ("script", "style")]
        titles = [attributes["title"] for _, attributes in self.elements if "title" in attributes]
        return re.sub(r"\s+", " ", " ".join(texts + titles))


@pytest.fixture(scope="module")
def page() -> str:
    return render(filled())


def strings_of(record: object) -> list[str]:
    """Every free string in a record, however deep."""
    if isinstance(record, str):
        return [record]
    if isinstance(record, tuple):
        return [text for item in record for text in strings_of(item)]
    if dataclasses.is_dataclass(record):
        fields = [field.name for field in dataclasses.fields(record) if field.name != "media_type"]
        return [text for name in fields for text in strings_of(getattr(record, name))]
    return []


def test_every_string_of_every_record_is_shown(page: str) -> None:
    outline = Outline(page)
    told = strings_of(filled())
    assert len(told) > 50
    assert [text for text in told if text not in outline.visible] == []


@pytest.mark.parametrize(
    "shown",
    [
        "1,975 of 2,000 turns kept (98.8 %)", "4.2 h in, 3.1 h kept", "recorded reason: 1 of 2,000 turns", "30 min",
        "25.5 of 60", "41.7 % [30.2, 54.1]", "above chance", "chance not excluded", "no items", "0.031", "25.0 %",
        "0.25 s to 0.50 s: vote 100.0 %, confidence 87.5 %", "0 → 10", "5.000", "0.693", "1.000", "not finite",
        "none logged", "1,234", "fine, median 2.0 s", "3.0 s", "26 s", "(nothing)",
    ],
)  # fmt: skip
def test_numbers_are_written_for_people(page: str, shown: str) -> None:
    assert shown in Outline(page).visible


def test_audio_and_word_times_are_in_the_page(page: str) -> None:
    outline = Outline(page)
    (audio,) = outline.all("audio")
    assert base64.b64decode(audio["src"].removeprefix("data:audio/flac;base64,")) == b"fLaC\x00\x01"
    times = [(word["data-start"], word["data-end"]) for word in outline.all("span") if "data-start" in word]
    assert times == [("0.250", "0.500"), ("0.500", "1.125")]


def test_nothing_is_loaded_from_outside(page: str) -> None:
    outline = Outline(page)
    assert {tag for tag, _ in outline.elements}.isdisjoint({"iframe", "object", "embed", "base", "form", "img"})
    loading = {"src", "href", "xlink:href", "srcset", "poster", "action", "data", "background"}
    values = [value for _, attributes in outline.elements for key, value in attributes.items() if key in loading]
    assert values
    assert [value for value in values if not value.startswith(("#", "data:"))] == []
    assert not re.search(r"@import|url\((?!#)", page)


def test_the_policy_names_the_hashes_of_what_the_page_runs(page: str) -> None:
    outline = Outline(page)
    (policy,) = [meta["content"] for meta in outline.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    for tag, rule in (("script", "script-src"), ("style", "style-src")):
        hashed = base64.b64encode(hashlib.sha256(outline.text_of(tag).encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{hashed}'"


def test_no_style_attribute_that_the_policy_would_refuse(page: str) -> None:
    assert [tag for tag, attributes in Outline(page).elements if "style" in attributes] == []


def test_ids_are_unique_and_inner_links_have_an_end(page: str) -> None:
    elements = Outline(page).elements
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {value[1:] for _, each in elements for key, value in each.items() if key == "href" and value[0] == "#"}
    links |= {each["clip-path"][5:-1] for _, each in elements if "clip-path" in each}
    assert links <= set(ids)
    assert {"funnel", "content"} < links


@pytest.fixture(scope="module")
def plain() -> Outline:
    return Outline(render(filled(lambda text: text + "plain")))


def assert_inert(page: str, plain: Outline) -> None:
    outline = Outline(page)
    assert outline.shape == plain.shape
    assert len(outline.all("script")) == 1
    assert outline.text_of("script") == plain.text_of("script")
    assert not [key for _, attributes in outline.elements for key in attributes if key.startswith("on")]
    page.encode("utf-8")


def test_hostile_text_is_inert(plain: Outline) -> None:
    page = render(filled(lambda text: text + HOSTILE))
    assert_inert(page, plain)
    assert "\x00" not in page
    assert "\u202e" not in page
    assert "{{ 7*7 }}" in Outline(page).text_of("h1")


@settings(max_examples=8, deadline=None)
@given(text=st.text(st.characters(), min_size=1, max_size=30))
def test_no_text_changes_the_shape_of_the_page(plain: Outline, text: str) -> None:
    assert_inert(render(filled(lambda original: original + text)), plain)


def test_equal_data_give_equal_text_whatever_the_user_has_set(page: str) -> None:
    with matplotlib.rc_context({"font.size": 30, "xtick.labelsize": 30, "axes.xmargin": 0.4, "svg.hashsalt": None}):
        before = dict(matplotlib.rcParams)
        assert render(filled()) == page
        assert dict(matplotlib.rcParams) == before


def test_an_empty_page_says_of_every_section_that_and_why_it_is_empty() -> None:
    empty = render(ReportData(title="t", subtitle="", recipe="", created=""))
    outline = Outline(empty)
    assert [section["id"] for section in outline.all("section")] == list(SECTIONS)
    for section in empty.split("<section ")[1:]:
        assert 'class="nothing"' in section
    assert "this run trained no model" in outline.visible
    assert not outline.all("table")


def test_measurements_and_switches_can_be_read_off_the_page() -> None:
    seen = Outline(render(filled())).visible
    for told in ("snr_db", "14.5", "31", "Switches of modality", "3.5"):
        assert told in seen


def test_what_a_writer_was_asked_and_what_was_not_taken_can_be_read_off_the_page() -> None:
    seen = Outline(render(filled())).visible
    for told in ("Health", "31", "17", "0.125", "25.0 %", "4,321", "numbers 20, length 10", "in 1889", "1898"):
        assert told in " ".join(seen.split())


def test_a_chunk_without_sound_or_words_says_so_and_keeps_its_text() -> None:
    chunk = dataclasses.replace(a_chunk(), audio=b"", words=())
    outline = Outline(render(dataclasses.replace(filled(), chunks=(chunk,))))
    assert not outline.all("audio")
    assert "No sound is stored for this chunk." in outline.visible
    assert "Hello, world." in outline.visible
    assert "As trained" not in outline.visible


def test_text_is_repeated_only_where_the_words_do_not_spell_it(page: str) -> None:
    spelled = dataclasses.replace(a_chunk(), text="Hello whirled")
    assert "As trained" in page
    assert "As trained" not in render(dataclasses.replace(filled(), chunks=(spelled,)))


def test_impossible_records_are_our_mistake() -> None:
    with pytest.raises(AssertionError, match="keeps 2001 of 2000"):
        dataclasses.replace(a_stage(), num_kept=2001)
    with pytest.raises(AssertionError, match="not an audio media type"):
        dataclasses.replace(a_chunk(), media_type='audio/flac"><script>')


def test_bar_parts_tile_the_bar_and_show_what_nobody_accounted_for() -> None:
    parts = bar_parts(a_stage())
    assert [part.kind for part in parts] == ["kept", "dropped", "quarantined", "unaccounted"]
    assert [part.offset for part in parts] == ["0.000%", "98.750%", "99.750%", "99.950%"]
    assert sum(float(part.width.rstrip("%")) for part in parts) == pytest.approx(100)
    assert bar_parts(dataclasses.replace(a_stage(), num_in=0, num_kept=0, drops=())) == ()


def test_too_many_reasons_are_told() -> None:
    stage = dataclasses.replace(a_stage(), num_kept=1980)
    shown = Outline(render(dataclasses.replace(filled(), funnel=(stage,)))).visible
    assert "add up to 4 more than the turns left out" in shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "—"), (math.nan, "—"), (0, "0 s"), (0.42, "0.42 s"), (5.24, "5.2 s"), (9.96, "10 s"), (38.2, "38 s"),
     (59.7, "1.0 min"), (83, "1.4 min"), (720, "12 min"), (3599, "1.0 h"), (4.2 * 3600, "4.2 h"),
     (1234 * 3600, "1,234 h")],
)  # fmt: skip
def test_duration(seconds: float | None, shown: str) -> None:
    assert duration(seconds) == shown


def test_other_numbers() -> None:
    assert (count(12345), count(25.5), count(1 / 3)) == ("12,345", "25.5", "0.33")
    assert (percent(None), percent(math.nan), percent(0.4166)) == ("—", "—", "41.7 %")
    assert (measure(None), measure(0.30000001), measure(math.inf), measure(2, 3)) == ("—", "0.3", "not finite", "2.000")
    assert (p_value(None), p_value(0.0), p_value(0.0314)) == ("—", "< 0.0001", "0.031")
    assert interval(a_score(num_items=0)) == "—"
    assert [vote_level(ratio) for ratio in (1.0, 2 / 3, 0.5, 1 / 3, math.nan)] == [0, 1, 2, 3, 3]


@pytest.mark.parametrize(("low", "high", "verdict"), [(0.26, 0.5, "above chance"), (0.1, 0.2, "below chance"),
                                                      (0.25, 0.3, "chance not excluded")])  # fmt: skip
def test_verdict_is_read_off_the_interval(low: float, high: float, verdict: str) -> None:
    assert a_score(low=low, high=high).verdict == verdict


def test_figures_use_the_pages_colours_only() -> None:
    views = filled().chunk_seconds
    drawn = (
        length_histogram(views, series=(0, 1, 0), name="a", alt="lengths"),
        loss_panel(filled().losses, name="b", alt="losses"),
        score_forest(filled().scores[:2], name="c", alt="scores"),
    )
    for figure in drawn:
        root = ElementTree.fromstring(figure)
        paints = {element.get(key) for element in root.iter() for key in ("fill", "stroke")} - {None, "none"}
        assert {paint for paint in paints if paint and not paint.startswith("var(--")} == set()
        assert root.get("role") == "img"
    assert "var(--series-1)" in drawn[0]
    assert "stroke-dasharray" in drawn[1]


def test_chance_in_the_interval_leaves_the_mark_hollow() -> None:
    clear, unclear = (score_forest([a_score(low=low)], name="c", alt="scores") for low in (0.302, 0.1))
    assert "var(--card)" not in clear
    assert "var(--card)" in unclear


def test_a_label_is_drawn_as_it_is_written_and_cut_to_fit() -> None:
    formula, long, unknown = (
        score_forest([a_score(condition=text)], name="c", alt="s") for text in ("$x^{ $", "long " * 20, "\U0010ffff!")
    )
    assert "$x^{ $" in formula
    assert ("long " * 20)[:43] + "…" in long
    assert "\ufffd!" in unknown


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=8))
@settings(max_examples=15, deadline=None)
def test_any_lengths_can_be_drawn(seconds: list[float]) -> None:
    view = ViewLengths(view="fine", source="crawl", seconds=tuple(seconds))
    assert view.mean_s is not None
    assert min(seconds) * (1 - 1e-9) <= view.mean_s <= max(seconds) * (1 + 1e-9)
    assert "<svg" in length_histogram([view], series=[0], name="a", alt="lengths")
