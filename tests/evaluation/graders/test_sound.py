"""The sound rule: what is correct, wrong, or cannot be read."""

from __future__ import annotations

from typing import Any

import pytest

from safetax.evaluation.graders.algebra import Algebra
from safetax.evaluation.graders.sound import grade, process_results


@pytest.mark.parametrize("text", ["", "  \n", "I do not know how to go on from here at all, sorry.\n", "\\boxed{}"])
def test_what_states_no_answer_is_unresolved(text: str, algebra: Algebra) -> None:
    found = grade({"kind": "integer", "answer": "5"}, text, algebra)
    assert (found.label, found.reason) == ("unresolved", "no answer")


def document(kind: str, answer: str, **more: Any) -> dict[str, Any]:
    return {"problem": "?", "kind": kind, "answer": answer, **more}


def test_lm_eval_scores_by_the_sound_rule() -> None:
    assert process_results(document("integer", "204"), ["\\boxed{204}"]) == {"sound": 1.0, "unresolved": 0.0}
    assert process_results(document("integer", "204"), ["who knows"]) == {"sound": 0.0, "unresolved": 0.0}
    assert process_results(document("integer", "204"), [""]) == {"sound": 0.0, "unresolved": 1.0}
