"""Pages on which any parser or extractor would spend minutes, told before one sees them, in linear time.

Three costs grow with the square of the page: a tag's attributes (each is compared with those before it), the different
names of tags and attributes, and nesting (all text counts for each element around it). All are bounded far above what
people write.
"""

import re
from collections import Counter

from spelangy.core.errors import Dropped

MAX_HTML_CHARS = 4_000_000
MAX_ATTRIBUTES = 1_000
"""Of one tag. Source: ours; 4 MB of tags with 1,000 each are parsed in two seconds, one tag with 300,000 in minutes."""

MAX_NAMES = 20_000
"""Different names of tags and attributes. Source: ours; 120,000 take the parser ten seconds, 20,000 a tenth of one."""

MAX_NESTING = 30_000_000
"""Sum, over all tags and `TEXT_CHARS` of text, of the elements open there.

Source: ours; about two seconds of extraction. An article of 3,000 tags and 100,000 characters, 20 deep, has 200,000;
the longest page allowed, all text, 100 deep, 25 million; 20,000 tags inside each other 200 million.
"""

TEXT_CHARS = 16
"""Text that costs as much as a tag. Source: ours, measured."""

_SHORT_CHARS = 400_000
"""So few characters cannot hold names for more than two seconds."""

_RAW_TEXT = ("script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes")
_END_IS_OPTIONAL = {
    "html", "head", "body", "p", "li", "dt", "dd", "rt", "rp", "option", "optgroup", "thead", "tbody", "tfoot", "tr",
    "td", "th", "colgroup", "caption", "a", "button", "nobr",
}  # fmt: skip
"""Elements that end where the next of the kind begins: left open they do not nest."""

_VOID = {
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr",
    "frame", "keygen", "basefont", "bgsound",
}  # fmt: skip
_NOT_NESTING = _END_IS_OPTIONAL | _VOID
_FOREIGN = ("svg", "math")

# Possessive throughout: a page is read once, from left to right, whatever is in it.
_COMMENT = r"<!--[^-]*+(?:-(?!->)[^-]*+)*+"
_NAME_ENDS = r"(?=[\s/>]|\Z)"
_RAW = "|".join(rf"<{name}{_NAME_ENDS}[^>]*+(?:>[^<]*+(?:<(?!/{name})[^<]*+)*+)?+" for name in _RAW_TEXT)
_VALUE = r"""(?:\s*+=\s*+(?:"[^"]*+"?|'[^']*+'?|[^\s>"'][^\s>]*+)?+)?+"""
_ATTRIBUTE = rf"(?:[\s/]*+(?:=?[^\s/>=]++|=){_VALUE})"
_FEW_ATTRIBUTES = rf"{_ATTRIBUTE}{{0,{MAX_ATTRIBUTES}}}+[\s/]*+(?=>|\Z)"
_START = rf"<(?!(?:{'|'.join(_RAW_TEXT)}){_NAME_ENDS})[A-Za-z][^\s/>]*+{_FEW_ATTRIBUTES}"
_WELL_BEHAVED = re.compile(rf"(?:[^<]++|<(?![A-Za-z!])|{_COMMENT}|<!(?!--)|{_RAW}|{_START})*+", re.IGNORECASE)
_TAG = re.compile(
    rf"{_COMMENT}|{_RAW}|<(?P<end>/?)(?P<name>[A-Za-z][^\s/>]*+)(?P<attributes>{_ATTRIBUTE}*+)\s*+(?P<empty>/?)\s*+>?",
    re.IGNORECASE,
)
_ATTRIBUTE_NAME = re.compile(rf"[\s/]*+(=?[^\s/>=]++|=){_VALUE}")


def check_html(html: str) -> None:
    """Returns when `html` can be parsed and read in seconds.

    Raises:
        Dropped: ``"oversized page"`` (characters), ``"too many attributes"`` (in one tag, at a character of the page),
            ``"too many names"`` (of tags and attributes), ``"too deeply nested"`` (the sum that `MAX_NESTING` bounds).
    """
    if len(html) > MAX_HTML_CHARS:
        raise Dropped("oversized page", value=len(html), threshold=MAX_HTML_CHARS)
    read = _WELL_BEHAVED.match(html)
    assert read is not None, "the pattern matches the empty text"
    if read.end() < len(html):
        raise Dropped("too many attributes", threshold=MAX_ATTRIBUTES, detail=f"tag at character {read.end()}")
    num_tags, num_ends = html.count("<"), html.count("</")
    most_nesting = (num_tags - num_ends) * (num_tags + len(html) // TEXT_CHARS)
    if len(html) > _SHORT_CHARS or most_nesting > MAX_NESTING:
        _check_tags(html)


def _check_tags(html: str) -> None:
    num_open: Counter[str] = Counter()
    names: set[str] = set()
    nesting = depth = read_chars = 0
    for tag in _TAG.finditer(html):
        nesting += depth * (1 + (tag.start() - read_chars) // TEXT_CHARS)
        read_chars = tag.end()
        depth += _change(tag, num_open)
        names.add(tag["name"])
        if tag["attributes"]:
            names.update(_ATTRIBUTE_NAME.findall(tag["attributes"]))
        if nesting > MAX_NESTING or len(names) > MAX_NAMES:
            break
    if len(names) > MAX_NAMES:
        raise Dropped("too many names", threshold=MAX_NAMES)
    nesting += depth * (len(html) - read_chars) // TEXT_CHARS
    if nesting > MAX_NESTING:
        raise Dropped("too deeply nested", value=nesting, threshold=MAX_NESTING)


def _change(tag: re.Match[str], num_open: Counter[str]) -> int:
    """By how much `tag` changes the depth: 1, -1 or 0; `num_open` is kept up to date."""
    name = (tag["name"] or "").lower()
    if not name or name in _NOT_NESTING:
        return 0
    if tag["end"]:
        change = -1 if num_open[name] else 0
    else:
        change = 0 if tag["empty"] and any(num_open[root] for root in _FOREIGN) else 1
    num_open[name] += change
    return change
