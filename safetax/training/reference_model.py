"""The reference model: the starting model, frozen, which an objective compares the trained one with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

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
