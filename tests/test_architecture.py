"""The rules of the house, held over the source itself: who may import whom, and what stands nowhere."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "safetax"

HEAVY = {
    "torch",
    "transformers",
    "datasets",
    "lm_eval",
    "mlflow",
    "deepspeed",
    "vllm",
    "accelerate",
    "matplotlib",
    "numpy",
}
ONE_PLACE = {
    "deepspeed": "safetax.training.deepspeed_settings",  # otherwise transformers' Trainer starts it
    "lm_eval": "safetax.data.lm_eval.tasks",
    "mlflow": "safetax.report.mlflow.writer",
    "openai": "safetax.evaluation.llm.client",
    "vllm": "safetax.evaluation.engines._vllm_replica",
}
"""Libraries that one module each may import; a module that is not there yet is where its library will be."""

ORCHESTRATION = {
    "plan",
    "step",
    "store",
    "graph",
    "session",
    "run_record",
    "resolve",
    "plan_table",
    "view",
    "worker_process",
    "__main__",
}
"""What decides which steps run; workers know nothing of it, nor of the results that are read from their steps."""

PLANNING = ("safetax.__main__", "safetax.run.session", "safetax.plan.table", "safetax.config.compose")
"""Where the way from the command to a printed plan begins."""


@dataclass(frozen=True)
class Import:
    """One import statement's target, and whether the module is imported without it being called."""

    module: str
    name: str
    at_import: bool

    @property
    def top(self) -> str:
        return self.module.split(".")[0]


@cache
def sources() -> dict[str, Path]:
    """The modules of the package by dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports_of(module: str) -> tuple[Import, ...]:
    return tuple(_imports(ast.parse(sources()[module].read_text(encoding="utf-8")), at_import=True))


def _imports(node: ast.AST, at_import: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, "", at_import) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports name the whole module"
            yield from (Import(child.module or "", alias.name, at_import) for alias in child.names)
        elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            yield from (entry for other in child.orelse for entry in _imports(other, at_import))
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _imports(child, at_import and not inside)


def ours(entry: Import) -> list[str]:
    """The modules of the package that an import runs."""
    full = f"{entry.module}.{entry.name}"
    names = [full] if full in sources() else [entry.module]
    return [name for name in names if name in sources()]


def reached(start: str) -> set[str]:
    """The modules that are imported, at the latest, when a module is."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        parents = [module.rsplit(".", n)[0] for n in range(1, module.count(".") + 1)]
        waiting += [*parents, *(name for entry in imports_of(module) if entry.at_import for name in ours(entry))]
    return seen


