"""Answers of models behind servers, kept on disk under the hash of what was asked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from safetax.store.atomic import replacing
from safetax.store.manifest import SEAL, read_json
from safetax.store.step import fingerprint_of

TEXT = (str, type(None))
SHAPE = {
    "text": TEXT,
    "error": TEXT,
    "prompt_tokens": int,
    "completion_tokens": int,
    "finish_reason": TEXT,
    "stop_reason?": (str, int, type(None)),
    "tokens?": (list, type(None)),
    "cached": bool,
}
"""Shape of a file that keeps a reply; those of earlier versions have no seal."""


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


FINISH_REASONS = {
    **dict.fromkeys(("stop", "eos", "eos_token", "stop_sequence", "end_turn"), "stop"),
    **dict.fromkeys(("length", "max_tokens"), "length"),
    **{reason: reason for reason in ("content_filter", "tool_calls", "function_call", "abort", "error")},
}
"""Why a reply ended, by what servers call it; what else a server says is not kept."""


def reply_of(answer: Any) -> Reply:
    """Return the reply that the library's answer is: nothing of it but what is known, and its text.

    Raises:
        LookupError, AttributeError, TypeError: it is none.
    """
    choice = answer.choices[0]
    text = choice.message.content if hasattr(choice, "message") else choice.text
    reason, stopped_at, tokens = (getattr(choice, name, None) for name in ("finish_reason", "stop_reason", "token_ids"))
    usage = getattr(answer, "usage", None)
    reply = Reply(
        prompt_tokens=_count(getattr(usage, "prompt_tokens", 0)),
        completion_tokens=_count(getattr(usage, "completion_tokens", 0)),
        finish_reason=FINISH_REASONS.get(reason) if isinstance(reason, str) else None,
        stop_reason=stopped_at if isinstance(stopped_at, int | str) else None,
        tokens=[_count(token) for token in tokens] if isinstance(tokens, list) else None,
    )
    if isinstance(text, str):
        # Halves of characters, which no file can hold, become a question mark of their own.
        return replace(reply, text=text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    refusal = ", a refusal" if getattr(getattr(choice, "message", None), "refusal", None) else ""
    return replace(reply, error=f"the answer has no text (finish_reason {reply.finish_reason or 'unknown'}{refusal})")


def _count(value: Any) -> int:
    """Return a count as a server says it; 0 where it says none."""
    return value if type(value) is int and 0 <= value < 2**53 else 0


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
    """Return the reply kept in a file; one that cannot be read, was changed or is another's is as good as none."""
    values = None if place is None else read_json(place, SHAPE)
    if place is None or values is None or values.pop(SEAL, None) not in (None, fingerprint_of([place.stem, values])):
        return None
    return replace(Reply(**{name: values[name] for name in Reply.__dataclass_fields__ if name in values}), cached=True)


def write_reply(place: Path, reply: Reply) -> None:
    """Keep a reply in a file, whole or not at all, whoever else is writing it."""
    values = asdict(reply)
    sealed = {**values, SEAL: fingerprint_of([place.stem, values])}
    with replacing(place) as written:
        written.write_text(json.dumps(sealed, ensure_ascii=False), encoding="utf-8")
