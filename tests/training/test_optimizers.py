"""Optimizers: which parameters each one steps, and with which settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.tiny_models import chats, save_tiny, training_step
from tests.support.tiny_trainings import (
    train_in_process,
)


def test_muon_steps_matrices_and_adamw_the_rest() -> None:
    import torch

    from safetax.config.training import Training
    from safetax.training.optimizers import MuonWithAdamW, make_optimizer

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = torch.nn.Embedding(5, 4)
            self.linear = torch.nn.Linear(4, 4)

    torch.manual_seed(0)
    net = Net()
    training = Training(1, 1e-3, 8, 128, optimizer="muon_adamw", muon_learning_rate=1e-2)
    optimizer = make_optimizer(net, training, ["linear.weight", "embed.weight"])
    assert isinstance(optimizer, MuonWithAdamW)
    assert [value for group in optimizer.muon.param_groups for value in group["params"]] == [net.linear.weight]
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5)
    assert optimizer.muon.param_groups[0]["lr"] == 0.5e-2
    assert optimizer.adamw.param_groups[0]["lr"] == 0.5e-3

    def step() -> list[torch.Tensor]:
        net.linear(net.embed(torch.arange(5))).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        return [parameter.detach().clone() for parameter in net.parameters()]

    start = [parameter.detach().clone() for parameter in net.parameters()]
    once = step()
    assert all(not torch.equal(a, b) for a, b in zip(start, once, strict=True))
    import copy

    state = copy.deepcopy(optimizer.state_dict())  # the live state is changed in place
    twice = step()
    with torch.no_grad():
        for parameter, value in zip(net.parameters(), once, strict=True):
            parameter.copy_(value)
    optimizer.load_state_dict(state)
    assert all(torch.equal(a, b) for a, b in zip(twice, step(), strict=True))
    assert schedule is not None


def test_hyper_parameters_reach_the_optimizer_as_published(tmp_path: Path) -> None:
    """PROTOCOL: AdamW, betas 0.9/0.95, eps 1e-8, decay 1e-4 on matrices, cosine to 0 from the first step on."""
    import math

    import torch

    from safetax.training.trainer import SupervisedTrainer

    found: list[Any] = []
    original = SupervisedTrainer.create_optimizer

    def kept(self: Any, model: Any = None) -> torch.optim.Optimizer:
        found[:] = [original(self, model), self.model]
        return found[0]

    start = save_tiny(tmp_path / "start", "qwen2")
    settings: dict[str, Any] = {"learning_rate": 5e-5, "betas": [0.9, 0.95], "weight_decay": 1e-4, "epochs": 5}
    step = training_step(tmp_path / "o", start, chats(8), max_grad_norm=None, **settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SupervisedTrainer, "create_optimizer", kept)
        assert train_in_process(step) == 0
    optimizer, model = found
    assert isinstance(optimizer, torch.optim.AdamW)
    names = {id(value): name for name, value in model.named_parameters()}
    decay = {names[id(value)]: group["weight_decay"] for group in optimizer.param_groups for value in group["params"]}
    assert decay.keys() == set(names.values())
    for name, value in decay.items():
        assert value == (0.0 if "norm" in name or name.endswith("bias") else 1e-4), name
    assert all(group["betas"] == (0.9, 0.95) and group["eps"] == 1e-8 for group in optimizer.param_groups)
    rates = [json.loads(line) for line in (step / "history.jsonl").read_text().splitlines()]
    assert rates[-1]["step"] == 10
    for entry in rates:  # the rate that the step was done with
        expected = 5e-5 * 0.5 * (1 + math.cos(math.pi * (entry["step"] - 1) / 10))
        assert entry["learning_rate"] == pytest.approx(expected, rel=1e-3, abs=1e-9)
