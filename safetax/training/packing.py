"""Micro batches without padding: their rows lie end to end as one, and each attends to itself alone.

Everything but attention treats each token by itself, so that padding would only be computed and thrown away; where
rows differ in length it can be half of the work. Losses and gradients are those of the padded batch but for rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

ROW_LENGTHS = "row_lengths"
"""Keyword by which a packed batch tells the attention of every layer how long its rows are."""
ATTENTION = "rows_apart"
"""Name of the attention in transformers' registry."""
MODEL_TYPES = frozenset({"llama", "mistral", "olmo2", "qwen2", "qwen3", "qwen3_moe"})
"""Models in which a token learns of others by full attention alone, and whose layers pass keywords on to it."""


def can_pack(config: Any) -> bool:
    """Return whether a model of this configuration (transformers') can be trained on packed rows."""
    windows = set(getattr(config, "layer_types", None) or ["full_attention"]) != {"full_attention"}
    return config.model_type in MODEL_TYPES and not windows and getattr(config, "sliding_window", None) is None


def use_packing(model: Any) -> None:
    """Have a model's attention keep the rows of packed batches apart; its forward pass then takes ``row_lengths``.

    Args:
        model: a model of transformers that :func:`can_pack` is true of; changed in place.
    """
    from transformers import AttentionInterface

    AttentionInterface.register(ATTENTION, _attention_by_row)
    model.set_attn_implementation(ATTENTION)


def _attention_by_row(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    row_lengths: Sequence[int],
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Return the causal attention of each row, shape [1, tokens, heads, size of a head].

    Args:
        module: the layer's; not asked.
        query: shape [1, heads, tokens, size of a head].
        key: the same, with as many heads or fewer.
        value: like ``key``.
        attention_mask: None, since nothing is padded.
        row_lengths: tokens of each row.
        scaling: of the scores.
        dropout: probability.
    """
    lengths = list(row_lengths)
    rows = zip(query.split(lengths, 2), key.split(lengths, 2), value.split(lengths, 2), strict=True)
    attended = [
        torch.nn.functional.scaled_dot_product_attention(
            *row, dropout_p=dropout, is_causal=True, scale=scaling, enable_gqa=True
        )
        for row in rows
    ]
    return torch.cat(attended, 2).transpose(1, 2).contiguous(), None
