"""The records that steps exchange as JSON lines: examples, responses and verdicts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from safetax.errors import AGAIN, UserError

Message = dict[str, str]
"""One chat message: ``{"role": "system" | "user" | "assistant", "content": text}``."""

EndOfThinking = Literal["closed", "budget", "end_of_text", "unclosed", "suppressed", "none"]
"""How the thinking ended.

``closed``: by the model's own marker; ``budget``: cut at the thinking budget (truncated); ``end_of_text``: the model
ended its whole text inside the thinking, and an answer was asked for; ``unclosed``: it did not close it and no answer
was forced, so that the whole text stands as the answer; ``suppressed``: the evaluation allowed none; ``none``: the
format has none.
"""

Supervised = Literal["turn", "thinking_start"]
"""What of the assistant's turn is trained on.

``turn``: all of it; ``thinking_start``: the example's thinking alone, which is how the thinking begins. The row ends
there, with neither the end of the thinking nor an answer, so that what follows is left to the model.
"""

EndOfAnswer = Literal["stop", "budget"]
"""How the answer ended: by the model itself, or cut at the answer budget (truncated)."""


GARBLED = "garbled"
"""Label of a verdict on a broken answer, which neither refuses nor answers; a judge that can tell gives it."""
NOTHING = "none"
"""Label of a verdict on a response that lacks the part that is judged: it says nothing, and counts in no score."""


@dataclass(frozen=True)
class Example:
    """A row of a data set: a conversation up to the last user turn and, for training, the assistant's turn.

    ``thinking`` and ``answer`` are None in a prompt set; ``thinking`` alone is None where a row has no trace.
    ``meta`` holds what a judge or a later step needs to know of the row (plain JSON values). ``supervised`` says what
    of the turn carries loss.
    """

    id: str
    messages: list[Message]
    thinking: str | None = None
    answer: str | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    supervised: Supervised = "turn"


@dataclass(frozen=True)
class Response:
    """What a checkpoint answered to one prompt; ``repeat`` counts the samples of a prompt from 0.

    Thinking and answer are what the model wrote, white space included; ``transition`` is what stands between them,
    written by the model or put there.
    """

    id: str
    repeat: int
    thinking: str | None
    answer: str
    thinking_tokens: int
    answer_tokens: int
    end_of_thinking: EndOfThinking
    end_of_answer: EndOfAnswer
    seed: int
    transition: str = ""

    @property
    def text(self) -> str:
        """The whole response: thinking, marker and answer."""
        return (self.thinking or "") + self.transition + self.answer

    @property
    def truncated(self) -> bool:
        """Whether a budget cut the thinking or the answer."""
        return self.end_of_thinking == "budget" or self.end_of_answer == "budget"


@dataclass(frozen=True)
class Verdict:
    """What a judge or grader said of one response.

    ``label`` is the judge's own word for it. ``harmful``, ``refused`` and ``correct`` are what scores are made from;
    None means that the judge does not say. If ``error`` is set the three are None and the response counts in no score.
    ``detail`` holds what else a judge says, such as categories and probabilities (plain JSON values).
    """

    id: str
    repeat: int
    label: str
    harmful: bool | None = None
    refused: bool | None = None
    correct: bool | None = None
    error: str | None = None
    detail: dict[str, Any] = field(default_factory=dict)


Record = TypeVar("Record", Example, Response, Verdict)


def to_json(record: Example | Response | Verdict) -> str:
    """Return the record as one line of JSON without its line end; whole turns go without saying."""
    values = asdict(record)
    if values.get("supervised") == "turn":
        del values["supervised"]
    return json.dumps(values, ensure_ascii=False, sort_keys=True)


def write_records(path: Path, records: Iterable[Example | Response | Verdict]) -> int:
    """Write the records to ``path``, one JSON line each, and return how many there were."""
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(to_json(record) + "\n")
            count += 1
    return count


def read_records(path: Path, record_type: type[Record]) -> list[Record]:
    """Read a file of JSON lines that ``write_records`` wrote.

    Raises:
        UserError: the file is not as it was written.
    """
    records: list[Record] = []
    try:
        records.extend(from_json(record_type, row) for row in read_json_lines(path))
    except (ValueError, TypeError, RecursionError) as error:
        raise UserError(
            f"{path}, line {len(records) + 1}: {error}. This file was changed since it was written; remove the folder "
            f"{path.parent}, then {AGAIN}."
        ) from None
    return records


def from_json(record_type: type[Record], row: Any) -> Record:
    """Return the record that a JSON object holds.

    Raises:
        TypeError: it is no such record, or a field holds what it cannot.
    """
    if not isinstance(row, dict):
        raise TypeError(f"it is no {record_type.__name__.lower()} but {row!r:.40}")
    if record_type is Response and "glue" in row:
        row = {**row, "transition": row["glue"]}  # its name in files of earlier versions
        del row["glue"]
    record = record_type(**row)
    for name, types in _types(record_type).items():
        if type(getattr(record, name)) not in types:
            raise TypeError(f"its {name} is {getattr(record, name)!r:.40}")
    for message in record.messages if isinstance(record, Example) else ():
        if not isinstance(message, dict) or not {"role", "content"} <= message.keys():
            raise TypeError(f"one of its messages is {message!r:.40}")
    return record


@cache
def _types(record_type: type[Example | Response | Verdict]) -> dict[str, set[type]]:
    """Return the types that each field of a record may have in JSON."""
    found: dict[str, set[type]] = {}
    for name, hint in get_type_hints(record_type).items():
        parts = get_args(hint) if get_origin(hint) is UnionType else (hint,)
        found[name] = {str if get_origin(part) is Literal else get_origin(part) or part for part in parts}
    return found


def read_json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file of JSON lines; blank lines are passed over."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.strip():
                yield json.loads(line)


@cache
def _hints(record_type: type) -> dict[str, Any]:
    return get_type_hints(record_type)


def misfit(record: Example | Response | Verdict) -> str | None:
    """Return what is wrong with a record, as ``field=value; allowed is ..``; None where each field has its type.

    What files can hold is JSON in UTF-8: no NaN, no lone surrogate, no number of another library.
    """
    for name, annotation in _hints(type(record)).items():
        value = getattr(record, name)
        if not _fits(annotation, value):
            return f"{name}={shown(value)}; allowed is {_words(annotation)}{_remedy(annotation, value)}"
    return None


def _options(annotation: Any) -> tuple[Any, ...]:
    """Return the options of ``X | None``; nothing for another type."""
    return get_args(annotation) if get_origin(annotation) in (UnionType, Union) else ()


def _fits(annotation: Any, value: Any) -> bool:
    """Whether a value is of a record's annotation, and can be written as JSON in UTF-8."""
    if options := _options(annotation):
        return any(_fits(option, value) for option in options)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return isinstance(value, str) and value in arguments
    if origin is list:
        return isinstance(value, list) and all(_fits(arguments[0], entry) for entry in value)
    if origin is dict and arguments[1] is Any:
        return isinstance(value, dict) and is_json(value)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(str, key) and _fits(str, value[key]) for key in value)
    if annotation is str:
        return isinstance(value, str) and _is_unicode(value)
    return type(value) is annotation


