"""What a training costs: operations, memory, and the number formats that it was really done in."""

from __future__ import annotations

import resource
import sys
from typing import Any

import torch

from safetax.training.batches import TokenCount
from safetax.training.optimizers import MuonWithAdamW


def parameter_counts(model: Any) -> tuple[int, int]:
    """Count a model's trained and its frozen parameters, whole ones also under ZeRO-3, where a rank has parts."""
    trained = frozen = 0
    for parameter in model.parameters():
        count = getattr(parameter, "ds_numel", parameter.numel())
        trained, frozen = (trained + count, frozen) if parameter.requires_grad else (trained, frozen + count)
    return trained, frozen


def training_flops(model: Any, count: TokenCount) -> float:
    """Return the floating-point operations that a training on so many tokens needs.

    Per token 6 for a parameter that is trained (2 forward, 4 backward), 4 for a frozen one (its own gradient is not
    needed) and none for the input embedding, which is looked up; for attention 12 x layers x width x length of the row,
    as if no token were masked. What gradient checkpointing computes again does not count.
    """
    trained, frozen = parameter_counts(model)
    config = model.config.get_text_config()
    inputs, outputs = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    looked_up = 0 if inputs is outputs else getattr(inputs, "ds_numel", inputs.numel())
    if inputs.requires_grad:
        trained -= looked_up
    else:
        frozen -= looked_up
    heads = config.num_attention_heads
    width = heads * (getattr(config, "head_dim", None) or config.hidden_size // heads)
    return (6.0 * trained + 4.0 * frozen) * count.tokens + 12.0 * config.num_hidden_layers * width * count.squares


def peak_memory() -> float:
    """Return this process's peak of reserved memory in GB (10^9 bytes): of its GPU, or else of the host."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_reserved() / 1e9
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9


def unwrapped_optimizer(optimizer: Any) -> Any:
    """Return the optimizer inside the wrappers of accelerate and DeepSpeed."""
    while hasattr(optimizer, "optimizer"):
        optimizer = optimizer.optimizer
    return optimizer


def tensor_dtypes(model: Any, optimizer: Any) -> dict[str, str]:
    """Return the number formats of the weights, of what the optimizer steps, and of its states, from the tensors."""
    inner = unwrapped_optimizer(optimizer)
    parts = [inner.muon, inner.adamw] if isinstance(inner, MuonWithAdamW) else [inner]
    states = [(key, state) for part in parts for key, state in part.state.items()]
    found = {
        "weights": {parameter.dtype for parameter in model.parameters()},
        "masters": {key.dtype for key, _ in states},
        # A step count is no state of a weight.
        "optimizer": {
            value.dtype
            for _, state in states
            for name, value in state.items()
            if torch.is_tensor(value) and name != "step"
        },
    }
    return {name: "+".join(sorted(str(dtype).split(".")[1] for dtype in kinds)) for name, kinds in found.items()}


def sum_over_ranks(count: TokenCount) -> TokenCount:
    """Return the sum of all ranks' token counts; all of them must call."""
    if not torch.distributed.is_initialized() or torch.distributed.get_world_size() == 1:
        return count
    totals = _all_reduce([count.tokens, count.squares], torch.distributed.ReduceOp.SUM)
    return TokenCount(int(totals[0]), int(totals[1]))


def max_over_ranks(value: float) -> float:
    """Return the largest of all ranks' values; all of them must call."""
    if not torch.distributed.is_initialized() or torch.distributed.get_world_size() == 1:
        return value
    return float(_all_reduce([value], torch.distributed.ReduceOp.MAX)[0])


def _all_reduce(values: list[float] | list[int], operation: Any) -> list[float]:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tensor = torch.tensor(values, dtype=torch.float64, device=device)
    torch.distributed.all_reduce(tensor, operation)
    return tensor.tolist()
