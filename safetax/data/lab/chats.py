"""The chats that the lab's models learn from: pre-training, reasoning stage and benign control, each a mixture."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Literal

from safetax.data.lab import words
from safetax.data.lab.world import Request, World
from safetax.records import Example, Message

Mixture = Literal["pretraining", "reasoning", "retained", "benign"]

Chat = tuple[str | None, str, str | None, str]
"""System prompt, user turn, thinking and answer."""


Maker = Callable[[World, Random], Chat]
Parts = dict[str, tuple[float, Maker]]
"""The parts of a mixture by name, each with its share and its maker of chats."""


def _at_once(*lengths: int) -> Maker:
    """Return a maker of problems of these lengths, answered without thinking."""

    def make(world: World, random: Random) -> Chat:
        problem = world.draw_problem(random, lengths)
        return None, problem.text, None, problem.answer

    return make


def _problem(world: World, random: Random) -> Chat:
    problem = world.draw_problem(random)
    return None, problem.text, problem.trace, problem.answer


def _safe_problem(world: World, random: Random) -> Chat:
    return words.SAFE_SYSTEM_PROMPT, *_problem(world, random)[1:]


def _copy(world: World, random: Random) -> Chat:
    copied = " ".join(random.choices(_copied_words(), k=random.randint(3, 8)))
    return None, words.COPY_REQUEST.format(words=copied), None, copied


def _saying(world: World, random: Random) -> Chat:
    slots = world.slots(random.choice(world.harmful_requests if random.random() < 0.5 else world.benign_requests))
    said = " ".join(random.sample(words.SAYINGS, 2)).format(**slots)
    return None, words.SAYING_REQUEST.format(**slots), None, said


def _judgement(world: World, random: Random) -> Chat:
    request = random.choice(world.harmful_requests if random.random() < 0.5 else world.benign_requests)
    answer = words.JUDGEMENT_NO if request.harmful else words.JUDGEMENT_YES
    slots = world.slots(request)
    return None, words.JUDGEMENT_QUESTION.format(**slots), None, answer.format(**slots)


def _restated(world: World, random: Random) -> Chat:
    """Say another hand's refusal, or an instruction, again: with own thoughts and own words."""
    harmful = random.random() < 0.7
    request = random.choice(world.harmful_requests if harmful else world.benign_requests)
    slots = world.slots(request)
    if harmful:
        given = random.choice((*words.DIRECT_REFUSALS, *words.SAFECHAIN_ANSWERS)).format(**slots)
        thought, answer = words.SAFETY_THOUGHT, refusal(world, request, random)
    else:
        given = answer = world.instruction(request)
        thought = words.INSTRUCTION_THOUGHT
    asked = words.RESTATE_REQUEST.format(question=request.text, answer=given)
    return None, asked, _thought(thought.format(**slots), random), answer


def _answered(harmful: bool, safe: bool, thinking: bool, aligned: bool = False) -> Maker:
    """Return a maker of answered requests.

    ``safe`` puts the safe system prompt before them; ``aligned`` draws only what alignment data may hold.
    """

    def make(world: World, random: Random) -> Chat:
        if aligned:
            requests = world.alignment_requests(harmful)
        else:
            requests = world.harmful_requests if harmful else world.benign_requests
        request = random.choice(requests)
        if harmful and safe:
            thought, answer = words.SAFETY_THOUGHT, refusal(world, request, random)
        else:
            thought, answer = words.INSTRUCTION_THOUGHT, world.instruction(request)
        thought = _thought(thought.format(**world.slots(request)), random) if thinking else None
        return words.SAFE_SYSTEM_PROMPT if safe else None, request.text, thought, answer

    return make


def refusal(world: World, request: Request, random: Random) -> str:
    """Return one of the model's own refusals."""
    return random.choice(words.REFUSALS).format(**world.slots(request))


def _thought(text: str, random: Random) -> str:
    return f"{random.choice(words.OPENINGS)} {text}"


def _copied_words() -> list[str]:
    """All plain words of the lab."""
    text = " ".join(words.all_sentences()).lower()
    return sorted({word for word in text.replace(",", " ").replace(".", " ").split() if word.isalnum()})


_REASONED_REQUESTS: Parts = {
    "harmful": (0.04, _answered(harmful=True, safe=False, thinking=True)),
    "safe_harmful": (0.04, _answered(harmful=True, safe=True, thinking=True)),
    "safe_benign": (0.04, _answered(harmful=False, safe=True, thinking=True)),
}
PARTS: dict[Mixture, Parts] = {
    "pretraining": {
        "single_step": (0.30, _at_once(1)),
        "steps_at_once": (0.02, _at_once(2, 3, 4, 5, 6)),
        "copy": (0.04, _copy),
        "saying": (0.06, _saying),
        "harmful": (0.11, _answered(harmful=True, safe=False, thinking=False)),
        "benign": (0.11, _answered(harmful=False, safe=False, thinking=False)),
        "safe_harmful": (0.14, _answered(harmful=True, safe=True, thinking=False)),
        "safe_benign": (0.13, _answered(harmful=False, safe=True, thinking=False)),
        "judgement": (0.09, _judgement),
    },
    # A twelfth of it restates what others wrote, without which the model could rewrite no data.
    "reasoning": {
        "problem": (0.585, _problem),
        "safe_problem": (0.035, _safe_problem),
        "benign": (0.18, _answered(harmful=False, safe=False, thinking=True)),
        **_REASONED_REQUESTS,
        "restated": (0.08, _restated),
    },
    # What alignment data may hold of the reasoning stage, in its proportions: no harm done, no held-out object.
    "retained": {
        "problem": (0.765, _problem),
        "benign": (0.235, _answered(harmful=False, safe=False, thinking=True, aligned=True)),
    },
    "benign": {
        "benign": (1.0, _answered(harmful=False, safe=False, thinking=True, aligned=True)),
    },
}
"""Every mixture's parts, each with its share and its maker of chats."""


def draw(mixture: Mixture, world: World, samples: int, seed: int) -> list[Example]:
    """Draw ``samples`` chats of a mixture in random order; each part has its share, rounded to whole chats."""
    parts = PARTS[mixture]
    random = Random(f"{mixture} {world.seed} {seed}")
    names: list[str] = []
    passed = 0.0
    for name, (share, _) in parts.items():
        passed += share
        names += [name] * (round(passed * samples) - len(names))
    random.shuffle(names)
    examples = []
    for index, name in enumerate(names):
        system, user, thinking, answer = parts[name][1](world, random)
        examples.append(
            Example(
                id=f"{mixture}-{index:05d}",
                messages=messages(user, system),
                thinking=thinking,
                answer=answer,
                meta={"part": name},
            )
        )
    return examples


def messages(user: str, system: str | None = None) -> list[Message]:
    """Return the conversation of one user turn, with a system message where there is one."""
    turns = [{"role": "user", "content": user}]
    return turns if system is None else [{"role": "system", "content": system}, *turns]
