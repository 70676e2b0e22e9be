"""What a recipe says and nothing would read is refused, not passed over."""

from typing import Any

import pytest

from spelangy.core.errors import UserError
from spelangy.recipe.load import recipe_from


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"synth": {"voices": []}}, "synth.voices"),
        ({"tokens": {"speech_tokenizer": {"name": "kmeans-logmel", "options": {"max_frames": 9}}}}, "takes no options"),
    ],
)
def test_an_empty_or_unread_choice_is_refused(content: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        recipe_from({"name": "x", **content}, where="test")
