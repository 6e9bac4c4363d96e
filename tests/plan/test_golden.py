"""Pins the resolved configuration and the steps of the default composition and of every preset.

A step whose fingerprint changes is made again by everyone who has it. Where that is meant, or a preset is new, write
the files again and look at the difference before committing it::

    python -m tests.plan.test_golden --update
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from safetax.config.compose import Composer
from safetax.config.hydra import conf_directory
from safetax.plan.graph import Plan
from safetax.plan.planner import plan
from safetax.plan.resolve import Resolver
from safetax.plan.sections import unused_sections

GOLDEN = Path(__file__).parent / "golden"
DEFAULT = "default"
PRESETS = sorted(path.stem for path in (conf_directory() / "experiment").glob("[!_]*.yaml"))
UPDATE = "python -m tests.plan.test_golden --update"


def current(preset: str) -> str:
    """What stands in a preset's file if nothing has changed: its first job's configuration, runs and steps."""
    overrides = [] if preset == DEFAULT else [f"+experiment={preset}"]
    jobs = Composer().jobs(overrides, multirun=True)
    resolver = Resolver(lenient=True)
    with no_hub():
        graph = plan([(resolver.resolve(job.config, unused_sections(job.config)), job.overrides) for job in jobs])
    return json.dumps(described(graph), indent=2, ensure_ascii=False) + "\n"


@contextmanager
def no_hub() -> Iterator[None]:
    """Neither hub nor cache: every commit of a repository is unknown, on any machine."""
    from huggingface_hub import constants

    with tempfile.TemporaryDirectory() as empty, pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        patch.setattr(constants, "HF_HUB_CACHE", empty)
        yield


def described(graph: Plan) -> dict[str, Any]:
    return {
        "config": dataclasses.asdict(graph.runs[0].config),
        "runs": {run.name: list(run.overrides) for run in graph.runs},
        "steps": {step.key: step.title for step in graph.steps},
    }


def update() -> None:
    """Write all files again and remove those of presets that are gone."""
    GOLDEN.mkdir(exist_ok=True)
    for path in GOLDEN.glob("*.json"):
        if path.stem not in (DEFAULT, *PRESETS):
            path.unlink()
    for preset in (DEFAULT, *PRESETS):
        (GOLDEN / f"{preset}.json").write_text(current(preset), encoding="utf-8")


@pytest.mark.parametrize("preset", [DEFAULT, *PRESETS])
def test_configuration_and_fingerprints_are_as_they_were(preset: str) -> None:
    path = GOLDEN / f"{preset}.json"
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    now = current(preset)
    if now != before:
        lines = difflib.unified_diff(before.splitlines(), now.splitlines(), str(path), "now", n=1, lineterm="")
        pytest.fail(
            f"{preset} is not what tests/plan/golden/{path.name} says. Where this is meant: {UPDATE}\n"
            + "\n".join(lines),
            pytrace=False,
        )


def test_every_golden_file_has_its_preset() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == {DEFAULT, *PRESETS}, f"Run {UPDATE}"


def test_nothing_pinned_depends_on_the_machine() -> None:
    for path in GOLDEN.glob("*.json"):
        text = path.read_text(encoding="utf-8")
        for place in (str(Path.home()), str(conf_directory()), str(Path.cwd())):
            assert place not in text, f"{path.name} names {place}"


if __name__ == "__main__":
    if sys.argv[1:] != ["--update"]:
        sys.exit(f"Usage: {UPDATE}")
    update()
