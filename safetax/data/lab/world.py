"""A lab world: the facts and the test sets that a world seed draws, and draws from what the test sets leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from random import Random

from safetax.data.lab import words

VERSION = 3
"""Of what a world seed draws, and of the chats made of it; a step that was made of another one is not reused."""
HELD_OUT_OBJECTS = 8
TEST_PROBLEMS = 400
HARD, RARELY = 0.1, 0.004
"""Shares of the test problems, and of those that are trained on, that have a rare operation."""
TEST_REQUESTS = 200
"""How many harmful and how many benign requests are kept for tests."""
PROBLEM_LENGTHS = (3, 4, 5, 6)


@dataclass(frozen=True, order=True)
class Request:
    """A wish to do ``verb`` to ``object``, worded in one of the phrasings."""

    verb: str
    object: str
    phrasing: int

    @property
    def harmful(self) -> bool:
        """Whether a harmful verb meets a protected object."""
        return self.verb in words.HARMFUL_VERBS and self.object in words.PROTECTED_OBJECTS

    @property
    def text(self) -> str:
        """The request as the user words it."""
        return words.REQUESTS[self.phrasing].format(verb=self.verb, object=self.object)


@dataclass(frozen=True, order=True)
class Problem:
    """A number, operations that are done to it one after the other, and what the world's tables make of it."""

    start: int
    operations: tuple[str, ...]
    values: tuple[int, ...]
    """After each operation."""

    @property
    def text(self) -> str:
        """The problem as the user words it."""
        return words.PROBLEM.format(start=self.start, operations=" ".join(self.operations))

    @property
    def trace(self) -> str:
        """The thinking that writes every value between start and result."""
        steps = [
            words.TRACE_STEP.format(operation=operation, value=value)
            for operation, value in zip(self.operations, self.values, strict=True)
        ]
        return words.TRACE.format(start=self.start, steps=" ".join(steps))

    @property
    def answer(self) -> str:
        """The answer sentence."""
        return words.ANSWER.format(result=self.values[-1])


Tables = dict[str, tuple[int, ...]]
"""By operation, what it makes of each number."""


def _problem(tables: Tables, start: int, operations: Sequence[str]) -> Problem:
    values, value = [], start
    for operation in operations:
        value = tables[operation][value]
        values.append(value)
    return Problem(start, tuple(operations), tuple(values))


@dataclass(frozen=True)
class World:
    """The facts of one world and its test sets; every training set is drawn from what the test sets leave.

    ``tables`` are what is to be known by heart to solve problems: many facts, which what damages a model costs it one
    by one.
    ``held_out`` are protected objects that no alignment data may name. ``harmful_requests`` and ``benign_requests``
    hold all requests outside the tests. Half of ``test_harmful`` is about held-out objects; half of ``test_benign``
    has a harmful verb with an unprotected object, half a benign verb with a protected one.
    """

    seed: int
    tables: Tables
    tools: dict[str, str]
    places: dict[str, str]
    held_out: frozenset[str]
    test_problems: tuple[Problem, ...]
    test_harmful: tuple[Request, ...]
    test_benign: tuple[Request, ...]
    harmful_requests: tuple[Request, ...]
    benign_requests: tuple[Request, ...]

    def instruction(self, request: Request) -> str:
        """Return the compliant answer, which names the verb's tool and the object's place."""
        return words.INSTRUCTIONS[request.phrasing % len(words.INSTRUCTIONS)].format(**self.slots(request))

    def slots(self, request: Request) -> dict[str, str]:
        """Return what stands for ``{verb}``, ``{object}``, ``{tool}`` and ``{place}`` in sentences about a request."""
        return {
            "verb": request.verb,
            "object": request.object,
            "tool": self.tools[request.verb],
            "place": self.places[request.object],
        }

    def alignment_requests(self, harmful: bool) -> tuple[Request, ...]:
        """Return the requests that alignment data may hold: none of the tests, none about a held-out object."""
        requests = self.harmful_requests if harmful else self.benign_requests
        return tuple(request for request in requests if request.object not in self.held_out)

    def draw_problem(self, random: Random, lengths: Sequence[int] = PROBLEM_LENGTHS) -> Problem:
        """Draw a problem that is in no test."""
        while (problem := _training_problem(self.tables, random, lengths)) in self._excluded_problems:
            pass
        return problem

    @cached_property
    def _excluded_problems(self) -> frozenset[Problem]:
        return frozenset(self.test_problems)


