"""Pins the resolved configuration and the steps of the default composition and of every preset.

A step whose fingerprint changes is made again by everyone who has it. Where that is meant, or a preset is new, write
the file again and look at the difference before committing it::

    python -m tests.plan.test_golden --update

Three compositions stand there whole; each other preset names the one above it that it is most like, and what differs.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from safetax.config.compose import Composer
from safetax.config.hydra import conf_directory
from safetax.plan.graph import Plan
from safetax.plan.planner import plan
from safetax.plan.resolve import Resolver

GOLDEN = Path(__file__).parent / "golden" / "presets.json"
DEFAULT = "default"
WHOLE = (DEFAULT, "deepseek32b", "dgr")
PRESETS = sorted(path.stem for path in (conf_directory() / "experiment").glob("[!_]*.yaml"))
UPDATE = "python -m tests.plan.test_golden --update"
WIDTH = 120
SHOWN = 12
ABSENT = "(absent)"


def planned(preset: str) -> Plan:
    """Return the plan of a preset on a machine that knows no commit of any repository."""
    overrides = [] if preset == DEFAULT else [f"+experiment={preset}"]
    jobs = Composer().jobs(overrides, multirun=True)
    resolver = Resolver(lenient=True)
    with no_hub():
        return plan([(resolver.resolve(job.config), job.overrides) for job in jobs])


@contextmanager
def no_hub() -> Iterator[None]:
    from huggingface_hub import constants

    with tempfile.TemporaryDirectory() as empty, pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        patch.setattr(constants, "HF_HUB_CACHE", empty)
        yield


def configuration(graph: Plan) -> dict[str, Any]:
    """Return the configuration of a plan's first run as JSON has it."""
    return json.loads(json.dumps(dataclasses.asdict(graph.runs[0].config)))


def named(graph: Plan) -> dict[str, list[tuple[str, str]]]:
    """Return what each run and step is called, and its digest, by kind, in the order of the plan."""
    found = {"run": [(run.name, digest(run.name, *run.overrides)) for run in graph.runs]}
    for step in graph.steps:
        kind, fingerprint = step.key.split("/")
        found.setdefault(kind, []).append((step.title, fingerprint))
    return found


def digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]


def digests(graph: Plan) -> dict[str, str]:
    """Return for each kind a digest of all its digests, which is exact, and the first two digits of each, which say
    which of them moved.
    """
    return {
        kind: f"{digest(*(own for _, own in items))} {''.join(own[:2] for _, own in items)}"
        for kind, items in named(graph).items()
    }


def moved_steps(graph: Plan, preset: str) -> Iterator[str]:
    """Yield the names of the runs and steps that are not what stands in the file."""
    before, now = golden()[preset]["digests"], digests(graph)
    for kind in sorted(before.keys() | now.keys()):
        if before.get(kind) == now.get(kind):
            continue
        items = named(graph).get(kind, [])
        _, _, digits = before.get(kind, "").partition(" ")
        known = [digits[at : at + 2] for at in range(0, len(digits), 2)]
        blocks = difflib.SequenceMatcher(None, known, [own[:2] for _, own in items], autojunk=False).get_opcodes()
        moved = [name for tag, _, _, start, end in blocks if tag != "equal" for name, _ in items[start:end]]
        yield f"{kind}: {len(known)} before, {len(items)} now; new or moved are {len(moved)}"
        yield from (f"    {name}" for name in moved[:SHOWN])


def flat(node: Any, place: str = "") -> dict[str, Any]:
    """Return the values of a nested mapping by dotted path."""
    if not isinstance(node, dict) or not node:
        return {place: node}
    return {path: leaf for key, value in node.items() for path, leaf in flat(value, f"{place}.{key}").items()}


