"""What the tests of the steps on disk share: a store, a chain of finished steps, and the command that looks at them."""

from __future__ import annotations

from pathlib import Path

import pytest

from safetax import steps
from safetax.store.status import Store
from safetax.store.step import Step
from tests.support.steps_command import Command, Told
from tests.support.tiny_steps import (
    answered,
    judged,
    make,
    prompts,
    put_manifest,
    put_responses,
    put_run,
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "outputs")


@pytest.fixture
def command(store: Store, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command in this process."""

    def call(*arguments: str) -> Told:
        capsys.readouterr()
        try:
            code = steps.main([*arguments, "--outputs", str(store.root)])
        except SystemExit as error:
            code = int(error.code or 0)
        captured = capsys.readouterr()
        return Told(code, captured.out, captured.err)

    return call


@pytest.fixture
def score(store: Store) -> Step:
    """Three finished steps that are one run's, ``kept``: prompts, responses, verdicts."""
    step = judged(prompts(), answered(prompts()))
    make(store, step.inputs["prompts"])
    put_responses(store, step.inputs["responses"], ["um", "i can not help ."])
    directory = store.freeze(step)
    (directory / "verdicts.jsonl").write_text("{}\n")
    put_manifest(store, step)
    put_run(store.root, "kept", *step.inputs.values(), step)
    return step
