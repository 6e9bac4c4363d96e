"""Misuses of the configuration: what a field must refuse, and how its name is misspelt, made from the schema."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from safetax.config.annotations import FieldType, fields_of
from safetax.config.components import component_kinds
from safetax.config.fields import Between, Label

COMPOSITIONS = (
    ["dataset=direct_refusal", "runtime.isolation=process", "runtime.python.train=python"],
    ["dataset=safechain", "model.revision=main", "runtime.threads=2", "runtime.micro_batch=4"],
    ["dataset=self_generated", "dataset.prompts.system=hello", "benchmark.lab_reasoning.prompts.folder=tasks"],
    ["dataset=benign", "benchmark.lab_reasoning.grader.metric=exact_match", "model.id=somewhere"],
    [
        "alignment.lora={rank:4}",
        "alignment.objective={kind:kl,part:benign}",
        "evaluation.safety={thinking_budget:8,answer_budget:8}",
        "runtime.endpoints={default:{base_url:'http://somewhere/v1',price_in:1,price_out:2}}",
        "runtime.gpu_memory=24",
        "runtime.tensor_parallel=2",
        "model.parameters=1",
        "model.shape={layers:1,hidden:64,intermediate:64,heads:2,kv_heads:1,head_dim:32,vocabulary:99}",
    ],
)
"""Compositions of the lab that between them have every kind of component, and a value in optional fields."""


@dataclass(frozen=True)
class Spot:
    """A field of a configuration: where it is, what it may hold and what it holds."""

    path: str
    item: FieldType
    value: Any


def spots(node: Any, path: str = "") -> Iterator[Spot]:
    """Every field below a node, also those of components and of named entries."""
    for item in fields_of(type(node)):
        here = f"{path}.{item.name}" if path else item.name
        value = getattr(node, item.name)
        yield Spot(here, item, value)
        for name, entry in value.items() if isinstance(value, dict) else [("", value)]:
            if dataclasses.is_dataclass(entry):
                yield from spots(entry, f"{here}.{name}" if name else here)


def wrong_values(spot: Spot) -> Iterator[tuple[Any, list[str]]]:
    """Values that a field must refuse, each with what the message must say beside key and value."""
    type_ = spot.item.type
    allowed, bare = type_.describe(), type_.bare
    if (bare is Any and type_.kind is None) or spot.item.name == "kind":
        return
    if not type_.optional:
        yield None, [allowed]
    if type_.kind is not None:
        yield 5, component_kinds(type_.kind.package)
        yield "text", component_kinds(type_.kind.package)
        yield {"kind": ["x"]}, component_kinds(type_.kind.package)
    elif type_.is_node or type_.origin is dict:
        yield "text", [allowed]
    elif type_.origin is list:
        yield 5, [allowed]
        yield "text", [allowed]
    elif type_.origin is typing.Literal:
        choices = [str(choice) for choice in typing.get_args(bare)]
        yield from ((value, [allowed]) for value in (5, True, "", ["x"], "nosuch"))
        for choice in choices:
            yield misspelt(choice), [allowed, f"Did you mean {choice}?"]
    else:
        wrong: dict[Any, list[Any]] = {
            int: ["text", 1.5, True, "3"],
            float: ["text", True, "3", float("nan"), float("inf"), 10**400],
            str: [5, True, ["x"]],
            bool: ["yes", 1, 0, "true"],
        }
        yield from ((value, [allowed]) for value in [*wrong[bare], {"x": 1}])
    for mark in type_.marks:
        if isinstance(mark, Between) and mark.low is not None:
            yield (mark.low if mark.open_low else mark.low - 1), [mark.describe()]
        if isinstance(mark, Between) and mark.high is not None:
            yield mark.high + 1, [mark.describe()]
        if isinstance(mark, Label):
            yield from ((value, [mark.describe()]) for value in ("", "a/b", "..", ".hidden", "a b", "a\nb"))


def misspelt(word: str) -> str:
    """A word with a letter dropped, or one doubled where it is very short."""
    return word[: len(word) // 2] + word[len(word) // 2 + 1 :] if len(word) > 3 else word + word[-1]


def swapped(word: str) -> str:
    """A word with two unlike neighbours swapped."""
    at = next((i for i in range(1, len(word) - 1) if word[i] != word[i + 1]), 0)
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
