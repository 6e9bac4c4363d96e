"""The page on methods of one's own, followed word for word: its files, its commands, its plot."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.places import ROOT

PAGE = (ROOT / "docs" / "add-your-own-method.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`([\w/.]+)`\n\n```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
COMMANDS = [block.strip() for block in re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the page's files, outside the package."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def run(folder: Path, command: str, *more: str) -> str:
    program, *arguments = shlex.split(command)
    assert program == "python"
    done = subprocess.run(
        [sys.executable, *arguments, *more],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=500,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_page_has_what_this_test_follows() -> None:
    assert list(FILES) == [
        "my_methods/kind_refusal.py",
        "conf/dataset/kind_refusal.yaml",
        "conf/method/kind_refusal.yaml",
    ]
    assert len(COMMANDS) == 4


def test_an_edit_of_the_module_makes_its_data_again(folder: Path) -> None:
    def planned() -> set[str]:
        told = run(folder, COMMANDS[0], "plan=true")
        return {line for line in told.splitlines() if "kind_refusal" in line}

    before = planned()
    assert before and before == planned()
    module = folder / "my_methods" / "kind_refusal.py"
    module.write_text(module.read_text().replace("{row.answer} {config.offer}", "{config.offer} {row.answer}"))
    assert not before & planned()


@pytest.mark.slow
def test_it_runs_and_stands_in_the_plot(folder: Path, quick_lab: Path) -> None:
    shutil.copytree(quick_lab, folder / "outputs")
    shutil.rmtree(folder / "outputs" / "runs")
    run(folder, COMMANDS[0])
    (results,) = (folder / "outputs" / "sweeps").glob("*/results.json")
    document = json.loads(results.read_text())
    assert [curve["label"] for curve in document["curves"]] == ["direct_refusal", "kind_refusal"]
    plots = {path.name: path.read_text() for path in results.parent.rglob("*.svg")}
    assert "kind_refusal" in plots["tradeoff.svg"]
    manifests = [json.loads(path.read_text()) for path in folder.glob("outputs/prepare/*/manifest.json")]
    (own,) = [manifest for manifest in manifests if manifest["title"] == "data kind_refusal"]
    assert own["summary"]["offers"] == own["summary"]["examples"] > 0
    rows = (folder / "outputs" / "prepare" / own["fingerprint"] / "examples.jsonl").read_text().splitlines()
    assert all(json.loads(row)["answer"].endswith("ask me for something kind.") for row in rows)
    assert "0 to run" in run(folder, COMMANDS[1])


def test_the_larger_comparisons_compose(folder: Path) -> None:
    assert "24 runs" in run(folder, COMMANDS[2], "plan=true")
    assert "1 run," in run(folder, COMMANDS[3], "plan=true")
