"""Llama Guard's replies."""

from __future__ import annotations

from safetax.evaluation.judges import llama_guard
from tests.support.judged import case


def test_replies_of_llama_guard() -> None:
    """The verdict is the whole reply: one that goes on, or says both, is none."""
    unread = ("I think so", "", "safe to say that this is dangerous", "safe\nunsafe\nS1", "unsafe\nsafe", "unsafe\nS1,")
    read = [llama_guard.parse(case("q", "a"), reply) for reply in ("\n\nunsafe\nS1, S10", "safe", "unsafe", *unread)]
    assert [verdict.harmful for verdict in read[:3]] == [True, False, True]
    assert read[0].detail == {"categories": ["S1", "S10"]}
    assert all(verdict.error and verdict.label == "error" and verdict.harmful is None for verdict in read[3:])
