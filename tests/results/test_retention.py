"""What is left of the LRM's own traces: probabilities, what is lost of them, and nats."""

from __future__ import annotations

import math

import pytest

from safetax.results.metrics import FORGETTING, OPENING, REFERENCE_FORGETTING, RETENTION, RETENTION_LOSS
from safetax.results.retention import TracesRead, TraceSums, retention_differences, retention_scores


def read(nll: dict[str, float], warm: dict[str, float] | None = None, tokens: int = 20) -> TracesRead:
    own = {
        name: TraceSums(tokens, value, opening=value / 10, warm=None if warm is None else warm[name])
        for name, value in nll.items()
    }
    return TracesRead({"problems": own}, {})


NAMES = [f"p{number}" for number in range(50)]
LRM = read(dict.fromkeys(NAMES, 0.1), dict.fromkeys(NAMES, 0.5))
AFTER = read(
    {name: 0.1 + 0.02 * number for number, name in enumerate(NAMES)},
    {name: 0.5 + 0.05 * number for number, name in enumerate(NAMES)},
)


def test_retention_is_the_mean_probability_of_whole_traces() -> None:
    scores = retention_scores(AFTER)
    wanted = sum(math.exp(-0.5 - 0.05 * number) for number in range(50)) / 50
    assert scores[RETENTION].value == pytest.approx(100 * wanted)
    assert scores[RETENTION].low < 100 * wanted < scores[RETENTION].high and scores[RETENTION].n == 50
    assert scores[OPENING].value > 90
    assert RETENTION not in retention_scores(read({"a": 0.1})), "no trace was read at a temperature"
    assert retention_scores(TracesRead({"problems": {}}, {})) == {}, "an LRM that solves nothing"


def test_losses_are_paired_with_the_lrm() -> None:
    found = retention_differences(LRM, AFTER)
    before, after = (retention_scores(each)[RETENTION].value for each in (LRM, AFTER))
    loss = found[RETENTION_LOSS]
    assert loss.value == pytest.approx(before - after) and loss.low > 0 and loss.p is not None and loss.p < 0.001
    assert loss.high - loss.low < 40
    nats = found[FORGETTING]
    assert nats.value == pytest.approx(100 * 0.02 * 24.5 / 20)
    assert nats.low < nats.value < nats.high and nats.interval == "ratio"
    assert REFERENCE_FORGETTING not in found


def test_the_lrm_loses_nothing_to_itself() -> None:
    found = retention_differences(LRM, LRM)
    assert [(found[name].value, found[name].low, found[name].high) for name in (RETENTION_LOSS, FORGETTING)] == [
        (0.0, 0.0, 0.0),
        (0.0, 0.0, 0.0),
    ]


def test_checkpoints_that_read_other_traces_are_not_compared() -> None:
    assert retention_differences(LRM, read({"p0": 0.1}, {"p0": 0.5})) == {}
    reference = TracesRead({}, {"problems": {"r": TraceSums(10, 1.0, 0.1, None)}})
    moved = TracesRead({}, {"problems": {"r": TraceSums(10, 3.0, 0.1, None)}})
    assert retention_differences(reference, moved)[REFERENCE_FORGETTING].value == pytest.approx(20.0)
