"""The same command gives the same bits, whatever else the machine does: weights, responses and results."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from safetax.store.manifest import read_manifest
from safetax.store.threads import usable_cores
from tests.conftest import run_lab

pytestmark = pytest.mark.slow


@contextmanager
def busy_cores() -> Iterator[None]:
    """Keep every core at work, with more processes than there are cores; other tests come before them."""
    spin = "import os\nos.nice(5)\nwhile True: pass"
    spinning = [subprocess.Popen([sys.executable, "-c", spin]) for _ in range(usable_cores() + 1)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def digests(outputs: Path, kind: str) -> dict[str, dict[str, str]]:
    """The sha256 of each output of the steps of a kind, by fingerprint and name."""
    found = {}
    for folder in sorted((outputs / kind).iterdir()):
        manifest = read_manifest(folder)
        assert manifest is not None
        found[folder.name] = {name: entry["sha256"] for name, entry in manifest["outputs"].items()}
    return found


def test_busy_cores_and_other_workers_change_no_bit(quick_lab: Path, tmp_path: Path) -> None:
    """Once alone, and once with all cores busy and the steps of another LRM seed beginning and ending beside it."""
    outputs = tmp_path / "outputs"
    with busy_cores():
        run_lab(outputs, "lrm_seed=0,1", "runtime.workers=3", sweep=True)
    for kind, names in (("train", "model.safetensors"), ("generate", "responses.jsonl"), ("score", "verdicts.jsonl")):
        alone, beside = digests(quick_lab, kind), digests(outputs, kind)
        assert alone and alone.keys() < beside.keys()
        for fingerprint, files in alone.items():
            same = {name: digest for name, digest in files.items() if name.endswith(names)}
            assert same and same.items() <= beside[fingerprint].items(), f"{kind}/{fingerprint}"
    (first,) = quick_lab.glob("runs/*/results.json")
    assert (outputs / "runs" / first.parent.name / "results.json").read_bytes() == first.read_bytes()
