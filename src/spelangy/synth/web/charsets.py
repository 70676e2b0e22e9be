"""The characters of a page, whatever it says about its encoding."""

from resiliparse.parse.encoding import bytes_to_str, detect_encoding

from spelangy.synth.web.source_pages import plain


def decoded(body: bytes, charset: str | None = None) -> str:
    """`body` by the `charset` of its HTTP head, else by the page's own ``<meta>``, else as guessed; bad bytes become
    U+FFFD, NUL goes."""
    guessed = detect_encoding(body, from_html_meta=True) or "utf-8"
    try:
        text = bytes_to_str(body, charset or guessed, errors="replace")
    except (LookupError, UnicodeError):
        text = bytes_to_str(body, guessed, errors="replace")
    return plain(text)
