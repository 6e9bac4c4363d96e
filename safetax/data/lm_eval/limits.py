"""A limit for each answer that an lm-eval task scores: its filters run patterns on what a model wrote."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

from safetax.store.time_limit import TooLongError, time_limit

ANSWER_SECONDS = 30.0
"""Seconds of computing that a task's filters, and its metrics, may take for one answer."""


def limit_each_answer(task: Any, documents: int, slow: set[int]) -> None:
    """Have a task's filters and metrics take answers one by one, each for at most ``ANSWER_SECONDS`` of computing.

    Where they take longer, which a pattern may do for ever, the answer goes on as an empty one.

    Args:
        task: lm-eval's task.
        documents: how many it scores.
        slow: takes in the places of answers that took longer in the first of its filters, which verdicts are made of.
    """
    for number, pipeline in enumerate(task._filters):

        def apply(
            instances: Sequence[Any], number: int = number, pipeline: Any = pipeline, whole: Any = pipeline.apply
        ) -> None:
            for instance in instances:
                try:
                    with time_limit(ANSWER_SECONDS):
                        whole([instance])
                except TooLongError:
                    instance.filtered_resps[pipeline.name] = ""
                    slow.update({int(instance.doc_id)} if number == 0 else ())

        pipeline.apply = apply
    score, calls = task.process_results, count()

    def process_results(document: Any, results: Any) -> Any:
        place = next(calls) % (documents * len(task._filters))  # filter by filter, in the documents' order
        try:
            with time_limit(ANSWER_SECONDS):
                return score(document, results)
        except TooLongError:
            slow.update({place} if place < documents else ())
            return dict.fromkeys(task.aggregation(), 0.0)

    task.process_results = process_results