@cache
def tracked() -> list[Path]:
    """The files of the project: those that git has or would have."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode != 0:
        pytest.skip("not in a checkout")
    return [path for name in listed.stdout.splitlines() if (path := ROOT / name).is_file()]


def texts() -> Iterator[tuple[Path, str]]:
    for path in tracked():
        try:
            yield path, path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


WORKERS = [name for name in sources() if name.startswith("safetax.workers.")]
COMPONENTS = [
    name for name in sources() if re.match(r"safetax\.(engines|judges|datasets|objectives|rows|lab)(\.|$)", name)
]


def test_there_is_something_to_check() -> None:
    assert {"safetax.workers.train", "safetax.workers.generate", "safetax.workers.score"} <= set(WORKERS)
    assert {"safetax.evaluation.engines.hf", "safetax.evaluation.judges.lab", "safetax.data.datasets.safechain"} <= set(
        COMPONENTS
    )
    assert Import("torch", "", False) in imports_of("safetax.store.job") or any(
        entry.top == "torch" for name in sources() for entry in imports_of(name)
    )
    assert "safetax.config.schema" in reached("safetax.plan.planner")
    assert len(tracked()) > 50


@pytest.mark.parametrize("worker", WORKERS)
def test_workers_know_nothing_of_each_other_or_of_the_plan(worker: str) -> None:
    for entry in imports_of(worker):
        for name in ours(entry):
            parts = name.split(".")
            if parts[1:2] == ["workers"]:
                # job is what they have in common, serve is the process that holds several of them
                assert worker.endswith(".serve") or name in ("safetax.workers", "safetax.store.job"), name
            else:
                assert parts[1] not in ORCHESTRATION, f"{worker} imports {name}"
                assert parts[1] not in {"report", "results", "tables", "plots", "tracking", "mlflow_writer"}, name


@pytest.mark.parametrize("module", COMPONENTS)
def test_components_know_nothing_of_workers_or_of_the_plan(module: str) -> None:
    for entry in imports_of(module):
        for name in ours(entry):
            assert name.split(".")[1] not in {*ORCHESTRATION, "workers", "report", "results"}, (
                f"{module} imports {name}"
            )


@pytest.mark.parametrize(
    "module", ["safetax.plan.planner", "safetax.store.step", "safetax.plan.resolve", "safetax.config.build"]
)
def test_the_plan_knows_nothing_of_how_steps_run(module: str) -> None:
    """And the configuration nothing of the plan: data flows one way."""
    below = {"workers", "graph", "worker_process", "store", "view", "session", "results", "report"}
    if module.startswith("safetax.config"):
        below |= {"plan", "step", "resolve"}
    for name in reached(module):
        assert name.split(".")[1:2] == [] or name.split(".")[1] not in below, f"{module} reaches {name}"


def test_the_plan_touches_no_disk_and_no_network() -> None:
    for module in ("safetax.plan.planner", "safetax.store.step"):
        names = {entry.top for entry in imports_of(module)}
        assert not names & {"os", "io", "pathlib", "shutil", "socket", "urllib", "subprocess", "huggingface_hub"}
        assert "open(" not in sources()[module].read_text(encoding="utf-8")


@pytest.mark.parametrize("start", [*PLANNING, *(name for name in COMPONENTS if name != "safetax.data.lab.tasks")])
def test_planning_imports_nothing_heavy(start: str) -> None:
    """Components too: their light schema is read at composition."""
    for module in reached(start):
        heavy = {entry.top for entry in imports_of(module) if entry.at_import} & HEAVY
        assert not heavy, f"{start} reaches {module}, which imports {', '.join(heavy)}"


@pytest.mark.parametrize("library", ONE_PLACE)
def test_a_heavy_library_is_imported_in_one_place(library: str) -> None:
    users = {module for module in sources() for entry in imports_of(module) if entry.top == library}
    assert users <= {ONE_PLACE[library]}
    if ONE_PLACE[library] in sources():
        assert users, f"{ONE_PLACE[library]} no longer imports {library}: name its place here"
        assert not any(entry.at_import and entry.top == library for entry in imports_of(ONE_PLACE[library]))


def test_hydra_is_known_where_the_command_begins_and_nowhere_else() -> None:
    users = {name for name in sources() for entry in imports_of(name) if entry.top in ("hydra", "omegaconf")}
    assert users <= {"safetax.__main__", "safetax.config.compose", "safetax.config.references"}


@pytest.mark.parametrize("module", sources())
def test_no_room_is_without_a_purpose(module: str) -> None:
    assert not {"utils", "util", "common", "helpers", "helper", "manager", "misc"} & set(module.split("."))


def test_no_module_runs_something_when_it_is_imported() -> None:
    """Statements at module level define; only ``if __name__ == "__main__"`` runs."""
    for module, path in sources().items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            documentation = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            assert documentation or not isinstance(node, ast.Expr | ast.For | ast.While | ast.With), (
                f"{module}, line {node.lineno}: {ast.unparse(node)[:60]}"
            )


def test_remote_code_is_never_trusted() -> None:
    for path, text in texts():
        if path.suffix in (".py", ".yaml", ".sh") and path != Path(__file__):
            assert not re.search(r"trust_remote_code\W{1,4}(true|1)\b", text, re.IGNORECASE), path


def test_no_file_names_a_machine() -> None:
    """No registry, no home or work folder, no address of a private network."""
    private = re.compile(
        rf"--(?:extra-)?index-url|(?:^|\W)(?:/home/\w+/|/Users/\w+/|{re.escape(str(Path.home()))}/|{re.escape(str(ROOT))})"
        r"|\b(?:10\.\d+|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d+\.\d+\b|https?://[\w.-]*(?:artifactory|nexus|devpi|internal)",
        re.MULTILINE,
    )
    for path, text in texts():
        if path == Path(__file__):
            continue
        found = private.search(text)
        assert found is None, f"{path.relative_to(ROOT)}: {found[0].strip()}"


def test_no_file_holds_a_secret() -> None:
    token = re.compile(r"\b(?:hf_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9]{20,}|gh[pousr]_[A-Za-z0-9]{30,})\b")
    for path, text in texts():
        assert not token.search(text), path.relative_to(ROOT)
