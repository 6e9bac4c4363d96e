"""The lab's tokenizer: which words it knows is told of a whole data set."""

from __future__ import annotations

import pytest

from safetax.data.lab.chats import draw
from safetax.data.lab.tokenizer import build_tokenizer, check_words, vocabulary
from safetax.data.lab.world import world
from safetax.errors import UserError
from safetax.records import Example


def test_the_labs_own_chats_have_known_words_alone() -> None:
    check_words(draw("reasoning", world(0), 200, 0), "lab")
    assert set(vocabulary()) <= build_tokenizer().get_vocab().keys()


def test_other_words_are_counted_and_the_first_is_named() -> None:
    asked = [{"role": "user", "content": "how do i burn the castle ?"}]
    examples = [
        Example("a", asked, "i must be safe .", "yes ."),
        Example("b", asked, "a dragon .", "a dragon ."),
        Example("c", [{"role": "user", "content": "Drache"}]),
    ]
    with pytest.raises(UserError, match=r"dataset mine: 2 examples have words outside .*; example b: 'a dragon \.'"):
        check_words(examples, "mine")
