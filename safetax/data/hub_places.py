"""Where the hub's client keeps and looks for things, by the environment's variables alone: nothing is imported."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from safetax.config.needs import RepositoryType


def home(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of the hub's client."""
    cache = Path(environment.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return Path(environment.get("HF_HOME") or cache / "huggingface").expanduser()


def cache(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of downloaded repositories."""
    return Path(environment.get("HF_HUB_CACHE") or home(environment) / "hub").expanduser()


def endpoint(environment: Mapping[str, str] = os.environ) -> str:
    """Return the address of the hub."""
    return environment.get("HF_ENDPOINT") or "https://huggingface.co"


def offline(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the hub's client was told to keep away from the network."""
    return environment.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def page(repository: str, kind: RepositoryType, environment: Mapping[str, str] = os.environ) -> str:
    """Return the address of a repository's page, where the terms of a gated one are accepted."""
    return f"{endpoint(environment)}/{'datasets/' if kind == 'dataset' else ''}{repository}"


def token(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the token: from the environment, or from where logging in leaves it; None where there is none."""
    named = environment.get("HF_TOKEN") or environment.get("HUGGING_FACE_HUB_TOKEN")
    if named:
        return named
    path = Path(environment.get("HF_TOKEN_PATH") or home(environment) / "token").expanduser()
    return (path.read_text(encoding="utf-8").strip() or None) if path.is_file() else None


def is_cached(
    repository: str, kind: RepositoryType, commit: str | None, environment: Mapping[str, str] = os.environ
) -> bool:
    """Whether the cache has a repository at a commit, or at any where the commit is None.

    Of a model it must have the configuration and all weights, of a data set any file: which are needed is not known.
    """
    snapshots = cache(environment) / f"{kind}s--{repository.replace('/', '--')}" / "snapshots"
    if not snapshots.is_dir():
        return False
    folders = [snapshots / commit] if commit else list(snapshots.iterdir())
    return any(_has_model(folder) if kind == "model" else _has_file(folder) for folder in folders)


def _has_model(folder: Path) -> bool:
    """Whether a snapshot has a model's configuration and weights; a file is a link, which may lead nowhere."""
    index = folder / "model.safetensors.index.json"
    weights = ["model.safetensors"]
    if index.is_file():
        try:
            weights = list(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, KeyError):
            return False
    return all((folder / name).is_file() for name in {"config.json", *weights})


def _has_file(folder: Path) -> bool:
    return any(path.is_file() for path in folder.rglob("*"))
