"""What a step needs that may be missing: libraries, repositories of the hub, servers. Nothing heavy is imported.

Each component that a step's worker runs says it itself (:mod:`safetax.config.needs`).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from safetax.config.annotations import component_nodes
from safetax.config.components import ComponentConfig
from safetax.config.identity import restore
from safetax.config.needs import Needs, RepositoryType, needs_of
from safetax.config.schema import Config
from safetax.data.hub import known_commit
from safetax.store.step import Step, canonical_json

COMPONENTS = {"prepare": ("datasets", "dataset"), "generate": ("engines", "engine"), "score": ("judges", "judge")}
"""Package and key of the component that the worker of a kind of step runs."""


@dataclass(frozen=True)
class Repository:
    """A repository of the hub that a step loads from; ``commit`` is None where it is not known."""

    id: str
    kind: RepositoryType
    commit: str | None
    gated: bool
    setting: str


@dataclass(frozen=True)
class Component:
    """A component that a step's worker runs: the key that it stands at, its configuration and what it needs."""

    key: str
    config: ComponentConfig
    commit: str | None
    needs: Needs

    def setting(self, key: str) -> str:
        """Return one of its settings with its value, as messages name it."""
        value, kind = getattr(self.config, key), self.config.kind
        if key == "kind" or self.key in ("rows", "engine"):
            return f"{self.key}.{key}={value}"
        return f"judge.{kind}.{key}={value}" if self.key == "judge" else f"{key}={value}"


def needs_of_step(step: Step) -> Needs:
    """Return what the component needs that a step's worker runs; nothing where it runs none."""
    return next((component.needs for component in _components(step)), Needs())


def _components(step: Step) -> tuple[Component, ...]:
    """Return the component that a step's worker runs, and the row sources that this one reads."""
    package, key = COMPONENTS.get(step.kind, ("objectives", "objective"))
    values = (step.identity["training"] if step.kind == "train" else step.identity).get(key)
    return () if values is None else _restored(package, key, canonical_json(values))


@functools.lru_cache(maxsize=4096)
def _restored(package: str, key: str, text: str) -> tuple[Component, ...]:
    """Return the component of an identity, as canonical JSON, and its row sources; steps of a sweep share most."""
    values = json.loads(text)
    config = restore(package, values)
    found = [Component(key, config, known_commit(values), needs_of(package, config))]
    for path, rows, inner in component_nodes(config):
        if inner == "rows" and path in values:  # not those of data sets that it is made of, which have their own steps
            found.append(Component("rows", rows, known_commit(values[path]), needs_of("rows", rows)))
    return tuple(found)


def libraries(step: Step) -> Iterator[tuple[str, str]]:
    """Yield the modules that a step's worker imports besides what safetax always needs, each with its setting."""
    if step.kind == "train":
        if step.runtime.get("zero"):
            yield "deepspeed", f"runtime.zero={step.runtime['zero']}"
        if lora := step.identity["training"].get("lora"):
            yield "peft", f"lora.rank={lora['rank']}"
    for component in _components(step):
        for library in component.needs.libraries:
            yield library.module, component.setting(library.key)


def servers(step: Step) -> Iterator[tuple[str, str]]:
    """Yield the entries of ``runtime.endpoints`` that a step asks, each with the setting that names it."""
    for component in _components(step):
        if name := component.needs.server:
            judge = f"endpoint={name} of judge {component.config.kind}"
            yield name, judge if component.key == "judge" else component.setting("endpoint")


def repositories(step: Step, config: Config) -> Iterator[Repository]:
    """Yield the repositories of the hub that a step loads from.

    Args:
        step: the step.
        config: of a run that it belongs to, which says what is gated: that is no part of an identity.
    """
    model = step.identity.get("model") or {}
    if model.get("id") and not _is_folder(model["id"]):
        setting = f"model.id={model['id']}"
        yield Repository(model["id"], "model", known_commit(model), config.model.gated, setting)
    sources = (needs_of(package, node) for _, node, package in component_nodes(config) if package == "rows")
    gated = {each.id for needs in sources for each in needs.repositories if each.gated}
    for component in _components(step):
        for each in component.needs.repositories:
            if each.kind == "dataset" or not _is_folder(each.id):
                closed = each.gated or each.id in gated
                yield Repository(each.id, each.kind, component.commit, closed, component.setting(each.key))


def _is_folder(name: str) -> bool:
    return Path(name).expanduser().is_dir()
