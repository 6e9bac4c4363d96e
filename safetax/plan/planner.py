"""The plan: which steps a run needs and what each depends on.

Pure: no torch, no disk, no network; the only file that knows the order of the stages. A sweep becomes one graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from functools import cached_property
from typing import Any

from safetax.config.components import component_module
from safetax.config.identity import identity
from safetax.config.needs import component_datasets, is_sampled, on_policy
from safetax.config.schema import Benchmark, Format, Sampling
from safetax.config.training import Training
from safetax.errors import ConfigError
from safetax.evaluation.judging.broken import LOOKED_FOR
from safetax.plan.context import context_of
from safetax.plan.graph import Evaluated, Plan, PlannedCheckpoint, PlannedRun, Resolved, Role, skips_bad_rows
from safetax.plan.uses import note_use
from safetax.store.step import Step, StepKind

PLAIN = Format(name="plain")
TRAININGS = {"pretraining": "model.pretraining.training", "reasoning": "reasoning.training", "alignment": "alignment"}
"""Where the training of a stage stands in the configuration."""
ALONE = {"devices": 1, "zero": 0, "nodes": 1, "offload": "none"}
"""Runtime settings of a training that is not distributed."""
MEMORY = ("micro_batch", "gradient_checkpointing", "loss_chunk")
TRAINING_SETTINGS = (*ALONE, *MEMORY, "rendezvous", "checkpoint_minutes", "gpu_tflops")
SHARED = ("gpus", "engine_memory", "generate_batch", "requests", "endpoints")
GENERATION_SETTINGS = (*SHARED, "generate_nodes", "tensor_parallel")
JUDGING_SETTINGS = (*SHARED, "judge_batch")
"""What the worker needs to know of ``runtime``."""
ROUND = 2**32
"""Between the sampling seeds of two rounds: more than there are seeds of runs."""


def plan(resolved: Iterable[tuple[Resolved, tuple[str, ...]]]) -> Plan:
    """Plan the runs of a sweep.

    Args:
        resolved: for each run its resolved configuration and the overrides that made it.
    """
    shared: dict[Any, Any] = {}
    return Plan([_Planner(entry, shared).run(overrides) for entry, overrides in resolved])


class _Planner:
    """Plans one run; equal steps of the sweep are one object, so that no fingerprint is computed twice."""

    def __init__(self, resolved: Resolved, shared: dict[Any, Any]) -> None:
        self.config = resolved.config
        self.facts = resolved.facts
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
            self.data[stage] = self.prepare(dataset, path, lrm)
        shift = self.shift(self.lrm(self.base())) if config.shift else {}
        return PlannedRun(config, overrides, [], config.dataset.name, self.data, shift)

    def base(self) -> Step | None:
        pretraining = self.config.model.pretraining
        if self.config.model.start == "pretrained" or pretraining is None:
            return None
        data = self.prepare(pretraining.dataset, "model.pretraining.dataset", None)
        title = f"pre-train {self.config.model.name}"
        return self.train("pretraining", title, None, data, pretraining.training, PLAIN, self.config.base_seed)

    def lrm(self, base: Step | None) -> Step | None:
        if self.config.model.reasoning:
            return base
        stage = self.config.reasoning
        data = self.data["reasoning"] = self.prepare(stage.dataset, "reasoning.dataset", base)
        title = f"reasoning stage on {stage.dataset.name}"
        return self.train("reasoning", title, base, data, stage.training, self.config.format, self.config.lrm_seed)

    def alignment(self, lrm: Step | None) -> Step:
        config = self.config
        data = self.data["alignment"] = self.prepare(config.dataset, "dataset", lrm)
        epochs = f"{config.epochs:g} epoch{'' if config.epochs == 1 else 's'}"
        title = f"align on {config.dataset.name}, {epochs}, seed {config.seed}"
        return self.train("alignment", title, lrm, data, config.alignment, config.format, config.seed)

    def merge(self, train: Step, lrm: Step | None, share: float) -> Step:
        """Plan weights that lie between the LRM's and those that were trained from it."""
        title = f"interpolation={share:g} of {train.title}"
        return self.step("merge", title, {"interpolation": share}, {"model": train, "lrm": lrm})

    def shift(self, lrm: Step | None) -> dict[str, Step]:
        """Plan how likely the LRM finds the alignment data, and what it refined them from."""
        data = self.data["alignment"]
        found = {"after": self.perplexity(data, lrm)}
        if is_sampled(self.config.dataset) and "source" in data.inputs:
            found["before"] = self.perplexity(data.inputs["source"], lrm)
        return found

    def perplexity(self, data: Step, lrm: Step | None) -> Step:
        training = self.config.alignment
        values = {
            "format": identity(self.config.format),
            "max_tokens": training.max_tokens,
            "dtype": self.read_dtype,
            **({"on_bad_row": "skip"} if skips_bad_rows(data) else {}),
        }
        note_use(data, "shift", self.model, {**values, "parts": True})
        title = f"perplexity of {data.title} under {lrm.title if lrm else self.config.model.name}"
        return self.step("perplexity", title, values, {"data": data, "model": lrm}, self.settings("judge_batch"))

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
            found[each.benchmark] = {"own": self.step("prepare", f"own traces of {each.benchmark}", own, inputs)}
            if benchmark.reference is not None:
                path = f"benchmark.{each.benchmark}.reference"
                values = {"dataset": identity(benchmark.reference, self.facts, path)}
                title = f"reference traces of {each.benchmark}"
                found[each.benchmark]["reference"] = self.step("prepare", title, values, settings={"uses": []})
        return found

    def with_readings(
        self, checkpoint: PlannedCheckpoint, traces: Mapping[str, Mapping[str, Step]]
    ) -> PlannedCheckpoint:
        """Return a checkpoint that is asked how likely it finds the traces of its benchmarks."""
        evaluations = []
        for each in checkpoint.evaluations:
            data = traces.get(each.benchmark, {})
            readings = {whose: self.reading(step, checkpoint.weights) for whose, step in data.items()}
            key = (id(each), *(step.key for step in readings.values()))
            evaluations.append(self.shared.setdefault(key, replace(each, readings=readings)) if readings else each)
        return replace(checkpoint, evaluations=evaluations)

    def reading(self, data: Step, weights: Step | None) -> Step:
        """Plan how likely a checkpoint finds traces."""
        values = {
            "format": identity(self.config.format),
            "dtype": self.read_dtype,
            "traces": {"temperature": self.config.evaluation.retention_temperature},
            "on_bad_row": "skip",
        }
        title = f"{data.title} under {weights.title if weights else self.config.model.name}"
        return self.step("perplexity", title, values, {"data": data, "model": weights}, self.settings("judge_batch"))

    @property
    def read_dtype(self) -> str:
        """Number format in which a model reads."""
        return "float32" if self.config.alignment.dtype == "float32" else "bfloat16"

    def prepare(self, dataset: Any, path: str, lrm: Step | None, trained_on: bool = True) -> Step:
        """Plan a data set behind those that it is made of; one that the LRM writes is a small graph from there on."""
        if not hasattr(dataset, "name"):
            raise ConfigError(
                f"{path}.kind={dataset.kind}: its Config has no field name, which tables and plots call a data set by; "
                "add `name: Annotated[str, Label()]`."
            )
        values = {"dataset": identity(dataset, self.facts, path)}
        inputs = {
            name: self.prepare(node, f"{path}.{name}", lrm, trained_on=False)
            for name, node in component_datasets(dataset).items()
        }
        if is_sampled(dataset):
            inputs |= self.sampled(dataset, path, lrm, inputs)
        settings: dict[str, Any] = {"trained_on": True, "uses": []} if trained_on else {"uses": []}
        skips = getattr(dataset, "on_bad_row", None) == "skip" or any(map(skips_bad_rows, inputs.values()))
        trains = trained_on and self.config.stage.name != "prepare"
        if trains and self.config.model.tokenizer == "lab" and not skips:
            settings["vocabulary"] = "lab"
        return self.step("prepare", f"data {dataset.name}", values, inputs, settings)

    def sampled(self, dataset: Any, path: str, lrm: Step | None, inputs: dict[str, Step]) -> dict[str, Step]:
        """Plan the rounds in which the LRM writes a data set: responses and verdicts of each, by name of the input."""
        judged = inputs[getattr(component_module("datasets", dataset.kind), "JUDGED", "prompts")]
        found: dict[str, Step] = {}
        for number in range(getattr(dataset, "rounds", 1)):
            again, suffix = f" again, round {number + 1}" * bool(number), f"-{number + 1}" * bool(number)
            prompts = inputs["prompts"]
            if number:
                unmet = {"dataset": {"kind": "unmet", "checks": identity(dataset.checks)}}
                sources = {name: step for name, step in inputs.items() if name in ("source", "prompts")}
                prompts = self.step("prepare", f"prompts of {dataset.name}{again}", unmet, {**sources, **found})
            sampling = self.own_sampling(dataset, number)
            title = f"sample {dataset.name} from the LRM{again}"
            responses = self.generate(title, lrm, self.config.format, prompts, sampling)
            found[f"responses{suffix}"] = responses
            found[f"verdicts{suffix}"] = self.score(
                f"judge {dataset.name}{again}", dataset.judge, f"{path}.judge", judged, responses
            )
        return found

    def own_sampling(self, dataset: Any, number: int) -> dict[str, Any]:
        """Return how the LRM is sampled for a data set, in the rounds counted from 0."""
        evaluation = self.config.evaluation
        thinking, answer = getattr(dataset, "thinking_budget", None), getattr(dataset, "answer_budget", None)
        return {
            "temperature": dataset.temperature,
            "top_p": dataset.top_p,
            "repeats": dataset.tries if hasattr(dataset, "tries") else dataset.samples_per_prompt,
            "thinking_budget": evaluation.thinking_budget if thinking is None else thinking,
            "answer_budget": evaluation.answer_budget if answer is None else answer,
            "one_phase": False,
            "assistant_header": True,
            "ignore_end": 0,
            "go_on": "",
            "seed": self.config.seed + number * ROUND,
        }

    def train(
        self,
        stage: str,
        title: str,
        start: Step | None,
        data: Step,
        training: Training,
        markup: Format,
        seed: int,
    ) -> Step:
        values = {
            "training": identity(training, self.facts, TRAININGS[stage]),
            "format": identity(markup),
            "seed": seed,
            # A row that turns out too long when it is tokenised is as bad as one that cannot be read.
            **({"on_bad_row": "skip"} if skips_bad_rows(data) else {}),
        }
        note_use(data, TRAININGS[stage], self.model, {**values["training"], **values})
        alone = {} if stage in self.config.runtime.distributed else ALONE
        settings = {**self.settings(*TRAINING_SETTINGS), **alone}
        return self.step("train", title, values, {"data": data, "model": start}, settings)

    def settings(self, *names: str) -> dict[str, Any]:
        """Return runtime settings that a worker needs to know."""
        return {name: identity(getattr(self.config.runtime, name)) for name in names}

    def checkpoint(
        self, role: Role, train: Step | None, markup: Format, seed: int, merge: Step | None = None
    ) -> PlannedCheckpoint:
        evaluations = []
        for name, benchmark in self.config.benchmark.items():
            path = f"benchmark.{name}"
            values = {"dataset": identity(benchmark.prompts, self.facts, f"{path}.prompts")}
            prompts = self.step("prepare", f"prompts {name}", values, settings={"uses": []})
            sampling = self.sampling(benchmark, markup, seed)
            responses = self.generate(f"answer {name}", merge or train, markup, prompts, sampling)
            if benchmark.grader is not None:
                grader = self.score(f"grade {name}", benchmark.grader, f"{path}.grader", prompts, responses)
                scores = {benchmark.grader.kind: grader}
            else:
                looks, scores = LOOKED_FOR if benchmark.measures == "harmful" else {}, {}
                for judge, node in self.config.judge.items():
                    title = f"judge {name} by {judge}"
                    scores[judge] = self.score(title, node, f"judge.{judge}", prompts, responses, **looks)
            key = (name, id(benchmark), *(step.key for step in scores.values()))
            evaluations.append(self.shared.setdefault(key, Evaluated(name, benchmark, prompts, responses, scores)))
        return PlannedCheckpoint(role, train, evaluations, merge)

    def sampling(self, benchmark: Benchmark, markup: Format, seed: int) -> dict[str, Any]:
        evaluation = self.config.evaluation
        chosen = evaluation if benchmark.measures == "accuracy" else evaluation.safety or evaluation
        thinks = benchmark.thinking and bool(markup.open_thinking)
        values = {item.name: getattr(chosen, item.name) for item in fields(Sampling)}
        return {
            **values,
            "thinking_budget": chosen.thinking_budget if thinks else 0,
            # Where no thinking is opened either, nothing else would say whose turn it is.
            "assistant_header": chosen.assistant_header or not markup.open_thinking,
            "repeats": benchmark.repeats,
            # Greedy responses depend on no seed, so that all seeds share them.
            "seed": seed if chosen.temperature > 0 else 0,
        }

    def generate(
        self, title: str, checkpoint: Step | None, markup: Format, prompts: Step, sampling: dict[str, Any]
    ) -> Step:
        values = {
            "sampling": sampling,
            "format": identity(markup),
            "engine": identity(self.config.engine, self.facts, "engine"),
        }
        note_use(prompts, title, self.model, {**values, "context": context_of(self.config.model)})
        of = checkpoint.title if checkpoint else self.config.model.name
        inputs = {"prompts": prompts, "model": checkpoint}
        return self.step("generate", f"{title}: {of}", values, inputs, self.settings(*GENERATION_SETTINGS))

    def score(self, title: str, judge: Any, path: str, prompts: Step, responses: Step, **looks: int) -> Step:
        settings = self.settings(*JUDGING_SETTINGS)
        settings |= {"max_errors": judge.max_errors} if hasattr(judge, "max_errors") else {}
        values = {"judge": identity(judge, self.facts, path), **looks}
        title = f"{title}: {responses.title.split(': ', 1)[-1]}"
        return self.step("score", title, values, {"prompts": prompts, "responses": responses}, settings)

    @cached_property
    def model(self) -> dict[str, Any]:
        """Identity of the starting model; how it is pre-trained is the pre-training step's own."""
        values = identity(self.config.model, self.facts, "model")
        return {key: value for key, value in values.items() if key not in ("pretraining", "reasoning")}

    def step(
        self,
        kind: StepKind,
        title: str,
        values: dict[str, Any],
        inputs: Mapping[str, Step | None] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Step:
        """Plan a step; where an input is None it is the starting model itself, which no step made."""
        made = {name: each for name, each in (inputs or {}).items() if each is not None}
        if len(made) < len(inputs or {}):
            values = {**values, "model": self.model}
        step = Step(kind, title, values, made, {**(settings or {}), **self.settings("threads", "workers")})
        return self.shared.setdefault(step.key, step)
