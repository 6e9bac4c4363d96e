"""Whether the steps of an outputs folder are what their manifests say: ``python -m safetax.steps verify``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from safetax.formatting import bytes_in_words
from safetax.run.step_index import StepIndex
from safetax.run.terminal import say
from safetax.store.manifest import read_manifest
from safetax.store.step import fingerprint_of

if TYPE_CHECKING:
    from rich.console import Console


def verify(index: StepIndex, chosen: argparse.Namespace, console: Console) -> int:
    """Hash the outputs of steps in full; returns 1 if any is damaged."""
    keys = [index.find(text) for text in chosen.keys] if chosen.keys else list(index.folders)
    whole = size = unfinished = bad = 0
    for key in keys:
        if console.is_terminal:
            console.print(f"{key} ..", end="\r")
        status = index.store.status(key, full=True)
        wrong = status.reason
        if status.complete:
            manifest = read_manifest(index.store.directory(key)) or {}
            wrong = inconsistency(key, manifest)
            size += sum(entry["size"] for entry in manifest.get("outputs", {}).values())
            for source in missing_inputs(index, manifest):
                say(console, f"{key}: its input {source} is not on disk any more; it is reused all the same.")
        elif status.state in ("absent", "unfinished") and not chosen.keys:
            unfinished += 1
            continue
        if wrong:
            bad += 1
            say(console, f"{key} {index.frozen(key).get('title', '')}: {wrong}", "red")
        else:
            whole += 1
    others = f", {unfinished} not finished" if unfinished else ""
    say(console, f"{whole} steps whole ({bytes_in_words(size)} hashed), {bad} not{others}.")
    return 1 if bad else 0


def inconsistency(key: str, manifest: Mapping[str, Any]) -> str:
    """Return how a manifest contradicts its own fingerprint and folder, or nothing."""
    inputs = {name: entry["step"] for name, entry in manifest["inputs"].items()}
    own = fingerprint_of([manifest.get("kind"), manifest.get("version"), manifest.get("identity"), inputs])
    if f"{manifest.get('kind')}/{manifest.get('fingerprint')}" != key:
        return f"its manifest is that of {manifest.get('kind')}/{manifest.get('fingerprint')}"
    return "" if own == manifest["fingerprint"] else f"its manifest was changed: its identity gives {own}"


def missing_inputs(index: StepIndex, manifest: Mapping[str, Any]) -> list[str]:
    """Return the inputs of a finished step that are not finished steps on disk."""
    sources = [entry["step"] for entry in manifest.get("inputs", {}).values()]
    return [source for source in sources if index.store.manifest(source) is None]
