"""What a name on the hub stands for: its commit, or why that cannot be found out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetax.config.needs import RepositoryType
from safetax.config.secrets import holds
from safetax.data.model_folder import FILES, check_folder
from safetax.data.user_files import LARGEST_TEXT, check_file, expanded, kind_of, shown
from safetax.errors import ConfigError, UserError
from safetax.formatting import visible
from safetax.store.hashes import cached_sha256

GATED = "id={}: access is gated; accept its terms on the hub and set HF_TOKEN in the environment."
UNKNOWN = "unknown"
"""Stands for the commit of a repository that could not be asked; such a plan can be shown and never run."""


class UnreachableError(ConfigError):
    """The hub cannot be asked now; with a network, or a token, the same configuration may be right."""


def model_facts(name: str, revision: str | None) -> dict[str, Any]:
    """Return what a model's name stands for: its commit on the hub, or the hashes of the files of a local folder.

    Raises:
        ConfigError: the hub does not know it or cannot be asked, or there is no such folder, or it holds no model.
    """
    folder = expanded(name, "id")
    kind = kind_of(folder, "id")
    if kind not in (None, "folder"):
        named = "a file" if kind == "file" else kind
        raise ConfigError(
            f"id={shown(name)}: this is {named}; name the folder of a saved model, or owner/name of the hub."
        )
    if kind is None:
        if not is_hub_id(name):
            raise ConfigError(
                f"id={shown(name)}: there is no such folder ({shown(folder.absolute())}), and it is no name on the "
                "hub; name the folder of a saved model, or owner/name of the hub."
            )
        return {"commit": hub_commit(name, revision)}
    files = sorted(path for path in folder.iterdir() if path.suffix in FILES)
    for path in files:
        if path.is_file() and path.suffix != ".safetensors":  # which is not read as a whole
            check_file(path, "id", LARGEST_TEXT)
    check_folder(folder, name)
    return {"files": {path.name: cached_sha256(path) for path in files}}


def known_commit(values: Mapping[str, Any]) -> str | None:
    """Return the commit in an identity of something of the hub; None where it has none, or the hub was not asked."""
    commit = (values.get("resolved") or {}).get("commit")
    return None if commit == UNKNOWN else commit


def is_hub_id(name: str) -> bool:
    """Whether a name can be one of the hub's; what begins as a path does is none."""
    if name.startswith(("/", "./", "../", "~")):
        return False
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return True


def hub_commit(repository: str, revision: str | None, repository_type: str = "model") -> str:
    """Return the commit that a revision of a hub repository stands for.

    A full commit id is taken as it is. Without a network the newest commit in the local cache serves.

    Raises:
        ConfigError: there is no such repository or revision, or neither network nor cache has it.
    """
    if revision and len(revision) == 40 and all(digit in "0123456789abcdef" for digit in revision):
        return revision
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    why, remedy = "HF_HUB_OFFLINE is set", "unset it, or name a local folder"
    if not constants.HF_HUB_OFFLINE:
        try:
            info = HfApi().repo_info(repository, revision=revision, repo_type=repository_type, timeout=10)
            if info.sha:
                return info.sha
        except GatedRepoError:
            raise UnreachableError(GATED.format(repository)) from None
        except (RepositoryNotFoundError, RevisionNotFoundError) as error:
            raise ConfigError(
                f"id={repository}, revision={revision or 'main'}: the hub has none such ({type(error).__name__}); "
                "check the name, or set HF_TOKEN if it is private."
            ) from None
        except Exception as error:
            why = f"the hub cannot be reached ({type(error).__name__})"
            remedy = "connect once, name a local folder, or set revision to a full commit id to plan without the hub"
    cached = _cached_commit(repository, revision, repository_type)
    if cached is None:
        raise UnreachableError(f"id={repository}: {why} and the local cache lacks it; {remedy}.")
    return cached


def refuses(repository: str, kind: RepositoryType) -> bool:
    """Whether the hub refuses the files of a repository to the token that is there; False where it cannot be asked.

    What a gated repository is, anyone is told; its files are for accounts alone that accepted its terms.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        HfApi().auth_check(repository, repo_type=kind)
    except RepositoryNotFoundError:  # or gated, which is one of these
        return True
    except Exception:
        return False
    return False


def download(repository: str, commit: str | None) -> Path:
    """Download what a model needs into the hub's cache and return its folder there; no weights but safetensors.

    Raises:
        UserError: it cannot be had; says why and what to do.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError

    patterns = [f"*{suffix}" for suffix in FILES]
    try:
        return Path(snapshot_download(repository, revision=commit, allow_patterns=patterns))
    except GatedRepoError:
        raise UserError(GATED.format(repository)) from None
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise UserError(
            f"id={repository}: it cannot be downloaded ({said(error)}); what is there already is kept: run it again."
        ) from None


def said(error: BaseException, lines: int = 1) -> str:
    """Return the first lines of what the hub or its library says of an error and of its cause, as one.

    Args:
        error: the error.
        lines: how many at most.
    """
    cause = error.__cause__
    return first_lines(f"{error}\n{cause or ''}", lines) or type(error).__name__


def first_lines(text: str, lines: int = 1) -> str:
    """Return the first lines of what the hub says, as one; none of it where it holds the token, in any disguise."""
    from huggingface_hub import get_token

    if holds(text, get_token() or ""):
        return "what it said holds the token, and is not shown"
    found = [line.strip() for line in text.splitlines() if line.strip()]
    found = [line for line in found if "trust_remote_code" not in line]  # which is nothing that we offer
    return visible(" ".join(found[:lines])).rstrip(".")


def page(repository: str, kind: RepositoryType) -> str:
    """Return the address of a repository's page, where the terms of a gated one are accepted."""
    from huggingface_hub import constants

    return f"{constants.ENDPOINT}/{constants.REPO_TYPES_URL_PREFIXES.get(kind, '')}{repository}"


def is_cached(repository: str, kind: RepositoryType, commit: str | None) -> bool:
    """Whether the cache has a repository at a commit, or at its newest one where the commit is None.

    Of a model it must have the configuration and all weights, of a data set any file: which are needed is not known.
    """
    commit = commit or _cached_commit(repository, None, kind)
    if commit is None:
        return False
    folder = _cache_of(repository, kind) / "snapshots" / commit
    if kind == "dataset":
        return any(path.is_file() for path in folder.rglob("*"))
    index = folder / "model.safetensors.index.json"
    weights = ["model.safetensors"]
    if index.is_file():
        try:
            weights = list(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, KeyError):
            return False
    return all((folder / name).is_file() for name in {"config.json", *weights})  # a link may lead nowhere


def _cached_commit(repository: str, revision: str | None, repository_type: str) -> str | None:
    """Return the commit that the local cache has of a revision.

    What was loaded by its commit left no name of a revision behind: the newest snapshot stands for ``main`` then.
    """
    folder = _cache_of(repository, repository_type)
    reference = folder / "refs" / (revision or "main")
    if reference.is_file():
        return reference.read_text().strip()
    if revision not in (None, "main"):
        return None
    snapshots = sorted((folder / "snapshots").glob("*"), key=lambda path: path.stat().st_mtime)
    return snapshots[-1].name if snapshots else None


def _cache_of(repository: str, repository_type: str) -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / (f"{repository_type}s--" + repository.replace("/", "--"))
