"""What a step needs that may be missing: libraries, repositories of the hub, servers. Nothing heavy is imported.

What a component needs is known by its kind here; a component of another package says it itself, with a function
``requires(config)`` that returns names of modules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetax.config.component_nodes import component_nodes
from safetax.config.components import component_module
from safetax.config.identity import restore
from safetax.config.schema import Config
from safetax.data.hub_places import RepositoryType
from safetax.errors import ConfigError
from safetax.store.step import Step

ENGINES = {"hf": ("transformers",), "vllm": ("vllm",), "openai": ("openai",)}
DATASETS = {"lm_eval_task": ("lm_eval",)}
JUDGES = {
    "beaver_dam": ("transformers",),
    "llama_guard": ("transformers",),
    "wildguard": ("transformers",),
    "harmbench_cls": ("transformers",),
    "rubric": ("openai",),
    "sound": ("math_verify",),
    "paper_grader": ("math_verify",),
    "lm_eval": ("lm_eval",),
}
PACKAGES = {
    "deepspeed": "safetax[deepspeed]",
    "vllm": "safetax[vllm]",
    "lm_eval": "lm-eval",
    "math_verify": "math-verify[antlr4-9-3]",
}
"""What pip calls the modules, where that differs."""
GATED = ("llama_guard", "wildguard")
"""Judges whose published models ask for accepted terms."""


@dataclass(frozen=True)
class Library:
    """A module that a worker imports, and the setting that asks for it."""

    module: str
    setting: str

    @property
    def package(self) -> str:
        """What pip calls it."""
        return PACKAGES.get(self.module, self.module)


@dataclass(frozen=True)
class Repository:
    """A repository of the hub that a step loads from; ``commit`` is None where it is not known."""

    id: str
    kind: RepositoryType
    commit: str | None
    gated: bool
    setting: str


@dataclass(frozen=True)
class Server:
    """An entry of ``runtime.endpoints`` that a step asks, and the setting that names it."""

    name: str
    setting: str


def libraries(step: Step) -> Iterator[Library]:
    """Yield the libraries that a step's worker imports besides what safetax always needs."""
    identity = step.identity
    if step.kind == "train":
        if step.runtime.get("zero"):
            yield Library("deepspeed", f"runtime.zero={step.runtime['zero']}")
        if identity["training"].get("lora"):
            yield Library("peft", f"lora.rank={identity['training']['lora']['rank']}")
        if objective := identity["training"].get("objective"):
            yield from _of_component("objectives", "objective", objective, {})
    elif step.kind == "generate":
        yield from _of_component("engines", "engine", identity["engine"], ENGINES)
    elif step.kind == "score":
        judge = identity["judge"]
        yield from _of_component("judges", "judge", judge, JUDGES)
        if judge.get("engine") == "vllm":
            yield Library("vllm", f"judge.{judge['kind']}.engine=vllm")
        if _asks_model(judge):
            yield Library("openai", f"judge.kind={judge['kind']}")
    elif step.kind == "prepare":
        yield from _of_component("datasets", "dataset", identity["dataset"], DATASETS)
        for rows in _hub_rows(identity["dataset"]):
            yield Library("datasets", f"rows.id={rows['id']}")


def _of_component(
    package: str, key: str, node: Mapping[str, Any], known: Mapping[str, tuple[str, ...]]
) -> Iterator[Library]:
    kind = node["kind"]
    modules: Any = known.get(kind)
    if modules is None:
        requires = getattr(component_module(package, kind), "requires", None)
        modules = requires(restore(package, node)) if requires is not None else ()
    for module in modules:
        yield Library(module, f"{key}.kind={kind}")


def _asks_model(judge: Mapping[str, Any]) -> bool:
    """Whether a judge asks a server: it names one, and its rule needs it."""
    return "endpoint" in judge and judge.get("matcher", "llm") == "llm"


def servers(step: Step) -> Iterator[Server]:
    """Yield the servers that a step asks."""
    if step.kind == "generate" and "endpoint" in step.identity["engine"]:
        name = step.identity["engine"]["endpoint"]
        yield Server(name, f"engine.endpoint={name}")
    if step.kind == "score" and _asks_model(step.identity["judge"]):
        judge = step.identity["judge"]
        yield Server(judge["endpoint"], f"endpoint={judge['endpoint']} of judge {judge['kind']}")


def repositories(step: Step, config: Config) -> Iterator[Repository]:
    """Yield the repositories of the hub that a step loads from."""
    model, judge, dataset = (step.identity.get(name) or {} for name in ("model", "judge", "dataset"))
    if model.get("id") and not _is_folder(model["id"]):
        yield Repository(model["id"], "model", _commit(model), config.model.gated, f"model.id={model['id']}")
    if judge.get("id") and not _is_folder(judge["id"]):
        gated = judge["kind"] in GATED
        yield Repository(judge["id"], "model", _commit(judge), gated, f"judge.{judge['kind']}.id={judge['id']}")
    gated_rows = {node.id for _, node, package in component_nodes(config) if package == "rows" and _is_gated(node)}
    for rows in _hub_rows(dataset):
        yield Repository(rows["id"], "dataset", _commit(rows), rows["id"] in gated_rows, f"rows.id={rows['id']}")
    if dataset.get("kind") == "lm_eval_task":
        yield from _of_task(dataset)


def _of_task(dataset: Mapping[str, Any]) -> Iterator[Repository]:
    from safetax.data.lm_eval.definitions import find_definition, included, merged

    definition = merged(list(included(find_definition(dataset["task"], dataset.get("folder")))))
    settings = {**(definition.get("metadata") or {}), **dataset.get("metadata", {})}
    source = settings.get("repository")
    if source and not settings.get("path"):
        gated = bool(settings.get("gated"))
        yield Repository(source, "dataset", _commit(dataset), gated, f"task={dataset['task']}")


def refused_task(step: Step) -> str | None:
    """Return why the lm-eval task of a step cannot be used, such as one that asks for log-likelihoods, or None."""
    node = step.identity.get("dataset") or {}
    if node.get("kind") != "lm_eval_task" or (node.get("resolved") or {}).get("files"):
        return None  # it was looked at when it was resolved
    from safetax.data.lm_eval.definitions import task_facts

    try:
        task_facts(node["task"], node.get("folder"), {**node.get("metadata", {}), "path": None})
    except ConfigError as error:
        text = str(error)
        return text if "output_type" in text or "no lm-eval task" in text else None
    return None


def _commit(node: Mapping[str, Any]) -> str | None:
    from safetax.data.hub import UNKNOWN

    commit = (node.get("resolved") or {}).get("commit")
    return None if commit == UNKNOWN else commit


def _hub_rows(node: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(node, Mapping):
        if node.get("kind") == "hub" and "id" in node:
            yield node
        for value in node.values():
            yield from _hub_rows(value)


def _is_gated(node: Any) -> bool:
    return bool(getattr(node, "gated", False))


def _is_folder(name: str) -> bool:
    return Path(name).expanduser().is_dir()
