"""The term of an objective: a part of the forward pass of the model that is trained, whole or in chunks of tokens.

All of it is inside one call of the model, so that whoever wraps the model (DDP, DeepSpeed, autocast) sees one forward
pass and one loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MethodType
from typing import Any

import torch

from safetax.training.batches import concerned_tokens
from safetax.training.objectives import Objective
from safetax.training.reference_model import FrozenModel

CONCERNED, TOTAL = "concerned", "concerned_total"
"""What a batch has besides where there is an objective: which rows are concerned, and how many tokens of the global
batch."""


class Term:
    """The term of an objective, and what it came to since it was last asked.

    Args:
        objective: what is minimised beside the cross-entropy.
        frozen: the starting model, for an objective that compares.
        in_step: the ranks must do the same work, since the frozen model's weights are spread over them.
    """

    def __init__(self, objective: Objective, frozen: FrozenModel | None = None, in_step: bool = False) -> None:
        self.objective = objective
        self.frozen = frozen
        self.in_step = in_step
        self._share: torch.Tensor | None = None

    def chosen(self, batch: Mapping[str, Any]) -> torch.Tensor | None:
        """Return which predictions the term is made of, shape [batch, tokens - 1]; None: of none, and none is asked."""
        if batch.get(CONCERNED) is None:
            return None
        chosen = concerned_tokens(batch)
        return chosen if self.in_step or bool(chosen.any()) else None

    def added(self, loss: torch.Tensor, values: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
        """Return a micro batch's loss with its share of the term, and note the share.

        Args:
            loss: its share of the cross-entropy, a scalar.
            values: sum of the objective's values, a float32 scalar.
            total: tokens of the global batch that the term is a mean over.
        """
        share = values / total.clamp(min=1)
        noted = share.detach()
        self._share = noted if self._share is None else self._share + noted
        return loss + self.objective.weight * share

    def taken(self) -> float:
        """Return what this rank's micro batches added to the mean since this was last called."""
        share, self._share = self._share, None
        return 0.0 if share is None else float(share)


def use_term(model: Any, term: Term) -> None:
    """Have a causal language model add an objective's term to its loss, from the logits of all tokens.

    For ``runtime.loss_chunk`` see :func:`safetax.training.loss.use_chunked_loss`.

    Args:
        model: a model of transformers; changed in place.
        term: the objective's.
    """
    whole_forward = model.forward

    def forward(self: Any, *arguments: Any, **keywords: Any) -> Any:
        concerned, total = keywords.pop(CONCERNED, None), keywords.pop(TOTAL, None)
        chosen = term.chosen({**keywords, CONCERNED: concerned})
        if chosen is None:
            return whole_forward(*arguments, **keywords)
        frozen = None if term.frozen is None else term.frozen.logits(keywords)[:, :-1][chosen].float()
        outputs = whole_forward(*arguments, **keywords)
        logits, labels = outputs.logits[:, :-1][chosen].float(), keywords["labels"][:, 1:][chosen]
        with torch.autocast(logits.device.type, enabled=False):
            values = term.objective.values(logits, labels, frozen).sum()
        outputs.loss = term.added(outputs.loss, values, total)
        return outputs

    model.forward = MethodType(forward, model)
