"""Composes configurations with Hydra: the command line's overrides to one typed configuration for each job.

Composition is done before Hydra's own run begins: a mistake is then one message with exit code 2, and nothing has been
made on disk. Overrides of plain values are passed to Hydra in their forced form (``++key=value``), so that whether a
key exists is decided by the schema alone.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetax.config.build import build
from safetax.config.messages import nearest, show
from safetax.config.references import first_missing, origin, resolved, unresolved
from safetax.config.schema import Config
from safetax.errors import ConfigError

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override
    from omegaconf import DictConfig


DATASET = "dataset"
"""The group of data sets."""
_PART = re.compile(r"(?:\w+\.)*(?:source|parts\.\w+)")
"""Keys of the data sets that another one is made of."""
_NAME = re.compile(r"[A-Za-z_][\w.+-]*")


def conf_directory() -> Path:
    """Return the folder of the configuration: inside an installed package, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"


@dataclass(frozen=True)
class Job:
    """One run of a sweep: the overrides that make it, and its typed configuration."""

    overrides: tuple[str, ...]
    config: Config


class Composer:
    """Composes jobs from overrides over one search path.

    Args:
        config_dir: a folder of the user's own configuration, which adds to ours.
        config_name: the primary configuration.
    """

    def __init__(self, config_dir: str | None = None, config_name: str = "config") -> None:
        from hydra._internal.config_loader_impl import ConfigLoaderImpl
        from hydra._internal.utils import create_config_search_path
        from hydra.core.config_search_path import SearchPathQuery
        from hydra.core.utils import setup_globals

        setup_globals()
        self.config_name = config_name
        self.launcher = ""
        """The option of hydra/launcher that is chosen; empty: nothing is composed yet."""
        self.search_path = create_config_search_path(str(conf_directory()))
        if config_dir is not None:
            path = Path(config_dir).absolute()
            if not path.is_dir():
                raise ConfigError(
                    f"--config-dir={config_dir}: there is no such folder; name a folder with YAML groups."
                )
            schema = SearchPathQuery(provider="schema")
            self.search_path.prepend(provider="command-line", path=f"file://{path}", anchor=schema)
        self.loader = ConfigLoaderImpl(config_search_path=self.search_path)
        if not self.loader.repository.config_exists(config_name):
            names = self._options("")
            raise ConfigError(
                f"--config-name={config_name}: there is no such configuration.{nearest(config_name, names)} "
                f"Allowed are {', '.join(names)}."
            )
        self._parsed: dict[str, Override] = {}
        self._composed: dict[tuple[str, ...], tuple[DictConfig, dict[str, Any]]] = {}
        self._configs: dict[tuple[str, ...], Config] = {}

    def force(self, overrides: Sequence[str]) -> list[str]:
        """Return the overrides with plain assignments of values in their forced form."""
        from hydra.core.override_parser.types import OverrideType

        forced = []
        for parsed in self._parse([self._choosing(text) for text in overrides]):
            text = str(parsed.input_line)
            assignment = self._is_assignment(parsed)
            if not self._is_choice(parsed) and (parsed.package is not None or "/" in parsed.key_or_group):
                group, groups = parsed.key_or_group, [*self.groups, "hydra/launcher"]
                raise ConfigError(
                    f"{text}: there is no config group {group}.{nearest(group, groups)} "
                    f"Allowed are {', '.join(groups)}."
                )
            forced.append(f"++{text}" if assignment and parsed.type == OverrideType.CHANGE else text)
        return forced

    def _choosing(self, text: str) -> str:
        """Return an override that names the data sets which another one is made of as the choice that it means.

        ``dataset.source=safechain`` is ``dataset@dataset.source=safechain``.
        """
        key, assigned, value = text.partition("=")
        names = [name.strip() for name in value.split(",")]
        if not (assigned and _PART.fullmatch(key) and all(_NAME.fullmatch(name) for name in names)):
            return text
        for name in names:
            if name != "null" and not self._exists(DATASET, name):
                raise ConfigError(f"{text}: {self._no_choice(name, DATASET)}")
        return text if "null" in names else f"{DATASET}@{text}"

    @cached_property
    def groups(self) -> list[str]:
        """Names of the config groups that a user chooses from."""
        found = self.loader.list_groups("")
        return sorted(group for group in found if group not in ("hydra", "lm_eval"))

    def jobs(self, overrides: Sequence[str], multirun: bool) -> list[Job]:
        """Return one job, or every job of the sweep that the overrides and ``hydra.sweeper.params`` span.

        Raises:
            ConfigError: whatever is wrong with the overrides or the configuration.
        """
        with _composition_errors():  # looks where hydra.searchpath says, as Hydra will for its own composition
            repository: Any = self.loader.repository
            self.loader._process_config_searchpath(self.config_name, self._parse(overrides), repository)
        forced = self.force(overrides)
        if not multirun:
            swept = [parsed for parsed in self._parse(forced) if parsed.is_sweep_override()]
            if swept:
                raise ConfigError(f"{plain(swept[0])} names several values, which needs a sweep: add -m.")
            return [self.job(forced)]
        return [self.job(batch) for batch in self._expand(forced)]

    def job(self, overrides: Sequence[str]) -> Job:
        """Return the job of forced overrides without sweeps in them."""
        key = tuple(overrides)
        if key not in self._configs:
            self._configs[key] = self._compose(overrides)
        return Job(tuple(text.removeprefix("++") for text in overrides), self._configs[key])

    def check_package(self, overrides: Sequence[str], package: str, shown: str) -> None:
        """Raise ConfigError unless what ``--cfg`` shows (job, hydra or all) has a node by the name of ``--package``."""
        from hydra.types import RunMode
        from omegaconf import OmegaConf

        composed = self._load(self.force(overrides), RunMode.RUN)
        names = [str(name) for name in composed if shown == "all" or (name == "hydra") == (shown == "hydra")]
        first = re.split(r"[.\[]", package)[0]
        with _composition_errors():
            there = first in names and OmegaConf.select(composed, package) is not None
        if package != "_global_" and not there:
            raise ConfigError(
                f"--package={package}: --cfg {shown} has no such node, or it is null.{nearest(package, names)} Allowed "
                f"are {', '.join(names)}, and the keys below them."
            )

    def _expand(self, forced: list[str]) -> list[list[str]]:
        from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
        from hydra.types import RunMode
        from omegaconf import OmegaConf

        with _composition_errors():
            loaded = self._load(forced, RunMode.MULTIRUN)
            self.launcher = _launcher(loaded)
            parameters = OmegaConf.select(loaded, "hydra.sweeper.params") or {}
            declared = self.force([f"{key}={value}" for key, value in parameters.items()])
        swept = [*self._parse(declared), *(each for each in self._parse(forced) if not each.is_hydra_override())]
        for parsed in swept:
            if parsed.is_sweep_override() and not _names_values(parsed):
                raise ConfigError(
                    f"{plain(parsed)}: this names no values to run; allowed are lists (a,b,c), ranges (range(0,6)) and "
                    "choice(..)."
                )
        return BasicSweeper.split_arguments(swept, None)[0]

    def _compose(self, overrides: Sequence[str]) -> Config:
        """Compose one job. Jobs of a sweep that choose the same options share what Hydra composes of YAML."""
        from hydra.types import RunMode
        from omegaconf import open_dict

        assignments = [parsed for parsed in self._parse(overrides) if self._is_assignment(parsed)]
        texts = {parsed.input_line for parsed in assignments}
        choices = tuple(text for text in overrides if text not in texts)
        if choices not in self._composed:
            self._check_choices(choices)
            composed = self._load(choices, RunMode.RUN)
            self.launcher = self.launcher or _launcher(composed)
            with open_dict(composed):
                del composed["hydra"]
            self._composed[choices] = composed, unresolved(composed)
        composed, written = self._composed[choices]
        config = copy.deepcopy(composed)
        with _composition_errors():
            self.loader._apply_overrides_to_config(_checked(assignments, written), config)
        forced = [first_missing(written, parsed.key_or_group) for parsed in assignments if parsed.is_force_add()]
        added = {path for path in forced if path is not None}
        return build(Config, resolved(config), self.groups, added, lambda path: origin(unresolved(config), path))

    def _is_assignment(self, parsed: Override) -> bool:
        """Whether an override changes a value of the composed configuration, and not what is composed."""
        return not parsed.is_hydra_override() and not self._is_choice(parsed)

    def _is_choice(self, parsed: Override) -> bool:
        """Whether an override chooses an option of a config group; a dictionary is merged into the group's node."""
        return self.loader.repository.group_exists(parsed.key_or_group) and not isinstance(parsed.value(), dict)

    def _load(self, overrides: Sequence[str], mode: Any) -> DictConfig:
        with _composition_errors(self._unreadable):
            return self.loader.load_configuration(self.config_name, list(overrides), run_mode=mode)

    def _unreadable(self, error: Exception) -> str | None:
        """Return which YAML file it is that cannot be read, and why, where an error of Hydra's does not name it.

        The files of the search path are read one by one, until one of them makes the same error.
        """
        from omegaconf import OmegaConf
        from omegaconf.errors import GrammarParseError

        cause = error.__cause__ or error
        if not isinstance(cause, UnicodeDecodeError | GrammarParseError):
            return None
        repository: Any = self.loader.repository
        folders = [Path(source.path) for source in repository.get_sources() if source.scheme() == "file"]
        for path in (path for folder in folders for path in sorted(folder.rglob("*.yaml"))):
            try:
                OmegaConf.load(path)
            except UnicodeDecodeError as found:
                if str(found) == str(cause):
                    return f"{path} is no UTF-8 text ({found.reason}): save it as UTF-8."
            except GrammarParseError as found:
                if str(found) == str(cause):
                    key, why = f"{found.full_key}: " if found.full_key else "", str(found).splitlines()[0]
                    return f"{path}: {key}this reference cannot be read ({why}); write it as ${{key}}."
            except Exception:
                continue  # not the file that is looked for
        return None

    def _parse(self, overrides: Sequence[str]) -> list[Override]:
        from hydra.core.override_parser.overrides_parser import OverridesParser
        from hydra.errors import HydraException

        for text in overrides:
            if text in self._parsed:
                continue
            try:
                parsed = OverridesParser.create(config_loader=self.loader).parse_overrides([text])[0]
            except HydraException:
                raise ConfigError(f"{text or repr(text)}: this is no override. {_advice(text)}") from None
            if not parsed.key_or_group:
                raise ConfigError(f"{text}: this is no override. {_advice('')}")
            self._parsed[text] = parsed
        return [self._parsed[text] for text in overrides]

    def _check_choices(self, overrides: Sequence[str]) -> None:
        """Check that every chosen option of a group exists."""
        for parsed in self._parse(overrides):
            if parsed.is_delete() or not self._is_choice(parsed):
                continue
            value = parsed.value()
            for choice in value if isinstance(value, list) else [value]:
                if not self._exists(parsed.key_or_group, choice):
                    key = parsed.get_key_element().lstrip("+")
                    raise ConfigError(f"{key}={show(choice)}: {self._no_choice(choice, parsed.key_or_group)}")

    def _exists(self, group: str, choice: Any) -> bool:
        if not isinstance(choice, str) or not choice:
            return False
        return self.loader.repository.config_exists(f"{group}/{choice}")

    def _no_choice(self, choice: Any, group: str) -> str:
        options = self._options(group)
        return f"there is no such choice.{nearest(show(choice), options)} Allowed are {', '.join(options)}."

    def _options(self, group: str) -> list[str]:
        from hydra.core.object_type import ObjectType

        found = self.loader.repository.get_group_options(group, ObjectType.CONFIG)
        return sorted(name for name in found if not name.startswith("_"))


