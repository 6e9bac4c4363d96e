"""Manifests: the record of a finished step, written last and atomically, so that its presence means complete.

A manifest holds the hashes of the step's outputs and of its inputs' outputs, and a seal: a digest of all that it says.
On reuse it must be that of the folder it lies in, and name what such a step makes; sizes and times of the outputs are
checked, and where a time differs, as after a copy, the hash decides.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from safetax.store.atomic import discard, replacing
from safetax.store.locks import try_locked
from safetax.store.shapes import EACH, fits
from safetax.store.step import fingerprint_of, missing_output

MANIFEST = "manifest.json"
STEP = "step.json"
RUNTIME = "runtime.json"
LOG = "worker.log"
ATTEMPT = "--- "
"""Prefix of the log's line that an attempt begins with."""
KEPT = {STEP, RUNTIME, LOG}
"""Files that stay when a step is made again; a worker has its log open by then."""
SEAL = "seal"
"""Key of a manifest: digest of all else in it. Those of earlier versions have none."""
INPUTS_SHAPE = {EACH: {"step": str, "outputs": str}}
SHAPE = {
    "kind": str,
    "version": int,
    "fingerprint": str,
    "title": str,
    "identity": dict,
    "inputs": INPUTS_SHAPE,
    "outputs": {EACH: {"size": int, "mtime_ns": int, "sha256": str}},
    "summary": dict,
    "provenance": dict,
    "released?": [str],
    "seal?": str,
}
"""Shape of a manifest."""
STEP_SHAPE = {"kind": str, "fingerprint": str, "title": str, "identity": dict, "inputs": {EACH: str}}
"""Shape of a step's frozen description."""
SCRATCH = "scratch"
"""Folder in a step for files that only an unfinished step needs, such as training checkpoints."""
NOT_OUTPUTS = {MANIFEST, SCRATCH, *KEPT}
RELEASED = "released"
"""Key of a manifest: names of outputs that were removed when nothing needed them any more."""


def write_json(path: Path, values: Any, sort_keys: bool = True) -> None:
    """Write JSON to a file, whole or not at all, and to the disk before this returns.

    A file that already holds it is left as it is. The temporary file lies beside the folder: another process may be
    clearing the folder itself.

    Args:
        path: the file; its folder is made.
        values: JSON values.
        sort_keys: whether the keys of objects are sorted.
    """
    content = (json.dumps(values, indent=1, sort_keys=sort_keys, ensure_ascii=False) + "\n").encode()
    if path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content:
        return
    with replacing(path, path.parent.parent) as temporary, temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def read_json(path: Path, shape: Any = dict) -> dict[str, Any] | None:
    """Return the JSON object in a file, or None where there is none or it is broken.

    Args:
        path: the file.
        shape: what the object must have (:func:`safetax.store.shapes.fits`); another one counts as broken.
    """
    try:
        # What is no regular file is not opened: a pipe would be waited for.
        values = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    return values if fits(values, shape) else None


def read_manifest(directory: Path) -> dict[str, Any] | None:
    """Return the manifest in a step's folder, or None where there is none, or it is broken or was changed.

    It is not for its readers to change: while the file stays as it is, all of them get the same.
    """
    path = directory / MANIFEST
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return _read_manifest(path, (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns))


@lru_cache(maxsize=4096)
def _read_manifest(path: Path, _: tuple[int, ...]) -> dict[str, Any] | None:
    """Read a manifest once for each state of its file: planning, running and reporting all ask for it."""
    manifest = read_json(path, SHAPE)
    if manifest is None or manifest.get(SEAL) not in (None, seal_of(manifest)):
        return None
    return manifest


def write_manifest(directory: Path, manifest: Mapping[str, Any]) -> None:
    """Seal a manifest and write it into a step's folder."""
    write_json(directory / MANIFEST, {**manifest, SEAL: seal_of(json.loads(json.dumps(manifest)))})


def seal_of(manifest: Mapping[str, Any]) -> str:
    """Return the digest of all that a manifest says, its seal aside."""
    return fingerprint_of({key: value for key, value in manifest.items() if key != SEAL})


