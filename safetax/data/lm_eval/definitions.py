"""What defines an lm-eval task, read without lm-eval: its YAML, the code beside it, and where its data are."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from safetax.config.hydra import conf_directory
from safetax.config.places import user_path
from safetax.data.hub import hub_commit
from safetax.data.sources import file as rows_of_file
from safetax.errors import ConfigError
from safetax.store.manifest import sha256_of

FORMATS = ("json", "csv", "parquet", "text", "arrow")
"""What the datasets library takes for a dataset_path and is no repository."""


def task_directories(folder: str | None) -> list[Path]:
    """Return the folders that tasks are looked up in, the user's own first."""
    own = [] if folder is None else [user_path(folder, "folder")]
    return [*own, conf_directory() / "lm_eval"]


def find_definition(task: str, folder: str | None) -> Path:
    """Return the YAML file that defines a task, without importing lm_eval.

    Raises:
        ConfigError: no folder defines it.
    """
    package = importlib.util.find_spec("lm_eval")
    shipped = [Path(place) / "tasks" for place in (package.submodule_search_locations or [])] if package else []
    pattern = re.compile(rf"^[\"']?task[\"']?:\s*[\"']?{re.escape(task)}[\"']?\s*(#.*)?$", re.MULTILINE)
    for directory in [*task_directories(folder), *shipped]:
        if not directory.is_dir():
            raise ConfigError(f"folder={directory}: there is no such folder; name one that holds lm-eval task YAML.")
        for path in sorted(directory.rglob("*.yaml")):
            if pattern.search(path.read_text(encoding="utf-8", errors="replace")):
                return path
    raise ConfigError(
        f"task={task}: no lm-eval task has that name, neither in {task_directories(folder)[0]} nor in lm-eval itself; "
        "name one of `lm-eval ls tasks`, or a folder that defines it (folder=..)."
    )


def task_facts(task: str, folder: str | None, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a task is right now.

    ``files``: content hashes of its YAML, of what that includes, and of the code beside it; ``commit``: that of its
    data on the hub; ``sha256``: the hash of the user's own file in their place.

    Raises:
        ConfigError: there is no such task, it asks for log-likelihoods, or its data are not there.
    """
    definition = find_definition(task, folder)
    chain = list(included(definition))
    for path in chain:
        kind = re.search(r"^[\"']?output_type[\"']?:\s*[\"']?(\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        if kind:
            if kind[1] != "generate_until":
                raise ConfigError(
                    f"task={task}: its output_type is {kind[1]}, which needs log-likelihoods and says nothing of a "
                    "model that thinks; allowed are generate_until tasks."
                )
            break
    code = sorted(definition.parent.glob("*.py"))
    return {"files": {path.name: sha256_of(path) for path in [*chain, *code]}, **_data_facts(task, chain, metadata)}


def _data_facts(task: str, chain: Sequence[Path], metadata: Mapping[str, Any]) -> dict[str, Any]:
    definition = merged(chain)
    settings = {**(definition.get("metadata") or {}), **metadata}
    if settings.get("path"):
        try:
            return rows_of_file.resolve(rows_of_file.Config("file", settings["path"]))
        except ConfigError as error:
            raise ConfigError(f"metadata.{error}") from None
    source, revision = settings.get("repository"), settings.get("revision")
    if source is None and "custom_dataset" not in definition:
        source = definition.get("dataset_path")
        revision = (definition.get("dataset_kwargs") or {}).get("revision")
    if not source or source in FORMATS or Path(source).exists():
        return {}
    try:
        return {"commit": hub_commit(source, revision, "dataset")}
    except ConfigError as error:
        own = " Or name a file of your own: metadata.path=FILE." if "path" in metadata else ""
        raise type(error)(f"task={task}: {error}{own}") from None


def repository_of(task: str, folder: str | None, metadata: Mapping[str, Any]) -> tuple[str, bool] | None:
    """Return the repository of the hub that a task's metadata names, and whether it is gated; None: it names none."""
    definition = merged(list(included(find_definition(task, folder))))
    settings = {**(definition.get("metadata") or {}), **metadata}
    source = None if settings.get("path") else settings.get("repository")
    return None if source is None else (source, bool(settings.get("gated")))


def merged(chain: Sequence[Path]) -> dict[str, Any]:
    """Return what the YAML of a task and of what it includes say together; functions are None."""
    import yaml

    class Loader(yaml.SafeLoader):
        """Reads YAML in which tags of lm-eval stand for functions."""

    Loader.add_multi_constructor("!", lambda loader, suffix, node: None)
    values: dict[str, Any] = {}
    for path in reversed(chain):
        found = yaml.load(path.read_text(encoding="utf-8"), Loader)
        values.update(found if isinstance(found, dict) else {})
    return values


def included(definition: Path) -> Iterator[Path]:
    """Yield a definition and the definitions that it includes, its own first."""
    yield definition
    for name in re.findall(r"^[\"']?include[\"']?:\s*(\S+)", definition.read_text(encoding="utf-8"), re.MULTILINE):
        path = definition.parent / name.strip("\"'")
        if path.is_file():
            yield from included(path)
