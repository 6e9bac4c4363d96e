"""A key is found in every disguise that a server may send it back in, and in nothing else."""

from __future__ import annotations

import base64
import html
import json
import random
import string
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safetax.config.secrets import holds
from tests.support.disguises import DISGUISES

KEY = "sk-Canary-9f27Qz81LmXw-0042"
AROUND = ("", "It says: ", "x" * 7, "Ünïcode 🐉 ")


@pytest.mark.parametrize("name", DISGUISES)
def test_a_key_is_found_in_each_disguise_wherever_it_stands(name: str) -> None:
    for before in AROUND:
        for after in AROUND:
            assert holds(before + DISGUISES[name](KEY) + after, KEY), (before, after)


@pytest.mark.parametrize("outer", [name for name in DISGUISES if name != "base64 twice"])
def test_a_key_is_found_in_a_disguise_of_a_disguise(outer: str) -> None:
    for inner in ("base64", "hex", "percent", "reversed", "other case"):
        assert holds(DISGUISES[outer](DISGUISES[inner](KEY)), KEY), inner


@settings(max_examples=60)
@given(
    st.text(string.ascii_letters + string.digits + "-_", min_size=20, max_size=80), st.sampled_from(sorted(DISGUISES))
)
def test_any_key_is_found(key: str, name: str) -> None:
    if len([letter for letter in key if letter.isalnum()]) >= 16:
        assert holds(f"Bearer {DISGUISES[name](key)}.", key)


def test_a_longer_text_in_base64_and_a_part_of_the_key_are_found() -> None:
    for before in range(7):
        inside = f"{'h' * before}eader: Bearer {KEY}; charset=utf-8"
        assert holds(base64.b64encode(inside.encode()).decode(), KEY)
        assert holds(base64.b32encode(inside.encode()).decode(), KEY)
        assert holds(inside.encode().hex(":"), KEY)
    assert holds(f"{KEY[4:]} and not its beginning", KEY)
    assert holds(" ".join(KEY), KEY) and holds("\u200b".join(KEY), KEY)
    assert holds(json.dumps({"k": html.escape(quote(KEY, safe=""))}), KEY)


def test_other_texts_hold_no_key() -> None:
    chosen = random.Random(0)
    alphabet = string.ascii_letters + string.digits + " \n.,%&;\\"
    assert not any(holds("".join(chosen.choices(alphabet, k=5000)), KEY) for _ in range(40))
    assert not holds("", KEY) and not holds("sk-Canary-", KEY)
    assert not holds("\\u00e9 &eacute; %C3%A9 \\x", KEY)


def test_a_word_that_stands_for_no_key_is_none() -> None:
    """Servers without keys are given one all the same."""
    for word in ("", "x", "EMPTY", "none"):
        assert not holds(f"the box is {word} and EMPTY", word)
    assert not holds("help is not needed here", "not-needed") and holds("Bearer not-needed", "not-needed")
