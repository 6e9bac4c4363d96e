"""Grades reasoning as published: extraction from the whole text, digits compared, the rest matched by a language model.

The model is shown the right answer and the answers extracted from earlier responses to the same problem, and says which
of them an attempt is. The wording of that question is ours. A choice that stays unresolved counts as A, which the label
``unresolved`` shows; :mod:`safetax.evaluation.judges.sound` is the rule without such oddities.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from safetax.config.fields import AtLeast
from safetax.config.needs import Library, Needs
from safetax.errors import UserError
from safetax.evaluation.graders import LONGEST_NUMBER
from safetax.evaluation.graders.algebra import Algebra
from safetax.evaluation.graders.equality import equal
from safetax.evaluation.graders.paper import extract, letter, plain_number, same_integer
from safetax.evaluation.graders.sound import checked
from safetax.evaluation.judging.context import JudgeContext
from safetax.evaluation.llm.client import Client, Reply, connect
from safetax.records import Example, Response, Verdict

VERSION = 2
"""Raised when the rules change, so that no verdict of an older version is taken for one of the new."""

LETTERS = "ABCD"
LONGEST = 2000
"""Characters of an extracted text beyond which it is no expression that algebra is asked about."""

QUESTION = """\
Below are known answers to one problem, each with its number, and a new answer. Find the known answer that says the same
as the new one. Answers are the same if they stand for the same value or the same choice, however they are written:
units, LaTeX commands, spacing, and words around the value make no difference. Do not solve the problem, and do not
judge which answer is right.

Known answers:
{options}

New answer:
{attempt}

