"""What a component needs, said by its own module in ``needs(config)`` and asked before anything runs.

Requirements, preflight, estimate and the jobs of Slurm ask; a module without the function needs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from safetax.config.annotations import component_nodes
from safetax.config.components import ComponentConfig, PluginError, calling, component_module, component_name
from safetax.records import shown

RepositoryType = Literal["model", "dataset"]


@dataclass(frozen=True)
class Library:
    """A module that the component imports when it is used, and the key of its configuration that asks for it."""

    module: str
    key: str = "kind"


@dataclass(frozen=True)
class Repository:
    """A repository of the hub that the component loads from, and the key of its configuration that names it.

    The id of a model may also be a folder on the disk, which nobody has to download.
    """

    id: str
    kind: RepositoryType
    gated: bool = False
    """Whether the hub asks for accepted terms and a token."""
    key: str = "id"


@dataclass(frozen=True)
class LocalModel:
    """A model of its own that the component loads where its step runs, a copy on each GPU."""

    id: str
    parameters: float
    """In billions."""
    dtype: str
    max_tokens: int = 1024
    """Tokens of the longest text that it reads."""


@dataclass(frozen=True)
class ServedModel:
    """How an engine loads the checkpoint that answers, where its step runs."""

    dtype: str
    sharded: bool = False
    """Whether several GPUs may hold one copy, and all GPUs share the work; else one GPU holds the only one."""
    memory_reads: float = 5.0
    """How often it has a GPU read its whole memory in a second: generation is bound by that. The memory of an A100,
    H100 or H200 can be read 25 to 42 times in a second."""


@dataclass(frozen=True)
class Needs:
    """What a component needs where its step runs, and how many rows it makes."""

    libraries: tuple[Library, ...] = ()
    repositories: tuple[Repository, ...] = ()
    server: str | None = None
    """The entry of ``runtime.endpoints`` that it asks."""
    local_model: LocalModel | None = None
    served_model: ServedModel | None = None
    rows: int | None = None
    """Rows of a data set, as far as they are known before it is made."""
    row_tokens: int | None = None
    """Tokens of such a row on average."""


def needs_of(package: str, config: ComponentConfig) -> Needs:
    """Return what a component needs.

    Args:
        package: ``datasets``, ``rows``, ``judges``, ``engines`` or ``objectives``.
        config: the component's configuration.

    Raises:
        PluginError: its module fails, or returns something else.
    """
    needs = getattr(component_module(package, config.kind), "needs", None)
    if needs is None:
        return Needs()
    with calling(package, config.kind):
        found = needs(config)
    if not isinstance(found, Needs):
        name = component_name(package, config.kind)
        raise PluginError(f"{name}: needs returned {shown(found)}; allowed is Needs(..).")
    return found


def on_policy(dataset: Any) -> bool:
    """Whether a data set, or one that it is made of, is sampled from the LRM."""
    return is_sampled(dataset) or any(on_policy(part) for part in component_datasets(dataset).values())


def is_sampled(dataset: Any) -> bool:
    """Whether a data set itself is sampled from the LRM."""
    return getattr(component_module("datasets", dataset.kind), "ON_POLICY", False)


def component_datasets(dataset: Any) -> dict[str, Any]:
    """Return the data sets that a data set is made of, by key path; each is a step of its own, and an input."""
    found: dict[str, Any] = {}
    for path, node, package in component_nodes(dataset):
        if package == "datasets" and not any(path.startswith(f"{outer}.") for outer in found):
            found[path] = node
    return found