def plain(parsed: Override) -> str:
    """Return an override as a user writes it, without the mark of the forced form."""
    return str(parsed.input_line).removeprefix("++")


def _names_values(parsed: Override) -> bool:
    """Whether a sweep has at least one value; an interval has none, and neither has a range without end or step."""
    try:
        return parsed.is_discrete_sweep() and any(True for _ in parsed.sweep_iterator())
    except ValueError:
        return False


def _advice(text: str) -> str:
    """Return how to write an override that cannot be parsed."""
    key, assigned, value = text.partition("=")
    if assigned and key.strip() == key and " " not in key:
        return (
            f"Its value cannot be read: close every bracket and quote, and give text with spaces or symbols quotes of "
            f"its own, as \"{key}='{value}'\"."
        )
    return "Write key=value, +experiment=NAME, or ~key."


def _checked(assignments: Sequence[Override], written: Mapping[str, Any]) -> list[Override]:
    """Return the assignments; none may reach into a node that is taken from elsewhere.

    It would be replaced there by a node of that one key.
    """
    replaced: list[str] = []
    for parsed in assignments:
        parent, _, name = parsed.key_or_group.rpartition(".")
        source = origin(written, parent)
        if source != parent and not any(parsed.key_or_group.startswith(f"{key}.") for key in replaced):
            raise ConfigError(
                f"{plain(parsed)}: {parent} is taken from {source}; set {source}.{name}, or all of {parent}."
            )
        replaced.append(parsed.key_or_group)
    return list(assignments)


