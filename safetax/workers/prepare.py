"""Builds a data set or a prompt set: ``python -m safetax.workers.prepare DIR..``.

Writes ``examples.jsonl``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from safetax.config.build import component_module
from safetax.config.identity import restore
from safetax.records import write_records
from safetax.workers.job import StepJob, run_by_hand


def work(jobs: Sequence[StepJob]) -> None:
    """Build the data sets of the steps, one after the other."""
    for job in jobs:
        config = restore("datasets", job.identity["dataset"])
        module = component_module("datasets", config.kind)
        examples = module.build(config, job.inputs)
        partial = job.directory / ".examples.jsonl"
        count = write_records(partial, examples)
        partial.replace(job.directory / "examples.jsonl")
        job.finish({"examples": count})


if __name__ == "__main__":
    sys.exit(run_by_hand(work))
