"""One rank of a training, as torchrun starts it: ``python -m safetax.training.rank DIR``.

The first rank leaves its progress, its summary or what the user has to mend in the step's scratch folder, where the
worker that started the ranks finds it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import traceback
from pathlib import Path
from typing import NoReturn

from safetax.errors import UserError
from safetax.store.child_process import end_with_parent
from safetax.store.events import Events
from safetax.store.job import StepJob
from safetax.store.manifest import write_json
from safetax.training.torchrun import ERROR, LAUNCHED, PROGRESS, SUMMARY


def main(directory: Path) -> int:
    """Do one rank's part of a training, and return the exit code."""
    end_with_parent()
    job = StepJob(directory, Events(sys.stderr, as_json=False))
    job.started -= max(0.0, time.time() - float(os.environ[LAUNCHED]))
    first = os.environ.get("RANK", "0") == "0"
    prepare_backend(job.runtime["zero"])
    from safetax.training.sft import train

    def report(done: int, total: int, rate: float) -> None:
        if first:
            write_json(job.scratch / PROGRESS, [done, total, rate])

    try:
        summary = train(job, report)
    except UserError as error:
        if error.__cause__ is not None:
            traceback.print_exception(error.__cause__)
        with contextlib.suppress(FileExistsError), (job.scratch / ERROR).open("x") as file:
            file.write(str(error))
        return 1
    if first:
        write_json(job.scratch / SUMMARY, summary)
    return 0


def prepare_backend(zero: int) -> None:
    """Set what DeepSpeed and accelerate need where there is no GPU, before the Trainer is imported.

    Args:
        zero: ZeRO stage; 0: without DeepSpeed.
    """
    import torch

    if torch.cuda.is_available():
        return
    if zero:
        os.environ["ACCELERATE_USE_DEEPSPEED"] = "true"
        os.environ["DS_ACCELERATOR"] = "cpu"
    from accelerate import PartialState

    # With cpu=True accelerate does not look for DeepSpeed.
    PartialState(backend="gloo") if zero else PartialState(cpu=True, backend="gloo")


def end_at_once(code: int) -> NoReturn:
    """End this process without what libraries do at exit: an abort there would fail a training that is done."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


if __name__ == "__main__":
    end_at_once(main(Path(sys.argv[1])))
