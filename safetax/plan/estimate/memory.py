"""How much memory a training takes, from a model's shape alone.

Pure arithmetic: nothing is loaded or asked. What a decoder layer keeps for its backward pass was counted tensor by
tensor on transformers' Qwen2, Qwen3 and Llama; ``tests/plan/test_estimate.py`` counts it again.
"""

from __future__ import annotations

from dataclasses import dataclass

from safetax.config.runtime import Runtime
from safetax.config.schema import Shape
from safetax.config.training import Lora, Training
from safetax.training.objectives import needs_reference

GIB = 2**30
"""Bytes of a GiB; the GB in a GPU's name are these."""
LOGIT_BYTES = 12
"""Of one logit while the loss is computed: the logit, its float32 copy, its log-probability, their gradients."""
TERM_BYTES = 24
"""Of one logit more where an objective compares it with a frozen model's: that one's, float32 copies of both, their
log-probabilities and probabilities, and their gradients."""
LIVE_PARAMETERS = 1_000_000_000
"""Parameters that DeepSpeed's ZeRO-3 holds gathered at a time, and that it steps at a time."""
CONTEXT = 1.0 * GIB
"""Of the CUDA context and the libraries' workspaces; communication between GPUs takes as much again."""
FRAGMENTATION = 0.05
"""Share that the allocator cannot use."""


@dataclass(frozen=True)
class Placement:
    """The runtime settings that decide the memory of a training."""

    devices: int = 1
    nodes: int = 1
    zero: int = 0
    micro_batch: int = 1
    gradient_checkpointing: bool = False
    offload: str = "none"
    loss_chunk: int | None = None


@dataclass(frozen=True)
class Memory:
    """What takes how many bytes: ``parts`` on each GPU, ``host`` in the memory of each node."""

    parts: dict[str, float]
    host: float = 0.0

    @property
    def total(self) -> float:
        """Bytes on each GPU."""
        return sum(self.parts.values())


