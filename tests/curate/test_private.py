"""Private words: what is found in speech as it is said, turn by turn, and that nothing is fetched for it."""

import re
import socket
from collections import Counter
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from spelangy.backends.private_words import PrivateWordFinder
from spelangy.backends.spoken_forms import written_form
from spelangy.core.records import PRIVATE_KINDS, Transcript, Word, turn_id
from spelangy.core.schema import to_table
from spelangy.core.spans import samples
from spelangy.curate import private
from spelangy.curate.config import CurateSettings, PrivateKind
from spelangy.store.objects import Store

LABELLED = """
Hi, this is [person John Smith] calling about your order.
Please call me at [phone four one five, five five five, oh one three two] after six.
You can reach [person Maria Lopez] at [phone 212-736-5000].
My number is [phone two one two seven three six five thousand], thank you.
Write to [email john dot smith at gmail dot com] and we will answer.
It's [email Jane underscore doe forty two at yahoo dot co dot uk], all lower case.
Her address is [email mary.jones at outlook.com].
Send the invoice to [email billing@example.org].
The card number is [card four one one one, one one one one, one one one one, one one one one].
That's [card 5500 0000 0000 0004], expiring in May.
I paid with my Visa, [card four five three nine one four eight eight oh three four three six four six seven].
My social security number is [ssn five three six, nine oh, four three nine nine].
His social security number is [ssn 536-90-4399].
The account number at the bank is [account one two three four five six seven eight nine].
Send it to IBAN [iban G B eight two W E S T one two three four five six nine eight seven six five four three two].
The server answers at [ip one nine two dot one six eight dot zero dot one].
We pinged [ip 10.0.0.17] all night.
Visit [url w w w dot example dot com] for more.
The show notes are on [url podcast dot example dot org].
Yesterday [person Barack Obama] met [person Angela Merkel] in Berlin.
my name is [person tom hanks] and i live here
I spoke to mrs [person white] about it.
[person David Brown] told [person Susan Miller] to wait outside.
Dial [phone plus four four, two oh, seven nine four six, oh nine five eight] from abroad.
Call [phone eight hundred, five five five, one two one two] toll free.
Our phone is [phone 555-0132], ask for [person Peter Clark].
Text me, it's [phone six one seven, five five five, double oh one nine].
[person Emily Watson] wrote [email e w at lab dot org] on the board.
Her passport number is [passport five six seven eight nine one two three four].
The doctor, [person Robert Johnson], was late again.
I met [person Sarah] and her brother [person Michael] at school.
He read [person Charles Dickens] aloud every evening.
My phone number is [phone oh two oh, seven nine four six, oh nine five eight].
My number is [phone 2-1-2-7-365,000]. Thank you.
His Social Security number is [ssn 5369439].
The card number is [card 4-1-1-1. 1-1-1-1-1. 1-1-1-1. 1-1-1-1. 1-1-1-1].
My amex is [card 3782, 8224631, double 005].
Then dial [phone plus 44207946,0958] from abroad.
In twenty nineteen we sold nine hundred thousand units for three point five million dollars.
In 2019, 2020 and 2021 nothing happened at all.
The temperature rose from twenty one to thirty four degrees by ten thirty.
Look at the numbers one, two, three, four, five and six on the board.
It takes five or six hundred years, or a thousand, for a forest to grow back.
We had four hundred and twelve people at the meeting on the third of March.
Ever tried. Ever failed. No matter. Try again. Fail again. Fail better.
The mean squared error fell to zero point zero three two one five.
She ran the eight hundred in one fifty five point two eight and the mile in four ten.
It was the best of times, it was the worst of times, it was the age of wisdom.
[person Doctor Watson] took the train to Paddington with [person Sherlock Holmes].
and then [person sarah connor] said she would not come
thanks to [person mike] and [person jenny] for the tapes
You know, [person Jean-Luc Picard] and [person Nguyen Thi Mai] were on the same panel.
[person Priya Raghunathan] and [person Oluwaseun Adeyemi] lead the team in Lagos.
It's [phone five five five, double two, one nine], that's my home phone.
Our fax is [phone two one two, five five five, oh one four four], ask for accounts.
Email me, [email r dot jones plus work at example dot com], or don't.
[email info at my dash shop dot co], that's the address.
the card ends up as [card four one one one one one one one one one one one one one one two], visa
My Amex is [card three seven eight two, eight two two four six three one, double oh oh five].
Open [url docs dot python dot org] and look at three dot eleven.
May went to Paris in April, and Will followed in August.
Look us up at [url example dot com slash about].
Amazon, Ford and Wells Fargo rose; Washington and Lincoln fell.
The ratio was three to one, four to one, five to one and then seven hundred to one.
Mercury, Venus, Earth and Mars are rocky; Jupiter is not.
Press one for sales, two for support, three for billing, or zero to wait.
Chapter twelve, verses three to nineteen, in the nineteen eighty four edition.
""".strip().splitlines()
"""``[kind words]`` are to be found, all else is not. Made by hand, with numbers of fiction and of documentation."""