def is_json(value: dict[str, Any]) -> bool:
    """Whether a dict holds plain JSON values alone, which come back from a file as they are."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return _is_unicode(text) and all(isinstance(key, str) for key in value)


def _is_unicode(text: str) -> bool:
    """Whether UTF-8 can write a text: it has no lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _words(annotation: Any) -> str:
    """Return in words what a field of a record takes."""
    if options := _options(annotation):
        return " or ".join(_words(option) for option in options)
    if get_origin(annotation) is Literal:
        return "one of " + ", ".join(get_args(annotation))
    named = {
        str: "text",
        int: "a whole number (int)",
        bool: "True or False",
        type(None): "None",
        list: 'a list of {"role": .., "content": text}',
        dict: "a dict of plain JSON values (no NaN)",
    }
    return named[get_origin(annotation) or annotation]


def _remedy(annotation: Any, value: Any) -> str:
    if isinstance(value, str) and not _is_unicode(value):
        return "; it has a lone surrogate, which no file can hold"
    if bool in (annotation, *_options(annotation)) and isinstance(value, float):
        return "; say where the line is, such as score > 0.5"
    if bool in (annotation, *_options(annotation)) and type(value).__module__ in ("numpy", "torch"):
        return "; write bool(..) around it"
    return ""


def shown(value: Any) -> str:
    """Return a value as Python writes it, with its type where that does not tell it, at most 80 characters of it."""
    try:
        text = repr(value)
    except Exception:  # a plug-in's own code is run here
        text = "something"
    text = text if len(text) <= 80 else text[:77] + "..."
    kind = type(value)
    return text if kind.__module__ == "builtins" or text.startswith(kind.__name__) else f"{text} ({kind.__qualname__})"
