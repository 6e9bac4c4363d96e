"""The sound grader on real problems: ``python -m bench.graders [--data FOLDER] [--others N]``.

Each reference solution, and each bare answer, has to be correct for its own problem. The answers of other problems have
to be wrong, unless they are the same answer: those that are called correct and are not the same text are listed. Also
says how long an answer takes, and an answer that is meant to take for ever. Needs the files of ``../shared/data``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from safetax.evaluation.graders.algebra import Algebra
from safetax.evaluation.graders.notation import cleaned
from safetax.evaluation.graders.sound import grade

DATA = Path(__file__).parents[2] / "shared" / "data"
SIZES = {"aime24": 30, "math500": 500, "gsm8k": 1319}


class Problem(NamedTuple):
    """A problem's document, its reference solution, and its answer alone."""

    document: dict[str, str]
    solution: str
    answer: str


class Measured(NamedTuple):
    """Counts of one set: correct solutions and answers; pairs of other answers, those called correct; seconds each."""

    solutions: int
    answers: int
    pairs: int
    strange: list[tuple[str, str]]
    seconds: list[float]


def problems(name: str, data: Path = DATA) -> list[Problem]:
    """Return the problems of a set."""
    file = {"gsm8k": "gsm8k_test"}.get(name, name)
    rows = [json.loads(line) for line in (data / f"{file}.jsonl").read_text(encoding="utf-8").splitlines()]
    found = []
    for row in rows:
        answer = str(row["answer"]).rpartition("####")[2].strip()
        kind = "math" if name == "math500" else "integer"
        found.append(Problem({"kind": kind, "answer": answer}, row.get("solution", str(row["answer"])), answer))
    return found


def measure(entries: list[Problem], algebra: Algebra, others: int) -> Measured:
    """Grade own solutions and answers, and for each problem the solutions of ``others`` other problems."""
    solutions = [grade(entry.document, entry.solution, algebra) for entry in entries]
    answers = [grade(entry.document, entry.answer, algebra) for entry in entries]
    pairs, strange, seconds = 0, [], []
    for entry, other in crossed(entries, others):
        started = time.perf_counter()
        found = grade(entry.document, other.solution, algebra)
        seconds.append(time.perf_counter() - started)
        if cleaned(entry.answer).replace(",", "") == cleaned(other.answer).replace(",", ""):
            continue
        pairs += 1
        if found.label == "correct":
            strange.append((entry.answer, other.answer))
    right = [sum(found.label == "correct" for found in graded) for graded in (solutions, answers)]
    return Measured(right[0], right[1], pairs, strange, seconds)


def crossed(entries: list[Problem], others: int) -> Iterator[tuple[Problem, Problem]]:
    """Yield each problem with some of the others."""
    for shift in range(1, min(others, len(entries) - 1) + 1):
        for index, entry in enumerate(entries):
            yield entry, entries[(index + shift) % len(entries)]


def hostile() -> Iterator[str]:
    """Yield answers that are meant to take for ever, or all memory."""
    yield from ("9^{9^{9^{9}}}", "100000000!", r"\binom{100000000}{50000000}", "1e999999999", "x^{x^{x^{x^{9}}}}")
    for shape in ("\n", "{", "(", "1+", "a", "½", "\\boxed{", "\\frac{", "A or ", "|", "9", "7,", "is 7 ", "x<"):
        yield shape * (100_000 // len(shape))
        yield shape * (1_900 // len(shape))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the problems")
    parser.add_argument("--others", type=int, default=5, help="other problems whose solutions each problem is given")
    options = parser.parse_args()
    for name in SIZES:
        entries = problems(name, options.data)
        algebra = Algebra()
        algebra.equal("a + b", "b + a")  # loads the libraries, before any clock runs
        found = measure(entries, algebra, options.others)
        algebra.close()
        print(
            f"{name:<8} own solution {found.solutions}/{len(entries)}   own answer {found.answers}/{len(entries)}   "
            f"other answers called correct {len(found.strange)}/{found.pairs} "
            f"({100 * len(found.strange) / found.pairs:.2f} %)   an answer takes {_taken(found.seconds)}"
        )
        for pair, times in Counter(found.strange).items():
            print(f"         {pair[0]}  =  {pair[1]}  ({times})")
    algebra, seconds = Algebra(), []
    labels: Counter[str] = Counter()
    for gold in ("7", r"\frac{1}{2}", "(1, 2)", "x + 1"):
        for answer in hostile():
            started = time.perf_counter()
            labels[grade({"kind": "math", "answer": gold}, f"Answer: {answer}", algebra).label] += 1
            seconds.append(time.perf_counter() - started)
    algebra.close()
    told = ", ".join(f"{count} {label}" for label, count in sorted(labels.items()))
    print(f"hostile  {told}   an answer takes {_taken(seconds)}")


def _taken(seconds: list[float]) -> str:
    return f"{1000 * statistics.median(seconds):.1f} ms (median), {max(seconds):.1f} s (longest)"


if __name__ == "__main__":
    main()
