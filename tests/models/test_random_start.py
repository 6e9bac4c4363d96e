"""Models that start at random: which settings an architecture may have, and which mistakes are named."""

from __future__ import annotations

from typing import Any

import pytest

from safetax.errors import UserError
from safetax.models.random_start import configuration

LAB = {"model_type": "qwen3", "hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"hidden_sise": 64}, ["model.architecture.hidden_sise=64", "Did you mean model.architecture.hidden_size?"]),
        ({"hidden_size": "big"}, ["hidden_size:big", "expected int, got str"]),
        ({"model_type": "qwen33"}, ["model.architecture.model_type=qwen33", "Did you mean qwen3"]),
        ({"num_key_value_heads": 3}, ["num_key_value_heads=3", "must divide num_attention_heads=4"]),
        ({"num_hidden_layers": -1}, ["(-1)", "layer_types"]),
    ],
)
def test_an_architecture_that_transformers_would_take_in_silence_or_not_at_all(
    settings: dict[str, Any], told: list[str]
) -> None:
    with pytest.raises(UserError) as raised:
        configuration(LAB | settings, vocab_size=97)
    for part in told:
        assert part in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("settings", [{}, {"rope_theta": 5e5}, {"model_type": "gpt2", "n_layer": 2, "n_embd": 32}])
def test_an_architecture_may_use_all_names_that_its_type_has(settings: dict[str, Any]) -> None:
    asked = (LAB if "n_embd" not in settings else {}) | settings
    config = configuration(asked, vocab_size=97)
    assert (config.hidden_size, config.vocab_size) == (32, 97)
