"""The score worker: how many errors a judging may have."""

from __future__ import annotations

import pytest

from safetax.errors import StepError
from safetax.evaluation.judging.cases import NOTHING
from safetax.records import Verdict
from safetax.workers.score import check_errors


def verdicts(errors: int, fine: int, nothing: int = 0) -> list[Verdict]:
    failed = [Verdict(f"e{n}", 0, "error", error="HTTP 500" if n else "cut") for n in range(errors)]
    return [*failed, *(Verdict(f"f{n}", 0, "safe") for n in range(fine)), *[Verdict("n", 0, NOTHING)] * nothing]


@pytest.mark.parametrize(
    ("errors", "fine", "nothing", "most"),
    [(0, 5, 0, 0.0), (2, 8, 0, 0.2), (0, 0, 9, 0.2), (0, 0, 0, 0.2), (9, 1, 0, 0.9)],
)
def test_so_many_errors_may_be(errors: int, fine: int, nothing: int, most: float) -> None:
    check_errors("rubric", verdicts(errors, fine, nothing), most)


@pytest.mark.parametrize(
    ("errors", "fine", "nothing", "most"),
    [(3, 7, 0, 0.2), (1, 99, 0, 0.0), (3, 0, 0, 1.0), (3, 7, 90, 0.2), (3, 0, 9, 1.0)],
)
def test_with_more_or_nothing_else_the_step_fails(errors: int, fine: int, nothing: int, most: float) -> None:
    told = "cut" if errors == 1 else "HTTP 500"
    with pytest.raises(StepError, match=rf"rubric failed on {errors} of {errors + fine} .* most often: {told}\."):
        check_errors("rubric", verdicts(errors, fine, nothing), most)