def sources(frozen: Mapping[str, Any]) -> dict[str, str]:
    """Return the keys of a step's inputs by their names, from its description or its manifest."""
    inputs = frozen.get("inputs", {})
    return {name: entry if isinstance(entry, str) else entry["step"] for name, entry in sorted(inputs.items())}


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe_outputs(directory: Path) -> dict[str, dict[str, Any]]:
    """Return the size in bytes, mtime in ns and sha256 of every output of a step, by its relative path."""
    described = {}
    for path in sorted(directory.rglob("*")):
        relative = path.relative_to(directory)
        if path.is_file() and relative.parts[0] not in NOT_OUTPUTS and not relative.parts[0].startswith("."):
            status = path.stat()
            described[relative.as_posix()] = {
                "size": status.st_size,
                "mtime_ns": status.st_mtime_ns,
                "sha256": sha256_of(path),
            }
    return described


def outputs_digest(manifest: Mapping[str, Any]) -> str:
    """Return one sha256 in hex over names and contents of a finished step's outputs."""
    hashes = {name: entry["sha256"] for name, entry in manifest["outputs"].items()}
    return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()


def damage(directory: Path, manifest: Mapping[str, Any], full: bool = False) -> str | None:
    """Return what is wrong with a finished step's manifest or outputs, in words; None where nothing is.

    Args:
        directory: the step's folder.
        manifest: its manifest; where a time differs and the content does not, it is updated on disk.
        full: hash every output, whatever its size and time say.
    """
    if wrong := mismatch(directory, manifest):
        return wrong
    times = {}
    released = set(manifest.get(RELEASED, ()))
    for name, entry in manifest["outputs"].items():
        path = directory / name
        if name in released:
            continue
        try:
            status = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return f"{name} is missing"
        if not stat.S_ISREG(status.st_mode):
            return f"{name} is no file"
        if status.st_size != entry["size"]:
            return f"{name} has {status.st_size} bytes instead of {entry['size']}"
        moved = status.st_mtime_ns != entry["mtime_ns"]
        if (full or moved) and sha256_of(path) != entry["sha256"]:
            return f"{name} has other content than when it was made"
        if moved:
            times[name] = status.st_mtime_ns
    if times:
        _update_times(directory, manifest, times)
    return None


def mismatch(directory: Path, manifest: Mapping[str, Any]) -> str | None:
    """Return how a manifest is not one of the step whose folder it lies in, in words; None where it is."""
    kind, fingerprint = manifest["kind"], manifest["fingerprint"]
    if (kind, fingerprint) != (directory.parent.name, directory.name):
        return f"its manifest is that of {kind}/{fingerprint}"
    own = fingerprint_of([kind, manifest["version"], manifest["identity"], sources(manifest)])
    if own != fingerprint:
        return f"its manifest was changed: its identity gives {own}"
    missing = missing_output(kind, manifest["outputs"])
    return f"its manifest names no {missing}" if missing else None


def release(directory: Path, suffix: str) -> int:
    """Remove outputs of a finished step that nothing needs any more, and return the bytes that they had.

    The step stays complete; its manifest names what was released, and keeps the hashes.

    Args:
        directory: the step's folder.
        suffix: of the names of the outputs.
    """
    manifest = read_manifest(directory)
    if manifest is None:
        return 0
    gone = {name for name in manifest["outputs"] if name.endswith(suffix)} - set(manifest.get(RELEASED, ()))
    if gone:
        write_manifest(directory, {**manifest, RELEASED: sorted({*manifest.get(RELEASED, ()), *gone})})
    freed = 0
    for name in gone:
        freed += manifest["outputs"][name]["size"]
        (directory / name).unlink(missing_ok=True)
    return freed


def _update_times(directory: Path, manifest: Mapping[str, Any], times: Mapping[str, int]) -> None:
    """Update the outputs' times in the manifest on disk, so that they are not hashed each time.

    Nothing is done where a worker is at the step, the manifest is another by now, or nothing can be written.
    """
    with contextlib.suppress(OSError), try_locked(directory) as held:
        if held and read_json(directory / MANIFEST) == manifest:
            outputs = {
                name: {**entry, "mtime_ns": times.get(name, entry["mtime_ns"])}
                for name, entry in manifest["outputs"].items()
            }
            write_manifest(directory, {**manifest, "outputs": outputs})


def clear(directory: Path) -> None:
    """Remove everything in a step's folder but its frozen description and its log; the manifest goes first."""
    discard(directory / MANIFEST)
    for path in directory.iterdir() if directory.is_dir() else ():
        if path.name not in KEPT:
            discard(path)
