"""Check what a component returns, and say where it failed: the one boundary to modules of somebody else's.

Data sets, judges and graders, engines and objectives may be modules that safetax never saw. What they return is checked
here before anything is made of it, ours and theirs alike; a message names the component, the value, what is allowed and
the remedy.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from safetax.config.components import PluginError
from safetax.records import NOTHING, Example, Response, Verdict, is_json, misfit, shown

if TYPE_CHECKING:
    import torch

ROLES = ("system", "user", "assistant")
REFERRED = ("harmful", "refused", "correct")
"""Fields of a verdict that scores are made from."""
LOGGED = ("loss", "step", "epoch", "learning_rate", "grad_norm")
"""Names in ``history.jsonl`` that no objective may have."""


def checked_examples(examples: Any, name: str, trained: bool = False, empty: bool = False) -> list[Example]:
    """Return the examples that a data set built.

    Args:
        examples: what ``build`` returned: any iterable.
        name: of the component, for messages.
        trained: whether they are trained on, so that each needs an answer.
        empty: whether there may be none.

    Raises:
        PluginError: there are none, something is no example, a field has another type, or two have one id.
    """
    _check_iterable(examples, f"{name}: build", "a list of Example")
    found: list[Example] = []
    seen: dict[str, int] = {}
    for index, example in enumerate(examples):
        where = f"{name}: example {index}"
        _check_record(example, Example, where)
        where += f" ({example.id})"
        if not example.id:
            raise PluginError(f"{where} has an empty id; give each example one of its own.")
        if example.id in seen:
            raise PluginError(f"{where} has the id of example {seen[example.id]}; give each example one of its own.")
        if not example.messages or any(
            message.keys() != {"role", "content"} or message["role"] not in ROLES for message in example.messages
        ):
            raise PluginError(
                f"{where} has messages={shown(example.messages)}; allowed is a conversation of at least one message, "
                f'each {{"role": {" or ".join(ROLES)}, "content": text}}.'
            )
        if trained and example.supervised == "turn" and example.answer is None:
            raise PluginError(
                f"{where} has answer=None, and it is trained on; give it the text to learn, or raise BadRowError."
            )
        seen[example.id] = index
        found.append(example)
    if not found and not empty:
        raise PluginError(f"{name} built no examples; give it rows that it can use.")
    return found


def checked_rows(rows: Any, name: str) -> list[dict[str, Any]]:
    """Return the rows that a row source loaded.

    Raises:
        PluginError: something is no row.
    """
    _check_iterable(rows, f"{name}: load", "a list of rows, each a dict by column")
    found = []
    for index, row in enumerate(rows):
        if not isinstance(row, Mapping) or not all(isinstance(column, str) for column in row):
            raise PluginError(f"{name}: row {index} is {shown(row)}; allowed is a dict with text as keys.")
        found.append(dict(row))
    return found


def checked_verdicts(verdicts: Any, responses: Sequence[Response], name: str) -> list[Verdict]:
    """Return a judge's verdicts, one for each response and in the order of the responses.

    Raises:
        PluginError: a response has no verdict or two, a verdict is of no response, or a field has another type.
    """
    _check_iterable(verdicts, f"{name}: judge", "a list of Verdict")
    asked = {(response.id, response.repeat) for response in responses}
    found: dict[tuple[str, int], Verdict] = {}
    for verdict in verdicts:
        check_verdict(verdict, name)
        key = verdict.id, verdict.repeat
        if key not in asked:
            raise PluginError(f"{name} gave a verdict on {_response(*key)}, which it was not asked about.")
        if key in found:
            raise PluginError(f"{name} gave two verdicts on {_response(*key)}; give one for each response.")
        found[key] = verdict
    missing = [key for key in ((response.id, response.repeat) for response in responses) if key not in found]
    if missing:
        raise PluginError(
            f"{name} gave no verdict on {len(missing)} of {len(asked)} responses, such as {_response(*missing[0])}; "
            "where it cannot say anything, give Verdict(id, repeat, 'error', error=why)."
        )
    return [found[response.id, response.repeat] for response in responses]


def check_verdict(verdict: Any, name: str) -> None:
    """Check one verdict.

    Raises:
        PluginError: a field has another type, an error goes with a score, or the verdict says nothing at all.
    """
    where = f"{name}: its verdict on {_response(getattr(verdict, 'id', None), getattr(verdict, 'repeat', None))}"
    _check_record(verdict, Verdict, where if isinstance(verdict, Verdict) else f"{name}: a verdict")
    said = [field for field in REFERRED if getattr(verdict, field) is not None]
    if verdict.error is not None and said:
        raise PluginError(
            f"{where} has {said[0]}={getattr(verdict, said[0])} beside error={verdict.error!r}; a failure is no score: "
            f"leave {', '.join(REFERRED)} out, or the error."
        )
    if verdict.error is None and not said and verdict.label != NOTHING:
        raise PluginError(
            f"{where} says nothing: {', '.join(REFERRED)} and error are None; set one of them "
            f"(label={NOTHING!r} is for a response that lacks the part that is judged)."
        )


def checked_facts(facts: Any, name: str) -> dict[str, Any] | None:
    """Return what a component's ``resolve`` found out, which becomes part of a fingerprint.

    Raises:
        PluginError: it is no dict of plain JSON values.
    """
    if facts is not None and not (isinstance(facts, dict) and is_json(facts)):
        raise PluginError(f"{name}: resolve returned {shown(facts)}; allowed is a dict of plain JSON values, or None.")
    return facts


def check_engine(engine: Any, name: str) -> None:
    """Check that an engine has all that it will be asked for, before it generates anything.

    Raises:
        PluginError: a method or ``facts`` is missing.
    """
    for method in ("respond", "close"):
        if not callable(getattr(engine, method, None)):
            raise PluginError(f"{name}: start returned {shown(engine)}, which has no method {method}; add it.")
    if not isinstance(getattr(engine, "facts", None), dict):
        raise PluginError(
            f'{name}: start returned {shown(engine)}, which has no dict facts; give it one, such as {{"version": "1"}}.'
        )


class RespondChecks:
    """Checks what an engine yields in one call of ``respond``, as it comes.

    Args:
        name: of the component, for messages.
        prompts: names of the prompts, by index.
        response_type: what each is answered with.
    """

    def __init__(self, name: str, prompts: Sequence[str], response_type: type) -> None:
        self.name, self.prompts, self.response_type = name, prompts, response_type
        self.answered: set[int] = set()

    def check(self, entry: Any) -> tuple[int, Any]:
        """Return the index and the response of an entry that ``respond`` yielded.

        Raises:
            PluginError: it is no such pair, or its prompt is not there or answered already.
        """
        if not isinstance(entry, tuple) or len(entry) != 2 or not isinstance(entry[1], self.response_type):
            wanted = f"(index, {self.response_type.__name__})"
            raise PluginError(f"{self.name}: respond yielded {shown(entry)}; allowed is {wanted}.")
        index, generated = entry
        if type(index) is not int or not 0 <= index < len(self.prompts):
            raise PluginError(
                f"{self.name}: respond yielded the index {shown(index)}; allowed are 0 to {len(self.prompts) - 1}."
            )
        if index in self.answered:
            raise PluginError(f"{self.name}: respond yielded two responses to prompt {index} ({self.prompts[index]}).")
        self.answered.add(index)
        return index, generated

    def check_all(self, claimed: Collection[int]) -> None:
        """Raise PluginError where a prompt that is this engine's has no response."""
        missing = sorted(set(claimed) - self.answered)
        if missing:
            raise PluginError(
                f"{self.name}: respond ended with no response to {len(missing)} of {len(claimed)} prompts, such as "
                f"{self.prompts[missing[0]]}; yield one for each prompt that sharing.claim(index) is true for."
            )


