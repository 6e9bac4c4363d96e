"""How numbers are written, and how characters that work on a terminal are seen."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from safetax.formatting import clock, duration, visible


def test_characters_that_would_work_are_seen() -> None:
    assert visible("\x1b[2J\x07\x9b31m") == "\\x1b[2J\\x07\\x9b31m"
    assert visible("\u202egnp.exe\u2066\u200f") == "<U+202E>gnp.exe<U+2066><U+200F>"
    assert visible("half \ud83d") == "half <U+D83D>"
    assert visible("10 %\r100 %") == "10 %\\x0d100 %"


def test_texts_of_people_stay_as_they_are() -> None:
    for text in ("one\ttwo\nthree\r\nfour", "naïve 🐉 “so”", "שלום", "a\u200db", "\\x1b as it is written"):
        assert visible(text) == text


@given(st.text())
def test_nothing_that_is_left_works(text: str) -> None:
    seen = visible(text)
    assert visible(seen) == seen
    left = seen.replace("\r\n", "").replace("\n", "").replace("\t", "")
    assert not any(unicodedata.category(sign) in ("Cc", "Cs") for sign in left)
    turns = ("RLO", "LRO", "RLE", "LRE", "PDF", "LRI", "RLI", "FSI", "PDI")
    assert not any(unicodedata.bidirectional(sign) in turns for sign in seen)
    seen.encode()


def test_durations() -> None:
    assert (clock(4.25), clock(42), clock(200), clock(7300), clock(1e12)) == (
        "4.2 s",
        "42 s",
        "3 min 20 s",
        "2 h 1 min",
        "over 30 years",
    )
    assert (duration(42), duration(120), duration(7200)) == ("42.0 s", "2.0 min", "2.0 h")