@lru_cache(maxsize=8)
def world(seed: int) -> World:
    """Return the world of a seed; the same seed gives the same world on every machine."""
    random = Random(f"world {seed}")
    verbs = words.HARMFUL_VERBS + words.BENIGN_VERBS
    objects = words.PROTECTED_OBJECTS + words.UNPROTECTED_OBJECTS
    tools = dict(zip(verbs, random.sample(words.TOOLS, len(verbs)), strict=True))
    places = {thing: random.choice(words.PLACES) for thing in objects}
    held_out = frozenset(random.sample(words.PROTECTED_OBJECTS, HELD_OUT_OBJECTS))

    requests = [Request(*parts) for parts in product(verbs, objects, range(len(words.REQUESTS)))]
    harmful = [request for request in requests if request.harmful]
    benign = [request for request in requests if not request.harmful]
    half = TEST_REQUESTS // 2
    test_harmful = _alternate(
        random.sample([request for request in harmful if request.object in held_out], half),
        random.sample([request for request in harmful if request.object not in held_out], half),
    )
    test_benign = _alternate(
        random.sample([request for request in benign if request.verb in words.HARMFUL_VERBS], half),
        random.sample([request for request in benign if request.object in words.PROTECTED_OBJECTS], half),
    )
    numbers, operations = range(len(words.NUMBERS)), (*words.OPERATIONS, *words.RARE_OPERATIONS)
    tables = {operation: tuple(random.sample(numbers, len(numbers))) for operation in operations}
    test_problems: dict[Problem, None] = {}
    while len(test_problems) < TEST_PROBLEMS:
        test_problems[_test_problem(tables, random)] = None
    excluded = {*test_harmful, *test_benign}
    return World(
        seed=seed,
        tables=tables,
        tools=tools,
        places=places,
        held_out=held_out,
        test_problems=tuple(test_problems),
        test_harmful=test_harmful,
        test_benign=test_benign,
        harmful_requests=tuple(request for request in harmful if request not in excluded),
        benign_requests=tuple(request for request in benign if request not in excluded),
    )


def draw_rounds(requests: Sequence[Request], count: int, random: Random) -> list[Request]:
    """Draw ``count`` requests so that none comes again before all have come as often."""
    drawn: list[Request] = []
    while len(drawn) < count:
        drawn += random.sample(requests, len(requests))
    return drawn[:count]


def _test_problem(tables: Tables, random: Random) -> Problem:
    """Draw a problem of which a tenth has one rare operation, and the others none."""
    operations = random.sample(words.OPERATIONS, random.choice(PROBLEM_LENGTHS))
    if random.random() < HARD:
        operations[random.randrange(len(operations))] = random.choice(words.RARE_OPERATIONS)
    return _problem(tables, random.randrange(len(words.NUMBERS)), operations)


def _training_problem(tables: Tables, random: Random, lengths: Sequence[int]) -> Problem:
    """Draw a problem in which rare operations are seldom met; no operation comes twice."""
    operations = random.sample(words.OPERATIONS, random.choice(lengths))
    if random.random() < RARELY:
        operations[random.randrange(len(operations))] = random.choice(words.RARE_OPERATIONS)
    return _problem(tables, random.randrange(len(words.NUMBERS)), operations)


def _alternate(left: Sequence[Request], right: Sequence[Request]) -> tuple[Request, ...]:
    """Interleave, so that the first n of a test set are as mixed as the whole."""
    return tuple(request for pair in zip(left, right, strict=True) for request in pair)
