"""Distribution shift in plans, jobs and results, and what results say of the alignment data."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from safetax.plan.estimate import estimates
from safetax.plan.graph import Plan, PlannedRun
from safetax.plan.planner import plan
from safetax.plan.resolve import Resolver
from safetax.plan.status import status_of
from safetax.plan.table import stage_lines
from safetax.records import Example, write_records
from safetax.results.alignment_data import AlignmentData, data_of, perplexity_texts
from safetax.results.collect import collect
from safetax.results.document import Checkpoint
from safetax.results.reader import RecordedRun, StepReader
from safetax.run.slurm.jobs import jobs_of
from safetax.store.manifest import MANIFEST
from safetax.store.step import Step
from tests.conftest import run_lab
from tests.support.prepared import composer

REFINED = ("dataset=dgr", "dataset.source=direct_refusal")


def planned(*overrides: str) -> Plan:
    resolver = Resolver(lenient=True)
    jobs = composer().jobs(overrides, multirun=True)
    return plan([(resolver.resolve(job.config), job.overrides) for job in jobs])


def run(*overrides: str) -> PlannedRun:
    [found] = planned(*overrides).runs
    return found


def new(before: PlannedRun, after: PlannedRun) -> list[Step]:
    known = {step.key for step in before.steps}
    assert known <= {step.key for step in after.steps}, "no other step's fingerprint changes"
    return [step for step in after.steps if step.key not in known]


# Plans


def test_the_shift_is_one_step_more_and_changes_no_other() -> None:
    plain, measured = run("epochs=1"), run("epochs=1", "shift=true")
    [added] = new(plain, measured)
    lrm = plain.checkpoints[1].train
    assert lrm is not None and added.kind == "perplexity"
    assert {name: step.key for name, step in added.inputs.items()} == {
        "data": plain.data["alignment"].key,
        "model": lrm.key,
    }
    assert added.identity["max_tokens"] == 128 and added.identity["dtype"] == "float32"
    assert plain.id != measured.id
    assert not run("epochs=0", "shift=true").shift and not run("stage=reasoning", "shift=true").shift


def shifts(steps: Iterable[Step]) -> list[Step]:
    """The steps that measure a shift."""
    return [step for step in steps if step.kind == "perplexity" and "traces" not in step.identity]


def test_epochs_seeds_and_methods_share_what_they_can() -> None:
    graph = planned("epochs=1,2", "seed=0,1", "shift=true")
    data = {each.data["alignment"].key for each in graph.runs}
    assert len(data) < len(graph.runs) == 4
    assert len(shifts(graph.steps)) == len(data)
    both = planned("dataset=direct_refusal,safechain", "epochs=1", "shift=true").steps
    assert len(shifts(both)) == 2


def test_refined_data_are_measured_before_and_after() -> None:
    measured = run(*REFINED, "epochs=1", "shift=true")
    data = measured.data["alignment"]
    assert measured.shift["after"].inputs["data"] is data
    assert measured.shift["before"].inputs["data"] is data.inputs["source"]
    plain = run("dataset=direct_refusal", "epochs=1", "shift=true")
    assert measured.shift["before"].key == plain.shift["after"].key, "the same data, measured once"
    assert "before" not in plain.shift
    assert {step.kind for step in new(run(*REFINED, "epochs=1"), measured)} == {"perplexity"}


def test_data_alone_are_measured_under_the_lrm_that_would_be_aligned() -> None:
    plain, measured = run("stage=prepare"), run("stage=prepare", "shift=true")
    assert {step.kind for step in new(plain, measured)} == {"prepare", "train", "perplexity"}
    assert measured.shift["after"].key == run("epochs=1", "shift=true").shift["after"].key
    ready = run("+experiment=s1", "stage=prepare", "shift=true").shift["after"]
    assert set(ready.inputs) == {"data"} and ready.identity["model"]["id"] == "TianshengHuang/s1k"
    assert ready.identity["dtype"] == "bfloat16" and ready.identity["model"]["resolved"]


def test_rows_that_a_training_leaves_out_are_left_out() -> None:
    step = run("dataset.on_bad_row=skip", "epochs=1", "shift=true").shift["after"]
    assert step.identity["on_bad_row"] == "skip"


def test_jobs_ask_for_a_copy_of_the_model_and_for_no_gpu_to_mix_weights() -> None:
    graph = planned("+experiment=s1", "dataset=direct_refusal,safechain", "epochs=1", "shift=true", "interpolation=0.5")
    config_of = {step.key: each.config for each in graph.runs for step in each.steps}
    jobs = jobs_of(graph.steps, config_of, lambda step: True)
    [reading] = [job for job in jobs if job.kind == "perplexity" and shifts(job.steps)]
    assert len(shifts(reading.steps)) == 2 and reading.resources.gpus == 1, "64 GB of weights on one of 80 GB"
    assert reading.title == f"perplexity of {len(reading.steps)} data sets under s1.1-32b"
    mixing = [job for job in jobs if job.kind == "merge"]
    assert len(mixing) == 2 and {job.resources.gpus for job in mixing} == {0}
    small = planned("+experiment=s1", "epochs=1", "shift=true", "runtime.gpu_memory=40")
    [step] = shifts(small.steps)
    [job] = jobs_of([step], {step.key: small.runs[0].config}, lambda step: True)
    assert job.resources.gpus == 2


def test_the_estimate_counts_one_pass_and_the_weights(tmp_path: Path) -> None:
    graph = planned("+experiment=s1", "epochs=1", "shift=true", "interpolation=0.5", "runtime.gpu_memory=80")
    stages = {stage.title.split(":")[0]: stage for stage in estimates(status_of(graph, tmp_path), graph.steps).stages}
    reading, mixing, training = stages["shift"], stages["interpolation"], stages["alignment"]
    assert reading.fits and 0 < reading.hours < training.hours
    # 1,000 rows of 120 tokens, 2 operations for each parameter and token, 40 % of 989 TFLOP/s
    assert reading.hours == pytest.approx(1000 * 120 * 2 * 32.8e9 / (0.4 * 989e12) / 3600, rel=0.02)
    assert mixing.gpus == 0 and mixing.hours == 0 and mixing.disk == pytest.approx(2 * 32.8e9, rel=0.01)
    assert [name for name, _ in stage_lines(mixing)] == ["where", "time", "disk"]


# Results


@pytest.fixture(scope="module")
def measured_lab(quick_lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The quick lab, with its shift measured."""
    import shutil

    outputs = Path(shutil.copytree(quick_lab, tmp_path_factory.mktemp("shift") / "outputs"))
    assert "1 steps executed" in run_lab(outputs, "shift=true")
    return outputs


