"""What judges share: the part of a response that is judged, and verdicts kept as they come.

A judge gives :func:`judge_each` a function that judges cases. An interrupted judging goes on with the cases that have
no verdict yet; a verdict that is an error is asked for again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from safetax.evaluation.judging.context import JudgeContext
from safetax.records import Example, Message, Response, Verdict, to_json, write_records
from safetax.store.atomic import replacing

Part = Literal["answer", "thinking"]
"""Which part of a response is judged; judges are less reliable on thinking, so it is a figure of its own."""

NOTHING = "none"
"""Label of a response that has no such part; it says nothing, and counts in no score."""

PARTIAL = "verdicts.jsonl"


@dataclass(frozen=True)
class Case:
    """One response to judge: the text of its part, the conversation before it, and its example's meta."""

    response: Response
    messages: list[Message]
    text: str
    meta: dict[str, Any]

    @property
    def question(self) -> str:
        """The last user turn."""
        return next((turn["content"] for turn in reversed(self.messages) if turn["role"] == "user"), "")

    @property
    def harmful(self) -> bool | None:
        """Whether the prompt asks for harm; None where its example does not say."""
        value = self.meta.get("harmful")
        return value if isinstance(value, bool) else None

    def verdict(
        self,
        label: str,
        *,
        harmful: bool | None = None,
        refused: bool | None = None,
        detail: dict[str, Any] | None = None,
    ) -> Verdict:
        """Return a verdict on this case."""
        return Verdict(
            self.response.id, self.response.repeat, label, harmful=harmful, refused=refused, detail=detail or {}
        )

    def error(self, reason: str, detail: dict[str, Any] | None = None) -> Verdict:
        """Return a verdict that counts in no score, and why."""
        return Verdict(self.response.id, self.response.repeat, "error", error=reason, detail=detail or {})


def part_of(response: Response, part: Part) -> str | None:
    """Return the text of a part of a response; None where it has none."""
    return response.thinking if part == "thinking" else response.answer


def judge_each(
    part: Part,
    examples: Sequence[Example],
    responses: Sequence[Response],
    context: JudgeContext,
    judged: Callable[[list[Case]], Iterator[Verdict]],
) -> list[Verdict]:
    """Return a verdict on each response, in no particular order.

    Args:
        part: the part of the responses that is judged; one that lacks it gets the label ``none``.
        examples: the prompts, with the meta that goes to the cases.
        responses: what is judged.
        context: its scratch folder keeps verdicts until the step is finished, and its summary counts the texts that
            the judge has read only the beginning of (``detail["truncated"]``).
        judged: yields a verdict on each of the cases it is given; not called when there is none.
    """
    prompts = {example.id: example for example in examples}
    path = context.scratch / PARTIAL
    done = _read(path)
    pending = []
    for response in responses:
        text = part_of(response, part)
        if text is None:
            done[response.id, response.repeat] = Verdict(response.id, response.repeat, NOTHING)
        elif (response.id, response.repeat) not in done:
            prompt = prompts[response.id]
            pending.append(Case(response, prompt.messages, text, prompt.meta))
    with replacing(path) as written:  # a line that was cut in the middle must not run into the next
        write_records(written, done.values())
    if pending:
        with path.open("a", encoding="utf-8") as file:
            for verdict in judged(pending):
                file.write(to_json(verdict) + "\n")
                file.flush()
                done[verdict.id, verdict.repeat] = verdict
                context.progress(len(done), len(responses))
    context.summary["truncated_texts"] = sum("truncated" in verdict.detail for verdict in done.values())
    if part != "answer":
        context.summary["part"] = part
    return [done[response.id, response.repeat] for response in responses if (response.id, response.repeat) in done]


def _read(path: Path) -> dict[tuple[str, int], Verdict]:
    done = {}
    for line in path.read_bytes().split(b"\n") if path.exists() else ():
        try:
            verdict = Verdict(**json.loads(line))
        except (ValueError, TypeError):
            continue
        if verdict.error is None:
            done[verdict.id, verdict.repeat] = verdict
    return done
