"""DeepSpeed's configuration of a training, and its optimizer for states in the host's memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from safetax.config.training import Training


def deepspeed_config(training: Training, runtime: dict[str, Any], micro: int) -> dict[str, Any]:
    """Return the DeepSpeed configuration; it has no optimizer block, so that ours is the one that steps.

    Args:
        training: hyper-parameters.
        runtime: ZeRO stage and what is kept in the host's memory.
        micro: rows per rank and forward pass.
    """
    cuda = torch.cuda.is_available()
    pure = training.dtype == "bfloat16"
    zero: dict[str, Any] = {
        "stage": runtime["zero"],
        "contiguous_gradients": True,
        "overlap_comm": cuda,
        "reduce_bucket_size": "auto",
    }
    if runtime["zero"] == 3:
        zero |= {
            "stage3_prefetch_bucket_size": "auto",
            "stage3_param_persistence_threshold": "auto",
            "stage3_gather_16bit_weights_on_model_save": True,
        }
    host = {"device": "cpu", "pin_memory": cuda}
    if runtime["offload"] in ("optimizer", "all"):
        zero["offload_optimizer"] = host
    if runtime["offload"] == "all":
        zero["offload_param"] = host
    return {
        "zero_optimization": zero,
        # DeepSpeed's own bf16 keeps float32 masters of the weights; the two other switches do away with them.
        "bf16": {
            "enabled": training.dtype != "float32",
            "bf16_master_weights_and_grads": pure,
            "bf16_optimizer_states": pure,
        },
        # True, its default, makes accelerate put an Adam of its own in place of ours: with float32 states, and with the
        # weight decay inside the gradient.
        "zero_force_ds_cpu_optimizer": False,
        "gradient_clipping": training.max_grad_norm or 0.0,
        "train_micro_batch_size_per_gpu": micro,
        "gradient_accumulation_steps": "auto",
        "train_batch_size": "auto",
    }


def offloaded_adamw(groups: Sequence[dict[str, Any]], training: Training) -> torch.optim.Optimizer:
    """Return DeepSpeed's AdamW for states in the host's memory; it is compiled on its first use."""
    from deepspeed.ops.adam import DeepSpeedCPUAdam

    return DeepSpeedCPUAdam(list(groups), adamw_mode=True, fp32_optimizer_states=training.dtype != "bfloat16")
