"""Series over the number of samples."""

from __future__ import annotations

from safetax.results.document import Results
from safetax.results.sample_counts import find_series


def test_draws_are_averaged_like_seeds_and_counts_are_not(sampled: Results) -> None:
    labels = [curve.label for curve in sampled.curves]
    assert labels[:3] == [f"direct_refusal ({n})" for n in ("1 sample", "10 samples", "100 samples")]
    assert len(labels) == 6
    for curve in sampled.curves:
        assert [len(point.checkpoints) for point in curve.points] == [1, 2]
        assert curve.points[1].seeds == ((0, 0, 0), (0, 0, 1)) and curve.points[0].seeds == ((0, 0),)


def test_series_say_whether_steps_or_epochs_are_equal(sampled: Results) -> None:
    series = find_series(sampled)
    assert {each.name for each in series} == {"direct_refusal, equal epochs", "direct_refusal, equal steps"}
    for each in series:
        assert each.counts == (1, 10, 100) and each.epochs == 5.0
        assert [len(point.checkpoints) for point in each.points] == [2, 2, 2]
