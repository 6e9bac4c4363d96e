"""Single overrides of the command line: how they are written, and which of them make no sense."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetax.config.references import origin
from safetax.errors import ConfigError

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override


def plain(parsed: Override) -> str:
    """Return an override as a user writes it, without the mark of the forced form."""
    return str(parsed.input_line).removeprefix("++")


def quoted(path: Path) -> str:
    """Return a path as a quoted value of Hydra's override grammar; a backslash before a quote is doubled."""
    escaped = re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + (found[2] and "\\'"), str(path))
    return f"'{escaped}'"


def names_values(parsed: Override) -> bool:
    """Whether a sweep has at least one value; an interval has none, and neither has a range without end or step."""
    try:
        return parsed.is_discrete_sweep() and any(True for _ in parsed.sweep_iterator())
    except ValueError:
        return False


def advice(text: str) -> str:
    """Return how to write an override that cannot be parsed."""
    key, assigned, value = text.partition("=")
    if assigned and key.strip() == key and " " not in key:
        return (
            f"Its value cannot be read: close every bracket and quote, and give text with spaces or symbols quotes of "
            f"its own, as \"{key}='{value}'\"."
        )
    return "Write key=value, +experiment=NAME, or ~key."


def checked(assignments: Sequence[Override], written: Mapping[str, Any]) -> list[Override]:
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
