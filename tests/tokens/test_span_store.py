"""Written once, read back whole, refused when anything is wrong."""

import json
import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spelangy.core.errors import UserError
from spelangy.core.hashing import digest_bytes
from spelangy.core.records import CHUNK_ROLES
from spelangy.tokens.span_store import SpanStore, StoredDocument, StoredSpan
from spelangy.tokens.store_writer import write_span_store
from spelangy.tokens.text_tokenizer import TextTokenizer, leading_space
from spelangy.tokens.vocabulary import Vocabulary

FILES = ("units.u16", "text.u32", "bytes.u8", "spans.npy", "docs.npy", "manifest.json")
StoreMaker = Callable[..., SpanStore]

spans = st.builds(
    lambda units, text, start, length, speaker, role, confidence: StoredSpan(
        units=np.array(units, dtype=np.uint16),
        text=text,
        start=start,
        end=start + length,
        speaker=speaker,
        role=role,
        confidence=confidence,
    ),
    st.lists(st.integers(0, 49), max_size=8),
    st.text(min_size=1, max_size=20).filter(str.strip),
    st.integers(0, 2**40),
    st.integers(0, 2**30),
    st.text(max_size=3),
    st.sampled_from(CHUNK_ROLES),
    st.floats(0, 1, width=32),
)
documents_of_any_kind = st.lists(
    st.builds(
        StoredDocument,
        id=st.text(min_size=1, max_size=8),
        source=st.sampled_from(["crawl", "quest", "text"]),
        spans=st.lists(spans, min_size=1, max_size=5).map(tuple),
    ),
    max_size=5,
    unique_by=lambda document: document.id,
)


def one_span(text: str = "A word.") -> StoredSpan:
    units = np.arange(4, dtype=np.uint16)
    return StoredSpan(units=units, text=text, start=0, end=5000, speaker="S0", role="speech", confidence=0.5)


def one_document(*, id: str = "d", **changes: Any) -> StoredDocument:
    return StoredDocument(id=id, source="crawl", spans=(one_span(), replace(one_span(), **changes)))


@settings(max_examples=25)
@given(documents=documents_of_any_kind)
def test_what_is_written_is_read_back(
    make_store: StoreMaker,
    tokenizer: TextTokenizer,
    tmp_path_factory: pytest.TempPathFactory,
    documents: list[StoredDocument],
) -> None:
    store = make_store(tmp_path_factory.mktemp("round") / "trip", documents)
    assert store.num_documents == len(documents)
    assert store.num_spans == sum(len(document.spans) for document in documents)
    for number, document in enumerate(documents):
        row = store.docs[number]
        assert store.document_id(number) == document.id
        assert store.sources[row["source"]] == document.source
        assert row["spans_end"] - row["spans_start"] == len(document.spans)
        for index, span in enumerate(document.spans, start=int(row["spans_start"])):
            stored = store.spans[index]
            text = leading_space(span.text)
            assert store.units[stored["units_start"] : stored["units_end"]].tolist() == span.units.tolist()
            assert store.text_ids[stored["text_start"] : stored["text_end"]].tolist() == tokenizer.encode(text).tolist()
            assert store.text(index, index + 1) == text
            assert (store.speaker(index), store.role(index)) == (span.speaker, span.role)
            assert (stored["document"], stored["start"], stored["end"]) == (number, span.start, span.end)
            assert stored["confidence"] == np.float32(span.confidence)
            assert store.unit_counts[index] == len(span.units)
            assert store.text_counts[index] == len(tokenizer.encode(text))


def test_merged_text_and_tokens_are_one_slice(store: SpanStore, tokenizer: TextTokenizer) -> None:
    first, last = int(store.docs["spans_start"][3]), int(store.docs["spans_end"][3])
    ids = store.text_ids[store.spans["text_start"][first] : store.spans["text_end"][last - 1]]
    assert ids.tolist() == tokenizer.encode(store.text(first, last)).tolist()


def test_documents_by_source(store: SpanStore, documents: list[StoredDocument]) -> None:
    wanted = [number for number, document in enumerate(documents) if document.source in ("quest", "text")]
    assert store.documents_of("text", "quest").tolist() == wanted
    assert store.documents_of().tolist() == list(range(len(documents)))
    with pytest.raises(UserError, match="no source 'krist'"):
        store.documents_of("krist")


