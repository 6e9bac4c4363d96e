"""Hydra's launcher ``local``: plans all jobs of a sweep as one graph and runs it on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class GraphLauncher(Launcher):
    """Runs the graph of a whole sweep on this machine."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra gives; the jobs come with ``launch``."""
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs' graph and return what Hydra wants to know of each job."""
        from safetax.run import session as sessions

        session = sessions.current
        assert session is not None, "the launcher runs below the safetax command"
        graph = session.launch(job_overrides, sweep=True)
        outputs = sessions.outputs_of(graph.runs[0].config.runtime)
        return [
            _returned(overrides, outputs / "runs" / run.name)
            for overrides, run in zip(job_overrides, graph.runs, strict=True)
        ]


def _returned(overrides: Sequence[str], folder: Path) -> JobReturn:
    result: dict[str, Any] = {"overrides": list(overrides), "working_dir": str(folder), "status": JobStatus.COMPLETED}
    returned = JobReturn(**result)
    returned.return_value = None
    return returned
