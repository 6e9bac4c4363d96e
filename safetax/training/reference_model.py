"""The frozen starting model that an objective compares the trained one with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from safetax.training.packing import ROW_LENGTHS

READ = ("input_ids", "attention_mask", "position_ids", ROW_LENGTHS)
"""Of a forward pass's arguments those that the model reads."""


@dataclass(frozen=True)
class FrozenModel:
    """A model as it was when the training began: a copy, or the trained one with its adapters off."""

    model: Any
    """A causal language model of transformers, in the number format of the trained one."""
    adapted: Any = None
    """What peft made of ``model``; None: ``model`` is a copy, which nothing trains."""

    @staticmethod
    def copy(model: Any) -> FrozenModel:
        """Return a second load of the starting model, held fast."""
        model.config.use_cache = False
        return FrozenModel(model.eval().requires_grad_(False))

    @property
    def head(self) -> Any:
        """The output embedding."""
        return self.model.get_output_embeddings()

    def hidden(self, inputs: Mapping[str, Any]) -> torch.Tensor:
        """Return what the output embedding is applied to, shape [batch, tokens, hidden]."""
        with self._at_rest():
            return self.model.base_model(**_read(inputs)).last_hidden_state

    def logits(self, inputs: Mapping[str, Any]) -> torch.Tensor:
        """Return the logits, shape [batch, tokens, vocabulary]."""
        with self._at_rest():
            return self.model.forward(**_read(inputs)).logits

    @contextmanager
    def _at_rest(self) -> Iterator[None]:
        """Without gradients, dropout and adapters; afterwards the model is as before."""
        trained = self.model.training
        with torch.no_grad(), self.adapted.disable_adapter() if self.adapted is not None else nullcontext():
            self.model.eval()
            try:
                yield
            finally:
                self.model.train(trained)


def _read(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return of a forward pass's arguments what the model reads."""
    return {name: inputs[name] for name in READ if name in inputs}
