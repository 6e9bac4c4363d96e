"""Grades reasoning as published: extraction from the whole text, digits compared, the rest matched by a language model.

The model is shown the right answer and the answers extracted from earlier responses to the same problem, and says which
of them an attempt is. The wording of that question is ours. A choice that stays unresolved counts as A, which the label
``unresolved`` shows; :mod:`safetax.evaluation.judges.sound` is the rule without such oddities.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from safetax.config.fields import AtLeast
from safetax.config.needs import Library, Needs
from safetax.errors import UserError
from safetax.evaluation.graders import LONGEST_NUMBER
from safetax.evaluation.graders.algebra import Algebra
from safetax.evaluation.graders.equality import VERSION as EQUALITY
from safetax.evaluation.graders.equality import equal
from safetax.evaluation.graders.paper import extract, letter, plain_number, same_integer
from safetax.evaluation.graders.sound import checked
from safetax.evaluation.judging.cases import JudgeContext, MaxErrors
from safetax.evaluation.judging.instructions import digest, filled, own_instruction, repeats
from safetax.evaluation.llm.client import Client, connect
from safetax.evaluation.llm.replies import Reply
from safetax.records import Example, Response, Verdict

VERSION = 3
"""Raised when the rules change, so that no verdict of an older version is taken for one of the new."""

LETTERS = "ABCD"
LONGEST = 2000
"""Characters of an extracted text beyond which it is no expression that algebra is asked about."""

PLACES = ("options", "attempt")


@dataclass(frozen=True)
class Config:
    """Who says which answers are the same, where digits do not."""

    kind: str
    matcher: Literal["llm", "strings", "math_verify"] = "llm"
    """``llm``: as published; ``strings``: equal texts, which the published code refuses for kind ``math``;
    ``math_verify``: the sound grader's computer algebra, a rule of our own for who has no server."""
    model: str = "gpt-4o-mini"
    endpoint: str = "default"
    """Name of the server among ``runtime.endpoints``."""
    temperature: Annotated[float, AtLeast(0)] = 0.5
    max_tokens: Annotated[int, AtLeast(1)] = 1024
    max_errors: MaxErrors = 0.2


@dataclass(frozen=True)
class _Attempt:
    """One response on its way to a verdict; ``options`` is what the matcher chooses from."""

    response: Response
    problem: str
    kind: str
    gold: str
    extracted: str
    options: Sequence[str]

    def settled(self) -> str | None:
        """Return the answer that it is by digits or letters alone, or None."""
        if self.kind == "choice":
            return letter(self.extracted)
        same = same_integer(self.gold, self.extracted)
        return None if same is None else plain_number(self.extracted)

    def chosen(self, number: int) -> str | None:
        """Return the answer that a number stands for; a new one is itself, a choice that is none is unresolved."""
        if self.kind == "choice":
            return None if number == -1 else LETTERS[number - 1]
        return self.extracted if number == -1 else self.options[number - 1]

    def error(self, reply: Reply) -> Verdict:
        """Return a verdict that counts in no score, and why."""
        detail = {"extracted": self.extracted[:LONGEST], "by": "llm", "reply": (reply.text or "")[-200:]}
        reason = reply.error or "the reply does not end with the number of an answer"
        return Verdict(self.response.id, self.response.repeat, "error", error=reason, detail=detail)

    def verdict(self, answer: str | None, by: str) -> Verdict:
        """Return the verdict on the answer that it is."""
        correct = _taken(answer) == self.gold
        label = "unresolved" if answer is None else "correct" if correct else "wrong"
        detail = {"extracted": self.extracted[:LONGEST], "by": by}
        return Verdict(self.response.id, self.response.repeat, label, correct=correct, detail=detail)


def needs(config: Config) -> Needs:
    """Return the library of its algebra, and the server that matches answers where one does."""
    if config.matcher == "llm":
        return Needs(libraries=(Library("latex2sympy2_extended"), Library("openai")), server=config.endpoint)
    return Needs(libraries=(Library("latex2sympy2_extended"),))


