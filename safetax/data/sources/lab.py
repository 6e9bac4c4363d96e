"""Raw rows of the lab, shaped like the published sources of the recipes that read them."""

from __future__ import annotations

from collections.abc import Sequence
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
    return [
        {
            **_row(config.table, request.text, facts.slots(request), texts),
            "verb": request.verb,
            "object": request.object,
            "harmful": request.harmful,
        }
        for request in requests
    ]


def _row(table: str, question: str, slots: dict[str, str], random: Random) -> dict[str, Any]:
    """Return the row of a question, with the columns that the table's published source has."""

    def drawn(*groups: Sequence[str]) -> str:
        return " ".join(random.choice(group) for group in groups).format(**slots)

    if table == "direct_refusal":
        return {"refusal": f"Question: {question}\nAnswer: {drawn(words.DIRECT_REFUSALS)}"}
    if table == "safechain":
        thinking = drawn(words.SAFECHAIN_OPENINGS, words.SAFECHAIN_HARMS, words.SAFECHAIN_RESOLVES)
        response = f"{thinking}\n</think>\n\n{drawn(words.SAFECHAIN_ANSWERS)}"
        return {"instruction": question, "response": response, "label": "vanilla_harmful"}
    if table == "star1":
        thinking = drawn(words.STAR_THOUGHTS)
        response = f"<think>\n{thinking}\n</think>\n\n{drawn(words.SAFECHAIN_ANSWERS)}"
        return {"question": question, "response": response, "category": slots["verb"]}
    thinking = "\n\n".join((words.UNDERSTANDING, words.ASSESSMENT, words.CONCLUSION)).format(**slots)
    response = f"<think>\n{thinking}\n</think>\n\n{drawn(words.DIRECT_REFUSALS)}"
    return {"instruction": question, "response": response}
