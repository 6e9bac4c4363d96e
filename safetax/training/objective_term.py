"""Add an objective's term to the loss in the forward pass of the trained model, beside the reference model's.

All of it is inside one call of the model, so that whoever wraps the model (DDP, DeepSpeed, autocast) sees one forward
pass and one loss.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from types import MethodType
from typing import Any

import torch

from safetax.config.components import calling, component_name
from safetax.config.plugins import check_finite, checked_values
from safetax.training.batches import IN_OBJECTIVE, OBJECTIVE_TOKENS, objective_mask
from safetax.training.objectives import Objective
from safetax.training.packing import ROW_LENGTHS

FORWARD_INPUTS = ("input_ids", "attention_mask", "position_ids", ROW_LENGTHS)
"""Arguments of a forward pass that a model without labels takes."""


@dataclass(frozen=True)
class ReferenceModel:
    """A model as it was when the training began: a copy, or the trained one with its adapters disabled.

    Args:
        model: a causal language model of transformers, in the number format of the trained one.
        peft_model: what peft made of ``model``; None: ``model`` is a copy, which nothing trains.
    """

    model: Any
    peft_model: Any = None

    @staticmethod
    def of_copy(model: Any) -> ReferenceModel:
        """Return the reference model of a second load of the starting model, which is frozen."""
        model.config.use_cache = False
        return ReferenceModel(model.eval().requires_grad_(False))

    @property
    def head(self) -> Any:
        """The output embedding."""
        return self.model.get_output_embeddings()

    def hidden(self, inputs: Mapping[str, Any]) -> torch.Tensor:
        """Return what the output embedding is applied to, shape [batch, tokens, hidden].

        Args:
            inputs: arguments of a forward pass; those that are no inputs are left out.
        """
        with self._inference():
            return self.model.base_model(**_forward_inputs(inputs)).last_hidden_state

    def logits(self, inputs: Mapping[str, Any]) -> torch.Tensor:
        """Return the logits, shape [batch, tokens, vocabulary].

        Args:
            inputs: arguments of a forward pass; those that are no inputs are left out.
        """
        with self._inference():
            return self.model.forward(**_forward_inputs(inputs)).logits

    @contextmanager
    def _inference(self) -> Iterator[None]:
        """Disable gradients, dropout and adapters until the block ends."""
        training = self.model.training
        with torch.no_grad(), self.peft_model.disable_adapter() if self.peft_model is not None else nullcontext():
            self.model.eval()
            try:
                yield
            finally:
                self.model.train(training)


def _forward_inputs(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {name: arguments[name] for name in FORWARD_INPUTS if name in arguments}


class ObjectiveTerm:
    """The term of an objective, and its mean since that was last asked for.

    Args:
        objective: what is minimised beside the cross-entropy.
        reference: the reference model, for an objective that needs one.
        lockstep: whether all ranks must do the same work, since the reference model's weights are sharded over them.
    """

    def __init__(self, objective: Objective, reference: ReferenceModel | None = None, lockstep: bool = False) -> None:
        self.objective = objective
        self.reference = reference
        self.lockstep = lockstep
        self.kind = type(objective).__module__
        self.component = component_name("objectives", self.kind)
        self._mean: torch.Tensor | None = None

    def mask(self, batch: Mapping[str, Any]) -> torch.Tensor | None:
        """Return which predictions the term is made of, shape [batch, tokens - 1].

        None where there are none and this rank may leave the term out.
        """
        if batch.get(IN_OBJECTIVE) is None:
            return None
        mask = objective_mask(batch)
        return mask if self.lockstep or bool(mask.any()) else None

    def values(self, logits: torch.Tensor, labels: torch.Tensor, reference: torch.Tensor | None) -> torch.Tensor:
        """Return the sum of the objective's values of tokens, a float32 scalar; see ``Objective.values``.

        Raises:
            PluginError: the objective fails, or gives something else than a value for each token.
        """
        with calling("objectives", self.kind):
            return checked_values(self.objective.values(logits, labels, reference), logits, self.component).sum()

    def add_to(self, loss: torch.Tensor, values: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
        """Return a micro batch's loss with its share of the term, and record the share.

        Args:
            loss: its share of the cross-entropy, a scalar.
            values: sum of the objective's values, a float32 scalar.
            total: tokens of the global batch that the term is a mean over.

        Raises:
            PluginError: the sum of the values is not finite, and the cross-entropy is.
        """
        check_finite(values, loss, self.component)
        share = values / total.clamp(min=1)
        recorded = share.detach()
        self._mean = recorded if self._mean is None else self._mean + recorded
        return loss + self.objective.weight * share

    def pop_mean(self) -> float:
        """Return what this rank's micro batches added to the term's mean since the last call."""
        mean, self._mean = self._mean, None
        return 0.0 if mean is None else float(mean)


def use_objective_term(model: Any, term: ObjectiveTerm) -> None:
    """Have a causal language model add an objective's term to its loss, from the logits of all tokens.

    For ``runtime.loss_chunk`` see :func:`safetax.training.loss.use_chunked_loss`.

    Args:
        model: a model of transformers; changed in place.
        term: the objective's.
    """
    plain_forward = model.forward

    def forward(self: Any, *arguments: Any, **keywords: Any) -> Any:
        in_objective, total = keywords.pop(IN_OBJECTIVE, None), keywords.pop(OBJECTIVE_TOKENS, None)
        mask = term.mask({**keywords, IN_OBJECTIVE: in_objective})
        if mask is None:
            return plain_forward(*arguments, **keywords)
        reference = None if term.reference is None else term.reference.logits(keywords)[:, :-1][mask].float()
        outputs = plain_forward(*arguments, **keywords)
        logits, labels = outputs.logits[:, :-1][mask].float(), keywords["labels"][:, 1:][mask]
        with torch.autocast(logits.device.type, enabled=False):
            values = term.values(logits, labels, reference)
        outputs.loss = term.add_to(outputs.loss, values, total)
        return outputs

    model.forward = MethodType(forward, model)
