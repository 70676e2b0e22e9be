"""ROVER over CTM files: NIST's own outputs, line for line; what other files and hostile ones do."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spelangy.core.errors import UserError
from spelangy.curate import ctm
from spelangy.curate.ctm import CtmWord, read_ctm
from spelangy.curate.rover import VoteRule
from spelangy.curate.rover_ctm import NIST_RULE, combine_ctm


def nist(method: str, alpha: float, null_confidence: float) -> VoteRule:
    return VoteRule(method=method, alpha=alpha, null_confidence=null_confidence, agreement_power=0.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("inputs", "expected", "rule"),
    [
        ("rover_sctk/images_src/sys{}.ctm 1 2 3", "rover_sctk/rover_demo/rover.ctm", NIST_RULE),
        (
            "rover_earnings21/sys{}.ctm 1 2 5",
            "rover_earnings21/out/s125_avgconf_a05_c05.ctm",
            nist("avgconf", 0.5, 0.5),
        ),
        (
            "rover_earnings21/sys{}.ctm 1 2 5",
            "rover_earnings21/out/s125_maxconf_a02_c05.ctm",
            nist("maxconf", 0.2, 0.5),
        ),
        ("rover_earnings21/sys{}.ctm 3 4 5", "rover_earnings21/out/s345_vote.ctm", nist("frequency", 1.0, 0.0)),
    ],
    ids=["demo", "avgconf", "maxconf", "frequency"],
)
def test_lines_equal_those_of_nist_rover(inputs: str, expected: str, rule: VoteRule, data_folder: Path) -> None:
    pattern, *numbers = inputs.split()
    paths = [data_folder / pattern.format(number) for number in numbers]
    if not (data_folder / expected).exists():
        pytest.skip(f"needs {data_folder / expected}")
    assert "".join(word.line() for word in combine_ctm(paths, rule)) == (data_folder / expected).read_text()


def written(folder: Path, *systems: str | bytes) -> list[Path]:
    paths = [folder / f"sys{index}.ctm" for index in range(len(systems))]
    for path, lines in zip(paths, systems, strict=True):
        path.write_bytes(lines if isinstance(lines, bytes) else lines.encode())
    return paths


def lines(paths: Sequence[Path], rule: VoteRule = NIST_RULE, *, case_sensitive: bool = False) -> list[str]:
    return [word.line().rstrip("\n") for word in combine_ctm(paths, rule, case_sensitive=case_sensitive)]


def test_times_and_confidences_are_means_of_the_winners(tmp_path: Path) -> None:
    paths = written(tmp_path, "f 1 0.10 0.20 cat 0.9\n", "f 1 0.20 0.30 cat 0.6\n", "f 1 0.00 0.90 hat 0.1\n")
    assert lines(paths) == ["f 1 0.150 0.250 cat 0.750000"]


def test_comments_blank_lines_tabs_and_line_ends_do_not_matter(tmp_path: Path) -> None:
    odd = ";; made by hand\n\n  f\t1  0.1 0.2\tcat 0.5 lex spk\r\n   \n"
    assert lines(written(tmp_path, odd, "f 1 0.1 0.2 cat 0.5")) == ["f 1 0.100 0.200 cat 0.500000"]


def test_words_without_confidence_get_nist_s_numbers(tmp_path: Path) -> None:
    none, some = "f 1 0 1 a\nf 1 1 1 b\n", "f 1 0 1 a 0.5\nf 1 1 1 b\n"
    assert lines(written(tmp_path, none, none)) == ["f 1 0.000 1.000 a -1.000000", "f 1 1.000 1.000 b -1.000000"]
    assert lines(written(tmp_path, some, some)) == ["f 1 0.000 1.000 a 0.500000", "f 1 1.000 1.000 b 0.000000"]


def test_everything_is_lower_case_unless_case_matters(tmp_path: Path) -> None:
    paths = written(tmp_path, "F 1 0 1 The 1\n", "F 1 0 1 the 1\n", "F 1 0 1 the 1\n")
    assert lines(paths) == ["f 1 0.000 1.000 the 1.000000"]
    first = written(tmp_path, "F 1 0 1 The 1\n", "F 1 0 1 the 1\n")
    assert lines(first, case_sensitive=True) == ["F 1 0.000 1.000 The 1.000000"]


def test_a_word_never_meets_one_across_a_common_silence(tmp_path: Path) -> None:
    paths = written(
        tmp_path,
        "f 1 0 1 a 1\nf 1 5 1 b 1\n",
        "f 1 0 1 a 1\nf 1 5 1 b 1\n",
        "f 1 0 1 x 1\nf 1 0.9 0.1 b 1\nf 1 5 1 y 1\n",
    )
    assert [line.split()[4] for line in lines(paths)] == ["a", "b"]
    assert lines(paths)[1] == "f 1 5.000 1.000 b 1.000000"


def test_a_file_that_ends_early_says_nothing_in_what_is_left(tmp_path: Path) -> None:
    both = "f 1 0 1 a 1\ng 1 0 1 b 1\n"
    assert len(lines(written(tmp_path, both, both, "f 1 0 1 a 1\n"))) == 2
    assert len(lines(written(tmp_path, both, "f 1 0 1 a 1\n", "f 1 0 1 a 1\n"), NIST_RULE)) == 1


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ("g 1 0 1 b 1\n", r"sys1.ctm:1: channel 1 of g, but channel 1 of f at .*sys0.ctm:1"),
        ("f 2 0 1 a 1\n", r"sys1.ctm:1: channel 2 of f, but channel 1 of f"),
        ("f 1 0 1 a 1\ng 1 0 1 b 1\nh 1 0 1 c 1\n", r"sys1.ctm:3: channel 1 of h is not in .*sys0.ctm"),
    ],
)
def test_other_files_and_channels_are_refused(second: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        lines(written(tmp_path, "f 1 0 1 a 1\ng 1 0 1 b 1\n", second))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("f 1 0 1", "4 fields"),
        ("f 1 0 1 a 1 x y z", "9 fields"),
        ("f 1 -0.5 1 a", "start is '-0.5', allowed is 0 to"),
        ("f 1 nan 1 a", "start is 'nan'"),
        ("f 1 inf 1 a", "start is 'inf'"),
        ("f 1 1e300 1 a", "start is '1e300'"),
        ("f 1 0x1 1 a", "start is '0x1'"),
        ("f 1 1_0 1 a", "start is '1_0'"),
        ("f 1 ١ 1 a", "start is '١'"),
        ("f 1 0 -1 a", "duration is '-1'"),
        ("f 1 0 one a", "duration is 'one'"),
        ("f 1 0 1 a 1.5", "confidence is '1.5', allowed is 0 to 1, or -1 for none"),
        ("f 1 0 1 a nan", "confidence is 'nan'"),
        ("f 1 0 1 a " + "9" * 100, "confidence is '9{40}…'"),
        ("f 1 * * <ALT_BEGIN>", "alternatives cannot be combined"),
        ("f 1 0 1 @", "'@' is no word"),
        ("f 1 0 1 a\0b", "is no word"),
        ("f 1 0 1 " + "a" * 5000, "longer than 4096 bytes"),
        (b"f 1 0 1 caf\xe9", "not UTF-8 at byte 11"),
    ],
)
def test_a_bad_line_is_named(line: str | bytes, message: str, tmp_path: Path) -> None:
    good = b"f 1 0 1 a 1\n"
    bad = good + b"; comment\n" + (line if isinstance(line, bytes) else line.encode()) + b"\n"
    with pytest.raises(UserError, match=f"sys1.ctm:3: .*{message}"):
        lines(written(tmp_path, good, bad))


def test_a_channel_of_endless_words_is_refused_before_it_fills_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ctm, "MAX_GROUP_WORDS", 10)
    assert len(lines(written(tmp_path, "f 1 0 1 a\n" * 10, "f 1 0 1 a\n" * 10))) == 10
    with pytest.raises(UserError, match=r"sys0.ctm:11: more than 10 words in channel 1 of f"):
        lines(written(tmp_path, "f 1 0 1 a\n" * 11, "f 1 0 1 a\n"))


@pytest.mark.parametrize("num_files", [0, 1, 50])
def test_two_to_49_systems(num_files: int, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"ROVER of {num_files} files, allowed is 2 to 49"):
        lines(written(tmp_path, *["f 1 0 1 a\n"] * num_files))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*nowhere\.ctm: No such file"):
        lines([tmp_path / "nowhere.ctm", tmp_path / "nowhere.ctm"])


def test_an_empty_file_holds_no_channel(tmp_path: Path) -> None:
    assert lines(written(tmp_path, "", ";; nothing\n")) == []
    with pytest.raises(UserError, match="is not in"):
        lines(written(tmp_path, "", "f 1 0 1 a\n"))


words = st.builds(
    CtmWord,
    recording=st.just("f"),
    channel=st.sampled_from(["1", "2"]),
    start_s=st.integers(0, 100).map(float),
    duration_s=st.integers(0, 9).map(float),
    text=st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=5).filter(
        lambda text: not text.startswith(("@", "<")) and text == text.lower()
    ),
    confidence=st.sampled_from([0.0, 0.5, 1.0]),
)


@given(st.lists(words, min_size=1, max_size=8))
def test_what_is_written_is_read_again(tmp_path_factory: pytest.TempPathFactory, given_words: list[CtmWord]) -> None:
    ordered = sorted(given_words, key=lambda word: (word.channel, word.start_s))
    path = tmp_path_factory.mktemp("ctm") / "a.ctm"
    path.write_text("".join(word.line() for word in ordered))
    read = [text for group in read_ctm(path) for text in group.texts]
    assert read == [word.text for word in ordered]
    assert lines([path, path]) == [word.line().rstrip("\n") for word in ordered]