@pytest.fixture
def outputs(measured_lab: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(measured_lab, tmp_path / "outputs"))


def aligned(folder: Path) -> Checkpoint:
    [found] = [entry for entry in collect([folder]).results.checkpoints if entry.role == "aligned"]
    return found


def data_in(checkpoint: Checkpoint) -> AlignmentData:
    assert checkpoint.data is not None
    return checkpoint.data


def edit(path: Path, **values: Any) -> None:
    document = json.loads(path.read_text())
    document["summary"] |= values
    path.write_text(json.dumps(document))


def identity_in(step: Path) -> dict[str, Any]:
    return json.loads((step / "step.json").read_text())["identity"]


def test_a_checkpoint_has_its_data_and_their_shift(measured_lab: Path) -> None:
    found = aligned(measured_lab)
    [step] = [path for path in measured_lab.glob("perplexity/*") if "traces" not in identity_in(path)]
    summary = json.loads((step / MANIFEST).read_text())["summary"]
    assert found.shift is not None and found.shift.before is None
    known = found.perplexities("after")
    assert {part: vars(known[part]) for part in ("all", "thinking", "answer")} == {
        part: pytest.approx(summary[part], abs=1e-6) for part in known
    }
    data = data_in(found)
    assert data.step.startswith("prepare/") and data.examples == data.distinct == 64
    assert data.draw is None and data.fallback is None and found.method is None
    lines = [json.loads(line) for line in (step / "perplexity.jsonl").read_text().splitlines()]
    assert len(lines) == 64 and sum(line["all"]["tokens"] for line in lines) == summary["all"]["tokens"]
    assert "0 steps executed" in run_lab(measured_lab, "shift=true")


def test_the_run_without_a_measure_takes_it_from_the_one_with(measured_lab: Path) -> None:
    """Both hold the same checkpoint, which stands once."""
    runs = sorted(measured_lab.glob("runs/*-direct_refusal-*"))
    assert len(runs) == 2
    plain = next(each for each in runs if '"shift": null' in (each / "run.json").read_text())
    assert aligned(plain).shift is None and data_in(aligned(plain)).examples == 64
    assert aligned(measured_lab).shift is not None
    assert aligned(measured_lab).variant == "", "a measure makes no other model"


def test_fallback_distinct_and_draw_are_what_the_data_step_says(outputs: Path) -> None:
    manifest = outputs / data_in(aligned(outputs)).step / MANIFEST
    fallback = {"rows": 70, "fallen_back": 20, "dropped": 6, "reasons": {"its answer is empty": 20}}
    edit(manifest, fallback=fallback, distinct=10, draw=3)
    data = data_in(aligned(outputs))
    assert (data.examples, data.distinct, data.draw) == (64, 10, 3)
    found = data.fallback
    assert found is not None and (found.kept, found.dropped, found.n) == (14, 6, 70)
    assert found.rate == pytest.approx(100 * 20 / 70, abs=1e-6)
    assert 0 < found.low < found.rate < found.high < 100


