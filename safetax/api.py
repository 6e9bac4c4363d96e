"""The public face: what modules of your own and notebooks import. ``docs/api.md`` lists it, and a test pins it.

Importing it loads nothing heavy. What stands elsewhere in safetax may move or change; what stands here does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from safetax.config.compose import Composer, Job
from safetax.config.fields import AtLeast, Between, HashedUnless, Kind, Label, MoreThan, NotHashed
from safetax.config.needs import Library, LocalModel, Needs, Repository, ServedModel
from safetax.data.datasets import BadRowError, DatasetContext, OnBadRow, Row, examples_of, text_in, value_in
from safetax.data.hub import model_facts
from safetax.data.sources import load_rows
from safetax.errors import ConfigError, UserError
from safetax.evaluation.engines import ALONE, Engine, Generated, Markers, Prompt, PromptSharing, Source
from safetax.evaluation.engines._two_phase import TwoPhaseResponse
from safetax.evaluation.judging.cases import Case, JudgeContext, Part, Reader, judge_cases
from safetax.models.checkpoint import load_model
from safetax.plan import planner
from safetax.plan.graph import Plan
from safetax.plan.resolve import Resolver
from safetax.records import Example, Message, Response, Verdict, read_records, write_records
from safetax.training.objectives import Objective

if TYPE_CHECKING:
    from safetax.results.document import Results

__all__ = [
    "ALONE",
    "AtLeast",
    "BadRowError",
    "Between",
    "Case",
    "ConfigError",
    "DatasetContext",
    "Engine",
    "Example",
    "Generated",
    "HashedUnless",
    "Job",
    "JudgeContext",
    "Kind",
    "Label",
    "Library",
    "LocalModel",
    "Markers",
    "Message",
    "MoreThan",
    "Needs",
    "NotHashed",
    "Objective",
    "OnBadRow",
    "Part",
    "Plan",
    "Prompt",
    "PromptSharing",
    "Reader",
    "Repository",
    "Response",
    "Row",
    "ServedModel",
    "Source",
    "TwoPhaseResponse",
    "UserError",
    "Verdict",
    "collect",
    "compose",
    "examples_of",
    "judge_cases",
    "load_model",
    "load_rows",
    "model_facts",
    "plan",
    "read_records",
    "text_in",
    "value_in",
    "write_records",
]


def compose(overrides: Sequence[str] = (), config_dir: str | None = None, sweep: bool = False) -> list[Job]:
    """Compose and check the configurations that the command would run, one for each job.

    Args:
        overrides: as on the command line, such as ``["+experiment=s1", "epochs=1"]``.
        config_dir: a folder of YAML of your own, as ``--config-dir``.
        sweep: whether a comma parts the values of a sweep, as ``-m``.

    Raises:
        ConfigError: something in them is not allowed.
    """
    return Composer(config_dir).jobs(overrides, sweep)


def plan(jobs: Sequence[Job]) -> Plan:
    """Plan jobs as one graph of steps; nothing is run. What the hub cannot be asked for stays unknown."""
    resolver = Resolver(lenient=True)
    resolved = [resolver.resolve(job.config) for job in jobs]
    return planner.plan([(config, job.overrides) for config, job in zip(resolved, jobs, strict=True)])


def collect(folders: Sequence[str | Path]) -> Results:
    """Collect the results of outputs folders, run folders and sweep folders.

    Raises:
        UserError: there is no run, or a step that a run needs is missing.
    """
    from safetax.results.collect import collect as collected

    return collected([Path(folder) for folder in folders]).results
