"""Properties of the plan: what runs share, and what a change makes run again."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest

from safetax.config.compose import Composer
from safetax.config.fields import HashedUnless, Label
from safetax.config.hydra import conf_directory
from safetax.config.identity import identity, restore_node
from safetax.plan.graph import Plan, PlannedRun
from safetax.plan.planner import plan
from safetax.plan.resolve import Resolver
from safetax.store.step import Step, fingerprint_of, in_order


@pytest.fixture(scope="module")
def composer() -> Composer:
    return Composer()


class Planner:
    """Plans overrides as the command does."""

    def __init__(self, composer: Composer) -> None:
        self.composer = composer

    def sweep(self, *overrides: str) -> Plan:
        jobs = self.composer.jobs(overrides, multirun=True)
        resolver = Resolver()
        return plan([(resolver.resolve(job.config), job.overrides) for job in jobs])

    def run(self, *overrides: str) -> PlannedRun:
        [run] = self.sweep(*overrides).runs
        return run


@pytest.fixture(scope="module")
def planner(composer: Composer) -> Planner:
    return Planner(composer)


def kinds(steps: Iterable[Step]) -> Counter[str]:
    return Counter(step.kind for step in steps)


def keys(run: PlannedRun | Plan) -> set[str]:
    return {step.key for step in run.steps}


def new(before: PlannedRun | Plan, after: PlannedRun | Plan) -> list[Step]:
    """Steps that only the later plan has."""
    known = keys(before)
    return [step for step in after.steps if step.key not in known]


def up_to_the_lrm(run: PlannedRun) -> set[str]:
    targets = [
        step
        for checkpoint in run.checkpoints
        if checkpoint.role != "aligned"
        for evaluated in checkpoint.evaluations
        for step in (*evaluated.scores.values(), *evaluated.readings.values())
    ]
    return {step.key for step in in_order(targets)}


def trained(run: PlannedRun, role: str) -> Step:
    [checkpoint] = [checkpoint for checkpoint in run.checkpoints if checkpoint.role == role]
    assert checkpoint.train is not None
    return checkpoint.train


def test_the_default_run(planner: Planner) -> None:
    run = planner.run()
    # 3 trainings on 3 data sets; 3 checkpoints answer 4 benchmarks. The two that ask the same problems share their
    # prompts, and for the base, which has no thinking to suppress, their responses and scores too.
    # LRM and aligned model read its own traces, and reference traces.
    assert kinds(run.steps) == {"prepare": 6 + 2, "train": 3, "generate": 11, "score": 11, "perplexity": 4}
    assert [checkpoint.role for checkpoint in run.checkpoints] == ["base", "lrm", "aligned"]
    assert run.dataset == "direct_refusal"


def test_inputs_come_before_what_uses_them(planner: Planner) -> None:
    seen: set[str] = set()
    for step in planner.sweep("dataset=direct_refusal,self_generated", "epochs=0,1").steps:
        assert {source.key for source in step.inputs.values()} <= seen
        assert step.key not in seen
        seen.add(step.key)


def test_a_sweep_over_epochs_shares_everything_but_the_aligned_models(planner: Planner) -> None:
    one, sweep = planner.run("epochs=1"), planner.sweep("epochs=0,1,2,3")
    alone = {"prepare": 8, "train": 2 + 1, "generate": 7 + 4, "score": 7 + 4, "perplexity": 2 + 2}
    assert kinds(one.steps) == alone
    three = {"train": 2 + 3, "generate": 7 + 4 * 3, "score": 7 + 4 * 3, "perplexity": 2 + 2 * 3}
    assert kinds(sweep.steps) == {**alone, **three}
    assert len({frozenset(up_to_the_lrm(run)) for run in sweep.runs}) == 1
    assert len({step.inputs["data"].key for step in sweep.steps if step.title.startswith("align")}) == 1


def test_a_sweep_plans_what_its_runs_plan_alone(planner: Planner) -> None:
    sweep = planner.sweep("dataset=safechain,benign", "seed=1,2", "lrm_seed=0,1")
    assert len(sweep.runs) == 8
    assert keys(sweep) == {key for run in sweep.runs for key in keys(planner.run(*run.overrides))}
    assert len({run.name for run in sweep.runs}) == 8


def test_equal_steps_of_a_sweep_are_one_object(planner: Planner) -> None:
    sweep = planner.sweep("epochs=1,2")
    objects = {id(step) for run in sweep.runs for step in run.steps}
    assert len(objects) == len(keys(sweep))


def test_zero_epochs_is_the_lrm_as_it_is(planner: Planner) -> None:
    zero, one = planner.run("epochs=0"), planner.run("epochs=1")
    assert [checkpoint.role for checkpoint in zero.checkpoints] == ["base", "lrm"]
    assert zero.dataset is None
    assert keys(zero) == up_to_the_lrm(one)
    assert keys(planner.run("epochs=0", "dataset=benign", "seed=3")) == keys(zero)


@pytest.mark.parametrize(
    ("stage", "roles", "trainings"),
    [("original", ["base"], 1), ("reasoning", ["base", "lrm"], 2), ("alignment", ["base", "lrm", "aligned"], 3)],
)
def test_a_stage_goes_so_far(planner: Planner, stage: str, roles: list[str], trainings: int) -> None:
    run = planner.run(f"stage={stage}")
    assert [checkpoint.role for checkpoint in run.checkpoints] == roles
    assert kinds(run.steps)["train"] == trainings
    assert keys(run) <= keys(planner.run())


def test_a_model_that_reasons_already_is_the_lrm(planner: Planner) -> None:
    for stage, roles in (("original", ["lrm"]), ("reasoning", ["lrm"]), ("alignment", ["lrm", "aligned"])):
        run = planner.run("model.reasoning=true", f"stage={stage}")
        assert [checkpoint.role for checkpoint in run.checkpoints] == roles
        assert not any(step.title.startswith("reasoning stage") for step in run.steps)


def test_checkpoints_read_what_the_lrm_solved(planner: Planner) -> None:
    run = planner.run()
    [_, lrm, aligned] = run.checkpoints
    for checkpoint in (lrm, aligned):
        [read] = [entry for entry in checkpoint.evaluations if entry.readings]
        assert read.benchmark == "lab_reasoning" and list(read.readings) == ["own", "reference"]
        own = read.readings["own"]
        assert own.inputs["model"] is checkpoint.weights
        [answered] = [entry for entry in lrm.evaluations if entry.benchmark == "lab_reasoning"]
        assert own.inputs["data"].inputs["responses"] is answered.generate
        assert own.inputs["data"].inputs["verdicts"] in answered.scores.values()
    none = planner.run("retention=false")
    assert not kinds(none.steps)["perplexity"] and keys(none) < keys(run)
    assert {step.kind for step in new(none, run)} == {"prepare", "perplexity"}
    warm = planner.run("evaluation.retention_temperature=1.2")
    assert kinds(new(run, warm)) == {"perplexity": 4}
    shared = planner.sweep("seed=0,1", "epochs=1,2")
    assert (
        len({step.key for step in shared.steps if step.title.startswith("own traces") and step.kind == "prepare"}) == 1
    )


def test_another_judge_is_scores_alone(planner: Planner) -> None:
    added = new(planner.run(), planner.run("judge.lab.world_seed=7"))
    assert kinds(added) == {"score": 6}
    assert {step.identity["judge"]["world_seed"] for step in added} == {7}
    both = planner.run("+judge.second={kind:lab,world_seed:7}")
    assert kinds(new(planner.run(), both)) == {"score": 6}
    assert keys(planner.run()) < keys(both)
    evaluated = {entry.benchmark: list(entry.scores) for entry in both.checkpoints[0].evaluations}
    assert evaluated["lab_harmful"] == ["lab", "second"]
    assert evaluated["lab_reasoning"] == ["lm_eval"]


def test_how_words_are_counted_is_identity_of_harmful_scores_alone(planner: Planner) -> None:
    counted = {step.title.split()[1] for step in planner.run().steps if "repetition" in step.identity}
    assert counted == {"lab_harmful"}


def test_another_grader_is_scores_alone(planner: Planner) -> None:
    added = new(planner.run(), planner.run("benchmark.lab_reasoning.grader.metric=exact_match"))
    # What the LRM solved is then another question, and so is what is read.
    assert kinds(added) == {"score": 3, "prepare": 1, "perplexity": 2}


def test_another_benchmark_costs_only_itself(planner: Planner) -> None:
    few = planner.run("benchmark=[lab_reasoning,lab_harmful]")
    more = planner.run("benchmark=[lab_reasoning,lab_harmful,lab_benign]")
    assert keys(few) < keys(more)
    assert kinds(new(few, more)) == {"prepare": 1, "generate": 3, "score": 3}
    assert all("lab_benign" in step.title for step in new(few, more))


def test_what_a_benchmark_measures_changes_no_response(planner: Planner) -> None:
    run, other = planner.run(), planner.run("benchmark.lab_benign.headline=false")
    assert keys(run) == keys(other)


def test_nothing_below_runtime_is_identity(planner: Planner) -> None:
    before = keys(planner.run())
    changes = {
        "outputs": "elsewhere",
        "isolation": "process",
        "workers": "1",
        "devices": "2",
        "zero": "3",
        "distributed": "[]",
        "micro_batch": "4",
        "gradient_checkpointing": "true",
        "generate_batch": "7",
        "checkpoint_minutes": "3",
        "threads": "2",
        "python": "{train:python}",
        "nodes": "2",
        "generate_nodes": "2",
        "rendezvous": "host:1234",
        "offload": "optimizer",
        "loss_chunk": "512",
        "keep": "results",
        "retry_errors": "true",
        "slurm": "{partition: gpus}",
        "gpus": "4",
        "gpu_memory": "24",
        "gpu_tflops": "100",
        "mfu": "0.3",
        "tensor_parallel": "2",
        "engine_memory": "0.5",
        "judge_batch": "3",
        "requests": "2",
        "endpoints": "{default:{base_url:'http://localhost:1/v1'}}",
    }
    names = {item.name for item in dataclasses.fields(planner.run().config.runtime)}
    assert names == set(changes), "a new field of runtime belongs into this test"
    for name, value in changes.items():
        beside = {
            "python": ["runtime.isolation=process"],
            "nodes": ["runtime.devices=2", "runtime.rendezvous=host:1"],
            "offload": ["runtime.zero=3"],
        }
        overrides = [f"runtime.{name}={value}", *beside.get(name, [])]
        assert keys(planner.run(*overrides)) == before, name
    assert keys(planner.run("tracking=off", "plan=true")) == before


def test_what_is_not_distributed_is_not_offloaded(planner: Planner) -> None:
    run = planner.run("runtime.zero=3", "runtime.offload=all", "runtime.distributed=[alignment]")
    trainings = {step.title.split()[0]: step.runtime for step in run.steps if step.kind == "train"}
    assert {name: (settings["zero"], settings["offload"]) for name, settings in trainings.items()} == {
        "pre-train": (0, "none"),
        "reasoning": (0, "none"),
        "align": (3, "all"),
    }


@pytest.mark.parametrize(
    "label", ["model.name", "format.name", "dataset.name", "reasoning.dataset.name", "evaluation.name"]
)
def test_labels_are_no_identity(planner: Planner, label: str) -> None:
    before, after = planner.run(), planner.run(f"{label}=other")
    assert keys(before) == keys(after)
    assert after.name != before.name or label not in ("model.name", "dataset.name")


def test_the_seed_changes_nothing_up_to_the_lrm(planner: Planner) -> None:
    zero, one = planner.run("seed=0"), planner.run("seed=1")
    assert up_to_the_lrm(zero) == up_to_the_lrm(one)
    added = new(zero, one)
    assert kinds(added) == {"prepare": 1, "train": 1, "generate": 4, "score": 4, "perplexity": 2}


def test_the_base_seed_changes_everything(planner: Planner) -> None:
    assert not keys(planner.run("base_seed=0")) & keys(planner.run("base_seed=1"))


def test_lrm_seeds_share_the_base_and_the_problems(planner: Planner) -> None:
    zero, one = planner.run("lrm_seed=0"), planner.run("lrm_seed=1")
    assert trained(zero, "base") is not trained(zero, "lrm")
    assert trained(zero, "base").key == trained(one, "base").key
    assert trained(zero, "lrm").key != trained(one, "lrm").key
    added = new(zero, one)
    assert {step.title for step in added if step.kind == "prepare"} == {
        "data lab_reasoning",
        "own traces of lab_reasoning",
    }


def test_greedy_responses_depend_on_no_seed(planner: Planner) -> None:
    greedy = [step for step in planner.run("seed=3", "lrm_seed=4").steps if step.kind == "generate"]
    assert {step.identity["sampling"]["seed"] for step in greedy} == {0}
    sampled = planner.run("seed=3", "lrm_seed=4", "base_seed=5", "evaluation.temperature=0.6")
    seeds = {
        checkpoint.role: {entry.generate.identity["sampling"]["seed"] for entry in checkpoint.evaluations}
        for checkpoint in sampled.checkpoints
    }
    assert seeds == {"base": {5}, "lrm": {4}, "aligned": {3}}


def test_thinking_that_is_suppressed_has_no_budget(planner: Planner) -> None:
    run = planner.run()
    budgets = {
        (checkpoint.role, entry.benchmark): entry.generate.identity["sampling"]["thinking_budget"]
        for checkpoint in run.checkpoints
        for entry in checkpoint.evaluations
    }
    budget = run.config.evaluation.thinking_budget
    assert budgets["lrm", "lab_reasoning"] == budgets["aligned", "lab_harmful"] == budget > 0
    assert budgets["lrm", "lab_reasoning_no_thinking"] == budgets["base", "lab_reasoning"] == 0


def test_each_training_says_what_it_learns_from(planner: Planner) -> None:
    run = planner.run("epochs=2", "seed=3", "lrm_seed=4", "base_seed=5")
    base, lrm, aligned = (trained(run, role) for role in ("base", "lrm", "aligned"))
    assert set(base.inputs) == {"data"}
    assert base.identity["model"]["architecture"]["model_type"] == "qwen3"
    assert lrm.inputs["model"] is base
    assert aligned.inputs["model"] is lrm
    assert [step.identity["seed"] for step in (base, lrm, aligned)] == [5, 4, 3]
    assert aligned.identity["training"]["epochs"] == 2
    assert base.identity["format"]["open_thinking"] == ""
    assert lrm.identity["format"] == aligned.identity["format"] == identity(run.config.format)


@pytest.mark.parametrize(
    ("override", "trainings"),
    [
        ("alignment.learning_rate=3e-4", 1),
        ("reasoning.training.learning_rate=1e-3", 2),
        ("model.pretraining.training.learning_rate=1e-3", 3),
        ("world.direct_refusal.samples=50", 1),
        ("reasoning.dataset.samples=50", 2),
        ("model.pretraining.dataset.samples=50", 3),
        ("evaluation.answer_budget=8", 0),
    ],
)
def test_a_change_makes_run_again_what_depends_on_it(planner: Planner, override: str, trainings: int) -> None:
    added = kinds(new(planner.run(), planner.run(override)))
    assert added["train"] == trainings
    assert added["generate"] == added["score"] == {1: 4, 2: 8, 3: 11, 0: 11}[trainings]
    assert added["prepare"] == ("samples" in override) + (trainings != 1), "and the LRM's own traces with the LRM"
    assert added["perplexity"] == {1: 2, 2: 4, 3: 4, 0: 2}[trainings]


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """A user's own folder with a task and the code beside it."""
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "lab_reasoning.yaml").write_text((conf_directory() / "lm_eval" / "lab_reasoning.yaml").read_text())
    (folder / "helpers.py").write_text("NUMBER = 1\n")
    return folder


