"""The train worker's loop against a bare loop of the same model, data and optimizer: ``python -m bench.train_worker``.

Prints tokens per second of both, alternating in one process, and the ratio of the medians (bar: 0.8).
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

BATCH = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    from safetax.config.compose import Composer
    from safetax.plan.planner import plan
    from safetax.plan.resolve import Resolver
    from safetax.store.events import Events
    from safetax.store.job import StepJob
    from safetax.store.status import Store

    (job,) = Composer().jobs(["epochs=1"], multirun=False)
    graph = plan([(Resolver().resolve(job.config), job.overrides)])
    step = next(step for step in graph.steps if step.kind == "train" and "align" in step.title)
    worker_rates, bare_rates = [], []
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        identity = dict(step.identity)
        identity["model"] = next(s for s in graph.steps if s.title.startswith("pre-train")).identity["model"]
        directory = store.freeze(step)
        frozen = json.loads((directory / "step.json").read_text())
        frozen["identity"], frozen["inputs"] = identity, {"data": step.inputs["data"].key}
        (directory / "step.json").write_text(json.dumps(frozen))
        from safetax.config.components import component_module
        from safetax.records import write_records

        data = store.freeze(step.inputs["data"])
        dataset = job.config.dataset
        examples = component_module("datasets", dataset.kind).build(dataset, {})[: options.examples]
        write_records(data / "examples.jsonl", examples)
        for round_number in range(options.rounds + 1):
            worker = run_worker(StepJob(directory, Events(open("/dev/null", "w"), as_json=True)))  # noqa: PTH123, SIM115
            bare = run_bare(StepJob(directory, Events(open("/dev/null", "w"), as_json=True)))  # noqa: PTH123, SIM115
            if round_number:  # the first round warms up
                worker_rates.append(worker)
                bare_rates.append(bare)
                print(
                    f"round {round_number}: worker {worker:,.0f} tokens/s, bare loop {bare:,.0f} tokens/s", flush=True
                )
    worker, bare = statistics.median(worker_rates), statistics.median(bare_rates)
    print(
        f"train worker / bare loop, batch {BATCH}: {worker / bare:.2f} (medians {worker:,.0f} / {bare:,.0f} tokens/s)"
    )


def run_worker(job: Any) -> float:
    from safetax.training.sft import train

    return float(train(job, lambda done, total, rate: job.progress(done, total, "steps", rate))["tokens_per_second"])


def run_bare(job: Any) -> float:
    """Train without Trainer: the same rows, batches, optimizer, schedule and clipping."""
    import math

    import torch

    from safetax.config.identity import restore_node
    from safetax.config.schema import Format
    from safetax.config.training import Training
    from safetax.data.chat import ChatRenderer
    from safetax.models.checkpoint import load_model, load_tokenizer
    from safetax.records import Example, read_records
    from safetax.training.arguments import optimizer_steps
    from safetax.training.batches import Collator
    from safetax.training.optimizers import make_optimizer
    from safetax.training.rows import tokenise

    training = restore_node(Training, job.identity["training"])
    tokenizer = load_tokenizer(job.identity, job.inputs)
    renderer = ChatRenderer(tokenizer, restore_node(Format, job.identity["format"]))
    rows = tokenise(read_records(job.inputs["data"] / "examples.jsonl", Example), renderer, training.max_tokens)
    model = load_model(job.identity, job.inputs, tokenizer, training.dtype, 0)
    model.config.use_cache = False
    model.train()
    optimizer = make_optimizer(model, training, [name for name, value in model.named_parameters() if value.ndim > 1])
    steps = optimizer_steps(training, len(rows))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * step / steps)))
    collator, tokens = Collator(tokenizer.pad_token_id), 0
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0)).tolist()
    started = time.monotonic()
    for step in range(steps):
        chosen = [rows[index] for index in order[step * BATCH % len(rows) :][:BATCH]]
        model(**collator(chosen)).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        tokens += collator.counts.popleft().tokens
    return tokens / (time.monotonic() - started)


if __name__ == "__main__":
    main()
