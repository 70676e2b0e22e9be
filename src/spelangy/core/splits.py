"""Which documents are held out: decided by the hash of their group, so that all views of one page fall on one side."""

from spelangy.core.random import uniform


def group_of(document_id: str) -> str:
    """The page or recording that a document belongs to: its id up to the first hyphen."""
    return document_id.partition("-")[0]


def is_heldout(document_id: str, share: float, seed: int) -> bool:
    """Whether the document's group is among the held-out `share` of groups."""
    return uniform(seed, "heldout", group_of(document_id)) < share