def placement_of(stage: str, training: Training, runtime: Runtime, offload: str) -> Placement:
    """Return where a stage of a run trains.

    Args:
        stage: ``pretraining``, ``reasoning`` or ``alignment``.
        training: its hyper-parameters.
        runtime: the run's.
        offload: what ZeRO keeps on the host; ``auto`` is resolved by then.
    """
    distributed = stage in runtime.distributed
    devices = runtime.devices if distributed else 1
    return Placement(
        devices=devices,
        nodes=runtime.nodes if distributed else 1,
        zero=runtime.zero if distributed else 0,
        micro_batch=runtime.micro_batch or max(1, training.global_batch // devices),
        gradient_checkpointing=runtime.gradient_checkpointing,
        offload=offload if distributed and runtime.zero else "none",
        loss_chunk=runtime.loss_chunk,
    )


def parameters_in(shape: Shape) -> float:
    """Return the parameters of a decoder; biases and norms, far below a thousandth, are left out."""
    embeddings = shape.vocabulary * shape.hidden
    return shape.layers * sum(rows * columns for rows, columns in _projections(shape).values()) + embeddings * (
        1 if shape.tied else 2
    )


def _projections(shape: Shape) -> dict[str, tuple[int, int]]:
    query, key = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    return {
        "q_proj": (shape.hidden, query),
        "k_proj": (shape.hidden, key),
        "v_proj": (shape.hidden, key),
        "o_proj": (query, shape.hidden),
        "gate_proj": (shape.hidden, shape.intermediate),
        "up_proj": (shape.hidden, shape.intermediate),
        "down_proj": (shape.intermediate, shape.hidden),
    }


def lora_parameters(shape: Shape, lora: Lora) -> float:
    """Return the parameters of low-rank adapters on every layer's target modules."""
    sizes = _projections(shape)
    targets = [sizes[name] for name in lora.target_modules if name in sizes]
    return shape.layers * sum(lora.rank * (rows + columns) for rows, columns in targets)


def training_memory(shape: Shape, training: Training, placement: Placement) -> Memory:
    """Return the memory of a training, when every example is as long as ``max_tokens``.

    With N parameters, T of them trained, bytes for each:

    - weights N x 2 (bfloat16, and bfloat16_mixed under DeepSpeed or adapters) or 4 (float32, bfloat16_mixed), gradients
      T x the same;
    - optimizer states T x 2 x the same; DeepSpeed's bfloat16_mixed has T x 12 (float32 masters and two moments), its
      bfloat16 with ZeRO 1 and 2 T x 6 (it steps a copy);
    - ZeRO 1 divides the optimizer's by the devices, 2 the gradients too, 3 the weights too; offload=optimizer moves the
      optimizer's (and with ZeRO 2 and 3 the gradients) to the host, offload=all the weights too;
    - activations of each token: with gradient checkpointing the input of every layer (2 x hidden bytes) and one layer
      at work; else what every layer keeps, for bfloat16 16 x hidden + 16 x queries + 6 x keys + 8 x intermediate (norms
      of queries and keys, as in Qwen3, included), and 5 x intermediate + 2 x hidden for the gradients of one;
    - logits, 12 bytes x vocabulary for each token of the micro batch, or of ``loss_chunk``, and 24 more where an
      objective compares them with a frozen model's; they and a layer at work do not meet, so the larger counts. So do
      the activations and what the optimizer needs for a step;
    - the frozen model of such an objective, N x as the weights, whole on every device; with adapters it is the trained
      one without them;
    - buffers: of ZeRO-3 (1e9 gathered parameters), of plain data parallelism (all gradients once more), of autocast
      (the weights once more in bfloat16);
    - 1 GiB of CUDA, 2 with several devices, and 5 % of the whole.
    """
    deepspeed = placement.zero > 0
    count, size = parameters_in(shape), _sizes(training, placement.zero)
    trained = lora_parameters(shape, training.lora) if training.lora else count
    weights = count * size.weight + (trained * size.trained if training.lora else 0.0)
    weights /= placement.devices if placement.zero >= 3 else 1
    gradients = trained * size.trained / (placement.devices if placement.zero >= 2 else 1)
    states = trained * size.state / (placement.devices if placement.zero >= 1 else 1)
    activations = activation_parts(shape, training, placement)
    # One more copy of what is stepped; DeepSpeed steps a part of it after the other.
    step = min(trained / placement.devices, LIVE_PARAMETERS) * 4 if deepspeed else trained * size.trained
    if placement.offload != "none":
        step = 0.0
    if step > sum(activations.values()):
        activations = {"optimizer step": step}
    host = 0.0
    if deepspeed and placement.offload != "none":
        host = states + gradients * (placement.zero >= 2)
        states, gradients = 0.0, gradients if placement.zero < 2 else 0.0
        if placement.offload == "all" and placement.zero >= 3:
            host += weights
            weights = 0.0
    parts = {
        "weights": weights,
        "frozen model": count * size.weight if needs_reference(training.objective) and training.lora is None else 0.0,
        "gradients": gradients,
        "optimizer states": states,
        **activations,
        "buffers": _buffers(count, trained * size.trained, training, placement),
    }
    context = CONTEXT * (2 if placement.devices > 1 else 1)
    parts["CUDA and 5 %"] = context + FRAGMENTATION * (sum(parts.values()) + context)
    return Memory({name: size for name, size in parts.items() if size}, host * placement.devices / placement.nodes)


def activation_parts(shape: Shape, training: Training, placement: Placement) -> dict[str, float]:
    """Return what forward and backward pass keep on a device, in bytes."""
    wide = 2 if training.dtype == "float32" else 1
    tokens = placement.micro_batch * training.max_tokens
    hidden, intermediate = shape.hidden, shape.intermediate
    query, key = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    if training.dtype == "float32":
        kept = (24 * hidden + 28 * query + 8 * key + 16 * intermediate) * tokens
    else:
        kept = (16 * hidden + 16 * query + 6 * key + 8 * intermediate) * tokens
    if training.dtype == "bfloat16_mixed" and not placement.zero:
        kept += 12 * hidden * tokens  # the residual stream is float32 there
    backward = (5 * intermediate + 2 * hidden) * wide * tokens
    inputs = 2 * wide * hidden * shape.layers * tokens
    logits = (
        (LOGIT_BYTES + TERM_BYTES * needs_reference(training.objective))
        * shape.vocabulary
        * min(tokens, placement.loss_chunk or tokens)
    )
    if placement.gradient_checkpointing:
        first, working = {"layer inputs": inputs}, kept + backward
    else:
        first, working = {"activations": kept * shape.layers}, backward
    return {**first, **({"logits": logits} if logits > working else {"one layer at work": working})}


def _buffers(count: float, gradients: float, training: Training, placement: Placement) -> float:
    if placement.zero:
        return min(count, LIVE_PARAMETERS) * (4 if training.dtype == "float32" else 2) if placement.zero >= 3 else 0.0
    casts = 2 * count if training.dtype == "bfloat16_mixed" and training.lora is None else 0.0
    return casts + (gradients if placement.devices > 1 else 0.0)


@dataclass(frozen=True)
class _Sizes:
    """Bytes of a weight, of a weight (and a gradient) that is trained, and of what the optimizer keeps of it."""

    weight: int
    trained: int
    state: int


def _sizes(training: Training, zero: int) -> _Sizes:
    if training.dtype == "float32":
        return _Sizes(4, 4, 8)
    if training.dtype == "bfloat16":
        return _Sizes(2, 2, 6 if zero in (1, 2) else 4)
    if zero:
        return _Sizes(2, 2, 12)
    return _Sizes(2 if training.lora else 4, 4, 8)


def checkpoint_bytes(shape: Shape, training: Training, zero: int) -> tuple[float, float]:
    """Return the bytes on disk of a finished model, and of a checkpoint in the middle of its training."""
    count, size = parameters_in(shape), _sizes(training, zero)
    trained = lora_parameters(shape, training.lora) if training.lora else count
    return count * (4 if training.dtype == "float32" else 2), trained * (size.trained + size.state)
