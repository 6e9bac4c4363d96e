"""Problems and responses for tests of graders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetax.evaluation.judging.cases import JudgeContext
from safetax.records import EndOfThinking, Example, Response, Verdict

CHOICES = ["Jupiter", "$3x^2$", "80 km/h", "The piano"]


ENDLESS = "7" * 5000


def document(kind: str, answer: str, **more: Any) -> dict[str, Any]:
    return {"problem": "?", "kind": kind, "answer": answer, **more}


def example(name: str, kind: str, answer: str, **more: Any) -> Example:
    return Example(name, [{"role": "user", "content": "?"}], meta={"document": document(kind, answer, **more)})


def response(
    name: str,
    answer: str,
    repeat: int = 0,
    thinking: str | None = "steps",
    transition: str = "<|im_start|>answer",
    end: EndOfThinking = "closed",
) -> Response:
    return Response(name, repeat, thinking, answer, 1, 1, end, "stop", 0, transition)


def context(folder: Path, **runtime: Any) -> JudgeContext:
    return JudgeContext({}, {"requests": 4, **runtime}, folder, folder / "cache", lambda done, total: None)


def by_key(verdicts: list[Verdict]) -> dict[tuple[str, int], Verdict]:
    return {(verdict.id, verdict.repeat): verdict for verdict in verdicts}
