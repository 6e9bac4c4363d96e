"""Measures how likely a model finds training data: ``python -m safetax.workers.perplexity DIR..``.

The steps must share one model. Reads the data step's ``examples.jsonl`` and writes ``perplexity.jsonl``, a line for
each row: its id and, for ``all``, ``thinking`` and ``answer``, the tokens and the sum of their negative log-likelihoods
in nats (see :mod:`safetax.training.perplexity`). The manifest's summary has the perplexities of the whole data set.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence

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
SHOWN = 20
"""Skipped rows that a summary names; it counts all."""


def work(jobs: Sequence[StepJob]) -> None:
    """Measure the data of steps that share a model."""
    from safetax.training.perplexity import measure, rows_of, summary_of

    use_threads(jobs[0].runtime.get("threads"))
    tokenizer = load_tokenizer(jobs[0].identity, jobs[0].inputs)
    prepared = []
    for job in jobs:
        renderer = ChatRenderer(tokenizer, restore_node(Format, job.identity["format"]))
        examples = read_records(job.inputs["data"] / "examples.jsonl", Example)
        skipped: list[str] | None = [] if job.identity.get("on_bad_row") == "skip" else None
        prepared.append((job, rows_of(examples, renderer, job.identity["max_tokens"], skipped), skipped))
    for dtype in sorted({job.identity["dtype"] for job in jobs}):
        model = load_model(jobs[0].identity, jobs[0].inputs, tokenizer, dtype, seed=0, on_gpus=True)
        for job, rows, skipped in prepared:
            if job.identity["dtype"] != dtype:
                continue
            job.started = time.monotonic()  # what the steps before it took is theirs
            progress = _Progress(job, sum(len(row.row.tokens) for row in rows))
            measured = measure(model, rows, tokenizer.pad_token_id, job.runtime["judge_batch"], progress.add)
            lines = (json.dumps(row.to_dict(), ensure_ascii=False, sort_keys=True) for row in measured)
            with job.writing("perplexity.jsonl") as written:
                written.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            told = {} if skipped is None else {"skipped": len(skipped), "skipped_rows": skipped[:SHOWN]}
            job.finish({"rows": len(rows), **summary_of(measured), **told})
        del model


class _Progress:
    """Tells how many tokens of a step were read, and how fast."""

    def __init__(self, job: StepJob, total: int) -> None:
        self.job, self.total, self.done, self.started = job, total, 0, time.monotonic()

    def add(self, tokens: int) -> None:
        """Take in tokens that were read."""
        use_threads(self.job.runtime.get("threads"))
        self.done += tokens
        self.job.progress(self.done, self.total, "tokens", self.done / max(time.monotonic() - self.started, 1e-9))


if __name__ == "__main__":
    sys.exit(run_by_hand(work, TOGETHER))
