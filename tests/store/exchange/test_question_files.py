"""Question files of every layout that sets come in; what is no clear question is refused with its place."""

import gzip
import json
import random
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spelangy.core.errors import UserError
from spelangy.store.exchange import question_files
from spelangy.store.exchange.question_files import AskedQuestion, read_questions


def jsonl(folder: Path, *rows: Any, name: str = "set.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return path


def one(folder: Path, row: Any) -> AskedQuestion:
    (found,) = read_questions(jsonl(folder, row))
    return found


# ------------------------------------------------------------------------------------------------------------ layouts


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"question": "Who?", "answer": "I"}, ("Who?", ("I",))),
        ({"question": " who ", "answer": ["I", "me", "I"]}, ("who", ("I", "me"))),
        ({"qId": "1", "qText": "who?", "answers": ["I"]}, ("who?", ("I",))),
        ({"Query": "Who?", "TARGET": "I"}, ("Who?", ("I",))),
        ({"context": "Question: Who\nis it?\nAnswer:", "answer": "I", "aliases": ["me", "I"]},
         ("Who\nis it?", ("I", "me"))),
        ({"question": "Who?", "context": "A long text.", "answer": "I"}, ("Who?", ("I",))),
        ({"question": "How many?", "answer": 12}, ("How many?", ("12",))),
        ({"question": "How much?", "answer": 0.5}, ("How much?", ("0.5",))),
        ({"question": "Is it?", "answer": True}, ("Is it?", ("yes",))),
        ({"question": "Who?", "answer": {"Value": "I", "Aliases": ["me"]}}, ("Who?", ("I", "me"))),
        ({"question": "Who?", "answers": {"text": ["I", "me"], "answer_start": [3, 9]}}, ("Who?", ("I", "me"))),
        ({"question": "Who?"}, ("Who?", ())),
        ({"question": "Who?", "answer": None}, ("Who?", ())),
        ({"question": "Who?", "answer": " "}, ("Who?", ())),
    ],
)  # fmt: skip
def test_open_questions(tmp_path: Path, row: Any, expected: tuple[str, tuple[str, ...]]) -> None:
    found = one(tmp_path, row)
    assert (found.question, found.answers) == expected
    assert found.choices == ()


@pytest.mark.parametrize(
    "gold", [{"gold": 1}, {"answer": "sloth"}, {"answer": 1}, {"answerKey": "B"}, {"label": 1}, {"target": ["sloth"]}]
)
@pytest.mark.parametrize(
    "choices",
    [
        {"choices": ["mouse", "sloth", "frog", "snake"]},
        {"options": ["mouse", "sloth", "frog", "snake"]},
        {"choices": {"text": ["mouse", "sloth", "frog", "snake"], "label": ["A", "B", "C", "D"]}},
        {"choices": [{"label": "A", "text": name} for name in ("mouse", "sloth", "frog", "snake")]},
    ],
)
def test_the_right_choice_is_found_by_text_place_or_letter(tmp_path: Path, gold: Any, choices: Any) -> None:
    found = one(tmp_path, {"question": "Which does not?", **choices, **gold})
    assert found == AskedQuestion(
        question="Which does not?", answers=("sloth",), choices=("mouse", "sloth", "frog", "snake")
    )


def test_a_number_among_the_choices_is_a_place_first(tmp_path: Path) -> None:
    choices = ["5", "7", "9"]
    assert one(tmp_path, {"question": "?", "choices": choices, "answer": 2}).answers == ("9",)
    assert one(tmp_path, {"question": "?", "choices": choices, "answer": 7}).answers == ("7",)


@pytest.mark.parametrize("gold", [4, -1, "E", "walrus", 1.5, True])
def test_an_answer_that_is_no_choice_is_refused(tmp_path: Path, gold: Any) -> None:
    row = {"question": "Which?", "choices": ["mouse", "sloth", "frog", "snake"], "answer": gold}
    with pytest.raises(UserError, match=r"set.jsonl:1: .* is none of its 4 choices"):
        read_questions(jsonl(tmp_path, row))


def test_a_list_a_packed_file_and_one_with_a_mark_of_order_read_as_lines_do(tmp_path: Path) -> None:
    rows = [{"qText": f"Who is {name}?", "answers": [name]} for name in ("Ann", "Bé")]
    expected = read_questions(jsonl(tmp_path, *rows))
    (tmp_path / "set.json").write_text(json.dumps(rows, indent=1))
    lines = "".join(f"{json.dumps(row)}\n\n" for row in rows).encode()
    (tmp_path / "set.jsonl.gz").write_bytes(gzip.compress(lines))
    (tmp_path / "marked.jsonl").write_bytes(b"\xef\xbb\xbf" + lines.replace(b"\n", b"\r\n"))
    for name in ("set.json", "set.jsonl.gz", "marked.jsonl"):
        assert read_questions(tmp_path / name) == expected


def test_quotes_in_a_table_are_letters_unless_they_hold_a_whole_cell(tmp_path: Path) -> None:
    path = tmp_path / "set.TSV"
    path.write_text(
        'Questions\tAnswer\n"To be" is from?\tHamlet\n"A lone one\tis kept\n'
        '"What is ""it""?"\t"that"\n"Who" and "what"\tboth\tmore\nNo answer?\n'
    )
    assert [(found.question, found.answers) for found in read_questions(path)] == [
        ('"To be" is from?', ("Hamlet",)),
        ('"A lone one', ("is kept",)),
        ('What is "it"?', ("that",)),
        ('"Who" and "what"', ("both",)),
        ("No answer?", ()),
    ]


names = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=20)


