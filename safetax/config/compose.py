"""Composes configurations with Hydra: the command line's overrides to one typed configuration for each job.

Composition is done before Hydra's own run begins: a mistake is then one message with exit code 2, and nothing has been
made on disk. Overrides of plain values are passed to Hydra in their forced form (``++key=value``), so that whether a key
exists is decided by the schema alone.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetax.config.build import build, nearest
from safetax.config.schema import Config
from safetax.errors import ConfigError

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override
    from omegaconf import DictConfig


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
        config_dir: a folder of the user's own configuration, searched first.
        config_name: the primary configuration.
    """

    def __init__(self, config_dir: str | None = None, config_name: str = "config") -> None:
        from hydra._internal.config_loader_impl import ConfigLoaderImpl
        from hydra._internal.utils import create_config_search_path
        from hydra.core.config_search_path import SearchPathQuery
        from hydra.core.utils import setup_globals

        setup_globals()
        self.config_name = config_name
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
        self._parsed: dict[str, Override] = {}
        self._composed: dict[tuple[str, ...], DictConfig] = {}
        self._configs: dict[tuple[str, ...], Config] = {}

    def force(self, overrides: Sequence[str]) -> list[str]:
        """Return the overrides with plain assignments of values in their forced form."""
        from hydra.core.override_parser.types import OverrideType

        forced = []
        for parsed in self._parse(overrides):
            text = str(parsed.input_line)
            plain = parsed.type == OverrideType.CHANGE and not parsed.is_hydra_override()
            is_group = self.loader.repository.group_exists(parsed.key_or_group)
            if not is_group and parsed.package is not None:
                self._unknown_group(parsed.key_or_group, text)
            forced.append(f"++{text}" if plain and not is_group else text)
        return forced

    def _unknown_group(self, group: str, text: str) -> None:
        raise ConfigError(
            f"{text}: there is no config group '{group}'.{nearest(group, self.groups)} "
            f"Allowed are {', '.join(self.groups)}."
        )

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
        forced = self.force(overrides)
        if not multirun:
            swept = [parsed.input_line for parsed in self._parse(forced) if parsed.is_sweep_override()]
            if swept:
                raise ConfigError(f"{str(swept[0]).lstrip('+')} names several values, which needs a sweep: add -m.")
            return [self.job(forced)]
        return [self.job(batch) for batch in self._expand(forced)]

    def job(self, overrides: Sequence[str]) -> Job:
        """Return the job of forced overrides without sweeps in them."""
        key = tuple(overrides)
        if key not in self._configs:
            self._configs[key] = build(Config, self._compose(overrides), self.groups)
        return Job(tuple(text.lstrip("+") if text.startswith("++") else text for text in overrides), self._configs[key])

    def _expand(self, forced: list[str]) -> list[list[str]]:
        from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
        from hydra.types import RunMode
        from omegaconf import OmegaConf

        parameters = OmegaConf.select(self._load(forced, RunMode.MULTIRUN), "hydra.sweeper.params") or {}
        declared = self.force([f"{key}={value}" for key, value in parameters.items()])
        task = [parsed.input_line for parsed in self._parse(forced) if not parsed.is_hydra_override()]
        try:
            batches = BasicSweeper.split_arguments(self._parse([*declared, *map(str, task)]), None)
        except Exception as error:
            raise ConfigError(f"{error} Allowed are lists (a,b,c), ranges (range(0,6)) and choice(..).") from None
        return batches[0]

    def _compose(self, overrides: Sequence[str]) -> dict[str, Any]:
        """Compose one job. Jobs of a sweep that choose the same options share what Hydra composes of YAML."""
        from hydra.types import RunMode
        from omegaconf import OmegaConf, open_dict
        from omegaconf.errors import OmegaConfBaseException

        values = [parsed for parsed in self._parse(overrides) if self._sets_value(parsed)]
        texts = {parsed.input_line for parsed in values}
        choices = tuple(text for text in overrides if text not in texts)
        if choices not in self._composed:
            self._check_choices(choices)
            composed = self._load(choices, RunMode.RUN)
            with open_dict(composed):
                del composed["hydra"]
            self._composed[choices] = composed
        config = copy.deepcopy(self._composed[choices])
        with _composition_errors():
            self.loader._apply_overrides_to_config(values, config)
        try:
            resolved = OmegaConf.to_container(config, resolve=True)
        except OmegaConfBaseException as error:
            key = error.full_key or "a value"
            raise ConfigError(f"{key}: {str(error.msg or error).splitlines()[0]}") from None
        assert isinstance(resolved, dict)
        return {str(key): value for key, value in resolved.items()}

    def _sets_value(self, parsed: Override) -> bool:
        """Whether an override changes a value of the composed configuration, and not what is composed."""
        return not parsed.is_hydra_override() and not self._is_choice(parsed)

    def _is_choice(self, parsed: Override) -> bool:
        """Whether an override chooses an option of a config group; a dictionary is merged into the group's node."""
        return self.loader.repository.group_exists(parsed.key_or_group) and not isinstance(parsed.value(), dict)

    def _load(self, overrides: Sequence[str], mode: Any) -> DictConfig:
        with _composition_errors():
            return self.loader.load_configuration(self.config_name, list(overrides), run_mode=mode)

    def _parse(self, overrides: Sequence[str]) -> list[Override]:
        from hydra.core.override_parser.overrides_parser import OverridesParser
        from hydra.errors import HydraException

        for text in overrides:
            if text in self._parsed:
                continue
            try:
                self._parsed[text] = OverridesParser.create(config_loader=self.loader).parse_override(text)
            except HydraException as error:
                reason = str(error).splitlines()[0]
                raise ConfigError(
                    f"{text}: this is no override ({reason}). Write key=value, +experiment=NAME, or ~key."
                ) from None
        return [self._parsed[text] for text in overrides]

    def _check_choices(self, overrides: Sequence[str]) -> None:
        """Check that every chosen option of a group exists."""
        from hydra.core.object_type import ObjectType

        for parsed in self._parse(overrides):
            group = parsed.key_or_group
            if parsed.is_delete() or not self.loader.repository.group_exists(group):
                continue
            options = self.loader.get_group_options(group, ObjectType.CONFIG)
            value = parsed.value()
            for choice in value if isinstance(value, list) else [value]:
                if choice is not None and str(choice) not in options and not self._exists(group, str(choice)):
                    shown = str(choice) if str(choice) else "''"
                    raise ConfigError(
                        f"{parsed.get_key_element().lstrip('+')}={shown}: there is no such choice."
                        f"{nearest(str(choice), options)} Allowed are {', '.join(sorted(options))}."
                    )

    def _exists(self, group: str, choice: str) -> bool:
        return bool(choice) and self.loader.repository.config_exists(os.path.join(group, choice))  # noqa: PTH118


@contextmanager
def _composition_errors() -> Iterator[None]:
    """Turn Hydra's and OmegaConf's complaints about a configuration into ConfigError."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        cause = error.__cause__ if error.__cause__ is not None and not str(error) else error
        lines = [line for line in str(cause).splitlines() if line.strip()]
        raise ConfigError(" ".join(line.strip() for line in lines[:4])) from None
