"""Composes configurations with Hydra: the command line's overrides to one typed configuration for each job.

Composition is done before Hydra's own run begins: a mistake is then one message with exit code 2, and nothing has been
made on disk. Overrides of plain values are passed to Hydra in their forced form (``++key=value``), so that whether a
key exists is decided by the schema alone.
"""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetax.config.build import build
from safetax.config.hydra import DATASET, PART, Loader, composition_errors, split_sweep, write_record
from safetax.config.lab_defaults import lab_defaults
from safetax.config.messages import nearest, show
from safetax.config.overrides import (
    advice,
    check_values,
    checked,
    drop_unchosen,
    is_alignment_data,
    latest,
    names_values,
    plain,
    quoted,
)
from safetax.config.references import first_missing, origin, resolved, unresolved
from safetax.config.schema import Config
from safetax.errors import ConfigError

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override
    from omegaconf import DictConfig

Counted = Callable[[Sequence[Any], str], Iterable[Any]]
_NAME = re.compile(r"[A-Za-z_][\w.+-]*")


@dataclass(frozen=True)
class Job:
    """One run of a sweep: the overrides that make it, and its typed configuration."""

    overrides: tuple[str, ...]
    config: Config


@dataclass(frozen=True)
class _Chosen:
    """What Hydra composes of chosen options, before values of it are changed."""

    pickled: bytes
    """The configuration; a copy from here takes a fifth of the time of ``copy.deepcopy``."""
    written: Mapping[str, Any]
    """The same as plain values, in which references stand as they were written."""
    settings: DictConfig
    """Hydra's own."""

    def copy(self) -> DictConfig:
        """Return the configuration, to be changed."""
        return pickle.loads(self.pickled)


