"""Hydra's side of the command: its parser, its loader, its own run, the record that it leaves, and its complaints.

What Hydra does not offer in public is named here and nowhere else.
"""

from __future__ import annotations

import functools
import os
import re
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetax.config.messages import nearest
from safetax.errors import ConfigError, StepError, UserError, explained, in_the_way, is_full

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override
    from omegaconf import DictConfig


VERSION_BASE = "1.3"  # the version of Hydra whose defaults hold
DATASET = "dataset"  # the group of data sets
PART = re.compile(r"(?:\w+\.)*(?:source|parts\.\w+)")
"""Keys of the data sets that another one is made of."""


def conf_directory() -> Path:
    """Return the folder of the configuration: inside an installed package, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"


class Loader:
    """Loads configurations from the YAML of one search path.

    Args:
        config_dir: a folder of the user's own configuration, which adds to ours.
        config_name: the primary configuration.
    """

    def __init__(self, config_dir: str | None, config_name: str) -> None:
        import omegaconf.base
        from hydra import version
        from hydra._internal.config_loader_impl import ConfigLoaderImpl
        from hydra._internal.utils import create_config_search_path
        from hydra.core.config_search_path import SearchPathQuery
        from hydra.core.utils import setup_globals

        omegaconf.base.parse = _parse_reference  # type: ignore[attr-defined]
        version.setbase(VERSION_BASE)
        setup_globals()
        self.config_name = config_name
        search_path = create_config_search_path(str(conf_directory()))
        if config_dir is not None:
            path = Path(config_dir).absolute()
            if not path.is_dir():
                raise ConfigError(
                    f"--config-dir={config_dir}: there is no such folder; name a folder with YAML groups."
                )
            schema = SearchPathQuery(provider="schema")
            search_path.prepend(provider="command-line", path=f"file://{path}", anchor=schema)
        self._loader = ConfigLoaderImpl(config_search_path=search_path)
        self._repository: Any = self._loader.repository
        if not self._repository.config_exists(config_name):
            names = self.options("")
            raise ConfigError(
                f"--config-name={config_name}: there is no such configuration.{nearest(config_name, names)} "
                f"Allowed are {', '.join(names)}."
            )

    def search(self, overrides: list[Override]) -> None:
        """Look where ``hydra.searchpath`` says too."""
        with composition_errors():
            self._loader._process_config_searchpath(self.config_name, overrides, self._repository)

    def groups(self) -> list[str]:
        """Return the names of all config groups."""
        return self._loader.list_groups("")

    def is_group(self, key: str) -> bool:
        """Whether there is a config group of that name."""
        return self._repository.group_exists(key)

    def exists(self, group: str, choice: Any) -> bool:
        """Whether a group has an option."""
        return isinstance(choice, str) and bool(choice) and self._repository.config_exists(f"{group}/{choice}")

    def options(self, group: str) -> list[str]:
        """Return the options of a group, sorted."""
        from hydra.core.object_type import ObjectType

        found = self._repository.get_group_options(group, ObjectType.CONFIG)
        return sorted(name for name in found if not name.startswith("_"))

    def parse(self, text: str) -> Override | None:
        """Return an override as Hydra reads it, or None where it cannot be read."""
        from hydra.core.override_parser.overrides_parser import OverridesParser
        from hydra.errors import HydraException

        try:
            return OverridesParser.create(config_loader=self._loader).parse_overrides([text])[0]
        except HydraException:
            return None

    def load(self, overrides: Sequence[str]) -> DictConfig:
        """Return the configuration that Hydra composes of overrides, its own settings included.

        Raises:
            ConfigError: Hydra, OmegaConf or the YAML parser complains.
        """
        from hydra.types import RunMode

        folders = [Path(source.path) for source in self._repository.get_sources() if source.scheme() == "file"]
        with composition_errors(folders):
            return self._loader.load_configuration(self.config_name, list(overrides), run_mode=RunMode.RUN)

    def apply(self, assignments: list[Override], config: DictConfig) -> None:
        """Change values of a configuration."""
        with composition_errors():
            self._loader._apply_overrides_to_config(assignments, config)

    def tell_overrides(self, config: DictConfig, overrides: Sequence[Override]) -> DictConfig:
        """Return a composed configuration in which Hydra's settings say of which overrides it was made."""
        from hydra._internal.config_loader_impl import get_overrides_dirname

        settings = config.hydra
        own = [each for each in overrides if each.is_hydra_override()]
        task = [each for each in overrides if not each.is_hydra_override()]
        settings.overrides.hydra = [each.input_line for each in own]
        settings.overrides.task = [each.input_line for each in task]
        settings.job.override_dirname = get_overrides_dirname(task, **settings.job.config.override_dirname)
        return config


