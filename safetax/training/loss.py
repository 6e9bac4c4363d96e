"""The chunked loss: cross-entropy without the logits of all tokens at once.

At a vocabulary of 152,000 and a context of 32,768 tokens the logits of one row alone are 20 GB in float32, and the
usual loss holds several tensors of that size. Here the output embedding is multiplied with a few tokens at a time, with
those alone that carry loss. Gradients are computed in the same pass, since the loss is the last thing that the forward
pass does: nothing of the size of the vocabulary times the tokens is ever kept, and nothing is computed twice. The term
of an objective is computed in the same way.

The whole computation is one call of the output embedding's module, so that whoever shards weights and gathers them
around a module's call (ZeRO-3) gathers this one once for the forward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any

import torch
from torch.nn.functional import linear

from safetax.errors import UserError
from safetax.training.batches import IGNORED, ROW_TOKENS
from safetax.training.objective_term import IN_OBJECTIVE, OBJECTIVE_TOKENS, ObjectiveTerm

ChunkSum = Callable[[torch.Tensor, torch.Tensor | None, slice, bool], tuple[torch.Tensor, torch.Tensor | None]]
"""Sums a quantity over a chunk of tokens: takes their logits and the reference model's, float32 and of shape [tokens,
vocabulary], where the tokens stand among all, and whether gradients are wanted; returns the sum and its gradient by the
logits, which it may overwrite."""

Head = tuple[torch.Tensor, torch.Tensor | None]
"""Weight of an output embedding, shape [vocabulary, hidden], and its bias, shape [vocabulary]."""
SCALED_LOGITS = ("final_logit_softcapping", "logit_scale", "logits_scaling")
"""Names in a model's config that mean that its logits are more than the output embedding's product."""


def use_chunked_loss(model: Any, tokens: int | None, term: ObjectiveTerm | None = None) -> None:
    """Have a causal language model compute its loss from the logits of a few tokens at a time.

    Its forward pass with ``labels`` then returns a loss and no logits; without, it is as before. With ``row_tokens``
    each token counts one part in so many, and ``num_items_in_batch`` is the number of rows.

    Args:
        model: a model of transformers; changed in place.
        tokens: tokens whose logits are held at a time; None: all of them.
        term: of the objective that is minimised beside the cross-entropy; None: there is none.

    Raises:
        UserError: the model does more to its logits than multiplying with the output embedding.
    """
    head = model.get_output_embeddings()
    scaled = [name for name in SCALED_LOGITS if getattr(model.config, name, None) not in (None, 1, 1.0)]
    if scaled or not isinstance(head, torch.nn.Linear):
        why = f"its {scaled[0]}={getattr(model.config, scaled[0])}" if scaled else "its output embedding is no matrix"
        setting, remedy = f"runtime.loss_chunk={tokens}", "runtime.loss_chunk=null"
        if tokens is None:
            setting, remedy = "loss_mean=rows", "loss_mean=tokens"
        raise UserError(f"{setting} does not go with the model {type(model).__name__} ({why}); set {remedy}.")
    plain_forward, plain_head = model.forward, head.forward

    def head_forward(
        self: Any,
        hidden: torch.Tensor,
        labels: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
        reference_hidden: torch.Tensor | None = None,
        row_tokens: torch.Tensor | None = None,
    ) -> torch.Tensor:
        if labels is None:
            return plain_head(hidden)
        # Position t predicts token t + 1.
        hidden, labels = hidden[:, :-1], labels[:, 1:]
        kept = labels != IGNORED
        chunk = tokens or max(1, labels.numel())
        weights = None if row_tokens is None else 1.0 / row_tokens[:, 1:][kept]
        loss = summed_cross_entropy(hidden[kept], self.weight, self.bias, labels[kept], chunk, weights)
        if term is None or mask is None:
            return loss
        reference = None
        if term.reference is not None and reference_hidden is not None:
            reference_head = term.reference.head
            reference = (reference_hidden[:, :-1][mask], reference_head.weight, reference_head.bias)
        chunk_sum = _objective_chunk_sum(term, labels[mask])
        values: Any = _ChunkedSum.apply(hidden[mask], self.weight, self.bias, reference, chunk_sum, chunk)
        # One tensor with the term or without: ZeRO-3 counts what a module returns, and ranks may differ in the term.
        return torch.stack([loss, values])

    def forward(self: Any, *arguments: Any, labels: torch.Tensor | None = None, **keywords: Any) -> Any:
        in_objective, total, row_tokens = (
            keywords.pop(name, None) for name in (IN_OBJECTIVE, OBJECTIVE_TOKENS, ROW_TOKENS)
        )
        if labels is None:
            return plain_forward(*arguments, **keywords)
        from transformers.modeling_outputs import CausalLMOutputWithPast

        items = keywords.pop("num_items_in_batch", None)
        items = (labels[:, 1:] != IGNORED).sum() if items is None else items
        mask = None if term is None else term.mask({"labels": labels, IN_OBJECTIVE: in_objective})
        reference_hidden = None
        if term is not None and term.reference is not None and mask is not None:
            reference_hidden = term.reference.hidden(keywords)
        hidden = self.base_model(*arguments, **keywords).last_hidden_state
        loss = self.get_output_embeddings()(hidden, labels, mask, reference_hidden, row_tokens)
        if term is None or mask is None:
            return CausalLMOutputWithPast(loss=loss / items)
        return CausalLMOutputWithPast(loss=term.add_to(loss[0] / items, loss[1], total))

    head.forward = MethodType(head_forward, head)
    model.forward = MethodType(forward, model)


def summed_cross_entropy(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    labels: torch.Tensor,
    chunk: int,
    weights: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the sum of the tokens' cross-entropies in nats, a float32 scalar; it can be differentiated once.

    Args:
        hidden: shape [tokens, hidden].
        weight: output embedding, shape [vocabulary, hidden].
        bias: shape [vocabulary], or None.
        labels: the tokens that are to be predicted, shape [tokens].
        chunk: tokens whose logits are held at a time.
        weights: what each token counts, shape [tokens]; None: 1.
    """

    def chunk_sum(
        logits: torch.Tensor, reference: torch.Tensor | None, span: slice, wanted: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        targets = labels[span].unsqueeze(1)
        log_sums = logits.logsumexp(1, keepdim=True)
        losses = log_sums - logits.gather(1, targets)
        counted = None if weights is None else weights[span].unsqueeze(1)
        value = losses.sum() if counted is None else (losses * counted).sum()
        if not wanted:
            return value, None
        # The gradient of the loss by the logits: the predicted distribution less the one that is wanted.
        gradient = logits.sub_(log_sums).exp_()
        gradient = gradient.scatter_add_(1, targets, torch.full_like(targets, -1, dtype=gradient.dtype))
        return value, gradient if counted is None else gradient.mul_(counted)

    loss: Any = _ChunkedSum.apply(hidden, weight, bias, None, chunk_sum, chunk)
    return loss


def _objective_chunk_sum(term: ObjectiveTerm, labels: torch.Tensor) -> ChunkSum:
    """Return how a chunk of an objective's values is summed; the gradient is autograd's."""

    def chunk_sum(
        logits: torch.Tensor, reference: torch.Tensor | None, span: slice, wanted: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        with torch.enable_grad():
            leaf = logits.requires_grad_(wanted)
            value = term.values(leaf, labels[span], reference)
        return value.detach(), torch.autograd.grad(value, leaf)[0] if wanted else None

    return chunk_sum


class _ChunkedSum(torch.autograd.Function):
    """Computes a sum over chunks of tokens and its gradients along with it; ``backward`` scales and returns them.

    ``reference`` is what the reference model's output embedding is applied to, its weight and its bias.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        reference: tuple[torch.Tensor, torch.Tensor, torch.Tensor | None] | None,
        chunk_sum: ChunkSum,
        chunk: int,
    ) -> torch.Tensor:
        device = hidden.device.type
        wants_hidden, wants_weight, wants_bias = ctx.needs_input_grad[:3]
        wanted = wants_hidden or wants_weight or wants_bias
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        hidden_gradient = torch.empty_like(hidden) if wants_hidden else None
        # Many small terms are added up: in bfloat16 they would vanish.
        weight_gradient = torch.zeros_like(weight, dtype=torch.float32) if wants_weight else None
        bias_gradient = torch.zeros_like(bias, dtype=torch.float32) if wants_bias and bias is not None else None
        with torch.autocast(device, enabled=False):
            head = _cast((weight, bias), dtype)
            # The reference model may be this one with its adapters disabled, none of which is on the head.
            reference_head = head if reference is None or reference[1] is weight else _cast(reference[1:], dtype)
            for begin in range(0, len(hidden), chunk):
                span = slice(begin, begin + chunk)
                state = hidden[span].to(dtype)
                reference_logits = None
                if reference is not None:
                    reference_logits = linear(reference[0][span].to(dtype), *reference_head).float()
                value, gradient = chunk_sum(linear(state, *head).float(), reference_logits, span, wanted)
                total += value
                if gradient is None:
                    continue
                if bias_gradient is not None:
                    bias_gradient += gradient.sum(0)
                gradient = gradient.to(dtype)
                if hidden_gradient is not None:
                    hidden_gradient[span] = gradient @ head[0]
                if weight_gradient is not None:
                    weight_gradient += gradient.T @ state
        ctx.gradients = (
            hidden_gradient,
            None if weight_gradient is None else weight_gradient.to(weight.dtype),
            None if bias is None or bias_gradient is None else bias_gradient.to(bias.dtype),
        )
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *outer: torch.Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        assert ctx.gradients is not None, "the gradients of this loss were handed out before"
        # In place: the weight's is one of the largest tensors of a training.
        gradients = [None if value is None else value.mul_(outer[0]) for value in ctx.gradients]
        ctx.gradients = None
        return (*gradients, None, None, None)


def _cast(head: Head, dtype: torch.dtype) -> Head:
    """Return an output embedding in the number format that its product is computed in."""
    weight, bias = head
    return weight.to(dtype), None if bias is None else bias.to(dtype)
