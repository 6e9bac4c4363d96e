"""Computer algebra in a process of its own, which may be ended at any time."""

from __future__ import annotations

import threading
import time

from safetax.evaluation.graders.algebra import Algebra


def test_algebra_ends_what_takes_too_long_and_goes_on() -> None:
    process = Algebra(seconds=1)
    try:
        assert process.equal("x^2-1", "(x-1)(x+1)") == "equal"  # the libraries are loaded by now
        started = time.monotonic()
        assert process.equal("9", "9^{9^{9^{9}}}") == "too long"
        assert time.monotonic() - started < 10
        assert process.equal("x^2-1", "(x-1)(x+2)") == "different"
        assert process.equal("5", "\\frac{") == "unreadable"
    finally:
        process.close()


def test_algebra_outlives_the_death_of_its_process_and_works_in_threads() -> None:
    process = Algebra(seconds=5)
    try:
        assert process.equal("a+b", "b+a") == "equal"
        assert process._process is not None
        process._process.kill()
        assert process.equal("a+c", "c+a") == "too long"  # counted, and never taken for wrong or right in silence
        answers: list[str] = []
        threads = [
            threading.Thread(target=lambda n=n: answers.append(process.equal(f"a+{n}", f"{n}+a"))) for n in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == ["equal"] * 4
    finally:
        process.close()
