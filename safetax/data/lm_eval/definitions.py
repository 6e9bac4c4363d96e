"""What defines an lm-eval task, read without lm-eval: its YAML, the code and files it reads, and where its data are."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from safetax.config.hydra import conf_directory
from safetax.data.hub import hub_commit
from safetax.data.references import files_read, hashes_of, is_installed, matching_files, texts_in
from safetax.data.sources import file as rows_of_file
from safetax.data.user_files import LARGEST_TEXT, check_file, expanded, kind_of
from safetax.errors import ConfigError
from safetax.store.manifest import sha256_of

FORMATS = ("json", "csv", "parquet", "text", "arrow")
"""What the datasets library takes for a dataset_path and is no repository."""


def task_directories(folder: str | None) -> list[Path]:
    """Return the folders that tasks are looked up in, the user's own first."""
    own = [] if folder is None else [expanded(folder, "folder")]
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
        if kind_of(directory, "folder") != "folder":
            raise ConfigError(f"folder={directory}: there is no such folder; name one that holds lm-eval task YAML.")
        for path in sorted(path for path in directory.rglob("*.yaml") if path.is_file()):
            check_file(path, "folder", LARGEST_TEXT)
            if pattern.search(path.read_text(encoding="utf-8", errors="replace")):
                return path
    raise ConfigError(
        f"task={task}: no lm-eval task has that name, neither in {task_directories(folder)[0]} nor in lm-eval itself; "
        "name one of `lm-eval ls tasks`, or a folder that defines it (folder=..)."
    )


