"""Optimizers: AdamW, and Muon on the hidden matrices with AdamW on the rest."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

from safetax.config.training import Training


class Float32Muon(torch.optim.Muon):
    """Muon whose orthogonalisation is done in float32.

    That of torch is done in bfloat16, which CPUs without instructions for it multiply more than ten times as slowly.
    """

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one optimiser step; matrices of one shape are orthogonalised together."""
        loss = closure() if closure is not None else None
        with torch.no_grad():
            for group in self.param_groups:
                by_shape: dict[torch.Size, list[torch.nn.Parameter]] = {}
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        by_shape.setdefault(parameter.shape, []).append(parameter)
                for shape, parameters in by_shape.items():
                    updates = torch.stack([self._momentum(parameter, group) for parameter in parameters])
                    scale = math.sqrt(max(1.0, shape[0] / shape[1]))
                    for parameter, update in zip(parameters, orthogonalised(updates, group), strict=True):
                        parameter.mul_(1 - group["lr"] * group["weight_decay"])
                        parameter.add_(update, alpha=-group["lr"] * scale)
        return loss

    def _momentum(self, parameter: torch.nn.Parameter, group: dict[str, Any]) -> torch.Tensor:
        gradient = parameter.grad
        assert gradient is not None
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        buffer = state["momentum_buffer"].lerp_(gradient, 1 - group["momentum"])
        return gradient.lerp(buffer, group["momentum"]) if group["nesterov"] else buffer


def orthogonalised(matrices: torch.Tensor, group: Mapping[str, Any]) -> torch.Tensor:
    """Return matrices with their singular values brought near 1 by Newton and Schulz's iteration.

    Args:
        matrices: shape [number, rows, columns].
        group: ``ns_coefficients``, ``ns_steps`` and ``eps`` as torch's Muon has them.
    """
    a, b, c = group["ns_coefficients"]
    tall = matrices.shape[1] > matrices.shape[2]
    x = (matrices.mT if tall else matrices).float()
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=group["eps"])
    for _ in range(group["ns_steps"]):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon on the hidden matrices and AdamW on everything else, behind one optimizer's interface."""

    def __init__(self, muon: torch.optim.Muon, adamw: torch.optim.AdamW) -> None:
        self.muon = muon
        self.adamw = adamw
        super().__init__([*muon.param_groups, *adamw.param_groups], {})
        self._share_groups()

    def _share_groups(self) -> None:
        # A schedule writes its rates into these very dictionaries.
        self.param_groups = [*self.muon.param_groups, *self.adamw.param_groups]

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one optimiser step of both."""
        loss = closure() if closure is not None else None
        self.muon.step()
        self.adamw.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Return the states of both."""
        return {"muon": self.muon.state_dict(), "adamw": self.adamw.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the states of both."""
        self.muon.load_state_dict(state_dict["muon"])
        self.adamw.load_state_dict(state_dict["adamw"])
        self._share_groups()


def make_optimizer(
    model: torch.nn.Module, training: Training, decayed: Iterable[str], offload: bool = False
) -> torch.optim.Optimizer:
    """Return the optimizer of a training; its states have the number format of the parameters.

    Args:
        model: the model, whose trainable parameters are taken.
        training: hyper-parameters.
        decayed: names of the parameters that weight decay applies to (the matrices, not norms and biases).
        offload: keep AdamW's states in the host's memory, by DeepSpeed's optimizer.
    """
    decayed = set(decayed)
    parameters = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    adam = {"lr": training.learning_rate, "betas": tuple(training.betas)}
    if training.optimizer == "adamw":
        groups: list[dict[str, Any]] = []
        for decay, named in ((training.weight_decay, decayed), (0.0, parameters.keys() - decayed)):
            if members := [value for name, value in parameters.items() if name in named]:
                groups.append({"params": members, "weight_decay": decay, **adam})
        if offload:
            from safetax.training.deepspeed_settings import offloaded_adamw

            return offloaded_adamw(groups, training)
        return torch.optim.AdamW(groups, fused=True)
    matrices = [value for name, value in parameters.items() if value.ndim == 2 and not is_embedding(name)]
    others = [value for name, value in parameters.items() if value.ndim != 2 or is_embedding(name)]
    assert training.muon_learning_rate is not None
    muon = Float32Muon(matrices, lr=training.muon_learning_rate, weight_decay=training.weight_decay)
    if not others:  # adapters are all matrices
        return muon
    return MuonWithAdamW(muon, torch.optim.AdamW(others, weight_decay=training.weight_decay, fused=True, **adam))


def is_embedding(name: str) -> bool:
    """Whether a parameter belongs to the input or output embedding, which Muon is not made for."""
    return "embed" in name or "lm_head" in name
