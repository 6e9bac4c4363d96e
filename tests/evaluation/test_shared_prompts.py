"""The queue of prompts that nodes share: each prompt is one node's, and the first hears what the others answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from safetax.evaluation import shared_prompts
from safetax.evaluation.shared_prompts import SharedPrompts


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[SharedPrompts, SharedPrompts]:
    monkeypatch.setattr(shared_prompts, "GLANCE", 0.0)
    return SharedPrompts(tmp_path, "hold", 2), SharedPrompts(tmp_path, "hold", 2)


def test_a_prompt_is_the_node_s_that_takes_it_first(two: tuple[SharedPrompts, SharedPrompts]) -> None:
    first, second = two
    assert not first.is_open and not second.claim(("a", 0))  # nothing is free before the first node says so
    first.open()
    assert second.is_open
    assert second.claim(("a", 0)) and not first.claim(("a", 0))
    assert first.claim(("a", 1)) and not second.claim(("a", 1))
    assert first.claim(("a", 1)) and second.claim(("a", 0))  # and stays so


def test_what_an_earlier_attempt_took_is_free_again(two: tuple[SharedPrompts, SharedPrompts]) -> None:
    first, _ = two
    first.open()
    assert first.claim(("a", 0))
    again = SharedPrompts(first.scratch, "another hold", 2)
    again.open()
    assert again.claim(("a", 0))


def test_the_first_node_hears_whole_lines_once(two: tuple[SharedPrompts, SharedPrompts]) -> None:
    first, second = two
    assert list(first.news()) == []
    second.own_file.write_bytes(b"one\ntwo\nthr")
    assert list(first.news()) == [b"one", b"two"]
    with second.own_file.open("ab") as file:
        file.write(b"ee\n")
    assert list(first.news()) == [b"three"] and list(first.news()) == []
    other = SharedPrompts(first.scratch, "another hold", 2)
    assert list(other.news()) == []  # files of another attempt are nobody's


def test_silence_ends_with_a_sign_of_life(two: tuple[SharedPrompts, SharedPrompts]) -> None:
    first, second = two
    second.own_file.touch()
    list(first.news())
    quiet = first.silent()
    assert list(first.news()) == [] and first.silent() >= quiet
    first._news -= 1000.0
    assert first.silent() >= 1000.0
    with second.alive():
        second.own_file.write_bytes(b"one\n")
        assert list(first.news()) == [b"one"] and first.silent() < 1000.0