@pytest.mark.parametrize("edited", ["lab_reasoning.yaml", "helpers.py"])
def test_an_edited_task_makes_run_again_what_depends_on_it(planner: Planner, tasks: Path, edited: str) -> None:
    folder = [f"benchmark.lab_reasoning.{part}.folder={tasks}" for part in ("prompts", "grader")]
    before = planner.run(*folder)
    assert keys(planner.run(*folder)) == keys(before)
    (tasks / edited).write_text((tasks / edited).read_text() + "# edited\n")
    added = new(before, planner.run(*folder))
    assert kinds(added) == {"prepare": 2, "generate": 3, "score": 3, "perplexity": 2}
    assert all(" lab_reasoning" in step.title for step in added)
    (tasks / "notes.txt").write_text("not read by the task")
    assert keys(planner.run(*folder)) == keys(before) - {step.key for step in new(planner.run(*folder), before)} | {
        step.key for step in added
    }


def test_an_edited_data_file_makes_run_again_what_depends_on_it(planner: Planner, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"refusal": "Question: a\\nAnswer: b"}\n')
    overrides = [f"dataset.rows={{kind:file,path:{rows}}}"]
    before = planner.run(*overrides)
    rows.write_text('{"refusal": "Question: a\\nAnswer: c"}\n')
    after = planner.run(*overrides)
    assert kinds(new(before, after)) == {"prepare": 1, "train": 1, "generate": 4, "score": 4, "perplexity": 2}
    assert up_to_the_lrm(before) == up_to_the_lrm(after)