MIN_RECALL = {"person": 0.85}
MIN_PRECISION = {"person": 0.78}
"""Where not all is found: names without capitals or after titles; and words that are names elsewhere ("Will")."""


@pytest.fixture(scope="module")
def finder() -> PrivateWordFinder:
    return PrivateWordFinder()


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("somebody asked the network")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


WORDS = [
    "five", "oh", "one", "ten", "twenty-one", "double", "dash", "dot", "plus", "at", "home", "j", "smith", "gmail",
    "com", "hundred", "thousand", "415", "555-0132", "two!", "no?", "gb", "underscore", "slash", ",", "--", "www",
    "john.smith", "example.org", "1990",
]  # fmt: skip


def read_labels(line: str) -> tuple[list[str], set[tuple[str, int, int]]]:
    """Words, and (kind, first word, number of words) of what is private."""
    words: list[str] = []
    spans = set()
    for kind, inside, after, outside in re.findall(r"\[(\w+) ([^\]]+)\](\S*)|([^\s\[\]]+)", line):
        if outside:
            words.append(outside)
            continue
        said = inside.split()
        said[-1] += after
        spans.add((kind, len(words), len(said)))
        words.extend(said)
    return words, spans


def counted(finder: PrivateWordFinder) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """By kind: labelled, found, and found with the very words that are labelled."""
    labelled: Counter[str] = Counter()
    found: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for line in LABELLED:
        words, spans = read_labels(line)
        labelled.update(kind for kind, _, _ in spans)
        for run in finder.find(words):
            found[run.kind] += 1
            right[run.kind] += (run.kind, run.first_word, run.num_words) in spans
    return labelled, found, right


def test_the_labelled_set_is_found(finder: PrivateWordFinder, no_network: None) -> None:
    labelled, found, right = counted(finder)
    assert len(LABELLED) >= 60 and labelled.total() >= 55
    assert set(labelled) == set(PRIVATE_KINDS)
    recall = {kind: right[kind] / labelled[kind] for kind in labelled}
    precision = {kind: right[kind] / found[kind] for kind in found}
    assert all(recall[kind] >= MIN_RECALL.get(kind, 1.0) for kind in labelled), recall
    assert all(precision[kind] >= MIN_PRECISION.get(kind, 1.0) for kind in found), precision


def test_no_words_hold_nothing(finder: PrivateWordFinder) -> None:
    assert finder.find([]) == [] == finder.find(["..."])


def test_recipes_know_the_kinds() -> None:
    assert get_args(PrivateKind) == PRIVATE_KINDS
    with pytest.raises(ValidationError, match="'mute' silences what 'private' finds"):
        CurateSettings(mute=("person",), private=False)


