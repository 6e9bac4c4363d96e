"""Judging case by case: the cases that are still open, what is asked about each, the replies, and their verdicts.

All judges that read one response at a time go through :func:`judge_cases`, each with a :class:`Reader` of its own. An
interrupted judging goes on with the cases that have no verdict yet; a verdict that is an error is asked for again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

from safetax.config.fields import Between, NotHashed
from safetax.config.plugins import check_verdict
from safetax.records import NOTHING, Example, Message, Response, Verdict, to_json
from safetax.store.append_log import AppendLog, read_log

Part = Literal["answer", "thinking"]
"""Which part of a response is judged; judges are less reliable on thinking, so it is a figure of its own."""

MaxErrors = Annotated[float, Between(0, 1), NotHashed()]
"""Share of a judge's verdicts that may be errors; with more of them, or nothing else, its step fails."""

PARTIAL = "verdicts.jsonl"


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


Prompt = TypeVar("Prompt")
Reply = TypeVar("Reply")


class Reader(ABC, Generic[Prompt, Reply]):
    """What reads the cases for a judge: rules, a loaded model, or a model behind a server."""

    @abstractmethod
    def prompt(self, case: Case) -> Prompt | Verdict:
        """Return what is asked about a case, or its verdict where it cannot be asked about."""

    @abstractmethod
    def replies(self, prompts: Sequence[Prompt]) -> Iterator[tuple[int, Reply]]:
        """Yield the index of each prompt with its reply, as they come."""

    @abstractmethod
    def verdict(self, case: Case, prompt: Prompt, reply: Reply) -> Verdict:
        """Return the verdict that a reply stands for; a reply that cannot be read is an error."""

    def close(self) -> None:
        """Give back what the reader holds, such as memory."""


def part_of(response: Response, part: Part) -> str | None:
    """Return the text of a part of a response; None where it has none."""
    return response.thinking if part == "thinking" else response.answer


def judge_cases(
    part: Part,
    examples: Sequence[Example],
    responses: Sequence[Response],
    context: JudgeContext,
    start: Callable[[], Reader[Any, Any]],
) -> list[Verdict]:
    """Judge each response and return the verdicts in the order of the responses.

    Args:
        part: the part of the responses that is judged; one that lacks it gets the label ``none``.
        examples: the prompts, with the meta that goes to the cases.
        responses: what is judged.
        context: its scratch folder keeps verdicts until the step is finished, and its summary counts the texts that
            the judge has read only the beginning of (``detail["truncated"]``).
        start: returns the reader; not called when no case is open.
    """
    prompts = {example.id: example for example in examples}
    path = context.scratch / PARTIAL
    done = {(verdict.id, verdict.repeat): verdict for verdict in read_log(path, Verdict) if verdict.error is None}
    cases = []
    for response in responses:
        text = part_of(response, part)
        if text is None:
            done[response.id, response.repeat] = Verdict(response.id, response.repeat, NOTHING)
        elif (response.id, response.repeat) not in done:
            prompt = prompts[response.id]
            cases.append(Case(response, prompt.messages, text, prompt.meta))
    with AppendLog(path, done.values()) as log:
        for verdict in _verdicts(cases, start):
            log.append(verdict)
            done[verdict.id, verdict.repeat] = verdict
            context.progress(len(done), len(responses))
    context.summary["truncated_texts"] = sum("truncated" in verdict.detail for verdict in done.values())
    if part != "answer":
        context.summary["part"] = part
    return [done[response.id, response.repeat] for response in responses if (response.id, response.repeat) in done]


def _verdicts(cases: Sequence[Case], start: Callable[[], Reader[Any, Any]]) -> Iterator[Verdict]:
    """Yield the verdicts of cases as they come: first of those about which nothing has to be asked."""
    if not cases:
        return
    reader = start()
    try:
        asked: list[tuple[Case, Any]] = []
        for case in cases:
            prompt = reader.prompt(case)
            if isinstance(prompt, Verdict):
                yield _checked(reader, prompt)
            else:
                asked.append((case, prompt))
        for index, reply in reader.replies([prompt for _, prompt in asked]):
            case, prompt = asked[index]
            yield _checked(reader, reader.verdict(case, prompt, reply))
    finally:
        reader.close()


def _checked(reader: Reader[Any, Any], verdict: Verdict) -> Verdict:
    """Return a reader's verdict, which is kept for later attempts; an error where no file can keep what it says."""
    try:
        to_json(verdict).encode()
    except UnicodeEncodeError:
        return Verdict(verdict.id, verdict.repeat, "error", error="what the judge said holds half of a surrogate pair")
    except (TypeError, ValueError):
        pass  # no plain values, which the check names
    check_verdict(verdict, f"judge {type(reader).__module__}")
    return verdict