def test_on_policy_data_is_a_graph_of_ordinary_steps(planner: Planner) -> None:
    run = planner.run("dataset=self_generated", "seed=3")
    data = trained(run, "aligned").inputs["data"]
    assert data.kind == "prepare"
    assert {name: step.kind for name, step in data.inputs.items()} == {
        "prompts": "prepare",
        "responses": "generate",
        "verdicts": "score",
    }
    responses, verdicts = data.inputs["responses"], data.inputs["verdicts"]
    assert responses.inputs["model"] is trained(run, "lrm")
    assert responses.inputs["prompts"] is data.inputs["prompts"]
    assert verdicts.inputs == {"prompts": data.inputs["prompts"], "responses": responses}
    dataset: Any = run.config.dataset
    assert responses.identity["sampling"]["repeats"] == dataset.samples_per_prompt
    assert responses.identity["sampling"]["seed"] == 3
    rejudged = new(run, planner.run("dataset=self_generated", "seed=3", "dataset.judge.world_seed=7"))
    assert kinds(rejudged) == {"score": 1 + 4, "prepare": 1, "train": 1, "generate": 4, "perplexity": 2}


@dataclass(frozen=True)
class Before:
    """A node as it was."""

    rate: float
    name: Annotated[str, Label()] = "a"


@dataclass(frozen=True)
class Later:
    """The node with a field that was added, whose ``0`` means what the node meant before."""

    rate: float
    name: Annotated[str, Label()] = "b"
    smoothing: Annotated[float, HashedUnless(0.0)] = 0.0