@given(st.lists(st.sampled_from(WORDS), max_size=25))
def test_every_character_of_a_written_form_knows_its_words(words: list[str]) -> None:
    form = written_form(words)
    covered = [form.words(match.start(), match.end()) for match in re.finditer(r"\S+", form.text)]
    assert covered == [(token.first, token.last) for token in form.tokens]
    assert all(0 <= first <= last < len(words) for first, last in covered)
    assert all(left[1] <= right[0] for left, right in pairwise(covered))
    assert ("home" in words) == ("home" in form.text)


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("five five five, oh one three two", "5550132"),
        ("double oh seven", "007"),
        ("double 005", "0005"),
        ("44207946,0958", "442079460958"),
        ("2-1-2-7-365,000", "2127365000"),
        ("5,500 people", "5,500 people"),
        ("info at my dash shop.co", "info@my-shop.co"),
        ("twenty one fifteen", "2115"),
        ("eight hundred five five five", "800555"),
        ("in 1999, 2000", "in 1999 2000"),
        ("oh no", "oh no"),
        ("one! two", "1 2"),
        ("five dash six minus", "56 minus"),
        ("plus one two", "+12"),
        ("john dot smith at gmail dot com.", "john.smith@gmail.com"),
        ("meet me at example dot com", "meet me at example.com"),
        ("w w w dot example dot com slash news", "www.example.com/news"),
        ("dot dot dot", "dot dot dot"),
        ("Five-five-five twenty-one", "55521"),
    ],
)
def test_what_is_dictated_is_written(said: str, written: str) -> None:
    assert written_form(said.split()).text == written


def transcript(turn: int, text: str, start_s: float) -> Transcript:
    words = tuple(
        Word(text=word, start=samples(start_s + 0.3 * i), end=samples(start_s + 0.3 * i + 0.2), vote_ratio=1.0,
             confidence=1.0)
        for i, word in enumerate(text.split())
    )  # fmt: skip
    return Transcript(id=turn_id("r", turn), recording_id="r", systems=("a",), words=words, dissent=())


@pytest.fixture
def find(finder: PrivateWordFinder, monkeypatch: pytest.MonkeyPatch) -> private.FindPrivate:
    monkeypatch.setattr(private, "PrivateWordFinder", lambda: finder)
    return private.FindPrivate()


def test_a_number_cut_by_turns_is_found_and_told_turn_by_turn(find: private.FindPrivate) -> None:
    talk = [
        transcript(0, "What's your number?", 0.0),
        transcript(1, "It's four one five", 1.5),
        transcript(2, "seven three six five thousand. And the weather is fine.", 4.0),
    ]
    produced = find({"id": "r", "transcripts": to_table(talk, Transcript).to_pylist()})
    spans = produced.records["private"]
    assert [(span.turn_id, span.kind, span.first_word, span.num_words) for span in spans] == [
        ("r-000001", "phone", 1, 3),
        ("r-000002", "phone", 0, 5),
    ]
    assert (spans[0].start, spans[0].end) == (talk[1].words[1].start, talk[1].words[3].end)
    assert (spans[1].start, spans[1].end) == (talk[2].words[0].start, talk[2].words[4].end)
    assert len({span.id for span in spans}) == 2
    scores = {score.turn_id: score.value for score in produced.records["scores"]}
    assert scores == {"r-000000": 0.0, "r-000001": 3.0, "r-000002": 5.0}
    assert {score.name for score in produced.records["scores"]} == {"private_words"}
    assert all(span.recording_id == "r" for span in spans)


def test_nothing_is_joined_over_a_long_pause(find: private.FindPrivate) -> None:
    talk = [transcript(1, "My number is four one five", 0.0), transcript(2, "seven three six five thousand", 30.0)]
    assert not find({"id": "r", "transcripts": to_table(talk, Transcript).to_pylist()}).records["private"]


def test_passages_hold_every_word_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private, "PASSAGE_WORDS", 4)
    talk = [transcript(turn, "one two three", 1.5 * turn) for turn in range(4)]
    found = list(private.passages(talk))
    assert [len(passage) for passage in found] == [6, 6]
    assert [(placed.turn_id, placed.index) for passage in found for placed in passage] == [
        (turn.id, index) for turn in talk for index in range(3)
    ]


def test_the_step_reads_the_table_it_is_told(tmp_path: Path) -> None:
    step = private.private_step(CurateSettings(), "aligned/transcripts")
    assert (step.name, step.inputs) == ("private", ("aligned/transcripts",))
    assert "presidio-analyzer 2.2" in step.config["finder"]
    store = Store(tmp_path)
    table = to_table([transcript(1, "Hello", 0.0), transcript(0, "Well", 0.0)], Transcript)
    items = step.items(SimpleNamespace(table={"aligned/transcripts": table}.__getitem__, store=store))
    (item,) = items.to_pylist()
    assert item["id"] == "r" and [found["id"] for found in item["transcripts"]] == ["r-000000", "r-000001"]
