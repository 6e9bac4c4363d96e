"""The process that does the algebra: ``python -m safetax.evaluation.graders.algebra_process``.

Reads lines of JSON, ``[gold, attempt, seconds]``, and answers each with ``[answer, seconds used]``, where the answer is
``equal``, ``different``, ``unreadable`` or ``too long``. A process of its own, since what a model wrote may keep
computer algebra busy for ever or fill the memory, and since time limits by signal work in a main thread only.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import time
from typing import Any

from safetax.store.time_limit import TooLongError, time_limit

MEMORY = 4 * 2**30
"""Bytes of address space that the algebra may take."""


def main() -> None:
    """Answer until there are no more lines."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no answer
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    logging.disable(logging.CRITICAL)
    _compare("x^2-1", "(x-1)(x+1)")  # loads what is loaded at first use, before any clock runs
    for line in sys.stdin:
        gold, attempt, seconds = json.loads(line)
        before = time.process_time()
        answered = answer(gold, attempt, seconds)
        answers.write(json.dumps([answered, time.process_time() - before]) + "\n")
        answers.flush()


def answer(gold: str, attempt: str, seconds: float) -> str:
    """Return whether two LaTeX expressions are equal, within a time of computing."""
    try:
        with time_limit(seconds):
            return _compare(gold, attempt)
    except TooLongError:
        return "too long"
    except (Exception, RecursionError):
        return "unreadable"


def _compare(gold: str, attempt: str) -> str:
    from math_verify import verify

    right, tried = _parsed(gold), _parsed(attempt)
    # Only the text is left where nothing could be read in it.
    if not right or not tried or all(isinstance(part, str) for part in tried):
        return "unreadable"
    equal = verify(right, tried, timeout_seconds=None, allow_set_relation_comp=True)
    return "equal" if equal else "different"


def _parsed(text: str) -> list[Any]:
    from math_verify import LatexExtractionConfig, parse

    # As LaTeX alone: the reader of plain expressions evaluates what it is given.
    config = [LatexExtractionConfig(boxed_match_priority=0)]
    return parse(f"\\boxed{{{text}}}", extraction_config=config, parsing_timeout=None)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
