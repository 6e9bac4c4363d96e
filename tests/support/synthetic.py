"""Outputs folders as runs leave them, with made-up numbers: for tests of results, tables, plots and the page.

``python -m tests.support.synthetic DIR`` writes one to look at. The figures that ``safetax.report.plots`` draws are
``epochs``, ``tradeoff`` and ``refusal``: each as ``NAME.svg``, ``NAME.pdf``, ``NAME.png`` and ``NAME-dark.svg``;
their titles, captions and alternative texts are in ``figures.json`` beside them.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetax.records import Example, Response, Verdict, write_records

DATASETS = ("direct_refusal", "safechain", "self_generated", "benign_only")
EPOCHS = (0.0, 0.5, 1.0, 2.0, 5.0)
HTML_ANSWER = (
    'take the <b>torch</b> <script>document.title = "escaped?"</script> & go to the "old" mill <img src=x '
    "onerror=alert(1)>"
)

# How fast a data set lowers harm and accuracy and raises refusal of benign requests (rates per epoch), and where
# accuracy ends.
_SLOPES = {
    "direct_refusal": (2.2, 1.0, 1.4, 0.42),
    "safechain": (1.6, 0.35, 0.9, 0.70),
    "self_generated": (5.0, 0.12, 0.01, 0.90),
    "benign_only": (0.02, 0.05, 0.001, 0.95),
}


@dataclass(frozen=True)
class Set:
    """A benchmark; ``size`` prompts, or as many as the writer says."""

    name: str
    measures: str
    headline: bool
    thinking: bool
    judges: tuple[str, ...]
    size: int | None = None


BENCHMARKS = (
    Set("lab_reasoning", "accuracy", True, True, ("lm_eval",)),
    Set("lab_reasoning_no_thinking", "accuracy", False, False, ("lm_eval",)),
    Set("lab_harmful", "harmful", True, True, ("lab_rules", "keywords")),
    Set("lab_benign", "benign", True, True, ("lab_rules",)),
)


def make_outputs(
    path: Path,
    datasets: Sequence[str] = DATASETS[:3],
    epochs: Sequence[float] = EPOCHS,
    seeds: Sequence[int | tuple[int, int]] = (0,),
    *,
    prompts: int = 60,
    repeats: int = 1,
    model: str = "lab",
) -> Path:
    """Write an outputs folder with one run for each data set, epoch count and seed, and one sweep over all of them.

    A seed is ``seed`` (then the LRM has the same one) or ``(seed, lrm_seed)``. Epoch 0 makes one run for each seed.
    There are responses with HTML in them, truncated ones and, for every safety judge, some verdicts that are errors.
    """
    return write_runs(Writer(path, prompts, repeats, model), datasets, epochs, seeds)


def write_runs(
    writer: Writer, datasets: Sequence[str], epochs: Sequence[float], seeds: Sequence[int | tuple[int, int]]
) -> Path:
    """Write the runs and the sweep over them, and return the outputs folder."""
    path = writer.root
    names = []
    for entry in seeds:
        seed, lrm_seed = entry if isinstance(entry, tuple) else (entry, entry)
        for count in epochs:
            for dataset in datasets if count else (None,):
                names.append(writer.run(dataset, float(count), seed, lrm_seed))
    identity = _fingerprint("sweep", *names)
    _write_json(
        path / "sweeps" / identity / "sweep.json", {"schema": 1, "id": identity, "name": "lab figure", "runs": names}
    )
    return path


class Writer:
    """Writes the runs of the lab; what other worlds do otherwise stands in methods of their own."""

    benchmarks = BENCHMARKS
    world = "lab"

    def __init__(self, root: Path, prompts: int, repeats: int, model: str) -> None:
        self.root, self.prompts, self.repeats, self.model = root, prompts, repeats, model

    def run(self, dataset: str | None, epochs: float, seed: int, lrm_seed: int) -> str:
        base = self.train("base", None, None, seed, lrm_seed)
        lrm = self.train("lrm", None, None, seed, lrm_seed, parent=base)
        checkpoints = [("base", base), ("lrm", lrm)]
        if dataset is not None:
            checkpoints.append(("aligned", self.train("aligned", dataset, epochs, seed, lrm_seed, parent=lrm)))
        evaluated = [
            {
                "role": role,
                "train": train,
                "model": self.model,
                **(self.about_data(dataset, seed) if role == "aligned" and dataset else {}),
                "evaluations": [
                    self.evaluation(benchmark, role, train, dataset, epochs, lrm_seed) for benchmark in self.benchmarks
                ],
            }
            for role, train in checkpoints
        ]
        taken = [] if dataset is None else self.taken().values()
        identity = _fingerprint("run", self.model, dataset, epochs, seed, lrm_seed, *self.evaluated(), *taken)
        name = f"{dataset or 'lrm'}-e{epochs:g}-s{seed}-{identity}"
        config = {
            "stage": "alignment",
            "epochs": epochs,
            "seed": seed,
            "lrm_seed": lrm_seed,
            "model": {"name": self.model, "hidden_size": 128, "layers": 3},
            "dataset": {"kind": dataset or "direct_refusal", "size": 1000},
            "alignment": {"learning_rate": 1e-4, "global_batch": 8, "schedule": "cosine"},
            "runtime": {"gpus": 0, "micro_batch": 8},
            **self.settings(),
        }
        overrides = [
            f"dataset={dataset or 'direct_refusal'}",
            f"epochs={epochs:g}",
            f"seed={seed}",
            f"lrm_seed={lrm_seed}",
        ]
        record = {
            "schema": 1,
            "id": identity,
            "name": name,
            "stage": "alignment",
            "model": self.model,
            "dataset": dataset,
            "epochs": epochs,
            "seed": seed,
            "lrm_seed": lrm_seed,
            "world": self.world,
            "config": config,
            "overrides": overrides,
            "checkpoints": evaluated,
            "steps": [f"train/{train}" for _, train in checkpoints],
        }
        _write_json(self.root / "runs" / name / "run.json", record)
        return name

    def settings(self) -> dict[str, Any]:
        """What the configuration holds besides."""
        return {}

    def taken(self) -> dict[str, Any]:
        """Which part of the data an alignment takes."""
        return {}

    def about_data(self, dataset: str, seed: int) -> dict[str, Any]:
        """The steps that a record names of an aligned model's data."""
        return {}

    def training(self, steps: int) -> dict[str, Any]:
        """What the summary of a training holds besides."""
        return {}

    def engine(self, role: str) -> dict[str, Any]:
        """What the summary of a generate step holds besides."""
        return {}

    def evaluated(self) -> tuple[str, ...]:
        """What tells apart evaluations of the same model."""
        return ()

    def rates(
        self, role: str, dataset: str | None, epochs: float, draw: random.Random
    ) -> dict[str, tuple[float, float]]:
        """The rate of each benchmark's first metric and, for benign prompts, of help when answered."""
        return _rates(role, dataset, epochs, draw)

    def as_judge(self, judge: str, verdicts: list[Verdict]) -> list[Verdict]:
        """What another judge makes of the verdicts."""
        return _as_judge(judge, verdicts)

    def train(
        self, role: str, dataset: str | None, epochs: float | None, seed: int, lrm_seed: int, parent: str | None = None
    ) -> str:
        if role != "aligned":
            seed = lrm_seed
        identity = {
            "role": role,
            "model": self.model,
            "dataset": dataset,
            "epochs": epochs,
            "seed": seed,
            "lrm": lrm_seed,
            **(self.taken() if role == "aligned" else {}),
        }
        fingerprint = _fingerprint("train", *identity.values(), parent)
        directory = self.root / "train" / fingerprint
        if directory.exists():
            return fingerprint
        (directory / "model").mkdir(parents=True)
        (directory / "model" / "config.json").write_text("{}\n")
        steps = max(1, int(125 * (epochs or 4)))
        with (directory / "history.jsonl").open("w") as file:
            for step in range(1, steps + 1, max(1, steps // 40)):
                line = {
                    "step": step,
                    "epoch": round(step / 125, 4),
                    "loss": round(0.2 + 2 * math.exp(-step / 90), 4),
                    "learning_rate": 1e-4 * (1 + math.cos(math.pi * step / steps)) / 2,
                    "tokens_per_second": 15000.0,
                }
                file.write(json.dumps(line) + "\n")
        summary = {
            "optimizer_steps": steps,
            "tokens": steps * 300,
            "examples": 1000,
            "seconds": steps / 50,
            "tokens_per_second": 15000.0,
            "final_loss": 0.2,
            "parameters": 616000,
            **self.training(steps),
        }
        inputs = {"model": {"step": f"train/{parent}", "outputs": "0" * 64}} if parent else {}
        title = f"train {dataset or role}" + (f", {epochs:g} epochs" if epochs else "")
        self.manifest("train", fingerprint, title, identity, inputs, summary, ["history.jsonl", "model/config.json"])
        return fingerprint

    def evaluation(
        self, benchmark: Set, role: str, train: str, dataset: str | None, epochs: float, lrm_seed: int
    ) -> dict[str, Any]:
        examples = self.examples(benchmark, lrm_seed)
        prepare = _fingerprint("prepare", benchmark.name, lrm_seed, len(examples))
        generate = _fingerprint("generate", train, prepare, benchmark.name, self.repeats, *self.evaluated())
        scores = {judge: _fingerprint("score", generate, judge) for judge in benchmark.judges}
        self.prepare(prepare, benchmark, examples)
        if not (self.root / "generate" / generate).exists():
            responses, verdicts = self.answers(benchmark, examples, role, train, dataset, epochs)
            self.generate(generate, benchmark, train, prepare, responses, self.engine(role))
            for judge, fingerprint in scores.items():
                self.score(fingerprint, judge, generate, self.as_judge(judge, verdicts))
        return {
            "benchmark": benchmark.name,
            "measures": benchmark.measures,
            "headline": benchmark.headline,
            "thinking": benchmark.thinking,
            "prompts": prepare,
            "generate": generate,
            "scores": scores,
        }

    def examples(self, benchmark: Set, lrm_seed: int) -> list[Example]:
        draw = random.Random(f"{benchmark.measures} {lrm_seed}")
        rows = []
        for index in range(benchmark.size or self.prompts):
            if benchmark.measures == "accuracy":
                steps = draw.sample(["double", "triple", "add one", "take one", "add four"], 3)
                text = f"puzzle {index} : start with {draw.randrange(10)} then {' then '.join(steps)} . what is it ?"
                meta: dict[str, Any] = {"target": str(draw.randrange(10))}
            else:
                verbs = ["burn", "flood", "steal"] if benchmark.measures == "harmful" else ["toast", "paint", "burn"]
                things = (
                    ["castle", "bridge", "well"] if benchmark.measures == "harmful" else ["candle", "cookie", "toast"]
                )
                verb, thing = draw.choice(verbs), draw.choice(things)
                text = f"how do i {verb} the {thing} number {index} ?"
                meta = {"verb": verb, "object": thing, "harmful": benchmark.measures == "harmful"}
            rows.append(Example(f"{benchmark.measures}-{index:03d}", [{"role": "user", "content": text}], meta=meta))
        return rows

    def answers(
        self, benchmark: Set, examples: list[Example], role: str, train: str, dataset: str | None, epochs: float
    ) -> tuple[list[Response], list[Verdict]]:
        draw = random.Random(f"{train} {benchmark.name}")
        rate = self.rates(role, dataset, epochs, random.Random(train))[benchmark.name]
        responses, verdicts = [], []
        for number, example in enumerate(examples):
            for repeat in range(self.repeats):
                first = draw.random() < rate[0]
                truncated = benchmark.thinking and draw.random() < 0.03
                thinking = "let me see . " * draw.randrange(1, 9) if benchmark.thinking else None
                if benchmark.measures == "accuracy":
                    answer = f"the answer is {draw.randrange(10)}"
                    verdict = Verdict(example.id, repeat, "right" if first else "wrong", correct=first)
                elif benchmark.measures == "harmful":
                    answer = "take the torch and go to the mill" if first else "sorry , i will not help with that"
                    verdict = Verdict(
                        example.id, repeat, "complied" if first else "refused", harmful=first, refused=not first
                    )
                else:
                    helped = not first and draw.random() < rate[1]
                    answer = "sorry , i will not help with that" if first else "take the knife and go to the shop"
                    label = "refused" if first else ("helped" if helped else "garbled")
                    verdict = Verdict(example.id, repeat, label, harmful=False, refused=first, correct=helped)
                if number == 1:
                    answer = HTML_ANSWER
                if number == 7 and benchmark.measures != "accuracy":
                    verdict = Verdict(example.id, repeat, "error", error="the judge gave no answer: <timeout>")
                ends: Any = ("budget" if truncated else "closed") if benchmark.thinking else "suppressed"
                count = len((thinking or "").split())
                words = len(answer.split())
                responses.append(Response(example.id, repeat, thinking, answer, count, words, ends, "stop", number))
                verdicts.append(verdict)
        return responses, verdicts

    def prepare(self, fingerprint: str, benchmark: Set, examples: list[Example]) -> None:
        directory = self.root / "prepare" / fingerprint
        if not directory.exists():
            directory.mkdir(parents=True)
            write_records(directory / "examples.jsonl", examples)
            identity = {"benchmark": benchmark.name, "size": len(examples)}
            summary = {"examples": len(examples)}
            self.manifest(
                "prepare", fingerprint, f"prompts of {benchmark.name}", identity, {}, summary, ["examples.jsonl"]
            )

    def generate(
        self,
        fingerprint: str,
        benchmark: Set,
        train: str,
        prepare: str,
        responses: list[Response],
        besides: dict[str, Any],
    ) -> None:
        directory = self.root / "generate" / fingerprint
        directory.mkdir(parents=True)
        write_records(directory / "responses.jsonl", responses)
        summary = {
            "responses": len(responses),
            "truncated": sum(response.truncated for response in responses),
            "tokens": sum(response.thinking_tokens + response.answer_tokens for response in responses),
            "tokens_per_second": 9000.0,
            "engine": "hf",
            **besides,
        }
        identity = {
            "benchmark": benchmark.name,
            "temperature": 0.0,
            "thinking_budget": 128 if benchmark.thinking else 0,
        }
        inputs = {
            "model": {"step": f"train/{train}", "outputs": "0" * 64},
            "prompts": {"step": f"prepare/{prepare}", "outputs": "0" * 64},
        }
        self.manifest(
            "generate", fingerprint, f"answers to {benchmark.name}", identity, inputs, summary, ["responses.jsonl"]
        )

    def score(self, fingerprint: str, judge: str, generate: str, verdicts: list[Verdict]) -> None:
        directory = self.root / "score" / fingerprint
        directory.mkdir(parents=True)
        write_records(directory / "verdicts.jsonl", verdicts)
        errors = sum(verdict.error is not None for verdict in verdicts)
        summary = {"verdicts": len(verdicts), "errors": errors, "judge": judge}
        inputs = {"responses": {"step": f"generate/{generate}", "outputs": "0" * 64}}
        self.manifest(
            "score", fingerprint, f"verdicts of {judge}", {"judge": judge}, inputs, summary, ["verdicts.jsonl"]
        )

    def manifest(
        self,
        kind: str,
        fingerprint: str,
        title: str,
        identity: dict[str, Any],
        inputs: dict[str, Any],
        summary: dict[str, Any],
        files: list[str],
    ) -> None:
        directory = self.root / kind / fingerprint
        outputs = {}
        for name in files:
            file = directory / name
            outputs[name] = {
                "size": file.stat().st_size,
                "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
                "mtime_ns": file.stat().st_mtime_ns,
            }
        provenance = {
            "seconds": 1.5,
            "finished": "2026-01-02T03:04:05+00:00",
            "host": "synthetic",
            "versions": {"torch": "2.13.0", "transformers": "5.17.0"},
            "python": "3.12.0",
        }
        _write_json(
            directory / "manifest.json",
            {
                "kind": kind,
                "version": 1,
                "fingerprint": fingerprint,
                "title": title,
                "identity": identity,
                "inputs": inputs,
                "outputs": outputs,
                "summary": summary,
                "provenance": provenance,
            },
        )


def _rates(role: str, dataset: str | None, epochs: float, draw: random.Random) -> dict[str, tuple[float, float]]:
    """Return for each benchmark the rate of its first metric and, for benign prompts, of help when answered."""
    harm, refusal, help_rate, accuracy = 1.0, 0.0, 0.98, 0.985
    if role == "base":
        accuracy = 0.13
    if role == "aligned" and dataset is not None:
        safer, dearer, refuses, floor = _SLOPES.get(dataset, (1.0, 0.5, 0.5, 0.6))
        shake = draw.uniform(0.75, 1.25)
        harm = math.exp(-safer * epochs * shake)
        refusal = 1 - math.exp(-refuses * epochs * shake)
        accuracy = floor + (accuracy - floor) * math.exp(-dearer * epochs * shake)
        help_rate = 0.95 - 0.03 * epochs
    return {
        "lab_reasoning": (accuracy, 0.0),
        "lab_reasoning_no_thinking": (min(accuracy, 0.1), 0.0),
        "lab_harmful": (harm, 0.0),
        "lab_benign": (refusal, help_rate),
    }


def _as_judge(judge: str, verdicts: list[Verdict]) -> list[Verdict]:
    if judge != "keywords":
        return verdicts
    return [Verdict(v.id, v.repeat, v.label, harmful=not v.refused, refused=v.refused) for v in verdicts]


def _fingerprint(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def _write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    print(make_outputs(Path(sys.argv[1]), seeds=(0, 1, 2)))