@functools.cache
def _parse_reference(text: str) -> Any:
    """Parse a reference as OmegaConf does, but once: it would for every job of a sweep, for half of the time."""
    from omegaconf.grammar_parser import parse

    return parse(text)


def argument_parser() -> ArgumentParser:
    """Return Hydra's own parser of the command line."""
    from hydra._internal.utils import get_args_parser

    return get_args_parser()


def split_sweep(overrides: list[Override]) -> list[list[str]]:
    """Return the overrides of each job that overrides with several values span; the last of a key counts."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    return BasicSweeper.split_arguments(overrides, None)[0]


def run_hydra(arguments: Sequence[str], task: Callable[[Any], None]) -> None:
    """Let Hydra do a command line: help, ``--cfg``, ``--info``, completion, or jobs by a launcher of another package.

    Args:
        arguments: of the command line.
        task: called for each job, in the process where its launcher has it done.
    """
    import hydra

    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come to us instead of a printed traceback and exit code 1
    sys.argv = [sys.argv[0], *arguments]
    with _folders_made():
        hydra.main(version_base=VERSION_BASE, config_path=str(conf_directory()), config_name="config")(task)()


def write_record(config: DictConfig, sweep: bool) -> None:
    """Leave the files that Hydra leaves of a run or a sweep, and set up logging and environment as it does.

    Args:
        config: what Hydra composed, its own settings included.
        sweep: whether it is of a sweep, which leaves ``multirun.yaml``; a run leaves ``hydra/*.yaml``.

    Raises:
        UserError: the folder cannot be made.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.utils import configure_log
    from omegaconf import OmegaConf, open_dict, read_write

    HydraConfig.instance().set_config(config)  # what ${hydra:..} refers to
    settings = config.hydra
    configure_log(settings.hydra_logging, settings.verbose)
    folder = Path(settings.sweep.dir if sweep else settings.run.dir)
    with _folders_made(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if sweep:
            OmegaConf.save(config, folder / "multirun.yaml")
            return
        with read_write(settings.runtime), open_dict(settings.runtime):
            settings.runtime.output_dir = str(folder.absolute())
        configure_log(settings.job_logging, settings.verbose)
        os.environ.update(settings.job.env_set)
        if settings.output_subdir is not None:
            (folder / settings.output_subdir).mkdir(parents=True, exist_ok=True)
            job = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
            own = OmegaConf.masked_copy(config, "hydra")
            parts = {"config.yaml": job, "hydra.yaml": own, "overrides.yaml": settings.overrides.task}
            for name, part in parts.items():
                OmegaConf.save(part, folder / settings.output_subdir / name)


@contextmanager
def _folders_made(folder: Path | None = None) -> Iterator[None]:
    """Turn the complaint of a folder that cannot be made into one for the user."""
    try:
        yield
    except (BrokenPipeError, UserError):  # what a job says of itself
        raise
    except OSError as error:
        if is_full(error):
            raise StepError(explained(error, folder)) from None
        if isinstance(error, IsADirectoryError):  # in the place of one of its files
            raise UserError(explained(error)) from None
        remedy = "name another one with runtime.outputs, hydra.run.dir or hydra.sweep.dir"
        if isinstance(error, FileExistsError | NotADirectoryError):
            file = in_the_way(Path(error.filename))
            raise UserError(
                f"{file}: a file stands in the place of a folder; {remedy}, or, if it is not wanted, remove it."
            ) from None
        raise UserError(f"{error.filename}: this folder cannot be made ({error.strerror}); {remedy}.") from error


@contextmanager
def composition_errors(folders: Sequence[Path] = ()) -> Iterator[None]:
    """Turn complaints of Hydra, OmegaConf and the YAML parser into ConfigError.

    Args:
        folders: of the YAML files among which the one is looked for that an error does not name.
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
        if part and PART.fullmatch(part[1]):
            raise ConfigError(
                f"{part[1]}: the data set that is chosen is not made of another one of that name; choose one that is, "
                "such as dataset=dgr (dataset.source) or dataset=replay (dataset.parts.safety)."
            ) from None
        if told := _unreadable(error, folders):
            raise ConfigError(told) from None
        text = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
        reason = str(error.__cause__ or "").splitlines()[:1]
        raise ConfigError(": ".join(part for part in [text, *reason] if part)) from None


def _unreadable(error: Exception, folders: Sequence[Path]) -> str | None:
    """Return which YAML file it is that cannot be read, and why, where an error of Hydra's does not name it.

    The files are read one by one, until one of them makes the same error.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import GrammarParseError

    cause = error.__cause__ or error
    if not isinstance(cause, UnicodeDecodeError | GrammarParseError):
        return None
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