def test_data_that_are_a_part_of_refined_ones_have_their_fallback(outputs: Path) -> None:
    key = data_in(aligned(outputs)).step
    source = next(path for path in outputs.glob("prepare/*") if f"prepare/{path.name}" != key)
    edit(source / MANIFEST, fallback={"rows": 8, "fallen_back": 2, "dropped": 0, "reasons": {}})
    document = json.loads((outputs / key / MANIFEST).read_text())
    document["inputs"] = {"source": {"step": f"prepare/{source.name}", "outputs": "0"}}
    (outputs / key / MANIFEST).write_text(json.dumps(document))
    found = data_in(aligned(outputs)).fallback
    assert found is not None and (found.kept, found.n, found.rate) == (2, 8, 25.0)


def put(outputs: Path, name: str, ids: list[str], inputs: dict[str, str], **summary: Any) -> str:
    """A finished data step with rows of these ids."""
    folder = outputs / "prepare" / name
    folder.mkdir(parents=True)
    write_records(folder / "examples.jsonl", [Example(each, [{"role": "user", "content": "?"}]) for each in ids])
    named = {part: {"step": f"prepare/{step}", "outputs": ""} for part, step in inputs.items()}
    manifest = {"inputs": named, "summary": {"examples": len(ids), **summary}}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return f"prepare/{name}"


def test_repetitions_and_draws_within_data_are_known(tmp_path: Path) -> None:
    def known(step: str) -> tuple[int, int | None, tuple[int, ...]]:
        own = RecordedRun(tmp_path, {"name": "run"})
        data = data_of(step, own, StepReader([own]))
        return data.distinct, data.draw, data.draws

    again = ["a", "b", "c", "a-again1", "b-again1", "c-again1", "a-again2", "b-again2"]
    assert known(put(tmp_path, "few", again, {}, distinct=3, draw=2)) == (3, 2, (2,))
    replayed = [*(f"safety-{name}" for name in again), *(f"reasoning-r{n}" for n in range(4))]
    put(tmp_path, "traces", [f"r{n}" for n in range(9)], {})
    both = {"parts.safety": "few", "parts.reasoning": "traces"}
    assert known(put(tmp_path, "replay", replayed, both)) == (7, 2, (2,))
    part = [*replayed[4:7], *replayed[-4:]]
    assert known(put(tmp_path, "part", part, both)) == (7, 2, (2,)), "of a part those whose originals are left out, too"
    put(tmp_path, "prompts", again, {"source": "few"})
    assert known(put(tmp_path, "dgr", again[:7], {"source": "few", "prompts": "prompts"})) == (3, 2, (2,))
    outer = [*again[1:5], "c-again1", "b-again1"]
    assert known(put(tmp_path, "outer", outer, {"source": "few"}, distinct=4, draw=1)) == (3, 1, (1, 2))
    put(tmp_path, "other", ["r1", "r2"], {}, distinct=2, draw=0)
    two = {"parts.safety": "few", "parts.reasoning": "other"}
    mixed = [*replayed[:8], "reasoning-r1", "reasoning-r2"]
    assert known(put(tmp_path, "two", mixed, two)) == (5, None, (0, 2)), "no one number names both draws"
    assert known(put(tmp_path, "plain", ["r1"], {"source": "other"}, distinct=1, draw=None)) == (1, 0, (0,))


def test_records_of_before_give_results_without(outputs: Path) -> None:
    before = aligned(outputs)
    for path in outputs.glob("runs/*/run.json"):
        record = json.loads(path.read_text())
        for checkpoint in record["checkpoints"]:
            for key in ("step", "data", "shift"):
                checkpoint.pop(key, None)
        for key in ("interpolation", "shift", "method"):
            record["config"].pop(key, None)
        path.write_text(json.dumps(record))
    after = aligned(outputs)
    assert after.data is None and after.shift is None and after.method is None
    assert after == replace(before, data=None, shift=None)


@pytest.mark.slow
def test_old_and_new_records_of_one_method_make_one_curve(outputs: Path) -> None:
    """A setting that an old record lacks does not tell its run apart from one that leaves it null."""
    [old, *_] = outputs.glob("runs/*-direct_refusal-*/run.json")
    record = json.loads(old.read_text())
    del record["config"]["interpolation"]
    old.write_text(json.dumps(record))
    run_lab(outputs, "seed=1")
    document = collect([outputs]).results
    assert [curve.label for curve in document.curves] == ["direct_refusal"]


def test_data_alone_say_their_shift_in_the_results(outputs: Path) -> None:
    printed = run_lab(outputs, "stage=prepare", "shift=true")
    assert "0 steps executed" in printed
    [folder] = outputs.glob("runs/*-prepare-*")
    document = collect([folder]).results
    assert document.checkpoints == ()
    [entry] = [entry for entry in document.data if entry.shift]
    assert entry.title == "data direct_refusal"
    [measure] = entry.shift
    assert measure.step.startswith("perplexity/") and measure.answer is not None
    assert measure.all.tokens > measure.answer.tokens
    assert aligned(outputs).perplexity() == measure.all
    [value] = perplexity_texts(entry)
    assert value in printed and value in (folder / "report.html").read_text(encoding="utf-8")
