"""The plot of scores over the number of samples."""

from __future__ import annotations

from pathlib import Path

from safetax.report.sections import sentences
from safetax.results.collect import collect
from safetax.results.document import Results
from safetax.results.sample_counts import find_series, without_fewer
from tests.support.documents import with_curves
from tests.support.plots import captions
from tests.support.synthetic_methods import samples_outputs


def test_samples_within_a_mixture_make_a_series_and_their_draws_are_told(tmp_path: Path) -> None:
    outputs = samples_outputs(tmp_path, (1, 10, 40), ("direct_refusal",), (0, 1), (40,), prompts=12, replayed=True)
    document = collect([outputs]).results
    (series,) = find_series(document)
    assert series.steps and series.counts == (21, 30, 60), "20 of them are replayed"
    assert [point.seeds for point in series.points] == [((0, 0, 0), (0, 0, 1))] * 3
    assert "draws 0, 1" in captions(document)["samples"][0]


def test_other_plots_show_the_largest_count_alone(sampled: Results) -> None:
    shown = without_fewer(sampled)
    assert len(shown.curves) == 2 and shown.left_out == 4
    assert all("(100 samples" in curve.label for curve in shown.curves)
    assert {each.data.distinct for each in shown.checkpoints if each.data} == {100}
    assert len(sentences(sampled)) == 2
    two = with_curves(sampled, (curve for curve in sampled.curves if "10 samples" not in curve.label))
    assert without_fewer(two) is two, "two counts are two curves"
