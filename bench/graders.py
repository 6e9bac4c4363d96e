"""The sound grader on real problems: ``python -m bench.graders [--data FOLDER] [--others N]``.

Each reference solution, and each bare answer, has to be correct for its own problem. The answers of other problems have
to be wrong, unless they are the same answer: those that are called correct and are not the same text are listed. Needs
the files of ``../shared/data``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from safetax.evaluation.graders.algebra import Algebra
from safetax.evaluation.graders.notation import cleaned
from safetax.evaluation.graders.sound import Grade, grade

DATA = Path(__file__).parents[2] / "shared" / "data"
SIZES = {"aime24": 30, "math500": 500, "gsm8k": 1319}


class Problem(NamedTuple):
    """A problem's document, its reference solution, and its answer alone."""

    document: dict[str, str]
    solution: str
    answer: str


class Measured(NamedTuple):
    """Counts of one set: correct solutions, answers, pairs of different problems called correct, and strange ones."""

    solutions: int
    answers: int
    pairs: int
    coincidences: int
    strange: list[tuple[str, str]]


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
    pairs = coincidences = 0
    strange = []
    for entry, other, found in crossed(entries, algebra, others):
        pairs += 1
        if found.label == "correct":
            coincidences += 1
            if cleaned(entry.answer).replace(",", "") != cleaned(other.answer).replace(",", ""):
                strange.append((entry.answer, other.answer))
    right = [sum(found.label == "correct" for found in graded) for graded in (solutions, answers)]
    return Measured(right[0], right[1], pairs, coincidences, strange)


def crossed(entries: list[Problem], algebra: Algebra, others: int) -> Iterator[tuple[Problem, Problem, Grade]]:
    for shift in range(1, min(others, len(entries) - 1) + 1):
        for index, entry in enumerate(entries):
            other = entries[(index + shift) % len(entries)]
            yield entry, other, grade(entry.document, other.solution, algebra)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the problems")
    parser.add_argument("--others", type=int, default=5, help="other problems whose solutions each problem is given")
    options = parser.parse_args()
    for name in SIZES:
        entries = problems(name, options.data)
        algebra = Algebra()
        started = time.monotonic()
        found = measure(entries, algebra, options.others)
        seconds = time.monotonic() - started
        algebra.close()
        print(
            f"{name:<8} own solution {found.solutions}/{len(entries)}   own answer {found.answers}/{len(entries)}   "
            f"other solutions called correct {found.coincidences}/{found.pairs} "
            f"({100 * found.coincidences / found.pairs:.2f} %), of another text {len(found.strange)}   {seconds:.1f} s"
        )
        for pair, times in Counter(found.strange).items():
            print(f"         {pair[0]}  =  {pair[1]}  ({times})")


if __name__ == "__main__":
    main()
