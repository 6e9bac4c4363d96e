"""The models of the presets: that their shapes and parameter counts belong together."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from safetax.config.compose import Composer
from safetax.config.hydra import conf_directory
from safetax.config.schema import Model, Shape

PRESETS = sorted(path.stem for path in (conf_directory() / "model").glob("*.yaml") if path.stem != "lab")


@functools.cache
def composer() -> Composer:
    return Composer()


@functools.cache
def model(name: str) -> Model:
    return composer().job([f"model={name}"]).config.model


def family(name: str) -> str:
    if "llama" in name:
        return "llama"
    return "qwen3" if name.startswith("qwen3") else "qwen2"


def parameters(shape: Shape, architecture: str) -> int:
    """Count what a decoder of that architecture has, tensor by tensor."""
    query, key = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    tensors = [shape.hidden * query, shape.hidden * key, shape.hidden * key, query * shape.hidden]
    tensors += [shape.hidden * shape.intermediate] * 3
    tensors += [shape.hidden] * 2
    if architecture == "qwen2":
        tensors += [query, key, key]
    if architecture == "qwen3":
        tensors += [shape.head_dim] * 2
    embeddings = shape.vocabulary * shape.hidden * (1 if shape.tied else 2)
    return shape.layers * sum(tensors) + shape.hidden + embeddings


def test_all_presets_are_there() -> None:
    sizes = {"qwen2.5": ["32b-instruct"], "s1.1": ["1.5b", "3b", "7b", "14b", "32b"], "limo": ["32b"]}
    sizes |= {"deepseek-r1-distill-qwen": ["1.5b", "7b", "14b", "32b"], "deepseek-r1-distill-llama": ["8b"]}
    sizes |= {"qwen3": ["0.6b", "1.7b", "4b", "8b"]}
    wanted = {f"{start}-{size}" for start, ends in sizes.items() for size in ends}
    assert wanted <= set(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_the_parameter_count_follows_from_the_shape(name: str) -> None:
    preset = model(name)
    assert preset.shape is not None and preset.parameters is not None
    counted = parameters(preset.shape, family(name)) / 1e9
    assert preset.parameters == pytest.approx(counted, rel=0.01)


@pytest.mark.parametrize("name", PRESETS)
def test_the_name_says_how_large_it_is(name: str) -> None:
    size = next(part for part in reversed(name.split("-")) if part.rstrip("b").replace(".", "").isdigit())
    assert model(name).parameters == pytest.approx(float(size.rstrip("b")), rel=0.2)  # R1-Distill-Qwen-1.5B has 1.78


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_called_as_its_file_and_says_which_format_to_take(name: str) -> None:
    preset = model(name)
    lines = Path(conf_directory() / "model" / f"{name}.yaml").read_text().splitlines()
    comment = " ".join(line for line in lines if line.startswith("#"))
    assert preset.name == name
    assert preset.start == "pretrained" and preset.revision == "main" and preset.context
    assert "format=s1" in comment or "format=think_tags" in comment
    assert preset.reasoning == (name != "qwen2.5-32b-instruct")


@pytest.mark.parametrize("architecture", ["qwen2", "qwen3", "llama"])
def test_the_count_is_that_of_transformers(architecture: str) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    shape = Shape(layers=2, hidden=96, intermediate=160, heads=4, kv_heads=2, head_dim=32, vocabulary=300, tied=True)
    config = AutoConfig.for_model(
        architecture,
        num_hidden_layers=2,
        hidden_size=96,
        intermediate_size=160,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        vocab_size=300,
        tie_word_embeddings=True,
    )
    with torch.device("meta"):
        built = AutoModelForCausalLM.from_config(config)
    assert sum(tensor.numel() for tensor in built.parameters()) == parameters(shape, architecture)