def resolve(config: Config) -> dict[str, Any]:
    """Return the version of the rules, and of what matches answers: the hash of the question that a model is asked."""
    matched = {"llm": {"question": digest(instruction())[:12]}, "math_verify": {"equality": EQUALITY}}
    return {"rule": VERSION, **matched.get(config.matcher, {})}


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
    algebra = Algebra()
    rounds: dict[int, list[Response]] = defaultdict(list)
    for response in responses:
        rounds[response.repeat].append(response)
    earlier: dict[str, list[str]] = defaultdict(list)
    verdicts: list[Verdict] = []
    try:
        for _, answered in sorted(rounds.items()):
            attempts = [_attempt(response, documents[response.id], earlier[response.id]) for response in answered]
            for attempt, verdict, answer in _graded(config, client, algebra, attempts):
                verdicts.append(verdict)
                if answer is not None:
                    earlier[attempt.response.id].append(answer)
                context.progress(len(verdicts), len(responses))
    finally:
        algebra.close()
    if client is not None:
        context.summary["usage"] = {"model": config.model, **client.usage()}
    context.summary["counted_as_A"] = sum(verdict.label == "unresolved" for verdict in verdicts)
    return verdicts


def _attempt(response: Response, document: Mapping[str, Any], earlier: Sequence[str]) -> _Attempt:
    kind, gold, choices = checked(document)
    gold = gold if kind == "choice" else plain_number(gold)
    options = choices if kind == "choice" else list(dict.fromkeys([gold, *earlier]))
    return _Attempt(response, str(document.get("problem") or ""), kind, gold, extract(response.text), options)


def _graded(
    config: Config, client: Client | None, algebra: Algebra, attempts: Sequence[_Attempt]
) -> Iterator[tuple[_Attempt, Verdict, str | None]]:
    """Yield each attempt with its verdict and the answer that it was taken for (None where that failed)."""
    open_ones = []
    for attempt in attempts:
        settled = attempt.settled()
        if settled is None:
            open_ones.append(attempt)
        else:
            yield attempt, attempt.verdict(settled, "direct"), settled
    if client is None:
        for attempt in open_ones:
            answer = attempt.chosen(_matched(attempt, algebra) if config.matcher == "math_verify" else -1)
            yield attempt, attempt.verdict(answer, config.matcher), _taken(answer)
        return
    asked = [_request(config, attempt) for attempt in open_ones]

    def read(index: int, text: str) -> int | None:
        number = number_in(text, len(open_ones[index].options))
        return None if repeats(asked[index]["messages"][0]["content"], text, str(number)) else number

    for index, reply in client.chat(asked, lambda index, text: read(index, text) is not None):
        attempt = open_ones[index]
        number = None if reply.text is None else read(index, reply.text)
        if number is None:
            yield attempt, attempt.error(reply), None
        else:
            answer = attempt.chosen(number)
            yield attempt, attempt.verdict(answer, "llm"), _taken(answer)


def _matched(attempt: _Attempt, algebra: Algebra) -> int:
    """Return the number of the option that an attempt equals by computer algebra, or -1."""
    options = attempt.options if len(attempt.extracted) <= LONGEST else ()
    one = algebra.for_one_answer()
    same = (
        n for n, option in enumerate(options, 1) if equal(option, attempt.extracted, one, attempt.problem) == "equal"
    )
    return next(same, -1)


def _request(config: Config, attempt: _Attempt) -> dict[str, Any]:
    listed = "\n".join(f"{number}. {option}" for number, option in enumerate(attempt.options, 1))
    text = filled(instruction(), {"options": listed, "attempt": attempt.extracted})
    # Who asks the same again gets the same answer, whatever the temperature.
    settings = {"temperature": config.temperature, "max_tokens": config.max_tokens, "repeat": 0}
    return {"messages": [{"role": "user", "content": text}], **settings}


def instruction() -> str:
    """Return the question that the model is asked, with its places."""
    return own_instruction("same_answer", PLACES).rstrip()


def number_in(text: str, options: int) -> int | None:
    """Return the number of an option, or -1, that a reply ends with but for signs such as a full stop; else None."""
    found = re.search(r"(?<![\d.])-?\d+\Z", text[-LONGEST_NUMBER:].rstrip(" \t\n.*`\"')]}$"))
    number = int(found[0]) if found else 0
    return number if number == -1 or 1 <= number <= options else None


def _taken(answer: str | None) -> str:
    """Return the answer that an attempt counts as: an unresolved choice as A, and nothing extracted as itself."""
    return "A" if answer is None else answer
