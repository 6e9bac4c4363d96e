"""The end of a run: a report is made when what it is made from has changed, and weights go with ``runtime.keep``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from safetax.errors import StepError, UserError
from safetax.run import finish
from safetax.store.manifest import MANIFEST
from safetax.store.status import Store
from tests.conftest import run_lab


def no_collecting(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("safetax.results.collect.collect", lambda *_: pytest.fail("nothing has changed"))


def table(printed: str) -> str:
    return printed.partition("reused.")[2]


@pytest.fixture
def reported(copied_lab: Path) -> Path:
    """Outputs whose last report was made where they lie."""
    run_lab(copied_lab)
    return copied_lab


def test_an_unchanged_run_is_told_from_its_report(reported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = table(run_lab(reported))
    no_collecting(monkeypatch)
    assert "harmful" in before.lower() and table(run_lab(reported)) == before


@pytest.mark.parametrize("name", ["results.json", "provenance.json", "report.html", "report.json", "table.csv"])
def test_a_report_that_is_damaged_is_made_again(reported: Path, name: str) -> None:
    (path,) = reported.glob(f"runs/*/{name}")
    before = path.read_bytes()
    path.unlink()
    run_lab(reported)
    assert path.read_bytes() == before
    for damage in (b"", before[: len(before) // 2], b"[]", json.dumps({"inputs": ""}).encode()):
        path.write_bytes(damage)
        run_lab(reported)
        assert path.read_bytes() == before, damage


@pytest.mark.parametrize("name", ["results.json", "provenance.json"])
def test_what_a_sweep_writes_of_its_runs_is_made_again_when_damaged(reported: Path, name: str) -> None:
    run_lab(reported, "epochs=0,1", sweep=True)
    written = {path: path.read_bytes() for path in reported.glob(f"runs/*/{name}")}
    path, before = max(written.items())
    for damage in (b"", before[:-9], None):
        path.write_bytes(damage) if damage is not None else path.unlink()
        run_lab(reported, "epochs=0,1", sweep=True)
        assert {path: path.read_bytes() for path in written} == written, damage


def test_a_folder_in_the_place_of_a_figure_is_named_with_the_remedy(reported: Path) -> None:
    path = next(reported.glob("runs/*/figures/*.png"))
    before = path.read_bytes()
    path.unlink()
    path.mkdir()
    with pytest.raises((StepError, UserError), match=f"{path}: a folder stands in the place .* remove it"):
        run_lab(reported)
    path.rmdir()
    run_lab(reported)
    assert path.read_bytes() == before


def test_what_results_are_made_from_is_looked_at(reported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collected: list[Path] = []
    collect = __import__("safetax.results.collect", fromlist=["collect"]).collect

    def counted(folders: list[Path]) -> object:
        collected.extend(folders)
        return collect(folders)

    monkeypatch.setattr("safetax.results.collect.collect", counted)
    run_lab(reported)
    assert not collected
    manifest = next(reported.glob(f"score/*/{MANIFEST}"))
    manifest.write_text(manifest.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    run_lab(reported)
    assert len(collected) == 1


def test_our_own_code_is_looked_at(reported: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (record,) = reported.glob("runs/*/run.json")
    before = finish._inputs([record], reported)
    package = tmp_path / "safetax"
    (package / "results").mkdir(parents=True)
    (package / "run").mkdir()
    monkeypatch.setattr(finish, "__file__", str(package / "run" / "finish.py"))
    empty = finish._inputs([record], reported)
    (package / "results" / "scores.py").write_text("x = 1")
    assert len({before, empty, finish._inputs([record], reported)}) == 3


def weights(outputs: Path) -> set[str]:
    return {path.parent.parent.name for path in outputs.glob("train/*/model/*.safetensors")}


def test_results_alone_stay_and_nothing_runs_again(copied_lab: Path) -> None:
    assert len(weights(copied_lab)) == 3
    assert "let go" in run_lab(copied_lab, "runtime.keep=results")
    assert weights(copied_lab) == set()
    assert all(Store(copied_lab).status(f"train/{path.name}").complete for path in copied_lab.glob("train/*"))
    assert "0 steps executed" in run_lab(copied_lab, "runtime.keep=results")


@pytest.mark.slow
def test_weights_that_are_needed_again_are_made_again(copied_lab: Path) -> None:
    before = (next(copied_lab.glob("runs/*/results.json"))).read_text()
    run_lab(copied_lab, "runtime.keep=results")
    text = run_lab(copied_lab, "evaluation=lab_no_thinking", "stage=reasoning")
    assert text.count("its weights were let go, and are needed") == 2, "base and LRM, not the aligned model"
    assert len(weights(copied_lab)) == 2
    assert "0 steps executed" in run_lab(copied_lab), "the same weights as before, so nothing that used them is stale"
    assert next(copied_lab.glob("runs/*-direct_refusal-*/results.json")).read_text() == before


def test_evaluated_checkpoints_stay(copied_lab: Path) -> None:
    run_lab(copied_lab, "runtime.keep=evaluated")
    assert len(weights(copied_lab)) == 3
