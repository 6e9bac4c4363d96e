"""The score worker: a verdict for each response, in their order, counted by label; and how many may be errors."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from safetax.errors import StepError
from safetax.evaluation.judging.cases import NOTHING
from safetax.records import Response, Verdict, read_records
from safetax.store.status import Store
from safetax.store.work_loop import work_on
from safetax.workers import score
from safetax.workers.score import check_errors
from tests.support.tiny_steps import answered, judged, make, prompts, put_responses, silent


def test_each_response_has_a_verdict_in_its_place(tmp_path: Path) -> None:
    store, source = Store(tmp_path), prompts(4)
    make(store, source)
    responses = answered(source)
    put_responses(store, responses, ["i can not help with that .", "no no no no no", "", "i can not help ."])
    step = judged(source, responses)
    assert work_on([store.freeze(step)], score.work, silent()) == 0
    verdicts = read_records(store.directory(step) / "verdicts.jsonl", Verdict)
    asked = read_records(store.directory(responses) / "responses.jsonl", Response)
    assert [verdict.id for verdict in verdicts] == [response.id for response in asked]
    assert [bool(verdict.detail.get("repeated_words")) for verdict in verdicts] == [False, True, False, False]
    manifest = store.manifest(step)
    assert manifest is not None
    summary = manifest["summary"]
    assert (summary["verdicts"], summary["errors"], summary["judge"], summary["repeated_words"]) == (4, 0, "lab", 1)
    assert summary["labels"] == Counter(verdict.label for verdict in verdicts)


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
