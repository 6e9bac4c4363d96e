"""What a judge works with besides its configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class JudgeContext:
    """What a judge works with besides its configuration."""

    facts: Mapping[str, Any]
    """What its names were resolved to, such as the commit of its model."""
    runtime: Mapping[str, Any]
    """Batch sizes, requests at a time: no part of any identity."""
    scratch: Path
    """Folder for verdicts that an interrupted step has already."""
    cache: Path
    """Folder of answers from servers, shared by all steps."""
    progress: Callable[[int, int], None]
    """Called with the responses judged and all of them."""
    summary: dict[str, Any] = field(default_factory=dict)
    """What the judge adds to the step's summary, such as the tokens that it used."""