def test_the_same_documents_give_the_same_bytes(
    make_store: StoreMaker, store: SpanStore, documents: list[StoredDocument], tmp_path: Path
) -> None:
    again = make_store(tmp_path / "again", iter(documents))
    assert again.fingerprint == store.fingerprint
    for name in FILES:
        assert (again.directory / name).read_bytes() == (store.directory / name).read_bytes()


def test_the_manifest_tells_all(store: SpanStore, tokenizer: TextTokenizer, vocabulary: Vocabulary) -> None:
    manifest = json.loads((store.directory / "manifest.json").read_text())
    assert sorted(path.name for path in store.directory.iterdir()) == sorted(FILES)
    for name, entry in manifest["files"].items():
        assert entry["sha256"] == digest_bytes((store.directory / name).read_bytes())
    assert manifest["frame_rate_hz"] == 12.5
    assert manifest["text_tokenizer"] == tokenizer.fingerprint
    assert manifest["speech_tokenizer"] == "f" * 64
    assert store.vocabulary == vocabulary


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(make_store: StoreMaker, tmp_path: Path, name: str) -> None:
    directory = make_store(tmp_path / "store", [one_document()]).directory
    (directory / name).unlink()
    with pytest.raises(UserError, match=name) as caught:
        SpanStore.open(directory, verify=False)
    assert "write the store again" in caught.value.hint


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_named(make_store: StoreMaker, tmp_path: Path, name: str) -> None:
    path = make_store(tmp_path / "store", [one_document()]).directory / name
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(UserError, match=name):
        SpanStore.open(path.parent, verify=False)


@pytest.mark.parametrize("name", FILES[:-1])
def test_one_changed_bit_is_found(make_store: StoreMaker, tmp_path: Path, name: str) -> None:
    path = make_store(tmp_path / "store", [one_document()]).directory / name
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match=f"{name} has other content"):
        SpanStore.open(path.parent)


@pytest.mark.parametrize(
    ("change", "message"), [({"format": "x"}, "does not describe"), ({"files": {}}, "list"), ({"counts": {}}, "counts")]
)
def test_a_changed_manifest_is_refused(
    make_store: StoreMaker, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    path = make_store(tmp_path / "store", [one_document()]).directory / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=message):
        SpanStore.open(path.parent)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (one_document(text="  \n"), "span 1: no text"),
        (one_document(start=6000), "span 1: .* is not a span"),
        (one_document(confidence=1.5), "span 1: confidence"),
        (one_document(role="speach"), "did you mean 'speech'"),
        (one_document(units=np.array([50], dtype=np.uint16)), "unit 50 in a codebook of 50"),
        (one_document(id="first"), "given twice"),
        (StoredDocument(id="e", source="crawl", spans=()), "has no spans"),
    ],
)
def test_a_bad_document_is_refused_and_nothing_is_left(
    make_store: StoreMaker, tmp_path: Path, document: StoredDocument, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        make_store(tmp_path / "store", [one_document(id="first"), document])
    assert list(tmp_path.iterdir()) == []


def test_a_writer_that_dies_leaves_nothing(make_store: StoreMaker, tmp_path: Path) -> None:
    def dying() -> Iterator[StoredDocument]:
        yield one_document()
        raise RuntimeError("the power went")

    with pytest.raises(RuntimeError, match="power"):
        make_store(tmp_path / "store", dying())
    assert list(tmp_path.iterdir()) == []


def test_a_store_is_written_once(make_store: StoreMaker, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    make_store(tmp_path / "store", [one_document()])
    with pytest.raises(UserError, match="exists already"):
        make_store(tmp_path / "store", [one_document()])


def test_a_tokenizer_larger_than_the_vocabulary_is_refused(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    small = Vocabulary(text_size=tokenizer.size - 1, codebook_size=50)
    with pytest.raises(UserError, match="text rows"):
        write_span_store(tmp_path / "s", [], text_tokenizer=tokenizer, vocabulary=small, speech_tokenizer_digest="")


def test_a_pickled_store_maps_its_files_again(store: SpanStore) -> None:
    data = pickle.dumps(store)
    assert len(data) < 1000
    assert pickle.loads(data).fingerprint == store.fingerprint
