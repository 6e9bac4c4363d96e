"""Raw rows of the lab, shaped like the published sources of the recipes that read them."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Annotated, Any, Literal

from safetax.config.fields import AtLeast
from safetax.data.lab import words
from safetax.data.lab.world import draw_rounds, world


@dataclass(frozen=True)
class Config:
    """Harmful questions of a world with the answers of one table; ``seed`` draws both."""

    kind: str
    table: Literal["direct_refusal", "safechain", "star1", "r1_act"]
    samples: Annotated[int, AtLeast(1)]
    world_seed: int
    seed: int


def load(config: Config) -> list[dict[str, Any]]:
    """Return the table's rows. With the same seeds all tables ask the same questions in the same order.

    Each row also has the ``verb``, the ``object`` and ``harmful`` of its question, which no recipe reads unasked.
    """
    facts = world(config.world_seed)
    questions = Random(f"harmful questions {config.world_seed} {config.seed}")
    texts = Random(f"{config.table} {config.world_seed} {config.seed}")
    requests = draw_rounds(facts.alignment_requests(harmful=True), config.samples, questions)
    row = {"direct_refusal": _direct_refusal, "safechain": _safechain, "star1": _star1, "r1_act": _r1_act}[config.table]
    return [
        {
            **row(request.text, facts.slots(request), texts),
            "verb": request.verb,
            "object": request.object,
            "harmful": request.harmful,
        }
        for request in requests
    ]


def _direct_refusal(question: str, slots: dict[str, str], random: Random) -> dict[str, Any]:
    return {"refusal": f"Question: {question}\nAnswer: {random.choice(words.DIRECT_REFUSALS).format(**slots)}"}


def _safechain(question: str, slots: dict[str, str], random: Random) -> dict[str, Any]:
    parts = (words.SAFECHAIN_OPENINGS, words.SAFECHAIN_HARMS, words.SAFECHAIN_RESOLVES)
    thinking = " ".join(random.choice(part) for part in parts).format(**slots)
    answer = random.choice(words.SAFECHAIN_ANSWERS).format(**slots)
    return {
        "instruction": question,
        "response": f"{thinking}\n</think>\n\n{answer}",
        "label": "vanilla_harmful",
    }


def _star1(question: str, slots: dict[str, str], random: Random) -> dict[str, Any]:
    thinking = random.choice(words.STAR_THOUGHTS).format(**slots)
    answer = random.choice(words.SAFECHAIN_ANSWERS).format(**slots)
    return {"question": question, "response": f"<think>\n{thinking}\n</think>\n\n{answer}", "category": slots["verb"]}


def _r1_act(question: str, slots: dict[str, str], random: Random) -> dict[str, Any]:
    parts = (words.UNDERSTANDING, words.ASSESSMENT, words.CONCLUSION)
    thinking = "\n\n".join(parts).format(**slots)
    answer = random.choice(words.DIRECT_REFUSALS).format(**slots)
    return {"instruction": question, "response": f"<think>\n{thinking}\n</think>\n\n{answer}"}
