"""Builds a data set or a prompt set: ``python -m safetax.workers.prepare DIR..``.

Writes ``examples.jsonl``. The manifest's summary counts the examples, and the rows that were left out.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from safetax.config.components import calling, component_module, component_name
from safetax.config.identity import restore
from safetax.config.plugins import checked_examples
from safetax.data.datasets import DatasetContext
from safetax.data.lab.tokenizer import check_words
from safetax.data.sources import check_unchanged
from safetax.records import write_records
from safetax.store.job import StepJob
from safetax.store.work_loop import run_by_hand


def work(jobs: Sequence[StepJob]) -> None:
    """Build the data sets of the steps, one after the other."""
    for job in jobs:
        identity = job.identity["dataset"]
        check_unchanged(identity)
        config = restore("datasets", identity)
        context = DatasetContext(job.inputs, identity.get("resolved", {}))
        with calling("datasets", config.kind):
            built = component_module("datasets", config.kind).build(config, context)
            name = component_name("datasets", config.kind)
            examples = checked_examples(built, name, job.runtime.get("trained_on", False))
        if job.runtime.get("vocabulary") == "lab":
            check_words(examples, config.name)
        with job.writing("examples.jsonl") as written:
            count = write_records(written, examples)
        job.finish({"examples": count, **context.summary})


if __name__ == "__main__":
    sys.exit(run_by_hand(work))
