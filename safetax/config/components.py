"""Components: the module that a ``kind`` names, of safetax or of the user, and what safetax calls in it."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import sys
import traceback
import types
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Protocol

from safetax.config.messages import nearest
from safetax.errors import ConfigError, UserError

CALLED = {
    "datasets": ("build", "config, context"),
    "judges": ("judge", "config, examples, responses, context"),
    "engines": ("start", "config, source, runtime"),
    "objectives": ("make", "config"),
    "rows": ("load", "config"),
}
"""The function that safetax calls in the module of a component, and what with, by package."""


PLACES = {
    "datasets": "safetax.data.datasets",
    "judges": "safetax.evaluation.judges",
    "engines": "safetax.evaluation.engines",
    "objectives": "safetax.training.objectives",
    "rows": "safetax.data.sources",
}
"""Where the modules of a component's own kinds stand, by package."""


WORDS = {
    "datasets": "data set",
    "judges": "judge",
    "engines": "engine",
    "objectives": "objective",
    "rows": "row source",
}
"""What messages call a component, by package."""


class PluginError(UserError):
    """A mistake in a component's code, which its author can mend."""


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
        with without_bytecode() if "." in kind else nullcontext():
            module = importlib.import_module(path)
    except (Exception, SystemExit) as error:  # a plug-in's own code is run here
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if not (missing and (path == missing or path.startswith(missing + "."))):
            raise ConfigError(f"kind={kind}: the module cannot be imported ({told(error)}); mend it.") from error
        kinds = component_kinds(package)
        raise ConfigError(
            f"kind={kind}: there is no module {path}.{nearest(kind, kinds)} Allowed are {', '.join(kinds)}, "
            "or the dotted path of a module on the Python path."
        ) from None
    if not dataclasses.is_dataclass(getattr(module, "Config", None)):
        raise ConfigError(f"kind={kind}: module {path} has no dataclass Config, which a kind of {package} needs.")
    name, arguments = CALLED[package]
    function = getattr(module, name, None)
    if not callable(function):
        raise ConfigError(
            f"kind={kind}: module {path} has no function {name}, which a kind of {package} needs; add it."
        )
    try:
        inspect.signature(function).bind(*arguments.split(", "))
    except TypeError as error:
        raise ConfigError(
            f"kind={kind}: {module.__file__}: {name} cannot be called as {name}({arguments}), as safetax does: {error}."
        ) from None
    return module


@contextmanager
def without_bytecode() -> Iterator[None]:
    """Let modules of the user's that are imported leave no bytecode.

    Python tells it from its source by second and size alone, so that an edit might run as it was before.
    """
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def told(error: BaseException) -> str:
    """Return where a module's own code failed and why: the file and line that the error tells, or that raised it."""
    why = f"{type(error).__name__}: {getattr(error, 'msg', None) or error}".splitlines()[0]
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}: {why}"
    frames = traceback.extract_tb(error.__traceback__)
    frames = [frame for frame in frames if frame.filename not in (__file__, importlib.__file__)]
    frames = [frame for frame in frames if not frame.filename.startswith("<")]
    return f"{frames[-1].filename}, line {frames[-1].lineno}: {why}" if frames else why


def component_kinds(package: str) -> list[str]:
    """Return the kinds that safetax itself has in a component package."""
    directory = importlib.import_module(PLACES[package]).__path__
    return sorted(module.name for module in pkgutil.iter_modules(directory) if not module.name.startswith("_"))


def component_name(package: str, kind: str) -> str:
    """Return what messages call a component: its kind and, where it is not one of ours, its file."""
    module = sys.modules.get(kind) if "." in kind else None
    return f"{WORDS[package]} {kind}" + (f" ({module.__file__})" if module is not None else "")


@contextmanager
def calling(package: str, kind: str) -> Iterator[None]:
    """Name component, file and line of an exception that a plug-in raises inside the block.

    What our own components raise passes through.

    Raises:
        PluginError: in place of the plug-in's exception.
    """
    own = "." not in kind or kind.startswith("safetax.")
    try:
        yield
    except (UserError, GeneratorExit):
        raise
    except (Exception, SystemExit) as error:
        place = None if own else _place(kind, error)
        if place is None:
            raise
        why = f"{type(error).__name__}: {error}".rstrip(": ")
        raise PluginError(f"{WORDS[package]} {kind}: {place}: {why.splitlines()[0]}") from error


def _place(kind: str, error: BaseException) -> str | None:
    """Return the file and line of a plug-in's package that an exception left last; None where it never was there."""
    found = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        if str(frame.f_globals.get("__name__")).partition(".")[0] == kind.partition(".")[0]:
            found = f"{frame.f_code.co_filename}, line {line}"
    return found