class Composer:
    """Composes jobs from overrides over one search path.

    Args:
        config_dir: a folder of the user's own configuration, which adds to ours.
        config_name: the primary configuration.
    """

    def __init__(self, config_dir: str | None = None, config_name: str = "config") -> None:
        self.loader = Loader(config_dir, config_name)
        self.launcher = ""
        """The option of hydra/launcher that is chosen; empty: nothing is composed yet."""
        self.lab_defaults: dict[tuple[str, ...], Mapping[str, Any]] = {}
        """Values of each job that are defaults of the lab, which nobody chose, by the job's overrides."""
        self._parsed: dict[str, Override] = {}
        self._chosen: dict[tuple[str, ...], _Chosen] = {}
        self._configs: dict[tuple[str, ...], tuple[Config, Mapping[str, Any]]] = {}
        self._sections: dict[tuple[str, str], Any] = {}

    def force(self, overrides: Sequence[str]) -> list[str]:
        """Return the overrides with plain assignments of values in their forced form."""
        forced = []
        for parsed in self._parse([self._choosing(text) for text in overrides]):
            text = str(parsed.input_line)
            if not self._is_choice(parsed) and (parsed.package is not None or "/" in parsed.key_or_group):
                name, groups = parsed.key_or_group, [*self.groups, "hydra/launcher"]
                raise ConfigError(
                    f"{text}: there is no config group {name}.{nearest(name, groups)} Allowed are {', '.join(groups)}."
                )
            forced.append(f"++{text}" if self._is_assignment(parsed) and not text.startswith(("+", "~")) else text)
        return [str(parsed.input_line) for parsed in latest(self._parse(forced))]

    def _choosing(self, text: str) -> str:
        """Return ``dataset.source=safechain`` as the choice that it means, ``dataset@dataset.source=safechain``."""
        key, assigned, value = text.partition("=")
        names = [name.strip() for name in value.split(",")]
        if not (assigned and PART.fullmatch(key) and all(_NAME.fullmatch(name) for name in names)):
            return text
        for name in names:
            if name != "null" and not self.loader.exists(DATASET, name):
                raise ConfigError(f"{text}: {self._no_choice(name, DATASET)}")
        return text if "null" in names else f"{DATASET}@{text}"

    @cached_property
    def groups(self) -> list[str]:
        """Names of the config groups that a user chooses from."""
        return sorted(group for group in self.loader.groups() if group not in ("hydra", "lm_eval"))

    def jobs(self, overrides: Sequence[str], multirun: bool, counted: Counted = lambda items, _: items) -> list[Job]:
        """Return one job, or every job of the sweep that the overrides and ``hydra.sweeper.params`` span.

        Args:
            overrides: of the command line.
            multirun: whether they span a sweep.
            counted: passes the jobs on and says how far they are, and what is done to them.

        Raises:
            ConfigError: whatever is wrong with the overrides or the configuration.
        """
        self.loader.search(self._parse(overrides))
        forced = self.force(overrides)
        if not multirun:
            swept = [parsed for parsed in self._parse(forced) if parsed.is_sweep_override()]
            if swept:
                raise ConfigError(f"{plain(swept[0])} names several values, which needs a sweep: add -m.")
            return [self.job(forced)]
        return [self.job(batch) for batch in counted(self._expand(forced), "jobs composed")]

    def job(self, overrides: Sequence[str]) -> Job:
        """Return the job of forced overrides without sweeps in them."""
        key = tuple(overrides)
        if key not in self._configs:
            self._configs[key] = self._compose(overrides)
        short = tuple(text.removeprefix("++") for text in overrides)
        config, self.lab_defaults[short] = self._configs[key]
        return Job(short, config)

    def check_package(self, overrides: Sequence[str], package: str, shown: str) -> None:
        """Raise ConfigError unless what ``--cfg`` shows (job, hydra or all) has a node by the name of ``--package``."""
        from omegaconf import OmegaConf

        composed = self.loader.load(self.force(overrides))
        names = [str(name) for name in composed if shown == "all" or (name == "hydra") == (shown == "hydra")]
        first = re.split(r"[.\[]", package)[0]
        with composition_errors():
            there = first in names and OmegaConf.select(composed, package) is not None
        if package != "_global_" and not there:
            raise ConfigError(
                f"--package={package}: --cfg {shown} has no such node, or it is null.{nearest(package, names)} Allowed "
                f"are {', '.join(names)}, and the keys below them."
            )

    def record(self, forced: Sequence[str], target: Path, sweep: bool) -> None:
        """Leave Hydra's own record of a run or a sweep in a folder, or where Hydra's settings say.

        Raises:
            UserError: that folder cannot be made.
        """
        where, mode = ("sweep", "MULTIRUN") if sweep else ("run", "RUN")
        own = self._parse([f"hydra.{where}.dir={quoted(target)}", f"hydra.mode={mode}"])
        given = self._parse(forced)
        keys = {parsed.key_or_group for parsed in given}
        config = self._whole(forced, [parsed for parsed in own if parsed.key_or_group not in keys])
        write_record(self.loader.tell_overrides(config, [own[0], *given, own[1]]), sweep)

    def for_launcher(self, forced: Sequence[str], target: Path) -> list[str]:
        """Return the overrides with which Hydra itself sweeps as planned here, for a launcher of another package."""
        return [f"hydra.sweep.dir={quoted(target)}", *self._spanning(forced), "hydra.sweeper.params=null"]

    def _spanning(self, forced: Sequence[str]) -> list[str]:
        """Return the forced overrides that span a sweep: those that a preset declares, then those of the command."""
        from omegaconf import OmegaConf

        choices, _ = self._split(forced)
        if not OmegaConf.select(self._choose(choices).settings, "sweeper.params"):
            return list(forced)
        with composition_errors():
            parameters = self._whole(forced).hydra.sweeper.params
            declared = [f"{key}={value}" for key, value in parameters.items()]
        return [*self.force(declared), *forced]

    def _whole(self, forced: Sequence[str], settings: Sequence[Override] = ()) -> DictConfig:
        """Return what Hydra composes of all overrides but those with several values, its own settings included."""
        from omegaconf import open_dict

        choices, assignments = self._split(forced)
        chosen = self._choose(choices)
        config = chosen.copy()
        with open_dict(config):
            config.hydra = copy.deepcopy(chosen.settings)
        self.loader.apply([*assignments, *settings], config)
        return config

    def _expand(self, forced: list[str]) -> list[list[str]]:
        swept = [parsed for parsed in self._parse(self._spanning(forced)) if not parsed.is_hydra_override()]
        for parsed in swept:
            if parsed.is_sweep_override() and not names_values(parsed):
                raise ConfigError(
                    f"{plain(parsed)}: this names no values to run; allowed are lists (a,b,c), ranges (range(0,6)) and "
                    "choice(..)."
                )
            check_values(parsed)
        return split_sweep(swept)

    def _compose(self, overrides: Sequence[str]) -> tuple[Config, Mapping[str, Any]]:
        """Compose one job, with its defaults of the lab; jobs that choose the same options share most of the work."""
        choices, assignments = self._split(overrides)
        chosen = self._choose(choices)
        config = chosen.copy()
        self.loader.apply(checked(assignments, chosen.written, self.loader.exists), config)
        forced = [first_missing(chosen.written, parsed.key_or_group) for parsed in assignments if parsed.is_force_add()]
        added = {path for path in forced if path is not None}
        values, groups = resolved(config), self.groups
        built = build(Config, values, groups, added, lambda path: origin(unresolved(config), path), self._sections)
        named = {parsed.key_or_group for parsed in self._parse(choices)}
        return built, {} if built.model.world == "lab" else lab_defaults(unresolved(config), values, named)

    def _split(self, overrides: Sequence[str]) -> tuple[tuple[str, ...], list[Override]]:
        """Return the overrides of one value: those that say what is composed, and those that change values of it."""
        parsed = [each for each in self._parse(overrides) if not each.is_sweep_override()]
        choices = tuple(str(each.input_line) for each in parsed if not self._is_assignment(each))
        return choices, [each for each in parsed if self._is_assignment(each)]

    def _choose(self, choices: tuple[str, ...]) -> _Chosen:
        """Return what Hydra composes of choices, each once."""
        from omegaconf import open_dict

        if choices not in self._chosen:
            self._check_choices(choices)
            composed = self.loader.load(choices)
            settings = composed.hydra
            self.launcher = self.launcher or str(settings.runtime.choices.get("hydra/launcher"))
            with open_dict(composed):
                del composed["hydra"]
                drop_unchosen(composed, self.loader.exists)
            self._chosen[choices] = _Chosen(pickle.dumps(composed), unresolved(composed), settings)
            self._check_method(choices, settings.runtime.choices)
        return self._chosen[choices]

    def _check_method(self, choices: tuple[str, ...], chosen: Mapping[str, Any]) -> None:
        """Raise ConfigError where a data set is chosen beside a method that has another: the run would be misnamed."""
        data = {text for text, parsed in zip(choices, self._parse(choices), strict=True) if is_alignment_data(parsed)}
        if not data or chosen.get("method") in (None, "none"):
            return
        own = self._choose(tuple(text for text in choices if text not in data)).settings.runtime.choices
        for parsed in self._parse(sorted(data)):
            key = parsed.get_key_element()
            if own.get(key) != chosen.get(key):
                raise ConfigError(
                    f"{plain(parsed)}: method={chosen['method']} has data of its own ({key}={own.get(key)}); leave one "
                    "of the two out, or set method=none, with which the data set names the run."
                )

    def _is_assignment(self, parsed: Override) -> bool:
        """Whether an override changes a value of the composed configuration, and not what is composed."""
        return not parsed.is_hydra_override() and not self._is_choice(parsed)

    def _is_choice(self, parsed: Override) -> bool:
        """Whether an override chooses an option of a config group; a dictionary is merged into the group's node."""
        return self.loader.is_group(parsed.key_or_group) and not isinstance(parsed.value(), dict)

    def _parse(self, overrides: Sequence[str]) -> list[Override]:
        for text in overrides:
            if text in self._parsed:
                continue
            parsed = self.loader.parse(text)
            if parsed is None:
                told = advice(text, lambda each: self.loader.parse(each) is not None)
                raise ConfigError(f"{text or repr(text)}: this is no override. {told}")
            if not parsed.key_or_group:
                raise ConfigError(f"{text}: this is no override. {advice('')}")
            self._parsed[text] = parsed
        return [self._parsed[text] for text in overrides]

    def _check_choices(self, overrides: Sequence[str]) -> None:
        """Check that every chosen option of a group exists."""
        for parsed in self._parse(overrides):
            if parsed.is_delete() or not self._is_choice(parsed):
                continue
            value = parsed.value()
            named = value if isinstance(value, list) else [value]
            for choice in named:
                if named.count(choice) > 1:
                    raise ConfigError(f"{plain(parsed)}: {show(choice)} is named twice; name it once.")
                if not self.loader.exists(parsed.key_or_group, choice):
                    key = parsed.get_key_element().lstrip("+")
                    raise ConfigError(f"{key}={show(choice)}: {self._no_choice(choice, parsed.key_or_group)}")

    def _no_choice(self, choice: Any, group: str) -> str:
        options = self.loader.options(group)
        return f"there is no such choice.{nearest(show(choice), options)} Allowed are {', '.join(options)}."
