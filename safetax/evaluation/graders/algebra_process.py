"""The process that does the algebra: ``python -m safetax.evaluation.graders.algebra_process``.

Reads lines of JSON, ``[gold, attempt, seconds, places]``, and answers each with ``[answer, seconds used]``, where the
answer is ``equal``, ``different``, ``unreadable`` or ``too long``. A process of its own, since what a model wrote may
keep computer algebra busy for ever or fill the memory, and since time limits by signal work in a main thread only.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import signal
import sys
import time
from typing import Any

from safetax.store.time_limit import TooLongError, time_limit

MEMORY = 2 * 2**30
"""Bytes of address space that the algebra may take."""
DEEPEST = 40
"""Brackets within each other beyond which a text is not read: the reader's work doubles with some of them."""
_SLACK = 2.0
"""Seconds of computing beyond an answer's own after which the process ends, whatever it is in the midst of."""


def main() -> None:
    """Answer until there are no more lines."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no answer
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    logging.disable(logging.CRITICAL)
    _compare("x^2-1", "(x-1)(x+1)", None)  # loads what is loaded at first use, before any clock runs
    for line in sys.stdin:
        gold, attempt, seconds, places = json.loads(line)
        before = time.process_time()
        # Whole numbers are worked out where Python hears no signal of its own: this one ends the process.
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds + _SLACK)
        answered = answer(gold, attempt, seconds, places)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        answers.write(json.dumps([answered, time.process_time() - before]) + "\n")
        answers.flush()


def answer(gold: str, attempt: str, seconds: float, places: int | None = None) -> str:
    """Return whether two LaTeX expressions are equal, within a time of computing.

    Args:
        gold: the right answer.
        attempt: the other one.
        seconds: of computing.
        places: to how many decimal places the right answer may be rounded to be the other one; None: to none.
    """
    try:
        with time_limit(seconds):
            return _compare(gold, attempt, places)
    except (TooLongError, MemoryError):
        return "too long"
    except Exception:
        return "unreadable"


def _compare(gold: str, attempt: str, places: int | None) -> str:
    from safetax.evaluation.graders.exact import rounds_to, same

    right, tried = _parsed(gold), _parsed(attempt)
    equal = same(right, tried) if places is None else rounds_to(right, tried, places)
    return "equal" if equal else "different"


def _parsed(text: str) -> Any:
    from latex2sympy2_extended import NormalizationConfig, latex2sympy
    from latex2sympy2_extended.latex2sympy2 import ConversionConfig

    shape = NormalizationConfig(basic_latex=True, malformed_operators=True, nits=True, boxed="none")
    config = ConversionConfig(interpret_as_mixed_fractions=False, lowercase_symbols=False)
    if _depth(text) > DEEPEST:
        raise ValueError("nested too deeply")
    text = text.replace(r"\%", "").replace("%", "")
    text = re.sub(r"(?<![\w}])(\d+)\s*\\frac(\{\d+\}\{\d+\})", r"(\1+\\frac\2)", text)
    # The reader takes two numbers beside each other for a mixed number, even in brackets.
    text = re.sub(r"\)\s*\(|(?<![\w.\\])(\d+(?:\.\d+)?)\s*\(", lambda match: f"{match[1] or ')'}\\cdot(", text)
    return latex2sympy(text, is_real=None, normalization_config=shape, conversion_config=config)


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    return deepest


if __name__ == "__main__":
    main()
