"""Results documents of many alignment methods, and of one method at several sample counts, with made-up numbers.

``python -m tests.support.synthetic_methods DIR`` writes their figures, tables and pages to look at.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetax.records import Example, write_records
from safetax.results.collect import collect
from tests.support.synthetic import Writer, _fingerprint, write_runs

# How fast a method lowers harm and accuracy and raises refusal of benign requests (rates per epoch), where accuracy
# ends, the perplexity of its data under the LRM and, where they were refined, before.
FIVE = ("direct_refusal", "safechain", "dgr_direct_refusal", "thinksafe", "self_kl")
"""Five of the methods; ``dgr_direct_refusal`` is refined."""
METHODS: dict[str, tuple[float, float, float, float, float, float | None]] = {
    "direct_refusal": (2.4, 1.0, 1.4, 0.42, 14.2, None),
    "safechain": (0.9, 0.35, 0.6, 0.74, 4.3, None),
    "star1": (1.4, 0.30, 0.25, 0.83, 3.4, None),
    "r1_act": (2.0, 0.45, 0.5, 0.66, 5.6, None),
    "alt_train": (1.8, 0.40, 0.4, 0.72, 4.9, None),
    "safepath": (0.7, 0.20, 0.1, 0.93, 2.4, None),
    "thinksafe": (1.6, 0.15, 0.05, 0.945, 1.32, None),
    "dgr_direct_refusal": (2.1, 0.15, 0.3, 0.90, 1.71, 14.2),
    "dgr_r1_act": (2.3, 0.15, 0.15, 0.955, 1.48, 5.6),
    "replay_10": (2.2, 0.6, 1.1, 0.64, 9.1, None),
    "replay_50": (1.5, 0.4, 0.7, 0.85, 4.0, None),
    "lora_rank1": (1.1, 0.25, 0.5, 0.88, 14.2, None),
    "self_kl": (1.2, 0.1, 0.03, 0.965, 1.29, None),
}


class Methods(Writer):
    """Writes runs of the methods; ``limit``, ``draw`` and ``verb`` say which of the data the next runs take.

    Where ``replayed``, the data are a part of a mixture with half as many rows of the reasoning data.
    """

    limit: int | None = None
    draw: int | None = None
    total: int | None = None
    verb: str | None = None
    replayed: bool = False

    def taken(self) -> dict[str, Any]:
        taken = {"limit": self.limit, "draw": self.draw, "total": self.total}
        return {key: value for key, value in taken.items() if value is not None} | (
            {"where": {"verb": self.verb}} if self.verb else {}
        )

    def settings(self) -> dict[str, Any]:
        few = {"kind": "subset", **self.taken()}
        return {
            "dataset": {"kind": "mixture", "parts": {"safety": few}} if self.replayed else few,
            "categories": "verb",
        }

    def about_data(self, dataset: str, seed: int) -> dict[str, Any]:
        """Write the data and their perplexity; what is sampled from the LRM differs from seed to seed."""
        draw = random.Random(f"{dataset} {seed}")
        *_, after, before = METHODS[dataset]
        fingerprint = _fingerprint("data", dataset, seed if before else 0, *self.taken().values())
        (self.root / "prepare" / fingerprint).mkdir(parents=True, exist_ok=True)
        distinct = self.limit or 1000
        summary: dict[str, Any] = {"examples": self.total or distinct}
        if self.limit:
            summary |= {"distinct": distinct, "draw": self.draw}
        inputs = {}
        if before:
            summary["fallback"] = {"rows": 1000, "fallen_back": draw.randrange(20, 120), "reasons": {}}
            plain = self.about_data(dataset.removeprefix("dgr_"), seed)["data"]
            inputs = {"source": {"step": plain, "outputs": "0" * 64}}
        self.manifest("prepare", fingerprint, f"data {dataset}", {"dataset": dataset}, inputs, summary, [])
        if self.replayed:
            fingerprint = self.mixture(fingerprint, dataset, distinct, summary["examples"])
        shift = {"after": self.perplexity(fingerprint, after * math.exp(draw.gauss(0, 0.02)) if before else after)}
        if before:
            shift["before"] = self.perplexity(f"{fingerprint[:-1]}-", before)
        return {"data": f"prepare/{fingerprint}", "shift": shift}

    def mixture(self, part: str, dataset: str, distinct: int, rows: int) -> str:
        """Write the data with rows of the reasoning data behind them."""
        fingerprint = _fingerprint("mixture", part)
        directory = self.root / "prepare" / fingerprint
        directory.mkdir(parents=True, exist_ok=True)
        rounds = ((row % distinct, row // distinct) for row in range(rows))
        ids = [f"safety-{row}-again{time}" if time else f"safety-{row}" for row, time in rounds]
        ids += [f"reasoning-{row}" for row in range(rows // 2)]
        write_records(directory / "examples.jsonl", [Example(name, []) for name in ids])
        inputs = {"parts.safety": {"step": f"prepare/{part}", "outputs": "0" * 64}}
        summary = {"examples": len(ids), "parts": {"safety": rows, "reasoning": rows // 2}}
        self.manifest("prepare", fingerprint, f"data {dataset}", {"dataset": "replay"}, inputs, summary, [])
        return fingerprint

    def perplexity(self, data: str, token: float) -> str:
        fingerprint = _fingerprint("perplexity", data)
        (self.root / "perplexity" / fingerprint).mkdir(parents=True, exist_ok=True)
        part = {"token": token, "low": token * 0.96, "high": token * 1.05, "sample": token * 1.1}
        part |= {"tokens": 41_000, "samples": 1000}
        summary = {"all": part, "thinking": part, "answer": part}
        inputs = {"data": {"step": f"prepare/{data}", "outputs": "0" * 64}}
        self.manifest("perplexity", fingerprint, "perplexity", {}, inputs, summary, [])
        return f"perplexity/{fingerprint}"

    def rates(
        self, role: str, dataset: str | None, epochs: float, draw: random.Random
    ) -> dict[str, tuple[float, float]]:
        rates = super().rates(role, None, epochs, draw)
        if role == "aligned" and dataset is not None:
            safer, dearer, refuses, floor, *_ = METHODS[dataset]
            learnt = epochs * draw.uniform(0.75, 1.25)
            if self.limit is not None:
                learnt *= min(1.0, (self.limit / 60) ** 0.7)
            accuracy = floor + (0.985 - floor) * math.exp(-dearer * learnt)
            rates["lab_harmful"] = (math.exp(-safer * learnt), 0.0)
            rates["lab_benign"] = (1 - math.exp(-refuses * learnt), 0.95 - 0.01 * epochs)
            rates["lab_reasoning"] = (accuracy, 0.0)
        return rates


def methods_outputs(
    path: Path,
    methods: Sequence[str] = tuple(METHODS),
    epochs: Sequence[float] = (0, 1, 2, 5),
    seeds: Sequence[int] = (0, 1, 2),
    prompts: int = 200,
) -> Path:
    """Write an outputs folder with runs of several methods."""
    return write_runs(Methods(path, prompts, 1, "lab"), methods, epochs, seeds)


def samples_outputs(
    path: Path,
    counts: Sequence[int] = (1, 3, 10, 30, 100, 1000),
    methods: Sequence[str] = ("direct_refusal", "dgr_direct_refusal"),
    draws: Sequence[int] = (0, 1, 2),
    totals: Sequence[int | None] = (None,),
    prompts: int = 200,
    replayed: bool = False,
) -> Path:
    """Write an outputs folder with runs of several sample counts and draws; with a total, at equal steps."""
    writer = Methods(path, prompts, 1, "lab")
    writer.replayed = replayed
    for writer.total in totals:
        for writer.limit in counts:
            for writer.draw in draws:
                write_runs(writer, methods, (5,), (0,))
    return path


def category_outputs(path: Path, method: str = "direct_refusal", prompts: int = 200) -> Path:
    """Write an outputs folder with runs on data of one category each, and on data of all."""
    writer = Methods(path, prompts, 1, "lab")
    for writer.verb in ("burn", "steal", None):
        write_runs(writer, (method,), (0.3,), (0, 1))
    return path


if __name__ == "__main__":
    from safetax.report.build import build_report

    for make in (methods_outputs, samples_outputs, category_outputs):
        folder = Path(sys.argv[1]) / make.__name__.partition("_")[0]
        print(build_report(collect([make(folder / "outputs")]), folder))