@dataclass(frozen=True)
class Around:
    """A node that holds one."""

    inner: Later
    nothing: Later | None = None


def test_a_field_that_was_added_keeps_old_fingerprints() -> None:
    assert fingerprint_of(identity(Before(1.0))) == fingerprint_of(identity(Later(1.0)))
    assert fingerprint_of(identity(Before(1.0))) != fingerprint_of(identity(Later(1.0, smoothing=0.1)))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_an_identity_can_be_restored(smoothing: float) -> None:
    node = Around(Later(1.0, smoothing=smoothing))
    restored = restore_node(Around, identity(node))
    assert identity(restored) == identity(node)
    assert restored.inner.smoothing == smoothing


def test_every_step_of_the_lab_can_be_restored_from_its_identity(planner: Planner) -> None:
    from safetax.config.identity import restore
    from safetax.config.schema import Format
    from safetax.config.training import Training

    for step in planner.sweep("dataset=direct_refusal,safechain,self_generated,benign").steps:
        values = step.identity
        for package, name in (("datasets", "dataset"), ("judges", "judge"), ("engines", "engine")):
            if name in values:
                restored = identity(restore(package, values[name]))
                assert restored == without_facts(values[name])
        if "training" in values:
            assert identity(restore_node(Training, values["training"])) == values["training"]
        if "format" in values:
            assert identity(restore_node(Format, values["format"])) == values["format"]


def without_facts(values: object) -> object:
    if isinstance(values, dict):
        return {key: without_facts(value) for key, value in values.items() if key != "resolved"}
    return values


def test_names_of_runs_say_what_they_are_and_are_unique(planner: Planner) -> None:
    run = planner.run("epochs=0.5", "seed=3", "lrm_seed=4")
    assert run.name == f"lab-direct_refusal-e0.5-s3-l4-{run.id}"
    assert planner.run("stage=reasoning").name.startswith("lab-reasoning-l0-")
    variants = planner.sweep("alignment.learning_rate=1e-4,2e-4,3e-4", "evaluation.answer_budget=8,16")
    assert len({entry.name for entry in variants.runs}) == 6
