"""Training objectives: what a training minimises beside the cross-entropy. Each is a term, a mean over tokens.

A training without one minimises the mean cross-entropy of the global batch's supervised tokens. With one it minimises
that plus ``weight`` times the mean of the objective's own ``values`` over the supervised tokens of the rows that are
``in_objective``. Both means are over the whole global batch, whatever the micro batch, the number of ranks and the ZeRO
stage; where ``runtime.loss_chunk`` cuts the logits, ``values`` is called with a few tokens at a time.

An objective is one module with a frozen dataclass ``Config`` (``kind`` and what the user sets) and ``make(config)``,
which returns an :class:`Objective`. With ``NEEDS_REFERENCE = True`` it is given the logits of the reference model
besides: the starting model, frozen. One that is not part of safetax is a module on the Python path, and its dotted path
is the kind. This one keeps the model from being too sure of itself::

    # mine/entropy.py; on the command line alignment.objective='{kind: mine.entropy, weight: 0.1}'
    @dataclass(frozen=True)
    class Config:
        kind: str
        weight: float = 0.1

    @dataclass(frozen=True)
    class Entropy:
        weight: float
        name = "negative_entropy"

        def in_objective(self, example):
            return True

        def values(self, logits, labels, reference):
            likely = logits.log_softmax(1)
            return (likely.exp() * likely).sum(1)

    def make(config):
        return Entropy(config.weight)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from safetax.config.components import ObjectiveConfig, calling, component_module, component_name
from safetax.config.plugins import check_objective, checked_choice
from safetax.records import Example

if TYPE_CHECKING:
    import torch


class Objective(Protocol):
    """A term that a training minimises beside the cross-entropy."""

    @property
    def name(self) -> str:
        """What the term's value is called in ``history.jsonl`` and in the summary."""
        ...

    @property
    def weight(self) -> float:
        """What the term counts, in units of the cross-entropy."""
        ...

    def in_objective(self, example: Example) -> bool:
        """Whether the term is made of an example's supervised tokens."""
        ...

    def values(self, logits: torch.Tensor, labels: torch.Tensor, reference: torch.Tensor | None) -> torch.Tensor:
        """Return the term's value of each token, shape [tokens]; it must be differentiable by the logits.

        Args:
            logits: of the model that is trained, float32, shape [tokens, vocabulary].
            labels: the tokens that are to be predicted, shape [tokens].
            reference: logits of the reference model, as ``logits``; None for an objective without NEEDS_REFERENCE.
        """
        ...


def objective_of(config: ObjectiveConfig) -> Objective:
    """Return the objective of a configuration node.

    Raises:
        PluginError: it cannot be made, or lacks something that a training asks it for.
    """
    with calling("objectives", config.kind):
        objective = component_module("objectives", config.kind).make(config)
        check_objective(objective, component_name("objectives", config.kind))
        return objective


def is_in_objective(objective: Objective, example: Example) -> bool:
    """Whether an objective's term is made of an example's supervised tokens.

    Raises:
        PluginError: the objective fails, or says neither True nor False.
    """
    kind = type(objective).__module__
    with calling("objectives", kind):
        return checked_choice(objective.in_objective(example), component_name("objectives", kind), example)


def needs_reference(config: ObjectiveConfig | None) -> bool:
    """Whether the objective of a configuration node needs the reference model; None needs nothing."""
    return config is not None and bool(getattr(component_module("objectives", config.kind), "NEEDS_REFERENCE", False))
