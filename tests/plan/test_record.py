"""What a run and a sweep leave of themselves: their records name the steps that results are read from."""

from __future__ import annotations

from pathlib import Path

from safetax.config.compose import Composer
from safetax.plan.graph import Plan
from safetax.plan.planner import plan
from safetax.plan.record import outputs_folder, sweep_folder, target_folder, write_record, write_sweep
from safetax.plan.resolve import Resolver
from safetax.store.manifest import read_json


def planned(*overrides: str) -> Plan:
    jobs = Composer().jobs(overrides, multirun=True)
    resolver = Resolver()
    return plan([(resolver.resolve(job.config), job.overrides) for job in jobs])


def test_a_record_names_every_step_and_every_setting(tmp_path: Path) -> None:
    [run] = planned("epochs=2", "shift=true", "judge=[phrases,lab]").runs
    record = read_json(write_record(run, tmp_path) / "run.json")
    assert record is not None
    assert record["steps"] == [step.key for step in run.steps]
    assert record["overrides"] == ["epochs=2", "shift=True", "judge=[phrases,lab]"]
    assert record["config"]["model"]["name"] == "lab"
    assert [point["role"] for point in record["checkpoints"]] == ["base", "lrm", "aligned"]
    base, lrm, aligned = record["checkpoints"]
    assert "data" not in base and "data" not in lrm
    assert aligned["data"] == run.data["alignment"].key and set(aligned["shift"]) == {"after"}
    harmful = next(each for each in aligned["evaluations"] if each["benchmark"] == "lab_harmful")
    assert list(harmful["scores"]) == ["phrases", "lab"], "the first judge's score is the headline"
    assert all(f"score/{fingerprint}" in record["steps"] for fingerprint in harmful["scores"].values())


def test_a_run_that_trains_nothing_has_no_epochs(tmp_path: Path) -> None:
    [run] = planned("stage=reasoning").runs
    record = read_json(write_record(run, tmp_path) / "run.json")
    assert record is not None and record["epochs"] is None and record["dataset"] is None


def test_a_sweep_is_named_by_its_data_sets_and_lists_its_runs(tmp_path: Path) -> None:
    graph = planned("dataset=safechain,direct_refusal", "epochs=1", f"runtime.outputs={tmp_path}")
    folder = write_sweep(graph, graph.runs, tmp_path)
    assert folder == sweep_folder(graph, tmp_path) == target_folder(graph, outputs_folder(graph), sweep=True)
    assert folder.name.startswith("lab-direct_refusal-safechain-")
    record = read_json(folder / "sweep.json")
    assert record is not None and record["runs"] == [run.name for run in graph.runs]


def test_a_single_run_goes_to_its_own_folder(tmp_path: Path) -> None:
    graph = planned(f"runtime.outputs={tmp_path}")
    assert target_folder(graph, tmp_path, sweep=False) == tmp_path / "runs" / graph.runs[0].name
