"""What each kind of step holds of the configuration: what decides its result, its inputs, and its runtime settings.

Pure, as the planner is. A sweep's runs share a table of steps, so that equal ones are one object.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import cached_property
from typing import Any

from safetax.config.components import component_module
from safetax.config.identity import identity
from safetax.config.needs import component_datasets, is_sampled
from safetax.config.schema import Benchmark, Format, Sampling
from safetax.config.training import Training
from safetax.errors import ConfigError
from safetax.plan.context import context_of
from safetax.plan.graph import Resolved, skips_bad_rows
from safetax.plan.uses import note_use
from safetax.store.step import Step, StepKind

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


class Steps:
    """Makes the steps of one run; ``shared`` holds those of the whole sweep by their key."""

    def __init__(self, resolved: Resolved, shared: dict[Any, Any]) -> None:
        self.config = resolved.config
        self.facts = resolved.facts
        self.shared = shared

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
            inputs |= self._sampled(dataset, path, lrm, inputs)
        settings: dict[str, Any] = {"trained_on": True, "uses": []} if trained_on else {"uses": []}
        skips = getattr(dataset, "on_bad_row", None) == "skip" or any(map(skips_bad_rows, inputs.values()))
        trains = trained_on and self.config.stage.name != "prepare"
        if trains and self.config.model.tokenizer == "lab" and not skips:
            settings["vocabulary"] = "lab"
        return self.step("prepare", f"data {dataset.name}", values, inputs, settings)

    def _sampled(self, dataset: Any, path: str, lrm: Step | None, inputs: dict[str, Step]) -> dict[str, Step]:
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
            sampling = self._own_sampling(dataset, number)
            title = f"sample {dataset.name} from the LRM{again}"
            responses = self.generate(title, lrm, self.config.format, prompts, sampling)
            found[f"responses{suffix}"] = responses
            found[f"verdicts{suffix}"] = self.score(
                f"judge {dataset.name}{again}", dataset.judge, f"{path}.judge", judged, responses
            )
        return found

    def _own_sampling(self, dataset: Any, number: int) -> dict[str, Any]:
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
        """Plan a training of a stage, from a checkpoint, or from the starting model where ``start`` is None."""
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

    def generate(
        self, title: str, checkpoint: Step | None, markup: Format, prompts: Step, sampling: dict[str, Any]
    ) -> Step:
        """Plan the responses of a checkpoint to prompts."""
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
        """Plan the verdicts of a judge or grader on responses; ``looks`` is what is counted of them besides."""
        settings = self.settings(*JUDGING_SETTINGS)
        settings |= {"max_errors": judge.max_errors} if hasattr(judge, "max_errors") else {}
        values = {"judge": identity(judge, self.facts, path), **looks}
        title = f"{title}: {responses.title.split(': ', 1)[-1]}"
        return self.step("score", title, values, {"prompts": prompts, "responses": responses}, settings)

    def sampling(self, benchmark: Benchmark, markup: Format, seed: int) -> dict[str, Any]:
        """Return how a benchmark is answered: budgets, temperature, repeats and seed."""
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

    def perplexity(self, data: Step, lrm: Step | None) -> Step:
        """Plan how likely the LRM finds training data."""
        values = {
            "format": identity(self.config.format),
            "max_tokens": self.config.alignment.max_tokens,
            "dtype": self._read_dtype,
            **({"on_bad_row": "skip"} if skips_bad_rows(data) else {}),
        }
        note_use(data, "shift", self.model, {**values, "parts": True})
        title = f"perplexity of {data.title} under {lrm.title if lrm else self.config.model.name}"
        return self.step("perplexity", title, values, {"data": data, "model": lrm}, self.settings("judge_batch"))

    def reading(self, traces: Step, weights: Step | None) -> Step:
        """Plan how likely a checkpoint finds traces."""
        values = {
            "format": identity(self.config.format),
            "dtype": self._read_dtype,
            "traces": {"temperature": self.config.evaluation.retention_temperature},
            "on_bad_row": "skip",
        }
        title = f"{traces.title} under {weights.title if weights else self.config.model.name}"
        return self.step("perplexity", title, values, {"data": traces, "model": weights}, self.settings("judge_batch"))

    @property
    def _read_dtype(self) -> str:
        """Number format in which a model reads."""
        return "float32" if self.config.alignment.dtype == "float32" else "bfloat16"

    def settings(self, *names: str) -> dict[str, Any]:
        """Return runtime settings that a worker needs to know."""
        return {name: identity(getattr(self.config.runtime, name)) for name in names}

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
