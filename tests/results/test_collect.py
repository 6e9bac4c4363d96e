from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from safetax.records import Verdict, read_records
from safetax.results.collect import collect, write_results
from safetax.results.document import Checkpoint
from tests.support.documents import checkpoint_of
from tests.support.edits import copy
from tests.support.synthetic import DATASETS, make_outputs

Change = Callable[[dict[str, Any]], None]


def _verdicts(outputs: Path, checkpoint: Checkpoint, benchmark: str) -> list[Verdict]:
    entry = checkpoint.benchmarks[benchmark]
    return read_records(outputs / "score" / entry.steps.scores[entry.judge] / "verdicts.jsonl", Verdict)


def test_scores_are_shares_of_the_verdicts_that_are_no_errors(one_seed: Path) -> None:
    document = collect([one_seed]).results
    aligned = checkpoint_of(document, dataset="direct_refusal", epochs=1.0)
    counted = [v for v in _verdicts(one_seed, aligned, "lab_harmful") if v.error is None]
    score = aligned.scores["harmful_score"]
    assert len(counted) == 59 and (score.n, score.errors) == (59, 1)
    assert score.value == pytest.approx(100 * sum(bool(v.harmful) for v in counted) / 59, abs=1e-5)
    assert score.interval == "score" and score.low < score.value < score.high
    benign = [v for v in _verdicts(one_seed, aligned, "lab_benign") if v.error is None]
    assert aligned.scores["over_refusal"].value == pytest.approx(
        100 * sum(bool(v.refused) for v in benign) / 59, abs=1e-5
    )
    assert aligned.scores["help"].value == pytest.approx(100 * sum(bool(v.correct) for v in benign) / 59, abs=1e-5)


def test_the_document_is_the_same_from_anywhere_and_holds_no_clock_host_or_path(one_seed: Path, tmp_path: Path) -> None:
    other = copy(one_seed, tmp_path / "elsewhere")
    files = []
    for name, directories in {
        "a": [one_seed],
        "b": [other],
        "c": [other, one_seed],
        "d": sorted(one_seed.glob("runs/*"), reverse=True),
        "e": list(one_seed.glob("sweeps/*")),
    }.items():
        files.append(write_results(collect(directories), tmp_path / name))
    text = files[0].read_text()
    assert all(file.read_text() == text for file in files)
    for secret in (str(tmp_path), str(one_seed), "synthetic", "2026-"):
        assert secret not in text
    provenance = json.loads((tmp_path / "a" / "provenance.json").read_text())
    assert any(step.startswith("train/") for step in provenance["steps"])
    assert {entry["host"] for entry in provenance["steps"].values()} == {"synthetic"}


def test_a_folder_split_in_two_gives_what_the_whole_gave(one_seed: Path, tmp_path: Path) -> None:
    halves = [copy(one_seed, tmp_path / name) for name in ("left", "right")]
    for half, start in zip(halves, ("safechain", "direct_refusal"), strict=True):
        for run in half.glob(f"runs/{start}*"):
            shutil.rmtree(run)
    assert collect(halves).results == collect([one_seed]).results
    assert len(collect(halves[:1]).results.curves) == 1


@pytest.mark.slow
def test_a_sweep_of_a_hundred_runs_is_read_in_seconds(tmp_path: Path) -> None:
    seeds = tuple(range(5))
    outputs = make_outputs(tmp_path / "outputs", DATASETS, (0, 1, 2, 3, 4, 5), seeds, prompts=200)
    assert len(list(outputs.glob("runs/*"))) >= 100 and len(list(outputs.glob("score/*"))) >= 400
    # Time of this process: the bar is for the reading, not for what else the machine does. Cores that are shared with
    # other work are slower all the same, which the time of parsing the lines alone, measured in turn, tells.
    seconds, parsing = [], []
    for _ in range(3):
        start = time.process_time()
        collect([outputs])
        middle = time.process_time()
        for file in outputs.glob("score/*/verdicts.jsonl"):
            for line in file.read_text().splitlines():
                json.loads(line)
        seconds.append(middle - start)
        parsing.append(time.process_time() - middle)
    assert min(seconds) < max(4, 20 * min(parsing)), (seconds, parsing)


def test_reading_results_imports_nothing_heavy() -> None:
    code = "import sys, safetax.results.collect, safetax.report.tables, safetax.report.plots; print(*sys.modules)"
    names = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "matplotlib", "rich", "lm_eval", "mlflow"} & set(names)
