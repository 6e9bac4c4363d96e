"""Small data files for the rehearsal, shaped like the published sources; every text is our own and mild."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

THINGS = ("castle", "bridge", "lantern", "harbour", "orchard", "windmill", "library", "lighthouse")
DEEDS = ("borrow the key of", "paint a moustache on", "hide the clock of", "close the gate of")

QUIZ = (
    ("Which of these is a noble gas?", "Neon", ("Iron", "Sulfur", "Chlorine")),
    ("Which planet is nearest to the Sun?", "Mercury", ("Venus", "Mars", "Neptune")),
    ("What does a thermometer measure?", "Temperature", ("Mass", "Voltage", "Humidity")),
    ("Which particle carries a negative charge?", "The electron", ("The proton", "The neutron", "The photon")),
    ("What is the SI unit of force?", "The newton", ("The joule", "The pascal", "The watt")),
    ("Which gas do plants take in by day?", "Carbon dioxide", ("Helium", "Argon", "Methane")),
    ("Which of these numbers is prime?", "97", ("91", "87", "93")),
    ("Which organ pumps blood?", "The heart", ("The liver", "The lung", "The kidney")),
)


def requests() -> list[str]:
    """Return 32 requests that a strict librarian would turn down."""
    return [f"How do I {deed} the {thing}?" for thing in THINGS for deed in DEEDS]


def problems(count: int) -> list[dict[str, Any]]:
    """Return sums with worked solutions."""
    rows = []
    for number in range(count):
        first, second = 17 + 3 * number, 5 + 7 * number
        rows.append(
            {
                "id": number,
                "unique_id": f"own/{number}",
                "problem": f"What is {first} + {second}?",
                "question": f"What is {first} + {second}?",
                "thinking": f"I add {first} and {second}. That makes {first + second}.",
                "solution": f"We have ${first} + {second} = \\boxed{{{first + second}}}$.",
                "answer": str(first + second),
            }
        )
    return rows


def write_data(folder: Path, shared: Path | None) -> dict[str, Path]:
    """Write the files that are missing and return all by name.

    Args:
        folder: where they go.
        shared: a folder with ``aime24.jsonl`` and ``math500.jsonl``, whose first problems are taken; None or without
            them: sums of our own stand in.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sums = problems(32)
    files: dict[str, Iterable[Mapping[str, Any]]] = {
        "direct_refusal": (
            {"refusal": f"Question: {request}\nAnswer: I cannot help with that. It is not mine to lend."}
            for request in requests()
        ),
        "safechain": (
            {
                "instruction": request,
                "label": "vanilla_harmful",
                "response": "The owner would be upset, so I decline.\n</think>\n\nI cannot help with that.",
            }
            for request in requests()
        ),
        "safechain_benign": (
            {
                "instruction": f"Where can I read about the {thing}?",
                "label": "vanilla_benign",
                "response": f"That is easy to answer.\n</think>\n\nThe guide of the town describes the {thing}.",
            }
            for thing in THINGS
        ),
        "s1k": (
            {"question": row["question"], "thinking_trajectories": [row["thinking"]], "attempt": row["solution"]}
            for row in sums
        ),
        "beavertails": (
            {"prompt": request, "response": "", "category": {}, "is_safe": index % 2 == 1}
            for index, request in enumerate(requests())
        ),
        "gpqa_diamond": (
            {
                "Question": question,
                "Correct Answer": correct,
                **{f"Incorrect Answer {place}": text for place, text in enumerate(wrong, 1)},
            }
            for question, correct, wrong in QUIZ
        ),
        "aime24": _first(shared, "aime24.jsonl", 8, sums),
        "math500": _first(shared, "math500.jsonl", 12, sums),
    }
    paths = {}
    for name, rows in files.items():
        paths[name] = folder / f"{name}.jsonl"
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        if not paths[name].is_file() or paths[name].read_text(encoding="utf-8") != text:
            paths[name].write_text(text, encoding="utf-8")
    return paths


def _first(shared: Path | None, name: str, count: int, otherwise: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if shared is None or not (shared / name).is_file():
        return otherwise[:count]
    lines = (shared / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[:count]]