def task_facts(task: str, folder: str | None, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a task is right now: its local facts, and ``commit``: that of its data on the hub.

    Raises:
        ConfigError: there is no such task, it asks for log-likelihoods, or something that it reads is not there.
    """
    chain = list(included(find_definition(task, folder)))
    kind = merged(chain).get("output_type", "generate_until")
    if kind != "generate_until":
        raise ConfigError(
            f"task={task}: its output_type is {kind}, which needs log-likelihoods and says nothing of a model that "
            "thinks; allowed are generate_until tasks."
        )
    return {**_local_facts(task, chain, metadata), **_hub_facts(task, chain, metadata)}


def local_facts(task: str, folder: str | None, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a task lies on this machine.

    ``files``: content hashes of its YAML, of what that includes, and of the code beside it; ``reads``: of whatever else
    these read, such as data, prompts and modules elsewhere; ``sha256`` (of a folder ``files``): the hash of the user's
    own file that ``metadata.path`` puts in the place of its data.
    """
    return _local_facts(task, list(included(find_definition(task, folder))), metadata)


def _local_facts(task: str, chain: Sequence[Path], metadata: Mapping[str, Any]) -> dict[str, Any]:
    definition = chain[0]
    named = {path.name: path for path in [*chain, *sorted(definition.parent.glob("*.py"))]}
    facts: dict[str, Any] = {"files": {name: sha256_of(path) for name, path in named.items()}}
    values = merged(chain)
    settings = {**(values.get("metadata") or {}), **metadata}
    known = {path.resolve() for path in named.values()}
    own = [path for path in chain if path.resolve() not in known]  # of the same name as another one
    code = [path for each in chain for path in each.parent.glob("*.py")]
    modules = [path for path in (*code, *_function_modules(chain)) if not is_installed(path.resolve())]
    texts = texts_in([values, {key: value for key, value in settings.items() if key != "path"}])
    read = [*own, *modules, *files_read(texts, modules, definition.parent), *_data_files(task, values)]
    if others := {path.resolve() for path in read} - known:
        facts["reads"] = hashes_of(others, definition.parent.resolve())
    if settings.get("path"):
        try:
            facts |= rows_of_file.resolve(rows_of_file.Config("file", settings["path"]))
        except ConfigError as error:
            raise ConfigError(f"metadata.{error}") from None
    return facts


def _data_files(task: str, values: Mapping[str, Any]) -> Iterator[Path]:
    """Yield the files of this machine that a task's own ``dataset_path`` and ``dataset_kwargs`` load.

    Raises:
        ConfigError: one of them is no regular file.
    """
    kwargs = values.get("dataset_kwargs") or {}
    source = str(values.get("dataset_path") or "")
    places = [Path(place) for place in (source, str(kwargs.get("data_dir") or "")) if place and place not in FORMATS]
    for place in places:
        yield from _files_at(place, f"task={task}: dataset_path")
    for text in texts_in(kwargs.get("data_files") or []):
        for place in (Path(text), *(folder / text for folder in places)):
            yield from _files_at(place, f"task={task}: dataset_kwargs.data_files")
        yield from matching_files(text, *places)


def _files_at(place: Path, key: str) -> Iterator[Path]:
    """Yield the file at a place, or all files of the folder there; nothing where nothing is."""
    kind = kind_of(place, key)
    if kind == "folder":
        yield from (path for path in place.rglob("*") if path.is_file())
    elif kind is not None:
        check_file(place, key)
        yield place


def _function_modules(chain: Sequence[Path]) -> Iterator[Path]:
    """Yield the modules that the functions of definitions stand in, where they lie beside these, folders included."""
    for path in chain:
        for name in re.findall(r"!function\s+[\"']?([\w.]+)\.\w+", path.read_text(encoding="utf-8")):
            beside = path.parent / f"{name.replace('.', '/')}.py"
            if beside.is_file():
                yield beside


def _hub_facts(task: str, chain: Sequence[Path], metadata: Mapping[str, Any]) -> dict[str, Any]:
    definition = merged(chain)
    settings = {**(definition.get("metadata") or {}), **metadata}
    if settings.get("path"):
        return {}
    source, revision = settings.get("repository"), settings.get("revision")
    if source is None and "custom_dataset" not in definition:
        source = definition.get("dataset_path")
        revision = (definition.get("dataset_kwargs") or {}).get("revision")
    if not source or source in FORMATS or kind_of(Path(source), f"task={task}: dataset_path"):
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
    """Return what the YAML of a task and of what it includes say together; a function is None."""
    values: dict[str, Any] = {}
    for path in reversed(chain):
        values.update(_read(path))
    return values


def included(definition: Path, inside: tuple[Path, ...] = ()) -> Iterator[Path]:
    """Yield a definition and the definitions that it includes, those first that win over the later ones.

    Raises:
        ConfigError: an included file is not there, is no YAML, or includes itself.
    """
    if definition.resolve() in inside:
        raise ConfigError(f"{definition} includes itself, through {inside[-1]}; take one include out.")
    includes = _read(definition).get("include") or []
    yield definition
    for name in reversed(includes if isinstance(includes, list) else [includes]):
        path = definition.parent / str(name)
        check_file(path, f"{definition}: include", LARGEST_TEXT)
        yield from included(path, (*inside, definition.resolve()))


def _read(path: Path) -> dict[str, Any]:
    """Return what a definition says; tags of lm-eval stand for functions, which are None."""
    try:
        return _parse(path, path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise _no_yaml(path, error) from None


@lru_cache(maxsize=64)
def _parse(path: Path, text: str) -> dict[str, Any]:
    """Parse a definition once: what it includes, its data and its metadata are each asked for."""
    import yaml

    class Loader(yaml.SafeLoader):
        """Reads YAML with lm-eval's tags."""

    Loader.add_multi_constructor("!", lambda loader, suffix, node: None)
    try:
        found = yaml.load(text, Loader)
    except (yaml.YAMLError, ValueError) as error:
        raise _no_yaml(path, error) from None
    except RecursionError:
        raise ConfigError(f"{path} is nested too deeply; mend it.") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{path} defines no task: expected keys and values, and it holds {type(found).__name__}.")
    return found


def _no_yaml(path: Path, error: Exception) -> ConfigError:
    return ConfigError(f"{path} is no YAML ({' '.join(str(error).split())[:300]}); mend it.")
