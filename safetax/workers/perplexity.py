"""Measures how likely a model finds texts: ``python -m safetax.workers.perplexity DIR..``.

The steps must share one model. Each reads the data step's ``examples.jsonl`` and writes ``perplexity.jsonl``, a line
for each row. Of training data that is the id and, for ``all``, ``thinking`` and ``answer``, the tokens and the sum of
their negative log-likelihoods in nats (:mod:`safetax.training.perplexity`); of ``traces`` the tokens of the whole, its
sum and that of its first token (:mod:`safetax.training.traces`). The manifest's summary has the means over the rows.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from safetax.config.identity import restore_node
from safetax.config.schema import Format
from safetax.data.chat import ChatRenderer
from safetax.models.checkpoint import load_model, load_tokenizer
from safetax.records import Example, read_records
from safetax.store.job import StepJob
from safetax.store.threads import use_threads
from safetax.store.work_loop import run_by_hand

TOGETHER = True
"""All steps of a request are done at once, so that their model is loaded once."""


def work(jobs: Sequence[StepJob]) -> None:
    """Measure the data of steps that share a model."""
    use_threads(jobs[0].runtime)
    tokenizer = load_tokenizer(jobs[0].identity, jobs[0].inputs)
    prepared = [(job, _rows(job, tokenizer)) for job in jobs]
    for dtype in sorted({job.identity["dtype"] for job in jobs}):
        model = load_model(jobs[0].identity, jobs[0].inputs, tokenizer, dtype, seed=0, on_gpus=True)
        for job, (rows, skipped) in prepared:
            if job.identity["dtype"] != dtype:
                continue
            job.started = time.monotonic()  # what the steps before it took is theirs
            measured, summary = _measure(job, model, rows, tokenizer.pad_token_id)
            lines = (json.dumps(row.to_dict(), ensure_ascii=False, sort_keys=True) for row in measured)
            with job.writing("perplexity.jsonl") as written:
                written.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            job.finish({"rows": len(rows), **summary, **skipped})
        del model


def _rows(job: StepJob, tokenizer: Any) -> tuple[Sequence[Any], dict[str, Any]]:
    """Return the rows of a step's data, and what its summary says of those that cannot be used."""
    from safetax.training.perplexity import perplexity_rows
    from safetax.training.rows import BadRows
    from safetax.training.traces import trace_rows

    renderer = ChatRenderer(tokenizer, restore_node(Format, job.identity["format"]))
    examples = read_records(job.inputs["data"] / "examples.jsonl", Example)
    bad_rows = BadRows.of(job.identity)
    if "traces" in job.identity:
        rows: Sequence[Any] = trace_rows(examples, renderer, bad_rows)
    else:
        rows = perplexity_rows(examples, renderer, job.identity["max_tokens"], bad_rows)
    return rows, bad_rows.summary()


def _measure(job: StepJob, model: Any, rows: Sequence[Any], pad: int) -> tuple[Sequence[Any], dict[str, Any]]:
    """Return the likelihood of each row under a model, and the summary of all."""
    from safetax.training.perplexity import measure_rows, summarise
    from safetax.training.traces import measure_traces, summarise_traces

    progress = _progress(job, sum(len(row.row.tokens) for row in rows))
    batch = job.runtime["judge_batch"]
    if (traces := job.identity.get("traces")) is not None:
        read = measure_traces(model, rows, pad, batch, traces["temperature"], progress)
        return read, summarise_traces(read)
    measured = measure_rows(model, rows, pad, batch, progress)
    return measured, summarise(measured)


def _progress(job: StepJob, total: int) -> Callable[[int], None]:
    """Return a function that counts tokens of a step as they are read, and reports how many there were per second."""
    done, started = 0, time.monotonic()

    def add(tokens: int) -> None:
        nonlocal done
        done += tokens
        job.progress(done, total, "tokens", done / max(time.monotonic() - started, 1e-9))

    return add


if __name__ == "__main__":
    sys.exit(run_by_hand(work, TOGETHER))
