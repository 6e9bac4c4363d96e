"""Files that are no longer what they were: bits flipped, cut, deleted, swapped, emptied, or a folder in their place."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from bench.faults.case import ORDER, Case
from bench.faults.graphs import HERE
from bench.faults.outputs import DATABASE, finished, kinds_of_files
from bench.faults.processes import Ended

WAYS = ("flip", "cut", "delete", "swap", "empty", "directory", "list", "nested", "bytes", "file")


def corrupted(case: Case) -> None:
    """Corrupt a file of a kind that is drawn, in a way that is drawn."""
    dropped = case.begin(keep=0.8) if case.random.random() < 0.2 else case.begin()
    kinds = kinds_of_files(case.outputs)
    kind = case.random.choice(sorted(kinds))
    path = case.random.choice(kinds[kind])
    way = case.random.choice(WAYS)
    case.what += f"{way} {path.relative_to(case.outputs)}" + (" of an unfinished run" if dropped else "")
    sound = finished(case.outputs)
    corrupt(case, path, way, kinds)
    step = "/".join(path.relative_to(case.outputs).parts[:2])
    case.settle({key: made for key, made in sound.items() if key != step and key not in case.what})


def corrupt(case: Case, path: Path, way: str, kinds: dict[str, list[Path]]) -> None:
    """Corrupt a file, or put one in the place of its folder."""
    case.blind = path.name == DATABASE and way == "flip"
    content = path.read_bytes()
    match way:
        case "flip" if content:
            changed = bytearray(content)
            changed[case.random.randrange(len(content))] ^= 1 << case.random.randrange(8)
            path.write_bytes(changed)
        case "cut":
            os.truncate(path, case.random.randrange(len(content)) if content else 0)
        case "delete":
            path.unlink()
        case "swap":
            others = [
                other for each in kinds.values() for other in each if other != path and other.suffix == path.suffix
            ]
            other = case.random.choice(others) if others else path
            case.what += f" with {other.relative_to(case.outputs)}"
            path.write_bytes(other.read_bytes())
        case "directory":
            path.unlink()
            path.mkdir()
            (path / "inside").write_text("of somebody's")
        case "file" if path.parent != case.outputs:
            shutil.rmtree(path.parent)
            path.parent.write_text("of somebody's")
        case "list":
            path.write_text("[]\n")
        case "nested":
            path.write_text("[" * 100_000)
        case "bytes":
            path.write_bytes(case.random.randbytes(64))
        case _:
            path.write_bytes(b"")


def edited(case: Case) -> None:
    """Put a value of another type somewhere into a JSON document."""
    case.begin()
    files = [
        path for each in kinds_of_files(case.outputs).values() for path in each if path.suffix in (".json", ".jsonl")
    ]
    path = case.random.choice(files)
    lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    place = case.random.randrange(len(lines))
    document = json.loads(lines[place])
    where = _put(case, document)
    case.what += f"another value at {where} of {path.relative_to(case.outputs)}"
    sound = finished(case.outputs)
    lines[place] = json.dumps(document)
    path.write_text("\n".join(lines) + "\n")
    step = "/".join(path.relative_to(case.outputs).parts[:2])
    case.settle({key: made for key, made in sound.items() if key != step})


def _put(case: Case, document: Any) -> str:
    """Replace a value that is drawn, at any depth, and return where it stands."""
    value, where = document, ""
    while True:
        names: list[Any] = sorted(value) if isinstance(value, dict) else list(range(len(value)))
        name = case.random.choice(names)
        where += f"/{name}"
        if isinstance(value[name], dict | list) and value[name] and case.random.random() < 0.8:
            value = value[name]
            continue
        others = [None, True, -1, 1e300, "text", [], {}, [[]], {"a": {"b": []}}, "\x1b[31m"]
        value[name] = case.random.choice([other for other in others if type(other) is not type(value[name])])
        return where


def swapped(case: Case) -> None:
    """Swap the folders of two steps of a kind, or only their manifests."""
    case.begin()
    by_kind = defaultdict(list)
    for key in sorted(finished(case.outputs)):
        by_kind[key.split("/")[0]].append(key)
    kind = case.random.choice(sorted(kind for kind, keys in by_kind.items() if len(keys) > 1))
    first, second = case.random.sample(by_kind[kind], 2)
    part = case.random.choice(["", "manifest.json"])
    case.what += f"{first} and {second} swapped {part}"
    sound = finished(case.outputs)
    one, two = case.outputs / first / part, case.outputs / second / part
    aside = case.outputs / "aside"
    one.rename(aside)
    two.rename(one)
    aside.rename(two)
    case.settle({key: made for key, made in sound.items() if key not in (first, second)})


def rotten(case: Case) -> None:
    """Flip a bit of an output and leave size and time: a cached run does not see it; ``steps verify`` must."""
    case.begin()
    outputs = [
        path
        for kind, paths in kinds_of_files(case.outputs).items()
        for path in paths
        if kind.split("/")[0] in ORDER
        and path.name not in ("manifest.json", "step.json", "runtime.json", "worker.log")
        and path.stat().st_size
    ]
    path = case.random.choice(outputs)
    step = "/".join(path.relative_to(case.outputs).parts[:2])
    case.what += f"a bit of {path.relative_to(case.outputs)} with its time kept"
    before, content = path.stat(), bytearray(path.read_bytes())
    content[case.random.randrange(len(content))] ^= 1 << case.random.randrange(8)
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    done = subprocess.run(
        [sys.executable, "-m", "safetax.steps", "verify", "--outputs", str(case.outputs)],
        capture_output=True,
        text=True,
        cwd=HERE.parents[1],
    )
    case.told(Ended(done.returncode if done.stderr else 0, done.stdout, done.stderr), "verify")
    if done.returncode != 1 or step not in done.stdout:
        case.wrong.append(f"verify does not find it: {done.stdout[-300:]}")
    sound = finished(case.outputs)
    shutil.rmtree(case.outputs / step)
    case.settle({key: made for key, made in sound.items() if key != step})
