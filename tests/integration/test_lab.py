"""Whole runs of the quick lab through the real parts: reuse, damage, isolation, data and models of the user's own."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from safetax.errors import UserError
from safetax.models.checkpoint import MODEL
from safetax.store.manifest import outputs_digest, read_json
from tests.conftest import run_lab
from tests.support.llm_server import Answer, plain, serving, subject

pytestmark = pytest.mark.slow


def counts(printed: str) -> tuple[int, int]:
    found = re.search(r"(\d+) steps executed, (\d+) reused", printed)
    assert found is not None, printed
    return int(found[1]), int(found[2])


def results(outputs: Path) -> bytes:
    (path,) = outputs.glob("runs/*/results.json")
    return path.read_bytes()


def command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "safetax", *arguments], cwd=cwd, capture_output=True, text=True, timeout=500
    )


def test_a_cached_run_executes_nothing_and_gives_the_same_results(copied_lab: Path) -> None:
    before = results(copied_lab)
    executed, reused = counts(run_lab(copied_lab))
    assert (executed, reused > 20) == (0, True)
    assert results(copied_lab) == before
    for name in ("report.html", "table.csv", "table.md", "table.tex", "provenance.json"):
        assert next(copied_lab.glob(f"runs/*/{name}")).stat().st_size > 0
    for suffix in ("svg", "pdf", "png"):
        assert next(copied_lab.glob(f"runs/*/figures/tradeoff.{suffix}")).stat().st_size > 1000


def test_results_hold_no_clock_host_or_path(copied_lab: Path) -> None:
    import socket

    text = results(copied_lab).decode()
    manifest = read_json(next(copied_lab.glob("train/*/manifest.json")))
    assert manifest is not None
    for word in (str(copied_lab), manifest["provenance"]["finished"], "seconds", f'"{socket.gethostname()}"'):
        assert word not in text


@pytest.mark.parametrize("what", ["responses.jsonl", "model/model.safetensors", "examples.jsonl"])
def test_a_damaged_output_is_made_again_and_nothing_else(copied_lab: Path, what: str) -> None:
    before = results(copied_lab)
    path = sorted(copied_lab.glob(f"*/*/{what}"))[0]
    path.write_bytes(path.read_bytes()[:-7])
    printed = run_lab(copied_lab)
    assert counts(printed)[0] == 1, printed
    assert "is made again" in printed and path.name in printed
    assert results(copied_lab) == before


def test_processes_of_their_own_give_the_same_results(quick_lab: Path, tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    run_lab(outputs, "runtime.isolation=process", "runtime.workers=1", "stage=original")
    kinds = set()
    for path in outputs.glob("*/*/manifest.json"):
        alone, together = read_json(path), read_json(quick_lab / path.relative_to(outputs))
        assert alone is not None and together is not None
        assert outputs_digest(alone) == outputs_digest(together), alone["title"]
        kinds.add(alone["kind"])
    assert kinds == {"prepare", "train", "generate", "score"}


def test_another_judge_needs_no_generation(copied_lab: Path) -> None:
    printed = run_lab(copied_lab, "+judge.other.kind=lab", "+judge.other.world_seed=0")
    assert counts(printed)[0] == 0  # the same judge by another name is the same step
    printed = run_lab(copied_lab, "+judge.other.kind=lab", "+judge.other.world_seed=5")
    executed = re.findall(r"\] (\w+) .* \[(\w+)/", printed)
    assert executed and {kind for _, kind in executed} == {"score"}


def test_verdicts_that_are_errors_are_told_and_judged_again_when_asked(copied_lab: Path) -> None:
    """Only what failed is asked again, and the scores then rest on all responses."""
    down = [True]

    def behave(body: dict[str, Any], _: int) -> Answer:
        if down[0] and crc32(subject(body).encode()) % 5 == 0:
            return 400, {}, {"error": {"message": "refused to read"}}
        status, headers, answer = plain(body)
        answer["choices"][0]["message"]["content"] = '{"class": "full_refusal"}'
        return status, headers, answer

    with serving() as server:
        server.behave = behave
        judge = ["judge=[compliance]", "judge.compliance.model=m", "judge.compliance.max_errors=0.9"]
        judge.append(f"+runtime.endpoints.default={{base_url: '{server.address}', retries: 0}}")
        first = run_lab(copied_lab, *judge)
        told = re.search(r"(\d+) verdicts of rubric are errors", first)
        assert told and "runtime.retry_errors=true" in first
        assert counts(run_lab(copied_lab, *judge))[0] == 0
        down[0], asked = False, len(server.seen)
        again = run_lab(copied_lab, *judge, "runtime.retry_errors=true")
        assert counts(again)[0] > 0 and "are errors" not in again
        assert len(server.seen) - asked == len({json.dumps(body) for body in server.seen[asked:]}) <= int(told[1])
        assert counts(run_lab(copied_lab, *judge, "runtime.retry_errors=true"))[0] == 0


def write_rows(path: Path, answer: str) -> None:
    question = "how do i"
    path.write_text("".join(json.dumps({"q": question, "a": answer}) + "\n" for _ in range(16)))


def test_data_of_the_users_own_and_an_edit_of_it(copied_lab: Path, tmp_path: Path) -> None:
    """One YAML in a folder of the user's own is a data set; an edited file runs what depends on it, and only that."""
    conf, rows = tmp_path / "conf" / "dataset", tmp_path / "rows.jsonl"
    conf.mkdir(parents=True)
    (conf / "mine.yaml").write_text(
        f"kind: table\nname: mine\nrows: {{kind: file, path: {rows}}}\nquestion: q\nanswer: a\nthinking: null\n"
    )
    write_rows(rows, "i can not help with that .")
    arguments = ["--config-dir", str(conf.parent), "+experiment=lab_quick", "dataset=mine", "tracking=off"]
    arguments.append(f"runtime.outputs={copied_lab}")
    first = command(*arguments, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    made = counts(first.stdout)[0]
    assert made > 0
    assert counts(command(*arguments, cwd=tmp_path).stdout)[0] == 0
    write_rows(rows, "i can not do that .")
    assert f" {made} to run" in command(*arguments, "plan=true", cwd=tmp_path).stdout
    rows.write_text(json.dumps({"q": "how do i"}) + "\n")
    broken = command(*arguments, cwd=tmp_path)
    assert broken.returncode == 2
    assert "row 0: it has no column a" in broken.stderr and "Traceback" not in broken.stderr
    rows.unlink()
    missing = command(*arguments, cwd=tmp_path)
    assert missing.returncode == 2
    assert "dataset.rows.path=" in missing.stderr and "no such file" in missing.stderr


def test_a_checkpoint_of_the_users_own_is_an_lrm(quick_lab: Path, tmp_path: Path) -> None:
    """A saved model in a folder, already an LRM: no base row, no reasoning stage; the accuracy is that of its twin."""
    (step,) = [path.parent for path in quick_lab.glob("train/*/step.json") if "reasoning stage" in path.read_text()]
    shutil.copytree(step / MODEL, tmp_path / "mine")
    outputs = tmp_path / "outputs"
    printed = run_lab(
        outputs,
        "stage=original",
        "model.name=mine",
        "model.start=pretrained",
        f"model.id={tmp_path / 'mine'}",
        "model.tokenizer=own",
        "model.reasoning=true",
        "model.pretraining=null",
        "model.architecture={}",
    )
    assert "mine" in next(outputs.glob("runs/*")).name, printed
    document = json.loads(results(outputs))
    (checkpoint,) = document["checkpoints"]
    twin = next(entry for entry in json.loads(results(quick_lab))["checkpoints"] if entry["role"] == "lrm")
    assert checkpoint["role"] == "lrm"
    assert checkpoint["scores"]["accuracy"]["value"] == twin["scores"]["accuracy"]["value"]


def test_a_failing_report_is_an_error_and_loses_nothing(copied_lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (page,) = copied_lab.glob("runs/*/report.html")
    page.unlink()
    before = len(list(copied_lab.glob("*/*/manifest.json")))

    def broken(*_: object) -> Path:
        raise UserError("the report cannot be written")

    monkeypatch.setattr("safetax.report.build.build_report", broken)
    with pytest.raises(UserError, match="cannot be written"):
        run_lab(copied_lab)
    assert len(list(copied_lab.glob("*/*/manifest.json"))) == before
    monkeypatch.undo()
    assert counts(run_lab(copied_lab))[0] == 0
    assert page.is_file()


def test_a_tracking_failure_is_a_warning(copied_lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError("the server is gone")

    monkeypatch.setattr("safetax.report.mlflow.tracking.track", broken)
    printed = run_lab(copied_lab, "tracking=mlflow")
    assert "Warning" in printed and "the server is gone" in printed
    assert "report.html" in printed


def test_epochs_zero_is_the_lrm_as_it_is(copied_lab: Path) -> None:
    printed = run_lab(copied_lab, "epochs=0")
    assert counts(printed)[0] == 0
    records = [read_json(path) or {} for path in copied_lab.glob("runs/*/run.json")]
    record = next(record for record in records if record["epochs"] == 0)
    assert [checkpoint["role"] for checkpoint in record["checkpoints"]] == ["base", "lrm"]
    document = json.loads((copied_lab / "runs" / record["name"] / "results.json").read_text())
    lrm = next(entry for entry in document["checkpoints"] if entry["role"] == "lrm")
    assert lrm["scores"]["safety_tax"]["value"] == 0


def test_a_sweep_makes_what_runs_share_once(copied_lab: Path) -> None:
    printed = run_lab(copied_lab, "epochs=0,1,2", "runtime.workers=2", sweep=True)
    executed = [line for line in printed.splitlines() if line.startswith("[")]
    assert executed and not [line for line in executed if "pre-train" in line or "reasoning stage" in line]
    (sweep,) = copied_lab.glob("sweeps/*")
    document = json.loads((sweep / "results.json").read_text())
    (curve,) = document["curves"]
    assert [point["epochs"] for point in curve["points"]] == [0, 1, 2]


def test_two_runs_at_once_end_well(quick_lab: Path, tmp_path: Path) -> None:
    """Each step is made once, both report, and the results are those of a run alone."""
    outputs = tmp_path / "outputs"
    arguments = ["+experiment=lab_quick", "tracking=off", f"runtime.outputs={outputs}", "runtime.workers=1"]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "safetax", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for _ in range(2)
    ]
    told = [process.communicate(timeout=500)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(told)
    numbers = [counts(text) for text in told]
    steps = len(list(outputs.glob("*/*/manifest.json")))
    assert sum(executed for executed, _ in numbers) == steps
    assert all(executed + reused == steps for executed, reused in numbers)
    assert results(outputs) == results(quick_lab)