def _launcher(composed: DictConfig) -> str:
    """Return the option of hydra/launcher in a configuration that Hydra composed."""
    return str(composed.hydra.runtime.choices.get("hydra/launcher"))


@contextmanager
def _composition_errors(unreadable: Callable[[Exception], str | None] = lambda _: None) -> Iterator[None]:
    """Turn complaints of Hydra, OmegaConf and the YAML parser into ConfigError.

    Args:
        unreadable: says which file an error is of that names none; None: it is of no file.
    """
    from hydra.errors import HydraException, MissingConfigException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import MarkedYAMLError
    from yaml.reader import ReaderError

    try:
        yield
    except MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{mark.name}, line {mark.line + 1}" if mark else "a file"
        raise ConfigError(f"{place}: this is no valid YAML ({error.problem or error.context}).") from None
    except ReaderError as error:
        raise ConfigError(
            f"{error.name}: this is no valid YAML (character {error.position}: {error.reason})."
        ) from None
    except MissingConfigException as error:
        first = str(error).splitlines()[0]
        choice = str(error.missing_cfg_file or "").rpartition("/")[2]
        options = [name for name in error.options or [] if not name.startswith("_")]
        hint = f"{nearest(choice, options)} Allowed are {', '.join(options)}." if options else ""
        raise ConfigError(f"{first}.{hint}") from None
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        part = re.search(rf"Could not override '{DATASET}@([\w.]+)'", str(error))
        if part and _PART.fullmatch(part[1]):
            raise ConfigError(
                f"{part[1]}: the data set that is chosen is not made of another one of that name; choose one that is, "
                "such as dataset=dgr (dataset.source) or dataset=replay (dataset.parts.safety)."
            ) from None
        if told := unreadable(error):
            raise ConfigError(told) from None
        text = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
        reason = str(error.__cause__ or "").splitlines()[:1]
        raise ConfigError(": ".join(part for part in [text, *reason] if part)) from None
