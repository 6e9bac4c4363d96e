"""What a judge is told: a template with places such as ``{prompt}`` and ``{response}``.

Published instructions are not part of safetax. They come from a file that the user names, from an installed package,
or from the chat template of the model that was trained on them.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from safetax.data.user_files import LARGEST_TEXT, check_file, expanded, kind_of
from safetax.errors import ConfigError

CHAT = "chat"
"""Stands for the model's own chat template, over the prompt as the user's turn and the response as the assistant's."""


def read_instruction(path: str, places: Sequence[str]) -> str:
    """Return the template in a file.

    Raises:
        ConfigError: there is no such file, it cannot be read, or it lacks one of the places.
    """
    file = expanded(path, "template")
    told = " and ".join(f"{{{place}}}" for place in places)
    if kind_of(file, "template") is None:
        raise ConfigError(f"template={path}: there is no such file; name a text file with the places {told}.")
    check_file(file, "template", LARGEST_TEXT)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"template={path} cannot be read as UTF-8 text ({type(error).__name__}).") from None
    missing = [place for place in places if f"{{{place}}}" not in text]
    if missing:
        raise ConfigError(f"template={path} lacks the place {{{missing[0]}}}; it needs {told}.")
    return text


def own_instruction(name: str, places: Sequence[str]) -> str:
    """Return a template of safetax's own, by its name."""
    return read_instruction(str(Path(__file__).parents[1] / "judges" / "instructions" / f"{name}.txt"), places)


def packaged_instruction(package: str, module: str, name: str) -> str | None:
    """Return a text constant of an installed package, read from its source: nothing of it is run.

    None where the package is not installed or has no such constant.
    """
    found = importlib.util.find_spec(package)
    for folder in (found.submodule_search_locations or []) if found else []:
        path = Path(folder) / f"{module}.py"
        for node in ast.parse(path.read_text(encoding="utf-8")).body if path.is_file() else []:
            if not isinstance(node, ast.Assign) or name not in map(ast.unparse, node.targets):
                continue
            if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
                return node.value.value
    return None


def digest(text: str) -> str:
    """Return the sha256 of a template, which is part of the judge's identity."""
    return hashlib.sha256(text.encode()).hexdigest()


def filled(template: str, values: Mapping[str, str]) -> str:
    """Put the values in their places, all at once: a value that holds a place or a brace stays as it is."""
    pattern = "|".join(re.escape(f"{{{place}}}") for place in values)
    return re.sub(pattern, lambda match: values[match[0][1:-1]], template)


ECHO = 60
"""Characters at a reply's end that are looked for in what was asked."""


def repeats(asked: str, reply: str, verdict: str) -> bool:
    """Whether a reply ends with a copy of what was asked, such as its example of the format, and not with a verdict.

    Args:
        asked: the instruction, or the whole prompt.
        reply: what the judge wrote.
        verdict: the part at the reply's end that would be read; alone it is a verdict, whatever the prompt shows.
    """
    end, bare = reply[-4 * ECHO :].split(), verdict.split()
    # A word or a fence before the verdict is not yet a copy.
    return len(end) > len(bare) + 1 and " ".join(end)[-max(ECHO, len(verdict) + ECHO // 3) :] in " ".join(asked.split())
