"""The plan: which steps a run needs and what each depends on.

Pure: no torch, no disk, no network; the only file that knows the order of the stages. A sweep becomes one graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from safetax.config.identity import identity
from safetax.config.needs import is_sampled, on_policy
from safetax.config.schema import Format
from safetax.evaluation.judging.broken import LOOKED_FOR
from safetax.plan.graph import Evaluated, Plan, PlannedCheckpoint, PlannedRun, Resolved, Role
from safetax.plan.steps import Steps
from safetax.store.step import Step

PLAIN = Format(name="plain")


def plan(resolved: Iterable[tuple[Resolved, tuple[str, ...]]]) -> Plan:
    """Plan the runs of a sweep.

    Args:
        resolved: for each run its resolved configuration and the overrides that made it.
    """
    shared: dict[Any, Any] = {}
    return Plan([_Planner(entry, shared).run(overrides) for entry, overrides in resolved])


class _Planner:
    """Plans one run, from the starting model to the last verdict."""

    def __init__(self, resolved: Resolved, shared: dict[Any, Any]) -> None:
        self.config = resolved.config
        self.steps = Steps(resolved, shared)
        self.shared = shared
        self.data: dict[str, Step] = {}

    def run(self, overrides: tuple[str, ...]) -> PlannedRun:
        config = self.config
        stage = config.stage.name
        if stage == "prepare":
            return self.only_data(overrides)
        aligned = config.stage.whole and config.epochs > 0
        checkpoints = []
        shift: dict[str, Step] = {}
        base = self.base()
        if not config.model.reasoning:
            checkpoints.append(self.checkpoint("base", base, PLAIN, config.base_seed))
        if stage != "original" or config.model.reasoning:
            lrm = self.lrm(base)
            answered = self.checkpoint("lrm", lrm, config.format, config.lrm_seed)
            traces = self.traces(answered) if config.retention else {}
            checkpoints.append(self.with_readings(answered, traces))
            if aligned:
                train = self.alignment(lrm)
                merge = None if config.interpolation is None else self.merge(train, lrm, config.interpolation)
                checkpoint = self.checkpoint("aligned", train, config.format, config.seed, merge)
                checkpoints.append(self.with_readings(checkpoint, traces))
                shift = self.shift(lrm) if config.shift else {}
        return PlannedRun(
            config, overrides, checkpoints, config.method or config.dataset.name if aligned else None, self.data, shift
        )

    def only_data(self, overrides: tuple[str, ...]) -> PlannedRun:
        """Plan the training data and nothing else; what is sampled from an LRM needs that LRM."""
        config = self.config
        own = [] if config.model.reasoning else [("reasoning", config.reasoning.dataset, "reasoning.dataset")]
        for stage, dataset, path in [*own, ("alignment", config.dataset, "dataset")]:
            lrm = self.lrm(self.base()) if on_policy(dataset) else None
            self.data[stage] = self.steps.prepare(dataset, path, lrm)
        shift = self.shift(self.lrm(self.base())) if config.shift else {}
        return PlannedRun(config, overrides, [], config.dataset.name, self.data, shift)

    def base(self) -> Step | None:
        pretraining = self.config.model.pretraining
        if self.config.model.start == "pretrained" or pretraining is None:
            return None
        data = self.steps.prepare(pretraining.dataset, "model.pretraining.dataset", None)
        title = f"pre-train {self.config.model.name}"
        return self.steps.train("pretraining", title, None, data, pretraining.training, PLAIN, self.config.base_seed)

    def lrm(self, base: Step | None) -> Step | None:
        if self.config.model.reasoning:
            return base
        stage = self.config.reasoning
        data = self.data["reasoning"] = self.steps.prepare(stage.dataset, "reasoning.dataset", base)
        title = f"reasoning stage on {stage.dataset.name}"
        return self.steps.train(
            "reasoning", title, base, data, stage.training, self.config.format, self.config.lrm_seed
        )

    def alignment(self, lrm: Step | None) -> Step:
        config = self.config
        data = self.data["alignment"] = self.steps.prepare(config.dataset, "dataset", lrm)
        epochs = f"{config.epochs:g} epoch{'' if config.epochs == 1 else 's'}"
        title = f"align on {config.dataset.name}, {epochs}, seed {config.seed}"
        return self.steps.train("alignment", title, lrm, data, config.alignment, config.format, config.seed)

    def merge(self, train: Step, lrm: Step | None, share: float) -> Step:
        """Plan weights that lie between the LRM's and those that were trained from it."""
        title = f"interpolation={share:g} of {train.title}"
        return self.steps.step("merge", title, {"interpolation": share}, {"model": train, "lrm": lrm})

    def shift(self, lrm: Step | None) -> dict[str, Step]:
        """Plan how likely the LRM finds the alignment data, and what it refined them from."""
        data = self.data["alignment"]
        found = {"after": self.steps.perplexity(data, lrm)}
        if is_sampled(self.config.dataset) and "source" in data.inputs:
            found["before"] = self.steps.perplexity(data.inputs["source"], lrm)
        return found

    def traces(self, lrm: PlannedCheckpoint) -> dict[str, dict[str, Step]]:
        """Plan what checkpoints are asked to read, by benchmark: the LRM's own correct traces, and reference traces."""
        found: dict[str, dict[str, Step]] = {}
        for each in lrm.evaluations:
            benchmark = each.config
            if benchmark.grader is None or not (benchmark.headline and benchmark.thinking):
                continue
            verdicts = each.scores[benchmark.grader.kind]
            inputs = {"prompts": each.prompts, "responses": each.generate, "verdicts": verdicts}
            own = {"dataset": {"kind": "own_traces", "on_bad_row": "skip"}}
            found[each.benchmark] = {"own": self.steps.step("prepare", f"own traces of {each.benchmark}", own, inputs)}
            if benchmark.reference is not None:
                path = f"benchmark.{each.benchmark}.reference"
                values = {"dataset": identity(benchmark.reference, self.steps.facts, path)}
                title = f"reference traces of {each.benchmark}"
                found[each.benchmark]["reference"] = self.steps.step("prepare", title, values, settings={"uses": []})
        return found

    def with_readings(
        self, checkpoint: PlannedCheckpoint, traces: Mapping[str, Mapping[str, Step]]
    ) -> PlannedCheckpoint:
        """Return a checkpoint that is asked how likely it finds the traces of its benchmarks."""
        evaluations = []
        for each in checkpoint.evaluations:
            data = traces.get(each.benchmark, {})
            readings = {whose: self.steps.reading(step, checkpoint.weights) for whose, step in data.items()}
            key = (id(each), *(step.key for step in readings.values()))
            evaluations.append(self.shared.setdefault(key, replace(each, readings=readings)) if readings else each)
        return replace(checkpoint, evaluations=evaluations)

    def checkpoint(
        self, role: Role, train: Step | None, markup: Format, seed: int, merge: Step | None = None
    ) -> PlannedCheckpoint:
        evaluations = []
        for name, benchmark in self.config.benchmark.items():
            path = f"benchmark.{name}"
            values = {"dataset": identity(benchmark.prompts, self.steps.facts, f"{path}.prompts")}
            prompts = self.steps.step("prepare", f"prompts {name}", values, settings={"uses": []})
            sampling = self.steps.sampling(benchmark, markup, seed)
            responses = self.steps.generate(f"answer {name}", merge or train, markup, prompts, sampling)
            if benchmark.grader is not None:
                grader = self.steps.score(f"grade {name}", benchmark.grader, f"{path}.grader", prompts, responses)
                scores = {benchmark.grader.kind: grader}
            else:
                looks, scores = LOOKED_FOR if benchmark.measures == "harmful" else {}, {}
                for judge, node in self.config.judge.items():
                    title = f"judge {name} by {judge}"
                    scores[judge] = self.steps.score(title, node, f"judge.{judge}", prompts, responses, **looks)
            key = (name, id(benchmark), *(step.key for step in scores.values()))
            evaluations.append(self.shared.setdefault(key, Evaluated(name, benchmark, prompts, responses, scores)))
        return PlannedCheckpoint(role, train, evaluations, merge)