def check_response(response: Response, name: str) -> None:
    """Check a response that was made of what an engine yielded.

    Raises:
        PluginError: a field has another type.
    """
    where = f"{name}: its response to {response.id}"
    _check_record(response, Response, where)
    for field in ("thinking_tokens", "answer_tokens"):
        if getattr(response, field) < 0:
            raise PluginError(f"{where} has {field}={getattr(response, field)}; allowed is 0 or more.")


def check_objective(objective: Any, name: str) -> None:
    """Check that an objective has all that a training asks it for.

    Raises:
        PluginError: a name, a weight or a method is missing, or is none.
    """
    label, weight = getattr(objective, "name", None), getattr(objective, "weight", None)
    if not isinstance(label, str) or not label or label in LOGGED:
        raise PluginError(
            f"{name}: its name is {shown(label)}; allowed is text that is none of {', '.join(LOGGED)}, since it names "
            "the term in history.jsonl."
        )
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight):
        raise PluginError(f"{name}: its weight is {shown(weight)}; allowed is a finite number.")
    for method in ("in_objective", "values"):
        if not callable(getattr(objective, method, None)):
            raise PluginError(f"{name}: make returned {shown(objective)}, which has no method {method}; add it.")


def checked_choice(chosen: Any, name: str, example: Example) -> bool:
    """Return what ``in_objective`` said of an example.

    Raises:
        PluginError: it is neither True nor False.
    """
    if not isinstance(chosen, bool):
        raise PluginError(f"{name}: in_objective({example.id}) is {shown(chosen)}; allowed are True and False.")
    return chosen


