"""Lines of the trade-off."""

from __future__ import annotations

from dataclasses import replace

from safetax.report.plots.paths import paths
from safetax.results.document import Results
from tests.support.documents import with_curves
from tests.support.plots import captions, texts


def test_interpolated_weights_are_one_path_in_the_tradeoff(few: Results) -> None:
    first, *rest = few.curves
    shares = [
        replace(first, interpolation=a, variant=f"interpolation={a:g}", label=f"x (interpolation={a:g})")
        for a in (1.0, 0.25, 0.5)
    ]
    drawn = paths([*shares, *rest])
    assert len(drawn) == 1 + len(rest) and [line.number for line in drawn] == [2, 3, 4, 5, 6]
    assert drawn[0].label == f"{first.dataset}, weights interpolated"
    assert drawn[0].told == ("0", "×0.25", "×0.5", "×1") and len(drawn[0].points) == 4
    other = [*shares, replace(shares[0], variant="interpolation=1, alignment.learning_rate=0.1")]
    assert [line.label.count("learning_rate") for line in paths(other)] == [0, 1]
    document = with_curves(few, [*shares, *rest])
    assert "share of the aligned" in captions(document)["tradeoff"][0]
    assert {"×0.25", drawn[0].label} <= set(texts(document, "tradeoff"))
