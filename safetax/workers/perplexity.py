"""Measures how likely a model finds training data: ``python -m safetax.workers.perplexity DIR..``.

The steps must share one model. Reads the data step's ``examples.jsonl`` and writes ``perplexity.jsonl``, a line for
each row: its id and, for ``all``, ``thinking`` and ``answer``, the tokens and the sum of their negative log-likelihoods
in nats (see :mod:`safetax.training.perplexity`). The manifest's summary has the perplexities of the whole data set.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence

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
    from safetax.training.perplexity import measure_rows, perplexity_rows, summarise
    from safetax.training.rows import BadRows

    use_threads(jobs[0].runtime)
    tokenizer = load_tokenizer(jobs[0].identity, jobs[0].inputs)
    prepared = []
    for job in jobs:
        renderer = ChatRenderer(tokenizer, restore_node(Format, job.identity["format"]))
        examples = read_records(job.inputs["data"] / "examples.jsonl", Example)
        bad_rows = BadRows.of(job.identity)
        prepared.append((job, perplexity_rows(examples, renderer, job.identity["max_tokens"], bad_rows), bad_rows))
    for dtype in sorted({job.identity["dtype"] for job in jobs}):
        model = load_model(jobs[0].identity, jobs[0].inputs, tokenizer, dtype, seed=0, on_gpus=True)
        for job, rows, bad_rows in prepared:
            if job.identity["dtype"] != dtype:
                continue
            job.started = time.monotonic()  # what the steps before it took is theirs
            progress = _progress(job, sum(len(row.row.tokens) for row in rows))
            measured = measure_rows(model, rows, tokenizer.pad_token_id, job.runtime["judge_batch"], progress)
            lines = (json.dumps(row.to_dict(), ensure_ascii=False, sort_keys=True) for row in measured)
            with job.writing("perplexity.jsonl") as written:
                written.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            job.finish({"rows": len(rows), **summarise(measured), **bad_rows.summary()})
        del model


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
