"""The methods by name: each composes in the lab and at full scale, and its plan holds what makes it that method."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from safetax.config.compose import Composer
from safetax.config.hydra import conf_directory
from safetax.plan.graph import PlannedRun
from safetax.plan.planner import plan
from safetax.plan.resolve import Resolver
from safetax.records import Example, read_records
from tests.conftest import run_lab

METHODS = sorted(path.stem for path in (conf_directory() / "method").glob("*.yaml") if path.stem != "none")
OF_ITS_KIND: dict[str, dict[str, Any]] = {
    "kl": {"objective": {"kind": "kl", "weight": 1.0, "part": "benign", "direction": "forward"}},
    "lora": {"lora": {"rank": 1, "alpha": 16.0, "dropout": 0.0, "target_modules": ["up_proj"]}},
}


@cache
def composer() -> Composer:
    return Composer()


def run_of(*overrides: str) -> PlannedRun:
    (job,) = composer().jobs(list(overrides), multirun=False)
    resolved = Resolver(lenient=True).resolve(job.config)
    return plan([(resolved, job.overrides)]).runs[0]


@pytest.mark.parametrize("method", METHODS)
def test_a_method_names_its_run_and_trains_as_it_says(method: str) -> None:
    run = run_of(f"method={method}")
    assert run.dataset == run.config.method == method
    aligned = run.checkpoints[-1]
    assert aligned.role == "aligned" and aligned.train is not None
    training = aligned.train.identity["training"]
    assert {key: training[key] for key in ("objective", "lora") if key in training} == OF_ITS_KIND.get(method, {})
    assert (aligned.merge is not None) == (method == "interpolation")
    written = [step for step in run.steps if step.kind == "generate" and step.title.startswith("sample ")]
    assert len(written) == {"thinksafe": 2, "self_generated": 1}.get(method, int(method.startswith("dgr")))


def test_without_a_method_the_data_set_names_the_run() -> None:
    run = run_of("dataset=safechain")
    assert (run.config.method, run.dataset) == (None, "safechain")


def test_the_lab_compares_all_methods() -> None:
    jobs = composer().jobs(["+experiment=lab_methods"], multirun=True)
    assert {job.config.method for job in jobs} == set(METHODS)
    assert {job.config.seed for job in jobs} == {0, 1, 2}
    assert all(job.config.lrm_seed == job.config.seed and job.config.shift for job in jobs)


@pytest.mark.parametrize(
    "preset", ["dgr", "thinksafe", "structure", "safepath", "replay", "kl", "interpolation", "few_samples"]
)
def test_a_preset_keeps_its_method_at_full_scale(preset: str) -> None:
    """What a preset takes from another must not put its own data back."""
    run = run_of(f"+experiment={preset}")
    alignment = run.data["alignment"].identity["dataset"]
    kinds = {"dgr": "refined", "thinksafe": "mixture", "structure": "structured", "safepath": "mixture"}
    kinds |= {"replay": "mixture", "kl": "mixture", "interpolation": "direct_refusal", "few_samples": "subset"}
    assert alignment["kind"] == kinds[preset]
    assert run.config.recipes["judge"]["kind"] == ("llama_guard" if preset == "thinksafe" else "phrases")


@pytest.mark.slow
def test_rewritten_rows_are_other_text_and_nearer_to_the_model(quick_lab: Path, tmp_path: Path) -> None:
    """A quick LRM refuses nothing, so whatever it writes is let through."""
    outputs = Path(shutil.copytree(quick_lab, tmp_path / "outputs"))
    anything = "[refusal,compliance,incorrect,garbled]"
    run_lab(
        outputs,
        "method=dgr_direct_refusal",
        "shift=true",
        f"recipes.refused={anything}",
        "recipes.sampling.closed=false",
    )
    (path,) = outputs.glob("runs/*dgr*/results.json")
    (aligned,) = [each for each in json.loads(path.read_text())["checkpoints"] if each["role"] == "aligned"]
    assert aligned["method"] == aligned["dataset"] == "dgr_direct_refusal"
    fallback = aligned["data"]["fallback"]
    assert fallback["n"] == aligned["data"]["examples"] and fallback["rate"] < 100
    step = outputs / aligned["data"]["step"]
    rows = read_records(step / "examples.jsonl", Example)
    source = outputs / json.loads((step / "manifest.json").read_text())["inputs"]["source"]["step"]
    originals = {row.id: row for row in read_records(source / "examples.jsonl", Example)}
    refined = [row for row in rows if row.meta["refined"]]
    assert len(refined) == fallback["n"] - fallback["kept"] > 0
    for row in refined:
        assert row.messages == originals[row.id].messages
        assert (row.thinking, row.answer) != (originals[row.id].thinking, originals[row.id].answer)
    after, before = aligned["shift"]["after"]["all"], aligned["shift"]["before"]["all"]
    assert 1 < after["token"] < before["token"]
