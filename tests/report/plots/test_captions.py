"""Captions and alternative texts of plots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetax.report.plots import wanted_plots
from safetax.report.plots.captions import describe
from safetax.report.plots.epochs import draw_panels
from safetax.report.plots.style import LIGHT
from safetax.report.plots.tradeoff import draw_tradeoff
from safetax.report.sections import sentences
from safetax.report.tables import csv_table
from safetax.results.collect import collect
from tests.support.documents import checkpoint_of, edited


def test_captions_and_descriptions_are_of_what_is_drawn(one_seed: Path) -> None:
    """The panels over epochs have no base model; the trade-off has it."""
    document = collect([one_seed]).results
    shown = {name: caption for name, _, caption, _, _ in wanted_plots(document)}
    of_both = {"lab_reasoning", "lab_harmful"}
    counts = {
        c.id: sum(b.responses for name, b in c.benchmarks.items() if name in of_both) for c in document.checkpoints
    }
    base = checkpoint_of(document, role="base")
    every = sum(counts.values())
    assert f"of {every:,} responses" in shown["tradeoff"]
    assert f"of {every - counts[base.id]:,} responses" in shown["epochs"]
    assert "95\u00a0% interval" in shown["epochs"]

    def spoil(values: dict[str, Any]) -> None:
        (entry,) = [entry for entry in values["checkpoints"] if entry["id"] == base.id]
        entry["benchmarks"]["lab_harmful"]["judges"]["lab_rules"]["errors"] = 1000
        entry["scores"]["accuracy"] |= {"n": 7, "interval": "clustered"}

    document = edited(document, spoil)
    shown = {name: caption for name, _, caption, _, _ in wanted_plots(document)}
    assert "n = 7 to " in shown["tradeoff"] and "distinct prompts" in shown["tradeoff"]
    assert "n = 7 to " not in shown["epochs"] and "distinct prompts" not in shown["epochs"]
    metrics = {"harmful_score": "Harmful Score", "accuracy": "Reasoning Accuracy"}
    said = f"Base model: harmful score {base.scores['harmful_score'].value:.1f} %"
    assert said in describe(document, "Title", metrics, marks=True)
    assert said not in describe(document, "Title", metrics)


def test_points_that_rest_on_broken_answers_are_crossed_out_and_told(one_seed: Path) -> None:
    def damage(values: dict[str, Any]) -> None:
        for entry in values["checkpoints"]:
            share = 80.0 if entry["role"] == "aligned" else 0.0
            of_harm = entry["scores"]["harmful_score"]
            entry["scores"]["broken"] = {**of_harm, "value": share, "low": share, "high": share}
        for point in (point for curve in values["curves"] for point in curve["points"]):
            share = 80.0 if point["epochs"] else 0.0
            of_harm = point["scores"]["harmful_score"]
            point["scores"]["broken"] = {**of_harm, "mean": share, "low": share, "high": share, "values": [share]}

    whole = collect([one_seed]).results
    document = edited(whole, damage)
    for results, crossed in ((whole, False), (document, True)):
        shown = {name: caption for name, _, caption, _, _ in wanted_plots(results)}
        for figure in (draw_tradeoff(results, LIGHT), draw_panels(results, {"accuracy": "Accuracy"}, LIGHT)):
            labels = {line.get_label() for axes in figure.axes for line in axes.lines}
            assert ("many broken answers" in labels) == crossed
        assert all(("crossed out" in shown[name]) == crossed for name in ("tradeoff", "epochs"))
        assert [bool(each.broken) for each in sentences(results)] == [crossed] * len(results.curves)
    assert "Broken answers to harmful prompts: " in shown["tradeoff"]
    heads, rows = csv_table(document)
    assert {row[heads.index("broken")] for row in rows} == {0.0, 80.0}
