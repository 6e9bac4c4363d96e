"""Answers of models behind servers, kept on disk under the hash of what was asked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from safetax.store.atomic import replacing


@dataclass(frozen=True)
class Reply:
    """An answer, or why there is none: either ``text`` or ``error`` is None."""

    text: str | None = None
    error: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached: bool = False
    finish_reason: str | None = None
    stop_reason: int | str | None = None
    """Which stop token or text ended it, where the server says so (vLLM does)."""
    tokens: list[int] | None = None
    """The tokens of the text, where they were asked for with ``return_token_ids`` (of vLLM's servers)."""


def places(cache: Path | None, method: str, model: str, asked: Sequence[Mapping[str, Any]]) -> Iterator[Path | None]:
    """Yield the file that keeps the answer to each request: the same wherever the model is served.

    Equal requests are samples of their own, told apart by ``repeat``, or else by how often they came before.

    Args:
        cache: folder of all answers; None keeps none.
        method: which of the interface's methods is asked.
        model: name of the model.
        asked: the requests.
    """
    seen: dict[str, int] = {}
    for request in asked:
        if cache is None:
            yield None
            continue
        plain = {key: value for key, value in request.items() if key != "repeat" and value is not None}
        text = json.dumps([method, model, plain], sort_keys=True)
        repeat = request.get("repeat")
        if repeat is None:
            repeat = seen[text] = seen.get(text, -1) + 1
        digest = hashlib.sha256(f"{text}\n{repeat}".encode()).hexdigest()
        yield cache / digest[:2] / f"{digest}.json"


def read_reply(place: Path | None) -> Reply | None:
    """Return the reply kept in a file; one that cannot be read is as good as none."""
    if place is None:
        return None
    try:
        return replace(Reply(**json.loads(place.read_text(encoding="utf-8"))), cached=True)
    except (OSError, ValueError, TypeError):
        return None


def write_reply(place: Path, reply: Reply) -> None:
    """Keep a reply in a file, whole or not at all, whoever else is writing it."""
    with replacing(place) as written:
        written.write_text(json.dumps(asdict(reply), ensure_ascii=False), encoding="utf-8")
