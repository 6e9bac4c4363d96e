"""What is left of the LRM's own traces: probabilities, what is lost of them, and nats."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pytest

from safetax.results.collect import collect
from safetax.results.metrics import FORGETTING, OPENING, REFERENCE_FORGETTING, RETENTION, RETENTION_LOSS
from safetax.results.reader import RecordedRun, StepReader
from safetax.results.retention import TracesRead, TraceSums, retention_differences, retention_scores
from tests.conftest import run_lab


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


def test_runs_that_read_otherwise_are_not_mixed(copied_lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They share the LRM, which read at one temperature for the one and at another for the other."""

    def traces_read(readings: Mapping[str, Mapping[str, str]], run: RecordedRun, steps: StepReader) -> TracesRead:
        """Stands for traces, of which the quick lab's model has none of its own."""
        temperature: float = run.record["config"]["evaluation"]["retention_temperature"]
        other = int(readings["lab_reasoning"]["own"][:4], 16) / 2**16
        nll = {name: other + 0.01 * number for number, name in enumerate(NAMES)}
        return read(nll, {name: temperature + other for name in NAMES})  # noqa: C420

    run_lab(copied_lab, "seed=1", "evaluation.retention_temperature=0.3")
    monkeypatch.setattr("safetax.results.evaluated.traces_read", traces_read)
    together = {each.seed: each.scores for each in collect([copied_lab]).results.checkpoints if each.role == "aligned"}
    for folder in sorted(copied_lab.glob("runs/*")):
        [alone] = [each for each in collect([folder]).results.checkpoints if each.role == "aligned"]
        for metric in (RETENTION, RETENTION_LOSS, FORGETTING):
            assert together[alone.seed][metric].value == alone.scores[metric].value, metric
    assert len(together) == 2
