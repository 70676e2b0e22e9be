import pytest
from resiliparse.parse.html import HTMLTree

from spelangy.synth.web.boilerplate import LinkLines, is_boilerplate


@pytest.mark.parametrize(
    "line",
    [
        "Advertisement", "Subscribe for our daily newsletter", "READ MORE: Five towns on the Elbe", "Related articles",
        "Share this on Facebook", "12 comments", "Leave a reply", "Photo: Hau Dinh, AP", "Image 1 of 8", "Next",
        "© 2019 Capitol Hill Publishing Corp.", "Copyright 2019. All rights reserved.", "Last updated 3 May 2019",
        "This website uses cookies to make your visit more pleasant.", "A storm over the harbour (Image: GETTY)",
        "By signing up you agree to our terms of use.",
    ],
)  # fmt: skip
def test_the_site_speaks(line: str) -> None:
    assert is_boilerplate(line)


@pytest.mark.parametrize(
    "line",
    [
        "", "Related work of the same group was published in 1998.", "Copyright law protects works of authors.",
        "Published in 1851, the novel was no success.", "Follow me into the cellar, he said.", "Share prices",
        "Search engines rank pages.", "Should I subscribe?", "Home\tAway", "Home Depot sales miss, shares plunge",
        "He told people to sign up for the army.", "Comments on the text", "Related?", "Images of the sun",
        "Subscribe " + "and read on " * 40,
    ],
)  # fmt: skip
def test_the_author_speaks(line: str) -> None:
    assert not is_boilerplate(line)


def test_lines_that_are_one_link() -> None:
    html = "<a>All  towns</a><h2><a>Dresden</a></h2><a>Why here?</a><p>In <a>Hamburg</a> it ends.</p>"
    links = LinkLines(HTMLTree.parse(html))
    assert "All towns" in links
    assert all(line not in links for line in ("", "Dresden", "Why here?", "In Hamburg it ends.", "elsewhere"))


@pytest.mark.parametrize("character", ["<", "&", " ", "a", "photo", "cookies ", "terms of use "])
def test_long_lines_take_no_time(character: str) -> None:
    assert not is_boilerplate(character * 500_000)
