"""Kullback-Leibler divergence to the reference model: what need not change is held where it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from safetax.config.fields import MoreThan
from safetax.records import Example

if TYPE_CHECKING:
    import torch

NEEDS_REFERENCE = True
"""It needs the logits of the starting model, frozen."""


@dataclass(frozen=True)
class Config:
    """``weight`` times the divergence, in nats per token, is added to the cross-entropy.

    It is the mean over the supervised tokens of the chosen rows in a global batch, and 0 at the start. With the
    distributions p of the reference model and q of the trained one, each over the whole vocabulary:

    - ``direction=forward`` is KL(p || q) = sum p (log p - log q): q has to cover whatever p would say;
    - ``direction=reverse`` is KL(q || p) = sum q (log q - log p): q may drop some of it, and must say nothing else.
    """

    kind: str
    weight: Annotated[float, MoreThan(0)] = 0.1
    part: str | None = None
    """Only rows of this part of a mixture; null: all rows."""
    direction: Literal["forward", "reverse"] = "forward"


@dataclass(frozen=True)
class Divergence:
    """The divergence of a configuration."""

    config: Config
    name: str = "kl"

    @property
    def weight(self) -> float:
        """What the divergence counts."""
        return self.config.weight

    def in_objective(self, example: Example) -> bool:
        """Whether a row is of the part that was chosen."""
        return self.config.part is None or example.meta.get("mixture") == self.config.part

    def values(self, logits: torch.Tensor, labels: torch.Tensor, reference: torch.Tensor | None) -> torch.Tensor:
        """Return each token's divergence in nats, shape [tokens]; see ``Objective.values``."""
        assert reference is not None
        trained, held = logits.log_softmax(1), reference.log_softmax(1)
        if self.config.direction == "reverse":
            return (trained.exp() * (trained - held)).sum(1)
        return (held.exp() * (held - trained)).sum(1)


def make(config: Config) -> Divergence:
    """Return the objective."""
    return Divergence(config)
