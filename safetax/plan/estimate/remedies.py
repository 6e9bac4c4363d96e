"""Settings with which a training fits that does not: searched, and each checked by the estimate's own arithmetic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations

from safetax.config.schema import Shape
from safetax.config.training import Lora, Training
from safetax.plan.estimate.memory import GIB, Placement, training_memory

MOST = 3
"""How many ways are named."""
CHUNK = 2048
"""Tokens whose logits are held at a time, where the loss is to be cut."""


@dataclass(frozen=True)
class _Change:
    """One setting to change, as a user writes it."""

    text: str
    placement: Mapping[str, object]
    lora: bool = False


def remedies(shape: Shape, training: Training, placement: Placement, limit: float, key: str) -> list[str]:
    """Return up to three ways to make a training fit, the ones with the fewest changes first.

    Args:
        shape: of the model.
        training: what does not fit.
        placement: where it does not.
        limit: bytes of a GPU.
        key: key of the training's hyper-parameters.
    """
    changes = list(_changes(training, placement, key))
    found: list[tuple[frozenset[int], str]] = []
    for number in range(1, len(changes) + 1):
        for chosen in combinations(range(len(changes)), number):
            picked = frozenset(chosen)
            if any(smaller <= picked for smaller, _ in found) or not _together([changes[at] for at in chosen]):
                continue
            tried, place = _changed(training, placement, [changes[at] for at in chosen])
            memory = training_memory(shape, tried, place)
            if memory.total <= limit:
                host = f" (with {memory.host / GIB:,.0f} GiB of each node's memory)" if memory.host else ""
                text = " ".join(changes[at].text for at in chosen)
                found.append((picked, f"{text}: {memory.total / GIB:.1f} GiB{host}"))
                if len(found) == MOST:
                    return [text for _, text in found]
    return [text for _, text in found]


def _changes(training: Training, placement: Placement, key: str) -> Iterator[_Change]:
    """Yield what can be changed, the least costly first."""
    tokens = placement.micro_batch * training.max_tokens
    if not placement.gradient_checkpointing:
        yield _Change("runtime.gradient_checkpointing=true", {"gradient_checkpointing": True})
    if placement.micro_batch > 1:
        yield _Change("runtime.micro_batch=1", {"micro_batch": 1})
    if min(placement.loss_chunk or tokens, tokens) > CHUNK:
        yield _Change(f"runtime.loss_chunk={CHUNK}", {"loss_chunk": CHUNK})
    sharded = training.optimizer == "adamw"
    if placement.zero < 3 and placement.devices > 1 and sharded:
        yield _Change("runtime.zero=3", {"zero": 3})
    more = [devices for devices in (2, 4, 8, 16, 32, 64) if devices > placement.devices]
    for devices in (devices for devices in more if training.global_batch % devices == 0):
        zero = "" if placement.zero == 3 else " runtime.zero=3"
        if sharded:
            fewer = min(placement.micro_batch, training.global_batch // devices)
            setting = {"devices": devices, "zero": 3, "micro_batch": fewer}
            yield _Change(f"runtime.devices={devices}{zero}", setting)
    if placement.offload == "none" and sharded:
        zero = "" if placement.zero else " runtime.zero=2"
        yield _Change(f"runtime.offload=optimizer{zero}", {"offload": "optimizer", "zero": placement.zero or 2})
    if placement.offload != "all" and sharded:
        zero = "" if placement.zero == 3 else " runtime.zero=3"
        yield _Change(f"runtime.offload=all{zero}", {"offload": "all", "zero": 3})
    if training.lora is None:
        yield _Change(f"{key}.lora={{rank:16}} (another training)", {}, lora=True)


def _together(changes: list[_Change]) -> bool:
    """Whether no two of the changes set the same thing."""
    names = [name for change in changes for name in change.placement]
    return len(names) == len(set(names))


def _changed(training: Training, placement: Placement, changes: list[_Change]) -> tuple[Training, Placement]:
    for change in changes:
        placement = replace(placement, **change.placement)  # type: ignore[arg-type]
        training = replace(training, lora=Lora()) if change.lora else training
    return training, placement
