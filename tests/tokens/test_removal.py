"""Removing documents: a store without some documents reads like a store that never had them."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_span_store import StoreMaker, documents_of_any_kind

from spelangy.tokens.removal import remove_documents
from spelangy.tokens.span_store import SpanStore, StoredDocument


def content(store: SpanStore) -> list[tuple[object, ...]]:
    """Documents and spans as they read, whatever their place in the files."""
    rows: list[tuple[object, ...]] = []
    for number in range(store.num_documents):
        first, last = int(store.docs["spans_start"][number]), int(store.docs["spans_end"][number])
        for span in range(first, last):
            row = store.spans[span]
            rows.append(
                (
                    store.document_id(number), store.sources[store.docs["source"][number]], store.text(span, span + 1),
                    store.units[row["units_start"] : row["units_end"]].tolist(),
                    store.text_ids[row["text_start"] : row["text_end"]].tolist(),
                    int(row["start"]), int(row["end"]), store.speaker(span), store.role(span), int(row["document"]),
                )
            )  # fmt: skip
    return rows


@settings(max_examples=25)
@given(documents=documents_of_any_kind, choice=st.integers(0, 2**5 - 1))
def test_what_stays_reads_as_if_the_rest_had_never_been_there(
    documents: list[StoredDocument], choice: int, tmp_path_factory: pytest.TempPathFactory, make_store: StoreMaker
) -> None:
    gone = {document.id for index, document in enumerate(documents) if choice >> index & 1}
    folder = tmp_path_factory.mktemp("stores")
    make_store(folder / "all", documents)
    expected = content(make_store(folder / "kept", [document for document in documents if document.id not in gone]))
    assert remove_documents(folder / "all", gone.__contains__) == len(gone)
    assert content(SpanStore.open(folder / "all")) == expected


def test_no_byte_of_a_removed_document_is_left_in_the_folder(
    tmp_path: Path, make_store: StoreMaker, documents: list[StoredDocument]
) -> None:
    make_store(tmp_path / "store", [document for document in documents if document.id.startswith("speech")])
    remove_documents(tmp_path / "store", lambda name: name == "speech-3")
    left = b"".join(path.read_bytes() for path in (tmp_path / "store").iterdir())
    assert b"speech-3" not in left.replace(b"speech-30", b"")
    assert b"speech-2" in left
    assert [path.name for path in tmp_path.iterdir()] == ["store"], "a scratch folder was left behind"


def test_nothing_to_remove_changes_nothing(
    tmp_path: Path, make_store: StoreMaker, documents: list[StoredDocument]
) -> None:
    make_store(tmp_path / "store", documents[:2])
    before = {path.name: path.read_bytes() for path in (tmp_path / "store").iterdir()}
    assert remove_documents(tmp_path / "store", lambda _: False) == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "store").iterdir()} == before
