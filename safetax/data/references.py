"""Which files of the user's own a definition or a module reads, so that their contents are part of what it is.

A file is read where its name stands: a text in YAML or in Python, beside the file that names it or in the working
folder; and a module is read where another one imports it. What belongs to an installed package is not looked at, since
its version says what it is.
"""

from __future__ import annotations

import ast
import contextlib
import glob
import importlib.util
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from safetax.data.user_files import LARGEST_TEXT, check_file
from safetax.store.hashes import cached_sha256

CODE = ".py"
LONGEST = 1024
"""Characters beyond which a text is no name of a file."""


def hashes_of(files: Iterable[Path], base: Path) -> dict[str, str]:
    """Return the content hash of each file by its name, which is the path below ``base`` where it lies there."""
    found: dict[str, str] = {}
    for path in sorted(set(files)):
        name = path.relative_to(base).as_posix() if path.is_relative_to(base) else path.name
        again = sum(key.partition("~")[0] == name for key in found)
        found[f"{name}~{again}" if again else name] = cached_sha256(path)
    return found


def files_read(texts: Iterable[str], modules: Iterable[Path], folder: Path) -> list[Path]:
    """Return the files that texts name, and those that modules name or import, directly or through each other.

    Args:
        texts: texts of a definition, such as all those of a task's YAML.
        modules: Python files, which are not among the result unless another one imports them.
        folder: where names are looked up before the working folder.
    """
    found = {path: None for text in texts for path in named_files(text, folder)}
    open_ones = [*modules, *(path for path in found if path.suffix == CODE)]
    seen: set[Path] = set()
    while open_ones:
        module = open_ones.pop()
        if module in seen:
            continue
        seen.add(module)
        for path in _read_by(module):
            found.setdefault(path)
            if path.suffix == CODE:
                open_ones.append(path)
    return list(found)


def texts_in(value: Any) -> Iterator[str]:
    """Yield all texts in nested lists and mappings, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            yield from texts_in(key)
            yield from texts_in(entry)
    elif isinstance(value, Sequence):
        for entry in value:
            yield from texts_in(entry)


def named_files(text: str, *folders: Path) -> Iterator[Path]:
    """Yield the regular files that a text names, below one of the folders or this one.

    ``prompts.yaml:mine``, as lm-eval names a prompt in a file, names the file.
    """
    if len(text) > LONGEST or "." not in text or "\n" in text or "://" in text:
        return
    for name in filter(None, dict.fromkeys((text, text.rpartition(":")[0]))):
        for folder in (*folders, Path()):
            with contextlib.suppress(OSError, RuntimeError, ValueError):  # a text that can be no name
                path = folder / Path(name).expanduser()
                if path.is_file():
                    yield path.resolve()


def matching_files(pattern: str, *folders: Path) -> Iterator[Path]:
    """Yield the regular files that a pattern such as ``parts/*.jsonl`` means, below one of the folders or this one."""
    for folder in (*folders, Path()):
        for name in glob.iglob(str(folder / pattern), recursive=True):  # noqa: PTH207 - the pattern may be absolute
            if (path := Path(name)).is_file():
                yield path.resolve()


def module_facts(module: Path, settings: Any) -> dict[str, Any]:
    """Return the content hash of a plug-in's module and, where it reads other files of the user's own, theirs.

    Args:
        module: its file.
        settings: its configuration, whose texts may name files.
    """
    read = [] if is_installed(module.resolve()) else files_read(texts_in(settings), [module], module.parent)
    others = {path for path in read if path != module.resolve()}
    reads = {"reads": hashes_of(others, module.resolve().parent)} if others else {}
    return {"code": cached_sha256(module), **reads}


def _read_by(module: Path) -> Iterator[Path]:
    """Yield the files that a module names and the modules of the user's own that it imports."""
    check_file(module, "module", LARGEST_TEXT)
    try:
        tree = ast.parse(module.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return  # whoever imports it says what is wrong
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from named_files(node.value, module.parent)
        elif isinstance(node, ast.Import):
            for name in node.names:
                yield from _module_files(name.name, module.parent)
        elif isinstance(node, ast.ImportFrom):
            folder = module.parent if node.level < 2 else module.parents[min(node.level, len(module.parents)) - 1]
            for name in node.names:
                yield from _module_files(".".join(filter(None, (node.module, name.name))), folder, node.level > 0)


def _module_files(name: str, folder: Path, relative: bool = False) -> Iterator[Path]:
    """Yield the file of a module, and those of the packages that it lies in, where they are the user's own."""
    first, *others = name.split(".")
    place = _file_of(folder, first) or (None if relative else _own_file(first))
    while place is not None:
        yield place
        if not others:
            return
        place = _file_of(place.parent, others.pop(0)) if place.name == "__init__.py" else None


def _file_of(folder: Path, name: str) -> Path | None:
    places = (folder / f"{name}{CODE}", folder / name / "__init__.py")
    return next((path.resolve() for path in places if path.is_file()), None)


@cache
def _own_file(name: str) -> Path | None:
    """Return the file of a top-level module on the Python path that is of no installed package."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return None
    if spec is None or not spec.origin or not spec.origin.endswith(CODE) or name == __name__.partition(".")[0]:
        return None
    path = Path(spec.origin).resolve()
    return None if is_installed(path) else path


def is_installed(path: Path) -> bool:
    """Whether a file belongs to Python, to an installed package or to this one, whose version says what it is."""
    places = [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    return any(path.is_relative_to(place) for place in (*places, Path(__file__).resolve().parents[1]))
