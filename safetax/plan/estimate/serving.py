"""How a model that generates is spread over GPUs, and how fast it can be, from its shape alone."""

from __future__ import annotations

from dataclasses import dataclass

from safetax.config.schema import Shape
from safetax.plan.estimate.memory import CONTEXT, parameters_in

ROOM, LEAST_ROOM = 0.25, 4e9
"""What a copy needs besides its weights, as the engine itself reckons: a share of them, at least so many bytes."""


@dataclass(frozen=True)
class Serving:
    """How a model is served."""

    tensor_parallel: int
    """GPUs of one copy."""
    replicas: int
    weights: float
    """Bytes of weights on each GPU."""
    cache_token: float
    """Bytes of keys and values of one token on each GPU."""
    sequences: int
    """Sequences of the greatest length whose keys and values fit at a time."""
    longest: int
    memory: float
    """Bytes of a GPU that the engine takes."""

    @property
    def fits(self) -> bool:
        """Whether weights and the caches of one sequence fit."""
        return self.sequences > 0

    @property
    def gpus(self) -> int:
        """GPUs that are at work."""
        return self.tensor_parallel * self.replicas

    def tokens_per_second(self, batch: int, gpu_memory: float, memory_reads: float) -> float:
        """Return the tokens that all replicas write in a second.

        Each token of a batch has weights and caches read once; sequences are half as long as the longest on average.

        Args:
            batch: sequences that are asked for at once, of which as many are at work as there is room for.
            gpu_memory: bytes of a GPU.
            memory_reads: how often the engine has a GPU read its whole memory in a second.
        """
        active = max(1, min(batch, 2 * self.sequences))
        read = self.weights + active * self.cache_token * self.longest / 2
        return self.replicas * active * memory_reads * gpu_memory / read


def serving(
    shape: Shape, dtype: str, longest: int, gpus: int, gpu_memory: float, share: float, tensor_parallel: int | None
) -> Serving:
    """Return how a model is served: by as many copies as there is room for.

    Args:
        shape: of the model.
        dtype: ``float32`` or ``bfloat16``.
        longest: tokens of the longest sequence.
        gpus: GPUs that share the work.
        gpu_memory: bytes of one.
        share: of its memory that the engine takes.
        tensor_parallel: GPUs of one copy; None: the smallest power of two with room to work.
    """
    size = 4 if dtype == "float32" else 2
    count, memory = parameters_in(shape) * size, gpu_memory * share
    allowed = [width for width in (1, 2, 4, 8, 16, 32) if width <= max(gpus, 1) and shape.heads % width == 0]
    roomy = [width for width in allowed if count / width + max(ROOM * count / width, LEAST_ROOM) <= memory]
    width = tensor_parallel or (roomy or allowed[-1:])[0]
    cache = 2 * shape.layers * max(shape.kv_heads / width, 1) * shape.head_dim * size
    free = memory - count / width - CONTEXT * (2 if width > 1 else 1)
    sequences = max(0, int(free // (cache * longest)))
    return Serving(width, max(1, gpus // width), count / width, cache, sequences, longest, memory)
