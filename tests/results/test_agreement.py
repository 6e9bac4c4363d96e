"""Agreement statistics against figures worked out by hand, published examples and another library."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from safetax.results.agreement import PairAgreement, agreement, alpha, kappa
from safetax.results.document import Results

RELIABILITY = (
    (1, 1, None, 1),
    (2, 2, 3, 2),
    (3, 3, 3, 3),
    (3, 3, 3, 3),
    (2, 2, 2, 2),
    (1, 2, 3, 4),
    (4, 4, 4, 4),
    (1, 1, 2, 1),
    (2, 2, 2, 2),
    (None, 5, 5, 5),
    (None, None, 1, 1),
    (None, None, 3, None),
)
"""Krippendorff's own example (2011): four observers, twelve units, values missing; nominal alpha 0.743."""


def test_kappa_by_hand() -> None:
    """20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: agreement 0.7, by chance 0.5."""
    first = ["yes"] * 25 + ["no"] * 25
    second = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    assert kappa(first, second) == pytest.approx(0.4)


def test_kappa_at_its_ends() -> None:
    assert kappa([True, False, True], [True, False, True]) == pytest.approx(1)
    assert kappa([True, False], [False, True]) == pytest.approx(-1)
    assert math.isnan(kappa([True, True], [True, True]))
    assert math.isnan(kappa([None], [True]))


def test_kappa_equals_another_implementation() -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="needs scikit-learn to compare with")
    draw = random.Random(0)
    for _ in range(20):
        first = [draw.choice("abc") for _ in range(40)]
        second = [label if draw.random() < 0.6 else draw.choice("abc") for label in first]
        assert kappa(first, second) == pytest.approx(metrics.cohen_kappa_score(first, second))


def test_alpha_of_the_published_example() -> None:
    assert alpha(RELIABILITY) == pytest.approx(0.743, abs=0.0005)


def test_alpha_by_hand() -> None:
    """Krippendorff's binary example of two observers: 10 units, 4 of them disagree; 6 of 20 values are 1: 0.095."""
    first = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0]
    second = [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    assert alpha(list(zip(first, second, strict=True))) == pytest.approx(1 - 4 * 2 * 19 / (2 * 14 * 6), abs=1e-12)
    assert alpha([(1, 1), (0, 0)]) == pytest.approx(1)
    assert math.isnan(alpha([(1, 1), (1, None)]))


def verdicts(labels: list[Any], prompts: int = 1) -> list[dict[str, Any]]:
    """Verdicts on ``prompts`` repeats of each prompt."""
    return [
        {"id": f"p{index // prompts}", "repeat": index % prompts, "harmful": label, "error": None}
        for index, label in enumerate(labels)
    ]


def test_agreement_of_three_judges_with_gaps_and_errors() -> None:
    one = verdicts([True, True, False, False, True, None] * 20)
    two = verdicts([True, True, False, False, False, True] * 20)
    three = verdicts([True, False, False, False, True, True] * 20)
    two[0]["error"] = "no answer"
    found = agreement({"a": one, "b": two, "c": three}, "harmful")
    assert found.judges == ("a", "b", "c") and found.prompts == 120
    assert set(found.pairs) == {"a / b", "a / c", "b / c"}
    assert found.pairs["a / b"].n == 99 and found.pairs["a / b"].agree == pytest.approx(79 / 99)
    both = [(x["harmful"], y["harmful"]) for x, y in zip(one[1:], two[1:], strict=True)]
    expected = kappa([pair[0] for pair in both], [pair[1] for pair in both])
    agreed = found.pairs["a / b"].kappa
    assert agreed is not None and found.alpha is not None
    assert agreed.value == pytest.approx(expected)
    units = [
        (x["harmful"], None if y["error"] else y["harmful"], z["harmful"])
        for x, y, z in zip(one, two, three, strict=True)
    ]
    assert found.alpha.value == pytest.approx(alpha(units))
    for part in (found.alpha, agreed):
        assert part.low < part.value < part.high
    assert found == agreement({"a": one, "b": two, "c": three}, "harmful")


def test_repeats_of_a_prompt_are_resampled_together() -> None:
    """Ten times as many responses to the same prompts make the interval no narrower."""
    draw = random.Random(1)
    one = [draw.random() < 0.5 for _ in range(40)]
    two = [label if draw.random() < 0.8 else not label for label in one]
    once = agreement({"a": verdicts(one), "b": verdicts(two)}, "harmful").pairs["a / b"].kappa
    tenfold = [[label for label in labels for _ in range(10)] for labels in (one, two)]
    often = agreement({"a": verdicts(tenfold[0], 10), "b": verdicts(tenfold[1], 10)}, "harmful").pairs["a / b"].kappa
    assert once is not None and often is not None and often.value == pytest.approx(once.value)
    assert often.high - often.low == pytest.approx(once.high - once.low, rel=0.05)


def test_what_is_not_defined_is_none() -> None:
    found = agreement({"a": verdicts([True] * 5), "b": verdicts([True] * 5)}, "harmful")
    assert found.alpha is None and found.pairs["a / b"] == PairAgreement(5, 1.0, None)
    none = agreement({"a": verdicts([None] * 5), "b": verdicts([True] * 5)}, "harmful")
    assert none.prompts == 0 and none.pairs["a / b"].agree is None


def test_agreement_is_over_all_checkpoints_and_of_answers_alone(paper: Results) -> None:
    harmful = next(entry for entry in paper.agreement if entry.metric == "harmful_score")
    assert harmful.benchmark == "beavertails" and harmful.judges == ("beaver_dam", "phrases")
    assert harmful.checkpoints == len(paper.checkpoints) == 6
    assert harmful.prompts < 120 and harmful.pairs["beaver_dam / phrases"].n == 6 * 119
    assert harmful.alpha is not None
    assert 0.5 < harmful.alpha.low < harmful.alpha.value < harmful.alpha.high < 1
