"""Components: the module that a ``kind`` names, of safetax or of the user, and what safetax calls in it."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import traceback
import types
from typing import Protocol

from safetax.config.messages import nearest
from safetax.errors import ConfigError

CALLED = {"datasets": "build", "judges": "judge", "engines": "start", "objectives": "make", "rows": "load"}
"""The function that safetax calls in the module of a component, by package."""


PLACES = {
    "datasets": "safetax.data.datasets",
    "judges": "safetax.evaluation.judges",
    "engines": "safetax.evaluation.engines",
    "objectives": "safetax.training.objectives",
    "rows": "safetax.data.sources",
}
"""Where the modules of a component's own kinds stand, by package."""


class ComponentConfig(Protocol):
    """The configuration of a component: a frozen dataclass of the module that its kind names."""

    @property
    def kind(self) -> str:
        """Name of a module of safetax, or the dotted path of one on the Python path."""
        ...


class DatasetConfig(ComponentConfig, Protocol):
    """The configuration of a data set that is trained on."""

    @property
    def name(self) -> str:
        """What tables and plots call it."""
        ...


class JudgeConfig(ComponentConfig, Protocol):
    """The configuration of a judge or grader."""


class EngineConfig(ComponentConfig, Protocol):
    """The configuration of an engine."""


class ObjectiveConfig(ComponentConfig, Protocol):
    """The configuration of a training objective."""


class RowsConfig(ComponentConfig, Protocol):
    """The configuration of a row source."""


def component_module(package: str, kind: str) -> types.ModuleType:
    """Import the module of a component's kind; a kind with dots is a module path of a plug-in.

    Raises:
        ConfigError: there is no such module, it cannot be imported, or it lacks its ``Config`` or its function.
    """
    path = kind if "." in kind else f"{PLACES[package]}.{kind}"
    try:
        if not all(part.isidentifier() for part in path.split(".")):
            raise ModuleNotFoundError(name=path)
        module = importlib.import_module(path)
    except (Exception, SystemExit) as error:  # a plug-in's own code is run here
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if not (missing and (path == missing or path.startswith(missing + "."))):
            raise ConfigError(f"kind={kind}: the module cannot be imported ({_told(error)}); mend it.") from error
        kinds = component_kinds(package)
        raise ConfigError(
            f"kind={kind}: there is no module {path}.{nearest(kind, kinds)} Allowed are {', '.join(kinds)}, "
            "or the dotted path of a module on the Python path."
        ) from None
    if not dataclasses.is_dataclass(getattr(module, "Config", None)):
        raise ConfigError(f"kind={kind}: module {path} has no dataclass Config, which a kind of {package} needs.")
    if not callable(getattr(module, CALLED[package], None)):
        raise ConfigError(
            f"kind={kind}: module {path} has no function {CALLED[package]}, which a kind of {package} needs; add it."
        )
    return module


def _told(error: BaseException) -> str:
    """Return where an import failed and why: the file and line that the error tells, or that raised it."""
    why = f"{type(error).__name__}: {getattr(error, 'msg', None) or error}".splitlines()[0]
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}: {why}"
    frames = traceback.extract_tb(error.__traceback__)
    frames = [frame for frame in frames if frame.filename not in (__file__, importlib.__file__)]
    frames = [frame for frame in frames if not frame.filename.startswith("<frozen")]
    return f"{frames[-1].filename}, line {frames[-1].lineno}: {why}" if frames else why


def component_kinds(package: str) -> list[str]:
    """Return the kinds that safetax itself has in a component package."""
    directory = importlib.import_module(PLACES[package]).__path__
    return sorted(module.name for module in pkgutil.iter_modules(directory) if not module.name.startswith("_"))
