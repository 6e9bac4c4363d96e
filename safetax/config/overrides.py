"""Single overrides of the command line: how they are written, and which of them make no sense."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetax.config.hydra import DATASET
from safetax.config.references import origin
from safetax.errors import ConfigError

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override
    from omegaconf import DictConfig

ENTRIES = {"benchmark": "measures", "judge": "kind"}
"""Groups of which several options may be chosen, and a key that each of their options sets."""


def plain(parsed: Override) -> str:
    """Return an override as a user writes it, without the mark of the forced form."""
    return str(parsed.input_line).removeprefix("++")


def quoted(path: Path | str) -> str:
    """Return a path or text as a quoted value of Hydra's override grammar; a backslash before a quote is doubled."""
    escaped = re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + (found[2] and "\\'"), str(path))
    return f"'{escaped}'"


def names_values(parsed: Override) -> bool:
    """Whether a sweep has values, and no other sweep among them; an interval has none, nor a range without a step."""
    try:
        values = list(parsed.sweep_iterator()) if parsed.is_discrete_sweep() else []
        return bool(values) and not any(hasattr(value, "shuffle") for value in values)  # a sweep in a sweep
    except ValueError:
        return False


def advice(text: str, readable: Callable[[str], bool] = lambda _: True) -> str:
    """Return how to write an override that cannot be parsed.

    Args:
        text: the override.
        readable: says of another whether it can be parsed; an example that cannot is not given.
    """
    key, assigned, value = text.partition("=")
    if not assigned or key.strip() != key or " " in key:
        return "Write key=value, +experiment=NAME, or ~key."
    inside = value.startswith(("{", "["))
    example = f"{key}={_ENTRY.sub(_quoted_entry, value) if inside else quoted(value)}"
    typed = shlex.quote(example) if re.search(r'["$`\\!]', example) else f'"{example}"'  # as a shell is given it
    example = f", as {typed}" if readable(example) else ""
    where = " inside the brackets" if inside else ""
    return (
        f"Its value cannot be read: close every bracket and quote, and give text with spaces or symbols quotes of its "
        f"own{where}{example}."
    )


_ENTRY = re.compile(r"(?<=[:,\[])([^\s:,{}'\"\[][^:,{}'\"]*?)(?=[,}]|\]$)")
"""A value without quotes inside a dictionary or a list."""


def _quoted_entry(found: re.Match[str]) -> str:
    return found[0] if re.fullmatch(r"[\w./${}-]+", found[0]) else quoted(found[0])


def drop_unchosen(composed: DictConfig, is_option: Callable[[str, str], bool]) -> None:
    """Drop what a preset sets of benchmarks and judges that are options but not chosen, as where it is narrowed.

    Args:
        composed: what Hydra composed of choices, which is changed.
        is_option: whether a group has an option of a name.
    """
    for group, required in ENTRIES.items():
        entries = composed.get(group) or {}
        for name in [name for name in entries if required not in entries[name] and is_option(group, str(name))]:
            del entries[name]


def checked(
    assignments: Sequence[Override], written: Mapping[str, Any], is_option: Callable[[str, str], bool]
) -> list[Override]:
    """Return the assignments; none may reach into a node that is taken from elsewhere, or into one not chosen.

    It would be replaced there by a node of that one key.

    Args:
        assignments: overrides that change values.
        written: what was composed of choices, references as they were written.
        is_option: whether a group has an option of a name.

    Raises:
        ConfigError: one of them does.
    """
    replaced: list[str] = []
    for parsed in assignments:
        _check_chosen(parsed, assignments, written, is_option)
        _check_name(parsed, written, is_option)
        parent, _, name = parsed.key_or_group.rpartition(".")
        source = origin(written, parent)
        if source != parent and not any(parsed.key_or_group.startswith(f"{key}.") for key in replaced):
            raise ConfigError(
                f"{plain(parsed)}: {parent} is taken from {source}; set {source}.{name}, or all of {parent}."
            )
        replaced.append(parsed.key_or_group)
    return list(assignments)


def latest(overrides: Sequence[Override]) -> list[Override]:
    """Return the overrides without those that a later one of the same key replaces, as in Hydra.

    Raises:
        ConfigError: something is added twice, such as an experiment.
    """
    kept: dict[str, Override] = {}
    for parsed in overrides:
        key = parsed.get_key_element().lstrip("+")
        before = kept.get(key)
        if before is not None and before.is_add() and parsed.is_add():
            again = "" if before.input_line == parsed.input_line else f"{plain(before)} and "
            raise ConfigError(f"{again}{plain(parsed)}: {key} is added twice; add it once.")
        if before is not None and (before.is_delete() or parsed.is_delete()):
            kept[f"{key} {len(kept)}"] = before  # deleted and made anew: both count, in their order
        kept.pop(key, None)
        kept[key] = parsed
    return list(kept.values())


def check_values(parsed: Override) -> None:
    """Raise ConfigError where a sweep names a value twice."""
    if not parsed.is_sweep_override():
        return
    seen: set[str] = set()
    for value in parsed.sweep_string_iterator():
        if value in seen:
            raise ConfigError(f"{plain(parsed)}: {value} is named twice; name it once.")
        seen.add(value)


def is_alignment_data(parsed: Override) -> bool:
    """Whether an override chooses the data set of the alignment stage, or one that it is made of."""
    package = parsed.package or parsed.key_or_group
    return parsed.key_or_group == DATASET and package.split(".")[0] == DATASET and not parsed.is_delete()


def _check_chosen(
    parsed: Override,
    assignments: Sequence[Override],
    written: Mapping[str, Any],
    is_option: Callable[[str, str], bool],
) -> None:
    """Raise ConfigError where an assignment sets a value of a benchmark or judge that is an option but not chosen."""
    group, *path = parsed.key_or_group.split(".")
    chosen = list(written.get(group) or ()) if group in ENTRIES else []
    if group not in ENTRIES or len(path) < 2 or path[0] in chosen or not is_option(group, path[0]):
        return
    if all(each.key_or_group != f"{group}.{path[0]}.{ENTRIES[group]}" for each in assignments):
        raise ConfigError(
            f"{plain(parsed)}: the {group} {path[0]} is not chosen; chosen are {', '.join(chosen)}. Choose it too, "
            f"with {group}=[{','.join([*chosen, path[0]])}], or leave this out."
        )


def _check_name(parsed: Override, written: Mapping[str, Any], is_option: Callable[[str, str], bool]) -> None:
    """Raise ConfigError where a node is given the name of another option, which results would then be labelled with."""
    node, _, key = parsed.key_or_group.rpartition(".")
    group, value = node.split(".")[0], parsed.value()
    if key != "name" or not isinstance(value, str) or not is_option(group, value):
        return
    chosen: Any = written
    for part in node.split("."):
        chosen = chosen.get(part) if isinstance(chosen, Mapping) else None
    if isinstance(chosen, Mapping) and chosen.get("name") != value:
        raise ConfigError(
            f"{plain(parsed)}: that is the name of another {group} than the one that is chosen ({chosen.get('name')}), "
            f"and results would bear it; choose that one with {node}={value}, or give a name of your own."
        )
