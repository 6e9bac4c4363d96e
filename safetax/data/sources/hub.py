"""Raw rows of a data set on the Hugging Face hub, at exactly the commit that was found when the run was planned."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated, Any

from safetax.config.fields import NotHashed
from safetax.config.needs import Library, Needs, Repository
from safetax.data.hub import hub_commit, said
from safetax.errors import ConfigError, UserError


@dataclass(frozen=True)
class Config:
    """Which repository, and which part of it."""

    kind: str
    id: str
    """``owner/name``."""
    split: str = "train"
    subset: str | None = None
    """Name of one of the repository's configurations; null: its only or default one."""
    revision: str | None = None
    """Branch, tag or commit, resolved to a commit before anything is planned; null: main."""
    columns: dict[str, str] = field(default_factory=dict)
    """Our name of a column: theirs."""
    gated: Annotated[bool, NotHashed()] = False
    """Whether the hub asks for accepted terms and a token."""

    def __post_init__(self) -> None:
        """Check that the id can be one of the hub."""
        if not re.fullmatch(r"([\w.-]+/)?[\w.-]+", self.id):
            raise ConfigError(
                f"id={self.id}: this is no repository of the hub; allowed is owner/name. For rows in a file or folder "
                "set kind=file and path."
            )


def needs(config: Config) -> Needs:
    """Return the repository, and the library that reads it."""
    repository = Repository(config.id, "dataset", config.gated)
    return Needs(libraries=(Library("datasets", "id"),), repositories=(repository,))


def resolve(config: Config) -> dict[str, Any]:
    """Return the commit that the revision stands for.

    Raises:
        ConfigError: the hub has none such, or cannot be asked.
    """
    return {"commit": hub_commit(config.id, config.revision, "dataset")}


def load(config: Config) -> list[dict[str, Any]]:
    """Return the rows of a split.

    A restored config has the commit in ``revision``. Without a network the local cache serves, if it has that commit.

    Raises:
        UserError: the repository, subset or split is not there or cannot be had; says why and what to do.
    """
    from datasets import load_dataset_builder
    from datasets.exceptions import DatasetNotFoundError, DatasetsError
    from huggingface_hub.errors import HfHubHTTPError

    named = f"id={config.id}, revision={config.revision or 'main'}"
    part = f"{named}, subset={config.subset or 'null'}, split={config.split}"
    try:
        # The prefix keeps a folder of the same name in the working folder from being taken instead.
        builder = load_dataset_builder(f"hf://datasets/{config.id}", config.subset, revision=config.revision)
        if config.revision and len(config.revision) == 40 and builder.hash != config.revision:
            raise UserError(
                f"{named}: the hub cannot be reached, and the newest commit in the local cache is {builder.hash}; "
                "connect, or set revision to that commit."
            )
        if not builder.info.splits or config.split in builder.info.splits:
            builder.download_and_prepare()
        splits = list(builder.info.splits or {})
        if config.split not in splits:
            raise UserError(f"{part}: there is no such split; allowed are {', '.join(splits)}.")
        rows: Any = builder.as_dataset(split=config.split)
        return [dict(row) for row in rows]
    except DatasetNotFoundError as error:
        if config.gated or "gated" in str(error):
            why = "access is gated; accept its terms on the hub and set HF_TOKEN in the environment"
        else:
            why = "the hub has none such; check the name, or set HF_TOKEN in the environment if it is private"
        raise UserError(f"{named}: {why}. ({said(error, lines=2)})") from None
    except HfHubHTTPError as error:
        raise UserError(f"{named}: the hub refuses it ({said(error, lines=2)}).") from None
    except (ConnectionError, FileNotFoundError) as error:
        raise UserError(
            f"{named}: the hub cannot be reached and the local cache lacks it ({type(error).__name__}); connect once, "
            "or name a file of yours in its place with kind=file and path."
        ) from None
    except (ValueError, RuntimeError, DatasetsError) as error:
        raise UserError(f"{part}: it cannot be read as rows ({said(error, lines=2)}).") from None
