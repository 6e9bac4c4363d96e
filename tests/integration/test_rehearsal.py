"""What ``make rehearsal`` left behind: every part of the paper's presets was the real one.

Reads manifests alone; skips where no rehearsal has been done.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from safetax.records import Example, read_records

FOLDER = Path("outputs/rehearsal")
OUTPUTS = FOLDER / "outputs"
PRESETS = ("deepseek32b", "s1_build")
REASONING = ("aime24", "math500", "gpqa_diamond")
JUDGES = ("beaver_dam", "llama_guard", "compliance", "phrases")

pytestmark = pytest.mark.skipif(not list(OUTPUTS.glob("runs/*/results.json")), reason="needs a rehearsal (make it)")


def runs() -> dict[str, dict[str, Any]]:
    """The rehearsal's runs by preset."""
    found = [json.loads(path.read_text()) for path in OUTPUTS.glob("runs/*/run.json")]
    found = [run for run in found if not run["model"].startswith("methods")]
    return {run["model"].removesuffix("_rehearsal"): run for run in found}


def manifest(key: str) -> dict[str, Any]:
    return json.loads((OUTPUTS / key / "manifest.json").read_text())


def steps(preset: str, kind: str) -> list[dict[str, Any]]:
    return [manifest(key) for key in runs()[preset]["steps"] if key.startswith(f"{kind}/")]


@pytest.mark.parametrize("preset", PRESETS)
def test_every_step_is_finished(preset: str) -> None:
    roles = [checkpoint["role"] for checkpoint in runs()[preset]["checkpoints"]]
    assert roles == (["lrm", "aligned"] if preset == "deepseek32b" else ["base", "lrm", "aligned"])
    for checkpoint in runs()[preset]["checkpoints"]:
        named = {entry["benchmark"]: entry for entry in checkpoint["evaluations"]}
        assert set(named) == {*REASONING, "beavertails"}
        assert set(named["beavertails"]["scores"]) == set(JUDGES)


@pytest.mark.parametrize("preset", PRESETS)
def test_deepspeed_trained_on_two_ranks_in_pure_bfloat16(preset: str) -> None:
    trained = steps(preset, "train")
    assert len(trained) == (1 if preset == "deepseek32b" else 2)
    for step in trained:
        assert "deepspeed" in step["provenance"]["versions"]
        assert step["provenance"]["runtime"]["zero"] == 3
        assert step["summary"]["devices"] == 2
        assert step["summary"]["dtypes"]["weights"] == "bfloat16"
        assert step["summary"]["optimizer"] == "AdamW"
        assert any(name.endswith(".safetensors") for name in step["outputs"])


@pytest.mark.parametrize("preset", PRESETS)
def test_vllm_generated_everything(preset: str) -> None:
    generated = steps(preset, "generate")
    assert len(generated) == 4 * len(runs()[preset]["checkpoints"])
    for step in generated:
        assert step["summary"]["engine_facts"]["library"] == "vllm"
        assert step["summary"]["engine_facts"]["version"].startswith("0.30.0")


@pytest.mark.parametrize("preset", PRESETS)
def test_prompts_are_recorded_by_lm_eval(preset: str) -> None:
    seen = set()
    for step in steps(preset, "prepare"):
        if step["identity"]["dataset"]["kind"] == "lm_eval_task":
            task = step["identity"]["dataset"]["task"]
            examples = read_records(OUTPUTS / "prepare" / step["fingerprint"] / "examples.jsonl", Example)
            assert examples
            assert all(example.meta["task"] == task and example.meta["document"] for example in examples)
            seen.add(task)
    assert seen == {f"safetax_{name}" for name in REASONING}


@pytest.mark.parametrize("preset", PRESETS)
def test_judges_and_grader_asked_real_models(preset: str) -> None:
    scored = steps(preset, "score")
    kinds = {step["summary"]["judge"] for step in scored}
    assert kinds == {"paper_grader", "beaver_dam", "llama_guard", "rubric", "phrases"}
    asked = [step["summary"]["usage"] for step in scored if "usage" in step["summary"]]
    assert sum(usage["completion_tokens"] for usage in asked) > 0, "a server answered"
    assert all(usage["failed"] == 0 for usage in asked)
    for step in scored:
        if step["summary"]["judge"] == "beaver_dam":
            assert step["summary"]["errors"] == 0
            assert set(step["summary"]["labels"]) <= {"flagged", "not_flagged", "clean", "safe"}


@pytest.mark.parametrize("preset", PRESETS)
def test_the_reports_say_that_the_figures_mean_nothing(preset: str) -> None:
    folder = OUTPUTS / "runs" / runs()[preset]["name"]
    assert "figures mean nothing" in (folder / "report.html").read_text()
    assert (folder / "results.json").is_file()


@pytest.mark.parametrize(("method", "asked"), [("dgr_direct_refusal", {"dgr"}), ("thinksafe", {"harmful", "benign"})])
def test_vllm_wrote_the_data_of_methods(method: str, asked: set[str]) -> None:
    (run,) = [
        each
        for each in map(json.loads, (path.read_text() for path in OUTPUTS.glob("runs/*/run.json")))
        if (each["config"]["method"] == method)
    ]
    manifests = {key: manifest(key) for key in run["steps"]}
    sampled = [m for key, m in manifests.items() if key.startswith("generate/") and m["title"].startswith("sample ")]
    assert len(sampled) == len(asked)
    for step in sampled:
        assert step["summary"]["engine_facts"]["library"] == "vllm"
    written = [m for m in manifests.values() if m["kind"] == "prepare" and "fallback" in m["summary"]]
    assert len(written) == len(asked)
    for step in written:
        counts = step["summary"]["fallback"]
        assert counts["rows"] > 0 and counts["fallen_back"] < counts["rows"], "some samples took the rows' place"
        rows = read_records(OUTPUTS / "prepare" / step["fingerprint"] / "examples.jsonl", Example)
        assert sum(row.meta.get("refined") is True for row in rows) == counts["rows"] - counts["fallen_back"]
    (trained,) = [m for key, m in manifests.items() if key.startswith("train/")]
    assert trained["summary"]["zero"] == 3 and trained["summary"]["devices"] == 2
    measured = [m for key, m in manifests.items() if key.startswith("perplexity/")]
    assert len(measured) == (2 if method.startswith("dgr") else 1)
    assert all(m["summary"]["all"]["token"] > 1 for m in measured)


def test_mlflow_holds_the_runs() -> None:
    import sqlite3

    with sqlite3.connect(OUTPUTS / "mlflow.db") as database:
        names = [row[0] for row in database.execute("SELECT name FROM runs WHERE lifecycle_stage = 'active'")]
    for run in runs().values():
        assert any(run["name"] in name or name in run["name"] for name in names), (run["name"], names)
