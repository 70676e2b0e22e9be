"""Which tables of the store a view of chunks was made from: read off its lineage, not guessed from names of steps."""

from dataclasses import dataclass

from spelangy.core.errors import UserError
from spelangy.store.exchange.dossier import TableAddress
from spelangy.store.objects import Store, StoredObject


@dataclass(frozen=True, kw_only=True)
class ViewedTables:
    """The tables of one view; None where a view has no such table (synthetic speech has no transcripts).

    Attributes:
        hides_words: Whether the view masks or drops private words, which the transcripts still hold.
    """

    recordings: TableAddress
    turns: TableAddress
    transcripts: TableAddress | None
    chunks: TableAddress
    hides_words: bool = False


def viewed_tables(store: Store, name: str, view: str) -> ViewedTables:
    """The tables behind view `view` of `name`, a recipe or an import.

    `view` may also be a step whose own tables are recordings, turns and chunks (``speech``).

    Raises:
        UserError: When the view is not built, or a table that it was made from has changed since.
    """
    made = _object(store, name, f"chunks-{view}") or _object(store, name, view)
    if made is None or not _has(made, "chunks"):
        raise UserError(f"step chunks-{view} of {name} is not built", hint="spelangy run it first")
    recordings, turns = _table(store, name, made, "recordings"), _table(store, name, made, "turns")
    if recordings is None or turns is None:
        raise UserError(f"step {made.lineage.step} of {name} was made of no turns", hint="choose another --view")
    return ViewedTables(
        recordings=recordings,
        turns=turns,
        transcripts=_table(store, name, made, "transcripts"),
        chunks=TableAddress(key=made.key, table="chunks"),
        hides_words=made.lineage.config.get("private", "keep") != "keep",
    )


def _object(store: Store, name: str, step: str) -> StoredObject | None:
    key = store.ref(name, step)
    return store.find(key) if key is not None else None


def _has(stored: StoredObject, table: str) -> bool:
    return any(file.name == f"{table}.parquet" for file in stored.files)


def _table(store: Store, name: str, made: StoredObject, table: str) -> TableAddress | None:
    if _has(made, table):
        return TableAddress(key=made.key, table=table)
    for source, content in made.lineage.inputs.items():
        step, _, part = source.partition("/")
        found = _object(store, name, step)
        if found is None or not _has(found, table) or (part or table) != table:
            continue
        if found.digest_of(table) != content:
            raise UserError(
                f"{source} of {name} is no longer what {made.lineage.step} was made of", hint="spelangy run it again"
            )
        return TableAddress(key=found.key, table=table)
    return None
