"""Which plots results allow, and their files."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from safetax.report.plots import draw_plots
from safetax.results.collect import collect
from safetax.results.document import Results
from safetax.results.shifts import find_shifts
from tests.support.plots import captions
from tests.support.synthetic import make_outputs


@pytest.mark.slow
def test_plots_are_the_same_each_time_and_are_not_drawn_twice(three_seeds: Path, tmp_path: Path) -> None:
    document = collect([three_seeds]).results
    figures = draw_plots(document, tmp_path / "a")
    draw_plots(document, tmp_path / "b")
    assert [figure["name"] for figure in figures] == ["epochs", "tradeoff", "refusal"]
    for figure in figures:
        assert {Path(file).suffix for file in figure["files"]} == {".svg", ".pdf", ".png"}
        assert "seeds 0, 1, 2" in figure["caption"] and "not effect sizes" in figure["caption"]
        for file in figure["files"]:
            assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file
    made = (tmp_path / "a" / "epochs.svg").stat().st_mtime_ns
    assert draw_plots(document, tmp_path / "a") == figures
    assert (tmp_path / "a" / "epochs.svg").stat().st_mtime_ns == made
    (tmp_path / "a" / "epochs.svg").unlink()
    draw_plots(document, tmp_path / "a")
    assert (tmp_path / "a" / "epochs.svg").is_file()


def test_an_lrm_alone_has_a_tradeoff_plot_only(tmp_path: Path) -> None:
    document = collect([make_outputs(tmp_path / "outputs", (), (0,), (0,))]).results
    assert document.curves == ()
    (figure,) = draw_plots(document, tmp_path / "figures")
    assert figure["name"] == "tradeoff"
    assert re.search(r"Base model: harmful score [\d.]+ %, reasoning accuracy [\d.]+ %\. LRM: harmful", figure["alt"])


def test_figures_say_what_they_show(few: Results, sampled: Results) -> None:
    figures = captions(few)
    assert list(figures) == ["epochs", "tradeoff", "refusal", "shift"]
    correlation = find_shifts(few).settings[0].correlation
    assert correlation is not None
    caption, alt = figures["shift"]
    assert f"ρ = {correlation.value:.2f}" in alt and "10 runs" in caption
    assert "5 epochs" in caption and "as many observations as there are methods" in caption
    assert "On the Pareto front" in figures["tradeoff"][1] and "Pareto front" in figures["tradeoff"][0]
    counted = captions(sampled)
    assert list(counted) == ["epochs", "tradeoff", "refusal", "shift", "samples"]
    assert "equal steps" in counted["samples"][1] and "at 100" in counted["samples"][1]
    assert "draws 0, 1" in counted["samples"][0] and "n = " in counted["samples"][0]
    assert "figure of sample counts" in counted["epochs"][0]
    assert "figure of sample counts" not in figures["epochs"][0]


def test_what_a_process_of_its_own_cannot_draw_is_told_as_any_error(
    few: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = os.getpid()

    def fails(*_: Any, **__: Any) -> None:
        if os.getpid() != own:
            raise RuntimeError("in the other process")
        raise ValueError("no room for a legend")

    monkeypatch.setattr("safetax.report.plots.draw_shift", fails)
    with pytest.raises(ValueError, match="no room for a legend"):
        draw_plots(few, tmp_path)
    assert (tmp_path / "tradeoff.svg").is_file() and not (tmp_path / "shift.svg").exists()
    assert not (tmp_path / "figures.json").exists(), "it is drawn again"


def test_figures_are_drawn_again_only_where_one_is_not_as_it_was_written(few: Results, tmp_path: Path) -> None:
    figures = draw_plots(few, tmp_path)
    written = {path: path.read_bytes() for path in tmp_path.iterdir()}
    drawn = next(path for path in written if path.suffix == ".png").stat().st_mtime_ns
    assert draw_plots(few, tmp_path) == figures
    assert next(path for path in written if path.suffix == ".png").stat().st_mtime_ns == drawn
    record = tmp_path / "figures.json"
    title = written[record].replace(b"Trade-off", b"Payoff")
    picture = tmp_path / "epochs-dark.svg"
    for path, damaged in ((record, title), (record, b"[" * 100_000), (picture, written[picture][:-9])):
        assert damaged != written[path]
        path.write_bytes(damaged)
        assert draw_plots(few, tmp_path) == figures
        assert path.read_bytes() == written[path], path.name