def changes(before: dict[str, Any], now: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return what each key was and is, of those that differ."""
    return {
        key: (before.get(key, ABSENT), now.get(key, ABSENT))
        for key in sorted(before.keys() | now.keys())
        if before.get(key, ABSENT) != now.get(key, ABSENT)
    }


def difference(before: Any, now: Any) -> Any:
    """Return what makes one tree into another: the values that are new, and ABSENT for those that are gone."""
    if not isinstance(before, dict) or not isinstance(now, dict):
        return now
    keys = [*now, *(key for key in before if key not in now)]
    values = {key: (before.get(key, ABSENT), now.get(key, ABSENT)) for key in keys}
    return {key: difference(was, is_now) for key, (was, is_now) in values.items() if was != is_now}


def applied(before: Any, change: Any) -> Any:
    """Return a tree with a difference applied."""
    if not isinstance(change, dict) or not change:
        return change
    base = before if isinstance(before, dict) else {}
    values = {**base, **{key: applied(base.get(key), value) for key, value in change.items()}}
    return {key: value for key, value in values.items() if value != ABSENT}


@cache
def golden() -> dict[str, dict[str, Any]]:
    return json.loads(GOLDEN.read_text(encoding="utf-8"))


def recorded(preset: str) -> dict[str, Any]:
    """Return the configuration that stands in the file."""
    entry = golden()[preset]
    if preset in WHOLE:
        return entry["config"]
    return applied(recorded(entry["like"]), entry["differs"]) if entry["differs"] else recorded(entry["like"])


def update() -> None:
    """Write the file again."""
    configs: dict[str, dict[str, Any]] = {}
    entries: list[str] = []
    for preset in (*WHOLE, *(name for name in PRESETS if name not in WHOLE)):
        graph = planned(preset)
        config = configuration(graph)
        if preset in WHOLE:
            head = '  "config": {\n' + ",\n".join(filled(key, value) for key, value in config.items()) + "}"
        else:
            differences = {name: difference(known, config) for name, known in configs.items()}
            like = min(differences, key=lambda name: len(json.dumps(differences[name])))
            head = f'  "like": "{like}",\n' + filled("differs", differences[like])
        configs[preset] = config
        entries.append(f'"{preset}": {{\n{head},\n  "digests": {json.dumps(digests(graph))}}}')
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text("{\n" + ",\n".join(entries) + "\n}\n", encoding="utf-8")


def filled(key: str, value: Any) -> str:
    """Return a key and its JSON in lines that are as full as can be."""
    lines: list[str] = []
    for piece in pieces({key: value}):
        if lines and len(lines[-1]) + len(piece) < WIDTH:
            lines[-1] += f" {piece}"
        else:
            lines.append(("    " if lines else "  ") + piece)
    return "\n".join(lines).replace("{", "", 1)[:-1]


def pieces(node: Any) -> list[str]:
    """Return JSON in the pieces between which a line may end."""
    if not isinstance(node, dict) or not node:
        return [json.dumps(node, ensure_ascii=False)]
    found: list[str] = []
    for key, value in node.items():
        first, *more = pieces(value)
        found += [f"{'' if found else '{'}{json.dumps(key)}: {first}", *more]
        found[-1] += ","
    return [*found[:-1], found[-1][:-1] + "}"]


@pytest.mark.parametrize("preset", [DEFAULT, *PRESETS])
def test_configuration_and_fingerprints_are_as_they_were(preset: str) -> None:
    if preset not in golden():
        pytest.fail(f"{preset} is new: {UPDATE}", pytrace=False)
    graph = planned(preset)
    told = [
        f"{key.removeprefix('.')}: {json.dumps(before)} -> {json.dumps(now)}"
        for key, (before, now) in changes(flat(recorded(preset)), flat(configuration(graph))).items()
    ]
    told.extend(moved_steps(graph, preset))
    if told:
        pytest.fail(
            "\n".join([f"{preset} is not what {GOLDEN.name} says. Where this is meant: {UPDATE}", *told]), pytrace=False
        )


def test_every_entry_has_its_preset_and_the_file_stays_readable() -> None:
    assert golden().keys() == {DEFAULT, *PRESETS}, f"Run {UPDATE}"
    assert len(GOLDEN.read_text(encoding="utf-8").splitlines()) <= 600


def test_nothing_pinned_depends_on_the_machine() -> None:
    text = GOLDEN.read_text(encoding="utf-8")
    for place in (str(Path.home()), str(conf_directory()), str(Path.cwd())):
        assert place not in text


if __name__ == "__main__":
    if sys.argv[1:] != ["--update"]:
        sys.exit(f"Usage: {UPDATE}")
    update()
