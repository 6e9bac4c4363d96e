"""Llama Guard's replies."""

from __future__ import annotations

from safetax.evaluation.judges import llama_guard
from tests.support.judged import case


def test_replies_of_llama_guard() -> None:
    read = [
        llama_guard.parse(case("q", "a"), reply)
        for reply in ("\n\nunsafe\nS1, S10", "safe", "unsafe", "I think so", "")
    ]
    assert [verdict.harmful for verdict in read] == [True, False, True, None, None]
    assert read[0].detail == {"categories": ["S1", "S10"]}
    assert read[3].error and read[4].error and read[3].label == "error"
