"""How many replicas of vLLM there are, and on which GPUs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from safetax.errors import UserError
from safetax.evaluation.engines._vllm_placement import Placement, Size, place, size_of
from safetax.models.gpus import Gpu

H200 = [Gpu(str(index), "NVIDIA H200", 143771 * 2**20) for index in range(4)]


def model_of(billions: float, heads: int = 40) -> Size:
    return Size(billions * 2e9, heads, 262144, 32768)


def test_as_many_replicas_as_there_is_room_for() -> None:
    """A 32B model fits on one H200 with room to work, and takes two GPUs of 80 GB; five heads part into no two."""
    runtime: dict[str, Any] = {"gpus": None, "tensor_parallel": None, "engine_memory": 0.9}
    assert place(model_of(32.8), H200, runtime).replicas == (("0",), ("1",), ("2",), ("3",))
    a100 = [Gpu(str(index), "A100", 80 * 2**30) for index in range(8)]
    assert place(model_of(32.8), a100, runtime).replicas == (("0", "1"), ("2", "3"), ("4", "5"), ("6", "7"))
    assert place(model_of(7.6), a100, {**runtime, "gpus": 3}).replicas == (("0",), ("1",), ("2",))
    assert place(model_of(32.8), a100, {**runtime, "tensor_parallel": 8}).tensor_parallel == 8
    tight = [Gpu("0", "small", 24 * 2**30)]
    assert place(model_of(10), tight, runtime).tensor_parallel == 1, "it fits, if with little room"
    assert place(model_of(7.6), [], runtime) == Placement("cpu", ((),))
    assert place(model_of(7.6), a100, {**runtime, "gpus": 0}).device == "cpu"


@pytest.mark.parametrize(
    ("size", "settings", "message"),
    [
        (model_of(7), {"gpus": 5}, r"runtime\.gpus=5: there are 4; allowed is up to that"),
        (model_of(7), {"tensor_parallel": 8}, r"runtime\.tensor_parallel=8 must be at most the 4 GPUs"),
        (model_of(7, heads=14), {"tensor_parallel": 4}, r"divide the model's 14 attention heads"),
        (model_of(7), {"gpus": 0, "tensor_parallel": 2}, r"runtime\.tensor_parallel=2 must be at most the 0 GPUs"),
        (model_of(405), {}, r"weights take 810 GB, and 4 x 136 GB may be used"),
        (model_of(405, heads=5), {}, r"and 1 x 136 GB may be used \(runtime\.engine_memory=0\.9"),
    ],
)
def test_what_does_not_fit_is_said_with_what_would(size: Size, settings: dict[str, Any], message: str) -> None:
    runtime = {"gpus": None, "tensor_parallel": None, "engine_memory": 0.9, **settings}
    with pytest.raises(UserError, match=message):
        place(size, H200, runtime)


def test_sizes_come_from_the_configuration_alone(tiny: tuple[Path, Any, Any]) -> None:
    directory, model, _ = tiny
    size = size_of(str(directory), None, "bfloat16")
    assert size.weights == 2 * sum(parameter.numel() for parameter in model.parameters())
    assert (size.heads, size.context) == (2, 512)
    assert size.token == 2 * 2 * 1 * 32 * 2  # keys and values, layers, heads of them, their width, bytes