@given(st.lists(st.tuples(names, st.lists(names, max_size=3, unique=True)), min_size=1, max_size=5))
def test_what_is_written_is_what_is_read(tmp_path_factory: pytest.TempPathFactory, asked: list[Any]) -> None:
    folder = tmp_path_factory.mktemp("sets")
    found = read_questions(jsonl(folder, *({"question": text, "answers": answers} for text, answers in asked)))
    assert [(entry.question, list(entry.answers)) for entry in found] == asked


@pytest.mark.parametrize(
    ("name", "count", "first"),
    [
        ("slq/llama_questions_300.tsv", 300, ("What is the capital of France?", "Paris")),
        ("webquestions/main/test.json", 2032, ("what does jamaican people speak?", "Jamaican Creole English Language")),
        ("webquestions/main/devtest.json", 189, ("what is the name of justin bieber brother?", "Jazmyn Bieber")),
        ("triviaqa/triviaqa_sm_sub.jsonl", 3000,
         ("Brunswick, Lancastrian and Pearl Pickler are types of which vegetable?", "Onion")),
        ("nq_open/NQ-open.dev.jsonl", 3610, ("when was the last time anyone was on the moon", "14 December 1972 UTC")),
        ("nq_open/NQ-open.efficientqa.dev.1.1.jsonl", 1800,
         ("the last time la dodgers won the world series", "1988")),
        ("opentriviaqa/opentriviaqa.jsonl.gz", 49_716,
         ("Three of these animals hibernate. Which one does not?", "Sloth")),
    ],
)  # fmt: skip
def test_published_sets(data_folder: Path, name: str, count: int, first: tuple[str, str]) -> None:
    found = read_questions(data_folder / name)
    assert len(found) == count
    assert (found[0].question, found[0].answers[0]) == first
    assert all(entry.answers for entry in found)
    assert all(entry.answers[0] in entry.choices for entry in found if entry.choices)


# ------------------------------------------------------------------------------------------------------------ hostile

DEEP = '{"question": ' + "[" * 100_000 + "]" * 100_000 + "}"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not JSON"),
        ("[1", "not JSON"),
        (DEEP, "too deep"),
        ('{"question": "Who?", "answer": ' + "[" * 20 + "]" * 20 + "}", "too deep"),
        ('"Who?"', "not a JSON object"),
        ("7", "not a JSON object"),
        ('{"question": "Who?", "question": "I?"}', "twice"),
        ('{"question": 7}', "no question among question"),
        ('{"question": ["Who?"]}', "no question"),
        ('{"question": " "}', "no question"),
        ('{"answer": "I"}', "no question among answer"),
        ('{"question": "Who?", "answer": NaN}', "nan"),
        ('{"question": "Who?", "answer": 1e999}', "inf"),
        ('{"question": "Who?", "answer": [["I"]]}', "no answer and no choice"),
        ('{"question": "Who?", "answer": [null]}', "no answer and no choice"),
        ('{"question": "Who?", "choices": ["a", NaN], "gold": 0}', "nan"),
        ('{"question": "Who\\ud800?", "answer": "I"}', "surrogate"),
        ('{"question": "Who?", "answer": "\\udc00"}', "surrogate"),
        ('{"question": "Who?", "answer": ' + "9" * 5_000 + "}", "not JSON"),
    ],
)
def test_a_bad_row_is_refused_with_its_line(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(UserError) as refused:
        read_questions(jsonl(tmp_path, {"question": "Good?"}, line))
    assert "set.jsonl:2" in refused.value.message and refused.value.hint
    assert message in str(refused.value)
    assert len(str(refused.value)) < 500


def test_a_bad_row_of_a_list_is_refused_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "set.json").write_text('[{"question": "Who?"}, 7]')
    with pytest.raises(UserError, match=r"set.json\[1\]: not a JSON object"):
        read_questions(tmp_path / "set.json")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("latin.jsonl", '{"question": "Où?"}\n'.encode("latin-1")),
        ("wide.jsonl", '{"question": "Who?"}\n'.encode("utf-16")),
        ("cut.jsonl.gz", gzip.compress(b'{"question": "Who?"}\n')[:-12]),
        ("other.jsonl.gz", b'{"question": "Who?"}\n'),
        ("damaged.jsonl.gz", gzip.compress(random.Random(0).randbytes(999))[:40] + b"\xff" * 400),
        ("empty.jsonl", b""),
        ("blank.jsonl", b"\n \n"),
        ("list.json", b"[]"),
        ("cell.tsv", b"question\tanswer\n" + b"x" * 200_000 + b"\ty\n"),
        ("head.tsv", b"question\tanswer\n"),
        ("other.tsv", b"a\tb\n1\t2\n"),
    ],
)
def test_a_file_that_is_no_set_is_refused(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=name) as refused:
        read_questions(tmp_path / name)
    assert refused.value.hint


def test_only_files_are_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.jsonl", Path("/dev/zero")):
        with pytest.raises(UserError, match="no such file"):
            read_questions(path)


def test_a_line_without_an_end_is_not_read_to_it(tmp_path: Path) -> None:
    """A gigabyte that packs into a megabyte; reading it would take a hundred times this."""
    for start in (b'{"question": "', b"[", b" "):
        path = tmp_path / "bomb.jsonl.gz"
        with gzip.open(path, "wb", compresslevel=1) as file:
            file.write(start)
            for _ in range(64):
                file.write(b"x" * (1 << 22))
        with pytest.raises(UserError, match="too long"):
            read_questions(path)


@pytest.mark.parametrize("limit", ["MAX_QUESTIONS", "MAX_FILE_CHARS"])
def test_many_lines_end_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(question_files, limit, 1_000)
    lines = ["" if limit == "MAX_QUESTIONS" else {"question": string.ascii_letters}] * 1_001
    with pytest.raises(UserError, match=r"more than 1,000|too long"):
        read_questions(jsonl(tmp_path, *lines))
