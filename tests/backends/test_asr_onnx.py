"""`asr.onnx-asr` over models of random weights, in the library's own file format."""

import json
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spelangy.backends import asr_onnx
from spelangy.backends.asr_onnx import MAX_WORD_TAIL_S, OnnxAsrRecognizer
from spelangy.backends.load import create, describe
from spelangy.core.errors import UserError
from spelangy.core.settings import BackendChoice
from spelangy.core.spans import samples
from spelangy.testing import check_recognizer, voiced_sound

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnx_asr")

VOCABULARY = ["▁the", "▁cat", "s", "▁sat", "on", "▁a", "mat", "<blk>"]


def ctc_model(folder, *, seed=0):
    """NeMo CTC: a strided convolution over 80 mel bands, then log-softmax over the vocabulary."""
    rng = np.random.default_rng(seed)
    weights = (0.02 * rng.standard_normal((len(VOCABULARY), 80, 8))).astype(np.float32)
    helper, kind = onnx.helper, onnx.TensorProto
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["audio_signal", "weights"], ["scores"], strides=[8], pads=[4, 4]),
            helper.make_node("Transpose", ["scores"], ["by_time"], perm=[0, 2, 1]),
            helper.make_node("LogSoftmax", ["by_time"], ["logprobs"], axis=-1),
        ],
        "ctc",
        [
            helper.make_tensor_value_info("audio_signal", kind.FLOAT, ["b", 80, "t"]),
            helper.make_tensor_value_info("length", kind.INT64, ["b"]),
        ],
        [helper.make_tensor_value_info("logprobs", kind.FLOAT, ["b", "u", len(VOCABULARY)])],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    folder.mkdir(exist_ok=True)
    onnx.save(model, folder / "model.onnx")
    (folder / "vocab.txt").write_text("".join(f"{token} {index}\n" for index, token in enumerate(VOCABULARY)))
    (folder / "config.json").write_text(json.dumps({"model_type": "nemo-conformer-ctc", "features_size": 80}))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return ctc_model(tmp_path_factory.mktemp("onnx") / "ctc")


@pytest.fixture(scope="module")
def recognizer(folder):
    return OnnxAsrRecognizer(model="nemo-conformer-ctc", path=folder, licence="CC-BY-4.0")


def test_keeps_the_contract(recognizer):
    check_recognizer(recognizer)


def test_words_are_timed_and_weighed_by_their_tokens(recognizer):
    clip = voiced_sound(2.0)
    found = recognizer._asr.recognize(clip, sample_rate=16_000)
    (heard,) = recognizer.transcribe([clip])
    assert " ".join(word.text for word in heard.words) == found.text
    assert len(heard.words) > 1 and all(word.is_timed and 0 < word.confidence < 1 for word in heard.words)
    begins = [time for token, time in zip(found.tokens, found.timestamps, strict=True) if token.startswith(" ")]
    assert {word.start for word in heard.words} >= {samples(time) for time in begins}
    assert heard.mean_logprob == pytest.approx(np.mean(found.logprobs), rel=1e-5)


def test_a_model_without_token_times_has_its_words_spread():
    clip = voiced_sound(1.0)
    found = SimpleNamespace(text="two words", tokens=None, timestamps=None, logprobs=None)
    words = asr_onnx._words(found, clip)
    assert [(word.text, word.is_timed, word.confidence) for word in words] == [
        ("two", False, 1.0),
        ("words", False, 1.0),
    ]


@given(st.lists(st.tuples(st.sampled_from([" a", " bc", "d"]), st.floats(0, 0.7), st.floats(-3, 0)), max_size=12))
def test_words_follow_each_other(rows):
    times = np.cumsum([step for _, step, _ in rows]).tolist()
    found = SimpleNamespace(
        text="", tokens=[row[0] for row in rows] or None, timestamps=times, logprobs=[row[2] for row in rows]
    )
    words = asr_onnx._words(found, np.zeros(samples(20.0), np.float32))
    assert "".join(word.text for word in words) == "".join(token.strip() for token, _, _ in rows)
    for left, right in pairwise(words):
        assert left.start <= left.end <= right.start
    assert all(0 <= word.confidence <= 1 for word in words)
    assert not words or words[-1].end <= samples(times[-1] + MAX_WORD_TAIL_S) + 1


def test_is_found_by_entry_point_and_named_by_its_content(folder, tmp_path):
    options = {"model": "nemo-conformer-ctc", "path": str(folder), "licence": "CC-BY-4.0"}
    choice = BackendChoice(name="onnx-asr", options=options)
    info = describe("asr", choice)
    assert (info.name, info.licence) == ("nemo-conformer-ctc", "CC-BY-4.0")
    assert info == create("asr", choice).info
    other = ctc_model(tmp_path / "other", seed=1)
    assert (
        describe("asr", BackendChoice(name="onnx-asr", options={**options, "path": str(other)})).revision
        != info.revision
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "no-such-model"}, "cannot load"),
        ({"quantization": "int4"}, "cannot load"),
        ({"path": "no/such/folder"}, "no directory"),
    ],
)
def test_what_is_not_there_is_refused(folder, changes, message):
    with pytest.raises(UserError, match=message):
        OnnxAsrRecognizer(**{"model": "nemo-conformer-ctc", "path": folder, **changes})