def checked_values(values: Any, logits: torch.Tensor, name: str) -> torch.Tensor:
    """Return the values of an objective, shape [tokens].

    Args:
        values: what it returned.
        logits: what it was given, shape [tokens, vocabulary].
        name: of the component, for messages.

    Raises:
        PluginError: it is no tensor of one number for each token, it lies on another device, or no gradient comes to
            the logits from it.
    """
    import torch

    wanted = f"allowed is a float tensor of shape [{len(logits)}], one value for each token"
    if not isinstance(values, torch.Tensor):
        raise PluginError(f"{name}: values returned {shown(values)}; {wanted}.")
    if values.shape != logits.shape[:1] or not values.is_floating_point():
        kind = str(values.dtype).removeprefix("torch.")
        raise PluginError(f"{name}: values returned a tensor of {kind} and shape {list(values.shape)}; {wanted}.")
    if values.device != logits.device:
        raise PluginError(
            f"{name}: values returned a tensor on {values.device}; allowed is {logits.device}, where the logits are."
        )
    if logits.requires_grad and torch.is_grad_enabled() and not values.requires_grad:
        raise PluginError(
            f"{name}: values returned a tensor that no gradient goes through, so that it would train nothing; make it "
            "of the logits, without detach(), item() or torch.no_grad()."
        )
    return values


def check_finite(value: torch.Tensor, loss: torch.Tensor, name: str) -> None:
    """Check the sum of an objective's values, a scalar, beside a loss that is finite.

    Raises:
        PluginError: the sum is not finite.
    """
    if not math.isfinite(value.item()) and math.isfinite(loss.item()):
        raise PluginError(f"{name}: the sum of its values is {value.item()}, and the cross-entropy is finite; mend it.")


def _check_iterable(value: Any, call: str, wanted: str) -> None:
    if not isinstance(value, Iterable) or isinstance(value, str | bytes | Mapping):
        raise PluginError(f"{call} returned {shown(value)}; allowed is {wanted}.")


def _check_record(record: Any, record_type: type, where: str) -> None:
    """Check that something is a record and that each of its fields has its type."""
    if not isinstance(record, record_type):
        raise PluginError(f"{where} is {shown(record)}; allowed is {record_type.__name__}(..).")
    if wrong := misfit(record):
        raise PluginError(f"{where} has {wrong}.")


def _response(name: Any, repeat: Any) -> str:
    return f"{name}, repeat {repeat}" if repeat else str(name)
