"""The rules of the house that no linter holds: what planning imports, what runs at import, and what stands nowhere.

Who may import whom is import-linter's (``make lint``, contracts in ``pyproject.toml``).
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from safetax.config.components import PLACES, component_kinds
from tests.support.places import ROOT

HEAVY = (
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
)
DOORS_AND_GROUND = {"__main__", "steps", "sweep", "errors", "records", "statistics", "formatting", "api"}
ROOMS = {
    "config", "store", "data", "models", "training", "evaluation", "workers", "plan", "results", "report", "run"
}  # fmt: skip


@cache
def sources() -> dict[str, Path]:
    """The modules of the package by dotted name."""
    found = {}
    for path in sorted((ROOT / "safetax").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


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


def test_there_is_something_to_check() -> None:
    assert len(tracked()) > 50 and len(sources()) > 100


def test_the_package_has_its_doors_its_ground_and_its_rooms_and_nothing_else() -> None:
    below = {name.split(".")[1] for name in sources() if "." in name}
    assert below <= DOORS_AND_GROUND | ROOMS and below >= ROOMS
    assert len(list((ROOT / "safetax").glob("*.py"))) <= 9


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_the_readme_says_what_each_room_is_for(room: str) -> None:
    """The caption of a room in the README's tree is the first sentence of its docstring."""
    docstring = ast.get_docstring(ast.parse(sources()[f"safetax.{room}"].read_text(encoding="utf-8"))) or ""
    caption = docstring.partition("\n\n")[0].rstrip(".")
    assert f"{room}/ {caption}".lower() in " ".join((ROOT / "README.md").read_text(encoding="utf-8").split()).lower()


def test_the_readme_s_tree_names_what_there_is() -> None:
    """The folders of the checkout, and the modules at the root of the package, in the order that the tree has them."""
    (tree,) = re.findall(r"^```\n(conf/ .*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    modules = {
        name for name in re.findall(r"\b(\w+)\.py\b(?! is the)", tree) if (ROOT / "safetax" / f"{name}.py").is_file()
    }
    assert modules == {path.stem for path in (ROOT / "safetax").glob("*.py")} - {"__init__"}
    folders = {path.relative_to(ROOT).parts[0] for path in tracked() if len(path.relative_to(ROOT).parts) > 1}
    assert set(re.findall(r"^(\w+)/ ", tree, re.M)) == {folder for folder in folders if not folder.startswith(".")}
    assert set(re.findall(r"^  (\w+)/ ", tree, re.M)) == ROOMS


def test_planning_imports_nothing_heavy() -> None:
    """From the command to a checked plan, with the light half of every component that safetax has."""
    components = [f"{place}.{kind}" for package, place in PLACES.items() for kind in component_kinds(package)]
    modules = [
        "safetax.api",
        "safetax.plan.planner",
        "safetax.plan.table",
        "safetax.run.session",
        "safetax.config.compose",
        *components,
    ]
    code = (
        f"import importlib, sys\nfor name in {modules!r}: importlib.import_module(name)\n"
        f"print(*sorted(set({HEAVY!r}) & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60, check=True
    )
    assert done.stdout.split() == []


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
