"""Outputs in the shape of the papers' runs, with made-up numbers: ``python -m tests.support.synthetic_paper DIR``.

Several reasoning benchmarks, prompts that repeat, three safety judges of which one gives marks and one reads the
thinking alone, two evaluations, published figures beside, and trainings that say what they cost.
"""

from __future__ import annotations

import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetax.records import Example, Verdict
from tests.support.synthetic import Set, Writer, write_runs

REASONING = {"aime24": 30, "gpqa_diamond": 198, "math500": 500}
JUDGES = ("beaver_dam", "phrases", "guard_of_thinking")
# Where a data set's training leads: harmful score, mean accuracy lost after five epochs, over-refusal.
_ENDS = {"direct_refusal": (0.012, 0.30, 0.75), "safechain": (0.30, 0.075, 0.06)}
_LRM = {"aime24": 0.55, "gpqa_diamond": 0.57, "math500": 0.93}


class PaperWriter(Writer):
    """Writes runs of a model that is an LRM already, as the papers evaluate it."""

    world = "real"

    def __init__(self, root: Path, evaluation: str, published: str | None, size: float = 1.0) -> None:
        super().__init__(root, 60, 1, "deepseek32b")
        self.evaluation_name, self.published = evaluation, published
        self.benchmarks = (
            *(Set(name, "accuracy", True, True, ("grader",), round(n * size)) for name, n in REASONING.items()),
            Set("beavertails", "harmful", True, True, JUDGES, round(300 * size)),
            Set("xstest_safe", "benign", True, True, ("phrases",), round(250 * size)),
        )

    def settings(self) -> dict[str, Any]:
        paper = self.evaluation_name == "paper"
        return {
            "evaluation": {
                "name": self.evaluation_name,
                "thinking_budget": 5000 if paper else 16384,
                "grader": {"kind": "paper_grader" if paper else "sound"},
            },
            "judge": {
                "beaver_dam": {"kind": "beaver_dam", "part": "answer"},
                "phrases": {"kind": "phrases", "part": "answer"},
                "guard_of_thinking": {"kind": "llama_guard", "part": "thinking"},
            },
            "published": self.published,
            "hub": {"push_model": None, "push_dataset": None, "private": True},
        }

    def training(self, steps: int) -> dict[str, Any]:
        return {
            "train_seconds": 46.0 * steps,
            "tokens": 2300 * steps,
            "tokens_per_second": 50.1,
            "mfu": 0.312,
            "peak_memory_gb": 118.6,
            "devices": 8,
            "zero": 3,
            "gpu": "NVIDIA H200",
            "embedding_drift": {"seen": 0.02, "absent": 0.0104, "absent_tokens": 9000, "absent_together": 0.5},
        }

    def engine(self, role: str) -> dict[str, Any]:
        facts = {"version": "0.30.0", "tensor_parallel": 4 if role == "lrm" else 8, "replicas": 1, "dtype": "bfloat16"}
        return {"engine": "vllm", "engine_facts": facts}

    def evaluated(self) -> tuple[str, ...]:
        return (self.evaluation_name,)

    def examples(self, benchmark: Set, lrm_seed: int) -> list[Example]:
        rows = super().examples(benchmark, lrm_seed)
        if benchmark.measures != "harmful":
            return rows
        # Every fourth prompt stands in three rows.
        first = [index - index % 12 if index % 12 in (0, 4, 8) else index for index in range(len(rows))]
        texts = [rows[place].messages[0]["content"] for place in first]
        return [
            replace(row, messages=[{"role": "user", "content": text}], meta={**row.meta, "prompt_key": text})
            for row, text in zip(rows, texts, strict=True)
        ]

    def rates(
        self, role: str, dataset: str | None, epochs: float, draw: random.Random
    ) -> dict[str, tuple[float, float]]:
        lost, harm, refusal = 0.0, 0.6, 0.01
        if role == "base":
            lost, harm = 0.25, 0.17
        elif role == "aligned" and dataset is not None:
            harm, most, refusal = _ENDS[dataset]
            lost = most * (0.6 + 0.08 * epochs)
        lost += 0.0 if self.evaluation_name == "paper" else -0.04
        return {
            **{name: (max(share - lost * share / 0.68, 0.0), 0.0) for name, share in _LRM.items()},
            "beavertails": (harm, 0.0),
            "xstest_safe": (refusal, 0.97),
        }

    def as_judge(self, judge: str, verdicts: list[Verdict]) -> list[Verdict]:
        draw = random.Random(judge)
        judged = []
        for verdict in verdicts:
            if verdict.error is not None:
                judged.append(verdict)
            elif judge == "beaver_dam":
                judged.append(replace(verdict, detail={"repeated_words": True} if draw.random() < 0.02 else {}))
            elif judge == "grader":
                unresolved = not verdict.correct and draw.random() < 0.1
                judged.append(replace(verdict, label="unresolved") if unresolved else verdict)
            elif judge == "phrases" and verdict.correct is None:
                refused = verdict.refused if draw.random() < 0.93 else not verdict.refused
                marks = {"strongreject": 0.0 if refused else 0.75}
                judged.append(replace(verdict, label="phrase", refused=refused, harmful=not refused, detail=marks))
            elif judge == "guard_of_thinking":
                harmful = bool(verdict.harmful) or draw.random() < 0.15
                judged.append(replace(verdict, label="thinking", harmful=harmful, refused=None))
            else:
                judged.append(verdict)
        return judged


def make_paper_outputs(
    path: Path,
    evaluations: tuple[str, ...] = ("paper",),
    published: str | None = "safety_tax_s1",
    epochs: tuple[float, ...] = (0, 1, 2, 3, 4, 5),
    size: float = 1.0,
) -> Path:
    """Write the runs of two data sets under one or several evaluations, of ``size`` times the real prompts."""
    for evaluation in evaluations:
        write_runs(PaperWriter(path, evaluation, published, size), tuple(_ENDS), epochs, (0,))
    return path


if __name__ == "__main__":
    print(make_paper_outputs(Path(sys.argv[1]), ("paper", "sound") if "both" in sys.argv else ("paper",)))
