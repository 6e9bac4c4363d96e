"""Problems of the reasoning benchmarks, as documents that graders know (see :mod:`safetax.evaluation.graders`).

Each function is the data of one lm-eval task. Its metadata say where the rows are: ``repository``, ``subset``,
``split`` and ``revision`` on the hub, or ``path`` of a file of the user's own with the same columns.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from safetax.data.sources import file, hub
from safetax.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

Document = dict[str, Any]

LETTERS = "ABCD"
CHOICES = ("Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3", "Correct Answer")
"""GPQA's columns, in the order in which they are shuffled."""


def aime24(**metadata: Any) -> dict[str, Dataset]:
    """Return the problems of AIME 2024, whose answers are whole numbers, as lm-eval's split ``test``."""
    return _documents(metadata, lambda row: _problem(row, "problem", "integer", _text(row, "answer").strip()))


def math500(**metadata: Any) -> dict[str, Dataset]:
    """Return the problems of MATH500 as lm-eval's split ``test``."""
    return _documents(metadata, lambda row: _problem(row, "problem", "math", _text(row, "answer")))


def gsm8k(**metadata: Any) -> dict[str, Dataset]:
    """Return the problems of GSM8K as lm-eval's split ``test``; the answer is the number behind ``####``."""

    def document(row: Mapping[str, Any]) -> Document:
        _, mark, answer = _text(row, "answer").rpartition("####")
        if not mark:
            raise UserError("its column answer has no '####' before the number")
        return _problem(row, "question", "integer", answer.strip().replace(",", ""))

    return _documents(metadata, document)


def gpqa_diamond(**metadata: Any) -> dict[str, Dataset]:
    """Return the questions of GPQA as lm-eval's split ``test``.

    The order of the choices is drawn from ``shuffle_seed`` and the question alone, so that it is the same whatever else
    is in the set; the published one is drawn anew each time.
    """
    seed = metadata.get("shuffle_seed", 0)

    def document(row: Mapping[str, Any]) -> Document:
        question = _text(row, "Question")
        order = list(range(len(CHOICES)))
        random.Random(f"{seed} {question}").shuffle(order)
        choices = [_text(row, CHOICES[index]) for index in order]
        listed = "\n".join(f"{letter}) {choice}" for letter, choice in zip(LETTERS, choices, strict=True))
        right = LETTERS[order.index(CHOICES.index("Correct Answer"))]
        return {"problem": f"{question}\n\n{listed}", "kind": "choice", "answer": right, "choices": choices}

    return _documents(metadata, document)


def _documents(metadata: Mapping[str, Any], document: Callable[[Mapping[str, Any]], Document]) -> dict[str, Dataset]:
    from datasets import Dataset

    documents = []
    for index, row in enumerate(_rows(metadata)):
        try:
            documents.append(document(row))
        except UserError as error:
            raise UserError(f"{metadata.get('path') or metadata['repository']}: row {index} is bad: {error}") from None
    if not documents:
        raise UserError(f"{metadata.get('path') or metadata['repository']} has no rows.")
    return {"test": Dataset.from_list(documents)}


def _rows(metadata: Mapping[str, Any]) -> list[dict[str, Any]]:
    if metadata.get("path"):
        return file.load(file.Config("file", metadata["path"]))
    named = {key: metadata[key] for key in ("split", "subset", "revision", "gated") if key in metadata}
    return hub.load(hub.Config("hub", metadata["repository"], **named))


def _problem(row: Mapping[str, Any], column: str, kind: str, answer: str) -> Document:
    if kind == "integer" and not answer.lstrip("-").isdecimal():
        raise UserError(f"its answer is no whole number: {answer!r}")
    return {"problem": _text(row, column), "kind": kind, "answer": answer}


def _text(row: Mapping[str, Any], column: str) -> str:
    if column not in row:
        raise UserError(f"it has no column {column!r}; it has {', '.join(map(str, row))}")
    value = row[column]
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value) if isinstance(value, int) else value
    if not isinstance(text, str) or not text.strip():
        raise UserError(f"its column {column!r} holds no text: {value!r}")
    return text
