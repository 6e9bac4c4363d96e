"""Builds a data set or a prompt set: ``python -m safetax.workers.prepare DIR..``.

Writes ``examples.jsonl``. The manifest's summary counts the examples, and the rows that were left out.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from safetax.data.building import build_examples
from safetax.data.datasets import DatasetContext
from safetax.data.sources import check_unchanged
from safetax.records import write_records
from safetax.store.job import StepJob
from safetax.store.work_loop import run_by_hand


def work(jobs: Sequence[StepJob]) -> None:
    """Build the data sets of the steps, one after the other."""
    for job in jobs:
        identity = job.identity["dataset"]
        check_unchanged(identity)
        context = DatasetContext(job.inputs, identity.get("resolved", {}))
        runtime = job.runtime
        examples = build_examples(identity, context, bool(runtime.get("trained_on")), runtime.get("vocabulary"))
        with job.writing("examples.jsonl") as written:
            count = write_records(written, examples)
        job.finish({"examples": count, **context.summary})


if __name__ == "__main__":
    sys.exit(run_by_hand(work))
