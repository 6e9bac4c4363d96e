"""Pushes what a run made to the hub: its alignment data, and its aligned model or its LRM.

Repositories are private unless the run says otherwise, and one that is public already is never pushed to in private's
place. A push compares what is there by hash first, so that pushing again uploads nothing and makes no commit. The token
comes from the environment (HF_TOKEN) or the login file, and is written nowhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from safetax.data.hub import first_lines
from safetax.errors import ConfigError, UserError
from safetax.report.hub.files import File, dataset_files, model_files, refuse_secrets

if TYPE_CHECKING:
    from rich.console import Console

    from safetax.plan.graph import PlannedRun
    from safetax.store.step import Step

Kind = Literal["dataset", "model"]
OWNED: dict[Kind, tuple[str, ...]] = {
    "dataset": ("data/",),
    "model": (".safetensors", ".safetensors.index.json", "chat_template.jinja"),
}
"""What an earlier push may have left in a repository and a later one takes away: these beginnings or ends of names."""


@dataclass(frozen=True)
class Target:
    """One push: what kind of repository, its name, and the step whose outputs go there."""

    kind: Kind
    repository: str
    step: Step

    @property
    def key(self) -> str:
        """The setting that asks for it."""
        return f"hub.push_{self.kind}"


def targets(run: PlannedRun) -> list[Target]:
    """Return what a run pushes.

    Raises:
        ConfigError: the run makes no such thing.
    """
    hub = run.config.hub
    found = []
    if hub.push_dataset is not None:
        data = run.data.get("alignment")
        if data is None:
            raise ConfigError(
                f"hub.push_dataset={hub.push_dataset}: a run with stage={run.config.stage.name}, "
                f"epochs={run.config.epochs:g} makes no alignment data; set it to null, or take stage=prepare or "
                "stage=alignment with more than 0 epochs."
            )
        found.append(Target("dataset", hub.push_dataset, data))
    if hub.push_model is not None:
        trained = [entry.weights for entry in run.checkpoints if entry.weights is not None and entry.role != "base"]
        if not trained:
            raise ConfigError(
                f"hub.push_model={hub.push_model}: a run with stage={run.config.stage.name} trains no model of its "
                "own; set it to null, or take stage=alignment or stage=reasoning."
            )
        found.append(Target("model", hub.push_model, trained[-1]))
    return found


def check(runs: Sequence[PlannedRun]) -> None:
    """Check before anything runs that what the runs of a sweep push can be pushed; asks no network.

    Raises:
        ConfigError: a name is malformed, a run makes no such thing, two runs push different things to one repository,
            or there is no token.
    """
    wanted: dict[tuple[Kind, str], Target] = {}
    for target in (target for run in runs for target in targets(run)):
        from huggingface_hub.errors import HFValidationError
        from huggingface_hub.utils import validate_repo_id

        try:
            validate_repo_id(target.repository)
        except HFValidationError:
            raise ConfigError(
                f"{target.key}={target.repository} is no name of a repository; allowed is NAME or OWNER/NAME of "
                "letters, digits and . _ -, at most 96 of them."
            ) from None
        other = wanted.setdefault((target.kind, target.repository), target).step
        if other.key != target.step.key:
            raise ConfigError(
                f"{target.key}={target.repository}: several runs of the sweep would push different things there, such "
                f"as {other.title} and {target.step.title}; let the name say which, as in "
                "me/aligned-${dataset.name}-e${epochs}."
            )
    for target in wanted.values():
        _token(target)


def _token(target: Target) -> str:
    from huggingface_hub import constants, get_token

    place = f"{target.key}={target.repository}"
    if constants.HF_HUB_OFFLINE:
        raise ConfigError(f"{place}: HF_HUB_OFFLINE is set, so that nothing can be pushed; unset either.")
    token = get_token()
    if not token:
        raise ConfigError(
            f"{place}: there is no token for the hub; set HF_TOKEN in the environment to one that may "
            "write, or log in with `hf auth login`."
        )
    return token


def push(run: PlannedRun, outputs: Path, console: Console) -> None:
    """Push what the run's configuration asks for, and say where it is; does nothing where it asks for nothing.

    Args:
        run: a run whose steps are finished.
        outputs: the folder of the steps.
        console: told the address of each repository.

    Raises:
        UserError: the hub refuses, a file is gone, or what would be sent holds a secret.
    """
    check([run])
    for target in targets(run):
        console.print(_push(target, run, outputs), highlight=False, markup=False, soft_wrap=True)


def _push(target: Target, run: PlannedRun, outputs: Path) -> str:
    """Push what the hub does not have yet, and return the address and commit, for a person to read."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
    from huggingface_hub.errors import HfHubHTTPError

    # Of the HTTP library that the hub's client happens to use: no connection, a time-out.
    unreachable: type[Exception] = HfHubHTTPError.__mro__[1]
    private = run.config.hub.private
    try:
        make = dataset_files if target.kind == "dataset" else model_files
        files = make(run, target.step, outputs)
        refuse_secrets(files)
    except UserError as error:
        raise UserError(f"{target.key}={target.repository}: {error}") from None
    api = HfApi(token=_token(target))
    try:
        url = api.create_repo(target.repository, repo_type=target.kind, private=private, exist_ok=True)
        name = url.repo_id
        known = api.repo_info(name, repo_type=target.kind, files_metadata=True)
        if private and known.private is False:
            raise UserError(
                f"{target.key}={target.repository} is public already, and hub.private=true asks for a private one: "
                "nothing was sent. Name another repository, make it private, or set hub.private=false."
            )
        there = {entry.rfilename: entry for entry in getattr(known, "siblings", None) or []}
        changed = {path: file for path, file in files.items() if not _same(there.get(path), file)}
        stale = [path for path in there if path not in files and _owned(target.kind, path)]
        if not changed and not stale:
            return f"On hub:  {url} ({(known.sha or '')[:12]})"
        commit = api.create_commit(
            name,
            [
                *(CommitOperationAdd(path, file.content) for path, file in sorted(changed.items())),
                *(CommitOperationDelete(path) for path in stale),
            ],
            commit_message=f"{run.name}, {target.step.key}",
            repo_type=target.kind,
        )
    except HfHubHTTPError as error:
        raise _refusal(target, error) from None
    except (unreachable, OSError) as error:
        raise UserError(
            f"{target.key}={target.repository}: the hub cannot be reached ({type(error).__name__}). All results are on "
            "disk; run the same command again to push them."
        ) from None
    return f"Pushed:  {url} ({commit.oid[:12]})"


def _refusal(target: Target, error: Any) -> UserError:
    status = error.response.status_code if error.response is not None else None
    place = f"{target.key}={target.repository}"
    kept = "All results are on disk; run the same command again to push them."
    if status == 401:
        return UserError(f"{place}: the hub does not know the token; set HF_TOKEN to a valid one. {kept}")
    if status in (403, 404):
        return UserError(
            f"{place}: the token may not write there; take one with write access, or a repository of your own. {kept}"
        )
    said = first_lines(error.server_message or "") or type(error).__name__
    return UserError(f"{place}: the hub refused it ({status}: {said}). {kept}")


def _same(there: Any | None, file: File) -> bool:
    """Whether the hub has the very content: by sha256 where it is a large file, else by git's own id."""
    if there is None:
        return False
    if there.lfs is not None:
        return there.lfs.sha256 == file.sha256
    return there.blob_id is not None and file.size < 50_000_000 and there.blob_id == file.git_id()


def _owned(kind: Kind, path: str) -> bool:
    return path.startswith(OWNED[kind]) if kind == "dataset" else path.endswith(OWNED[kind])
