"""What is told of a page wherever its words go: scripts, recordings, chunks, exports."""

import json

from spelangy.core.hashing import canonical_json
from spelangy.core.records import Page


def about(page: Page) -> str:
    """Address, title, and where and when the page was crawled, as canonical JSON."""
    told = {"uri": page.uri, "title": page.title}
    return canonical_json({**json.loads(page.metadata), **{name: text for name, text in told.items() if text}})
