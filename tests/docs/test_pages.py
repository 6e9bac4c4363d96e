"""The pages on what one can add, followed word for word: their files, their commands, and what comes of them."""

from __future__ import annotations

import ast
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import Page, read_page, run

PAGES = [
    "add-a-model",
    "add-a-dataset",
    "add-a-judge",
    "add-a-benchmark",
    "add-an-engine",
    "add-a-method",
    "add-an-objective",
]


def followed(name: str, tmp_path: Path, lab: Path) -> Path:
    """Follow a page in a folder that has a quick lab's outputs already; a command at full size is only planned."""
    page = written(name, tmp_path)
    shutil.copytree(lab, tmp_path / "outputs", ignore=shutil.ignore_patterns("runs", "mlflow.db", "mlartifacts"))
    for command in page.commands:
        run(tmp_path, command, *([] if "lab_quick" in command else ["plan=true"]))
    return tmp_path


def written(name: str, folder: Path) -> Page:
    page = read_page(name)
    page.write(folder)
    return page


def manifests(folder: Path, kind: str) -> list[dict[str, Any]]:
    found = [json.loads(path.read_text()) for path in sorted(folder.glob(f"outputs/{kind}/*/manifest.json"))]
    return [{**manifest, "folder": folder / "outputs" / kind / manifest["fingerprint"]} for manifest in found]


def the_step(folder: Path, kind: str, title: str) -> dict[str, Any]:
    (found,) = [manifest for manifest in manifests(folder, kind) if manifest["title"] == title]
    return found


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def checkpoints(folder: Path, benchmark: str = "lab_harmful") -> list[dict[str, Any]]:
    """Return the checkpoints of the run that evaluated a benchmark, from its results."""
    documents = [json.loads(path.read_text()) for path in folder.glob("outputs/runs/*/results.json")]
    (found,) = [
        document["checkpoints"]
        for document in documents
        if document["checkpoints"] and benchmark in document["checkpoints"][0]["benchmarks"]
    ]
    return found


@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_with_a_whole_file_and_imports_the_public_face_alone(name: str) -> None:
    page = read_page(name)
    assert page.commands and page.text.index("```") < page.text.index("\n## "), "a whole file comes first"
    for file, text in page.files.items():
        tree = ast.parse(text if file.endswith(".py") else "")
        modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert {module for module in modules if module.startswith("safetax")} <= {"safetax.api"}, file


@pytest.mark.slow
def test_a_model(tmp_path: Path, quick_lab: Path) -> None:
    page = written("add-a-model", tmp_path)
    assert "Qwen/Qwen3-0.6B" in run(tmp_path, page.commands[0])
    followed("add-a-model", tmp_path, quick_lab)
    assert {entry["model"] for entry in checkpoints(tmp_path)} == {"tiny_llama"}
    step = the_step(tmp_path, "train", "pre-train tiny_llama")
    config = json.loads((step["folder"] / "model" / "config.json").read_text())
    assert (config["model_type"], config["num_hidden_layers"], config["head_dim"]) == ("llama", 2, 32)


@pytest.mark.slow
def test_a_dataset(tmp_path: Path, quick_lab: Path) -> None:
    followed("add-a-dataset", tmp_path, quick_lab)
    step = the_step(tmp_path, "prepare", "data calm_refusal")
    rows = lines(step["folder"] / "examples.jsonl")
    assert step["summary"] == {"examples": 64, "source_rows": 64} and len(rows) == 64
    assert {row["answer"] for row in rows} == {"I must decline this request."}
    assert [entry["dataset"] for entry in checkpoints(tmp_path)][-1] == "calm_refusal"
    table = lines(the_step(tmp_path, "prepare", "data my_table")["folder"] / "examples.jsonl")
    assert [row["thinking"] for row in table] == ["This is wrong."] * 2