Reply with the number of the matching known answer and nothing else. Reply with -1 if none matches."""


@dataclass(frozen=True)
class Config:
    """Who says which answers are the same, where digits do not."""

    kind: str
    matcher: Literal["llm", "strings", "math_verify"] = "llm"
    """``llm``: as published; ``strings``: equal texts, which the published code refuses for kind ``math``;
    ``math_verify``: computer algebra, a rule of our own for who has no server."""
    model: str = "gpt-4o-mini"
    endpoint: str = "default"
    """Name of the server among ``runtime.endpoints``."""
    temperature: Annotated[float, AtLeast(0)] = 0.5
    max_tokens: Annotated[int, AtLeast(1)] = 1024


@dataclass
class _Attempt:
    """One response on its way to a verdict."""

    response: Response
    kind: str
    gold: str
    choices: Sequence[str]
    extracted: str
    options: list[str] = field(default_factory=list)
    """What the matcher chooses from."""

    def settled(self) -> str | None:
        """Return the answer that it is by digits or letters alone, or None."""
        if self.kind == "choice":
            return letter(self.extracted)
        same = same_integer(self.gold, self.extracted)
        return None if same is None else plain_number(self.extracted)


def needs(config: Config) -> Needs:
    """Return the library of its algebra, and the server that matches answers where one does."""
    if config.matcher == "llm":
        return Needs(libraries=(Library("math_verify"), Library("openai")), server=config.endpoint)
    return Needs(libraries=(Library("math_verify"),))


def resolve(config: Config) -> dict[str, Any]:
    """Return the version of the rules, and the hash of the question that a model is asked."""
    asked = {"question": hashlib.sha256(QUESTION.encode()).hexdigest()[:12]} if config.matcher == "llm" else {}
    return {"rule": VERSION, **asked}


def judge(
    config: Config, examples: Sequence[Example], responses: Sequence[Response], context: JudgeContext
) -> list[Verdict]:
    """Say of each response whether it is correct.

    Repeats are graded one after the other, since a matcher sees what was extracted from those before.

    Raises:
        UserError: a prompt is no problem that can be graded, the matcher is none for it, or its server cannot be asked.
    """
    documents = {example.id: example.meta.get("document") or {} for example in examples}
    kinds = {checked(document)[0] for document in documents.values()}
    if config.matcher == "strings" and "math" in kinds:
        raise UserError(
            "grader.matcher=strings: the published code does not compare MATH answers without a language model; "
            "allowed are llm (needs runtime.endpoints and a key) and math_verify (computer algebra, a rule of our own)."
        )
    client = connect(context.runtime, config.endpoint, config.model, context.cache) if config.matcher == "llm" else None
    matcher = _Matcher(config, client)
    rounds: dict[int, list[Response]] = defaultdict(list)
    for response in responses:
        rounds[response.repeat].append(response)
    earlier: dict[str, list[str]] = defaultdict(list)
    verdicts: list[Verdict] = []
    try:
        for _, answered in sorted(rounds.items()):
            attempts = [_attempt(response, documents[response.id], earlier[response.id]) for response in answered]
            for attempt, verdict, answer in matcher.verdicts(attempts):
                verdicts.append(verdict)
                if answer is not None:
                    earlier[attempt.response.id].append(answer)
                context.progress(len(verdicts), len(responses))
    finally:
        matcher.algebra.close()
    if client is not None:
        context.summary["usage"] = {"model": config.model, **client.usage()}
    context.summary["counted_as_A"] = sum(verdict.label == "unresolved" for verdict in verdicts)
    return verdicts


def _attempt(response: Response, document: Mapping[str, Any], earlier: Sequence[str]) -> _Attempt:
    kind, gold, choices = checked(document)
    gold = gold if kind == "choice" else plain_number(gold)
    options = list(choices) if kind == "choice" else list(dict.fromkeys([gold, *earlier]))
    return _Attempt(response, kind, gold, choices, extract(response.text), options)


class _Matcher:
    """Says which known answer an attempt is."""

    def __init__(self, config: Config, client: Client | None) -> None:
        self.config = config
        self.client = client
        self.algebra = Algebra()

    def verdicts(self, attempts: Sequence[_Attempt]) -> Iterator[tuple[_Attempt, Verdict, str | None]]:
        """Yield each attempt with its verdict and the answer that it was taken for (None where that failed)."""
        open_ones = []
        for attempt in attempts:
            settled = attempt.settled()
            if settled is None:
                open_ones.append(attempt)
            else:
                yield attempt, _verdict(attempt, settled, "direct"), settled
        if self.client is not None:
            yield from self._asked(self.client, open_ones)
            return
        for attempt in open_ones:
            answer = self._matched(attempt)
            yield attempt, _verdict(attempt, answer, self.config.matcher), _taken(answer)

    def _matched(self, attempt: _Attempt) -> str | None:
        """Return the known answer, or the letter, that an attempt is without a model; None: unresolved."""
        if self.config.matcher == "math_verify" and len(attempt.extracted) <= LONGEST:
            for index, option in enumerate(attempt.options):
                if equal(option, attempt.extracted, self.algebra) == "equal":
                    return _chosen(attempt, index + 1)
        return _chosen(attempt, -1)

    def _asked(self, client: Client, attempts: Sequence[_Attempt]) -> Iterator[tuple[_Attempt, Verdict, str | None]]:
        requests = [
            {
                "messages": [{"role": "user", "content": question(attempt.options, attempt.extracted)}],
                "temperature": self.config.temperature,
                "max_tokens": self.config.max_tokens,
                "repeat": 0,  # who asks the same again gets the same answer, whatever the temperature
            }
            for attempt in attempts
        ]
        for index, reply in client.chat(requests):
            attempt = attempts[index]
            number = None if reply.text is None else number_in(reply.text, len(attempt.options))
            if number is None:
                yield attempt, _failed(attempt, reply), None
            else:
                answer = _chosen(attempt, number)
                yield attempt, _verdict(attempt, answer, "llm"), _taken(answer)


def question(options: Sequence[str], attempt: str) -> str:
    """Return what the model is asked."""
    listed = "\n".join(f"{number}. {option}" for number, option in enumerate(options, 1))
    return QUESTION.format(options=listed, attempt=attempt)


def number_in(text: str, options: int) -> int | None:
    """Return the number of an option, or -1, that a reply ends with; None where it has none."""
    numbers = re.findall(r"(?<![\d.])-?\d+", text)
    number = int(numbers[-1]) if numbers and len(numbers[-1]) <= LONGEST_NUMBER else 0
    return number if number == -1 or 1 <= number <= options else None


def _chosen(attempt: _Attempt, number: int) -> str | None:
    """Return the answer that a number stands for; a new answer is itself, and a choice that is none is unresolved."""
    if attempt.kind == "choice":
        return None if number == -1 else LETTERS[number - 1]
    return attempt.extracted if number == -1 else attempt.options[number - 1]


def _taken(answer: str | None) -> str:
    """Return the answer that an attempt counts as: an unresolved choice as A, and nothing extracted as itself."""
    return "A" if answer is None else answer


def _verdict(attempt: _Attempt, answer: str | None, by: str) -> Verdict:
    correct = _taken(answer) == attempt.gold
    label = "unresolved" if answer is None else "correct" if correct else "wrong"
    detail = {"extracted": attempt.extracted[:LONGEST], "by": by}
    return Verdict(attempt.response.id, attempt.response.repeat, label, correct=correct, detail=detail)


def _failed(attempt: _Attempt, reply: Reply) -> Verdict:
    error = reply.error or f"no number of an answer in the reply: {(reply.text or '')[:200]}"
    detail = {"extracted": attempt.extracted[:LONGEST], "by": "llm"}
    return Verdict(attempt.response.id, attempt.response.repeat, "error", error=error, detail=detail)
