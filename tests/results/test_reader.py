"""What is missing or damaged on disk is named with its remedy, and what is whole is read once."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from safetax.errors import UserError
from safetax.report.build import build_report, write_run_results
from safetax.results.collect import collect, write_results
from safetax.results.reader import RecordedRun
from tests.support.edits import copy, keep_size, run_file


def test_a_missing_step_names_run_step_and_command(one_seed: Path, tmp_path: Path) -> None:
    outputs = copy(one_seed, tmp_path / "outputs")
    run = json.loads(run_file(outputs, "safechain-e5").read_text())
    score = run["checkpoints"][-1]["evaluations"][0]["scores"]["lm_eval"]
    (outputs / "score" / score / "manifest.json").unlink()
    with pytest.raises(UserError) as caught:
        collect([outputs])
    for part in (run["name"], f"score/{score}", "python -m safetax dataset=safechain epochs=5"):
        assert part in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 1, "ru'])
def test_a_damaged_record_is_named(one_seed: Path, tmp_path: Path, text: str) -> None:
    outputs = copy(one_seed, tmp_path / "outputs")
    file = run_file(outputs, "safechain-e5")
    file.write_text(text)
    with pytest.raises(UserError, match=re.escape(str(file))):
        collect([outputs])


@pytest.mark.parametrize("kept", [0, 20])
@pytest.mark.parametrize("name", ["verdicts.jsonl", "examples.jsonl"])
def test_a_file_cut_at_the_end_of_a_line_is_not_read_as_if_whole(
    one_seed: Path, tmp_path: Path, name: str, kept: int
) -> None:
    outputs = copy(one_seed, tmp_path / "outputs")
    file = next(iter(sorted(outputs.glob(f"*/*/{name}"))))
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:kept]))
    with pytest.raises(UserError, match=r"is missing or damaged .it has .* bytes instead of .* Remove") as caught:
        collect([outputs])
    assert str(file) in str(caught.value) and "python -m safetax" in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "content", "missing"),
    [
        ("score/*/manifest.json", "{}", "'summary'"),
        ("train/*/manifest.json", '{"inputs": {}, "summary": {}}', "'provenance'"),
        ("runs/*/run.json", '{"schema": 1, "name": "x"}', "'checkpoints'"),
        ("runs/*/run.json", "{}", "'schema'"),
        ("sweeps/*/sweep.json", '{"schema": 1}', "'runs'"),
        ("sweeps/*/sweep.json", '{"schema": 2, "runs": []}', "schema 2"),
    ],
)
def test_a_record_that_lacks_something_is_named_with_it(
    one_seed: Path, tmp_path: Path, pattern: str, content: str, missing: str
) -> None:
    outputs = copy(one_seed, tmp_path / "outputs")
    file = next(iter(sorted(outputs.glob(pattern))))
    file.write_text(content)
    with pytest.raises(UserError, match=missing) as caught:
        collect([file.parent if "sweeps" in pattern else outputs])
    assert str(file) in str(caught.value) and "again" in str(caught.value)


def test_a_verdict_that_lacks_something_is_named_with_it(one_seed: Path, tmp_path: Path) -> None:
    outputs = copy(one_seed, tmp_path / "outputs")
    file = next(iter(sorted(outputs.glob("score/*/verdicts.jsonl"))))
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join([lines[0], '{"id": "x"}\n', *lines[2:]]))
    keep_size(file)
    with pytest.raises(UserError, match=re.escape(str(file)) + ".*line 2: it has no 'repeat', no 'label'"):
        collect([outputs])


def test_the_remedy_names_the_outputs_folder_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def command(outputs: str, *overrides: str) -> str:
        return RecordedRun(Path(outputs), {"name": "run", "overrides": list(overrides)}).command

    assert command("outputs", "seed=1", "runtime.outputs=/old") == "python -m safetax seed=1"
    assert command("copy", "seed=1") == "python -m safetax seed=1 runtime.outputs=copy"
    assert command("/new", "++runtime.outputs=/old", "seed=1") == "python -m safetax seed=1 runtime.outputs=/new"
    assert shlex.split(command("my copy"))[-1] == "runtime.outputs='my copy'"


def test_a_folder_without_runs_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=re.escape(f"No finished run below {tmp_path}")):
        collect([tmp_path])
    with pytest.raises(UserError, match=re.escape(f"{tmp_path / 'none'}: there is no such folder")):
        collect([tmp_path / "none"])


def test_a_report_reads_every_file_of_verdicts_and_responses_once(
    three_seeds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results, tables, plots, page and the results of each run alone share what was read."""
    outputs = copy(three_seeds, tmp_path / "outputs")
    (sweep,) = outputs.glob("sweeps/*")
    opened: Counter[Path] = Counter()
    read_text = Path.read_text

    def counted(path: Path, *args: Any, **kwargs: Any) -> str:
        opened[path] += 1
        return read_text(path, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", counted)
    monkeypatch.setattr("safetax.report.plots.draw_plots", lambda results, directory: [])
    collected = collect([sweep])
    build_report(collected, sweep)
    write_run_results(collected)
    for name in ("verdicts.jsonl", "responses.jsonl", "examples.jsonl"):
        files = {path: count for path, count in opened.items() if path.name == name}
        assert files.keys() == set(outputs.glob(f"*/*/{name}")) and set(files.values()) == {1}, name
    alone = {path.parent for path in outputs.glob("runs/*/results.json")}
    assert alone == set(outputs.glob("runs/*")) and len(alone) > 10
    monkeypatch.undo()
    folder = next(iter(sorted(alone)))
    written = (folder / "results.json").read_bytes(), (folder / "provenance.json").read_bytes()
    write_results(collect([folder]), tmp_path / "read")
    assert written == tuple((tmp_path / "read" / name).read_bytes() for name in ("results.json", "provenance.json"))