@pytest.mark.slow
def test_a_judge(tmp_path: Path, quick_lab: Path) -> None:
    page = written("add-a-judge", tmp_path)
    told = run(tmp_path, page.commands[1])
    assert "judge: my_judges.toxicity (0.1 billion parameters)" in told
    assert "To be downloaded: s-nlp/roberta_toxicity_classifier" in told
    followed("add-a-judge", tmp_path, quick_lab)
    for entry in checkpoints(tmp_path):
        benchmark = entry["benchmarks"]["lab_harmful"]
        assert benchmark["judge"] == "lab" and set(benchmark["judges"]) == {"lab", "first_word"}
    (report,) = tmp_path.glob("outputs/runs/*/report.html")
    assert "lab / first_word" in report.read_text(encoding="utf-8"), "their agreement stands in the report"
    own = [
        manifest for manifest in manifests(tmp_path, "score") if manifest["summary"]["judge"] == "my_judges.first_word"
    ]
    assert len(own) == 6 and all(manifest["summary"]["words"] == 5 for manifest in own)
    assert len(manifests(tmp_path, "generate")) == len(list(quick_lab.glob("generate/*"))), "no response is made again"


@pytest.mark.slow
def test_a_benchmark(tmp_path: Path, quick_lab: Path) -> None:
    followed("add-a-benchmark", tmp_path, quick_lab)
    for name, score, prompts in (
        ("my_problems", "accuracy", 3),
        ("my_sums", "accuracy", 2),
        ("my_requests", "harmful_score", 2),
    ):
        for entry in checkpoints(tmp_path, name):
            found = entry["benchmarks"][name]
            assert found["headline"] and found["judges"][found["judge"]]["scores"][score]["n"] == prompts
    for entry in checkpoints(tmp_path, "my_requests"):
        assert entry["categories"]["my_requests"]["theft"]["n"] == 2


@pytest.mark.slow
def test_an_engine(tmp_path: Path, quick_lab: Path) -> None:
    """It is slow and greedy: it answers what the engine of transformers answers."""
    followed("add-an-engine", tmp_path, quick_lab)
    answers: dict[str, dict[str, list[Any]]] = {}
    for manifest in manifests(tmp_path, "generate"):
        said = [
            (row["id"], row["thinking"], row["answer"], row["end_of_answer"])
            for row in lines(manifest["folder"] / "responses.jsonl")
        ]
        answers.setdefault(manifest["title"], {})[manifest["summary"]["engine"]] = said
    assert answers and all(by["my_engines.greedy"] == by["hf"] for by in answers.values())


@pytest.mark.slow
def test_an_objective(tmp_path: Path, quick_lab: Path) -> None:
    followed("add-an-objective", tmp_path, quick_lab)
    (own,) = [manifest for manifest in manifests(tmp_path, "train") if "objective" in manifest["summary"]]
    assert own["summary"]["objective"]["kind"] == "my_losses.entropy"
    assert all(line["negative_entropy"] < 0 for line in lines(own["folder"] / "history.jsonl"))


@pytest.mark.slow
def test_a_method(tmp_path: Path, quick_lab: Path) -> None:
    page = read_page("add-a-method")
    followed("add-a-method", tmp_path, quick_lab)
    (path,) = (tmp_path / "outputs" / "sweeps").glob("*/results.json")
    assert [curve["label"] for curve in json.loads(path.read_text())["curves"]] == ["direct_refusal", "kind_refusal"]
    plots = {plot.name: plot.read_text() for plot in path.parent.rglob("*.svg")}
    assert "kind_refusal" in plots["tradeoff.svg"]
    own = the_step(tmp_path, "prepare", "data kind_refusal")
    assert own["summary"]["offers"] == own["summary"]["examples"] > 0
    assert all(row["answer"].endswith("ask me for something kind.") for row in lines(own["folder"] / "examples.jsonl"))
    assert "0 to run" in run(tmp_path, page.commands[1])
    assert "24 runs" in run(tmp_path, page.commands[2], "plan=true")
    assert "1 run," in run(tmp_path, page.commands[3], "plan=true")


def test_an_edit_of_the_module_makes_its_data_again(tmp_path: Path) -> None:
    page = written("add-a-method", tmp_path)

    def planned() -> set[str]:
        told = run(tmp_path, page.commands[0], "plan=true")
        return {line for line in told.splitlines() if "kind_refusal" in line}

    before = planned()
    assert before and before == planned()
    module = tmp_path / "my_methods" / "kind_refusal.py"
    module.write_text(module.read_text().replace("{row.answer} {config.offer}", "{config.offer} {row.answer}"))
    assert not before & planned()
