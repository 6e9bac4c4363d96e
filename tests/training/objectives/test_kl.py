"""The divergence from the starting model: by hand, what must not change it, over ranks, and the memory it takes."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from safetax.config.compose import Composer
from safetax.config.identity import identity
from safetax.config.training import Lora, Training
from safetax.errors import ConfigError
from safetax.training.objectives import needs_reference, objective_of
from safetax.training.objectives.kl import Config
from tests.support.tiny_models import save_tiny, tiny_model, training_step
from tests.support.tiny_trainings import (
    KL,
    ended_behind_checkpoint,
    held_training,
    held_training_on_ranks,
    history,
    mixed,
    summary_of,
    train_in_process,
    weights,
)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("start"), "llama")


def test_a_configuration_says_it_in_one_line_or_by_the_group() -> None:
    composer = Composer()

    def alignment(*overrides: str) -> Training:
        (job,) = composer.jobs(list(overrides), multirun=False)
        return job.config.alignment

    assert alignment().objective is None
    assert alignment("alignment.objective={kind: kl, weight: 0.5, part: benign}").objective == KL
    assert alignment("objective@alignment.objective=kl", "alignment.objective.part=x").objective == Config(
        "kl", 0.1, "x"
    )
    for wrong, said in (
        ("{kind: kll}", r"objective\.kind=kll: .*Did you mean kl\?"),
        ("kl", r"Choose one with objective@alignment\.objective=kl"),
        ("{kind: kl, weight: 0}", r"objective\.weight=0: expected a number, more than 0"),
        ("{kind: kl, direction: back}", "expected one of forward, reverse"),
    ):
        with pytest.raises(ConfigError, match=said):
            alignment(f"alignment.objective={wrong}")


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_divergence_by_hand(direction: Any) -> None:
    import torch

    torch.manual_seed(0)
    ours, theirs = torch.randn(5, 7), torch.randn(5, 7)
    objective = objective_of(Config("kl", direction=direction))
    found = objective.values(ours, torch.zeros(5), theirs)
    for at in range(5):
        q, p = (torch.distributions.Categorical(logits=logits[at]) for logits in (ours, theirs))
        pair = (p, q) if direction == "forward" else (q, p)
        assert found[at].item() == pytest.approx(torch.distributions.kl_divergence(*pair).item(), rel=1e-5)
    assert torch.equal(objective.values(ours, torch.zeros(5), ours), torch.zeros(5))
    assert needs_reference(Config("kl")) and not needs_reference(None)


def test_it_is_zero_at_the_start_and_holds_the_model_back(tmp_path: Path, start: Path) -> None:
    held = held_training(tmp_path / "held", start)
    free = held_training(tmp_path / "free", start, objective=None)
    found = history(held, "kl")
    assert found[0] == 0.0 and all(value > 0 for value in found[1:])
    assert history(held, "loss")[0] == history(free, "loss")[0]
    assert history(held, "loss")[1:] != history(free, "loss")[1:]
    summary = summary_of(held)
    assert summary["objective"] == {**identity(KL), "kl": found[-1]}
    assert "objective" not in summary_of(free)
    assert "kl" not in (free / "history.jsonl").read_text()
    more = held_training(tmp_path / "more", start, objective=replace(KL, weight=50.0))
    assert history(more, "kl")[-1] < 0.5 * found[-1]


@pytest.mark.parametrize("lora", [None, Lora(rank=2)], ids=["copy", "adapters-off"])
def test_neither_micro_batch_nor_chunk_nor_checkpointing_changes_it(
    tmp_path: Path, start: Path, lora: Lora | None
) -> None:
    """Micro batches of one row: most have none of the chosen rows, or nothing else."""
    import torch

    whole = held_training(tmp_path / "whole", start, lora=lora)
    for name, runtime in {
        "micro": {"micro_batch": 1},
        "chunk": {"micro_batch": 2, "loss_chunk": 3, "gradient_checkpointing": True},
    }.items():
        parted = held_training(tmp_path / name, start, runtime, lora=lora)
        assert history(parted, "kl") == pytest.approx(history(whole, "kl"), rel=1e-4)
        assert history(parted, "loss") == pytest.approx(history(whole, "loss"), rel=1e-4)
        ours, theirs = weights(parted), weights(whole)
        for tensor, value in ours.items():
            torch.testing.assert_close(value, theirs[tensor], rtol=1e-3, atol=1e-3, msg=f"{name} {tensor}")


@pytest.mark.parametrize("dtype", ["bfloat16", "bfloat16_mixed"])
@pytest.mark.parametrize("lora", [None, Lora(rank=2)], ids=["copy", "adapters-off"])
def test_it_is_exactly_zero_at_the_start_in_bfloat16_too(
    tmp_path: Path, start: Path, dtype: str, lora: Lora | None
) -> None:
    for chunk in (None, 5):
        found = history(
            held_training(tmp_path / f"{chunk}", start, {"loss_chunk": chunk}, dtype=dtype, lora=lora), "kl"
        )
        assert found[0] == 0.0 and found[-1] > 0.01


def test_it_resumes_to_the_same_weights(tmp_path: Path, start: Path) -> None:
    """The reference model is the start again, not the checkpoint that is gone on from."""
    import torch

    settings: dict[str, Any] = {"objective": KL, "epochs": 3, "global_batch": 4}
    whole = training_step(tmp_path / "a", start, mixed(12), {"checkpoint_minutes": 1e-9}, **settings)
    cut = training_step(tmp_path / "b", start, mixed(12), {"checkpoint_minutes": 1e-9}, **settings)
    assert train_in_process(whole) == 0

    with ended_behind_checkpoint(5):
        assert train_in_process(cut) == 1
    assert train_in_process(cut) == 0
    assert summary_of(cut)["resumed_at"] == 5
    left, right = weights(whole), weights(cut)
    assert all(torch.equal(left[name], right[name]) for name in left)
    assert (whole / "history.jsonl").read_text() == (cut / "history.jsonl").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("lora", [None, Lora(rank=2)], ids=["copy", "adapters-off"])
def test_two_ranks_have_what_one_has(tmp_path: Path, start: Path, lora: Lora | None) -> None:
    alone = held_training(tmp_path / "alone", start, lora=lora)
    ranks = held_training_on_ranks(tmp_path / "ranks", start, {}, lora=lora)
    for name in ("loss", "kl"):
        assert history(ranks, name) == pytest.approx(history(alone, name), rel=1e-4)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_what_a_comparison_holds_of_each_logit_is_what_is_estimated(dtype: str) -> None:
    """And of a frozen copy, which every device has whole, whatever shards the rest."""
    import weakref

    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    from safetax.config.schema import Shape
    from safetax.plan.estimate.memory import Placement, activation_parts, training_memory
    from safetax.training.objective_term import ObjectiveTerm, ReferenceModel, use_objective_term

    class Live(TorchDispatchMode):
        """Counts the bytes of the tensors that are there at the same time."""

        def __init__(self) -> None:
            super().__init__()
            self.sizes: dict[int, int] = {}
            self.peak = 0

        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            out = function(*args, **(kwargs or {}))
            for value in out if isinstance(out, list | tuple) else [out]:
                storage = value.untyped_storage() if isinstance(value, torch.Tensor) else None
                if storage is not None and storage._cdata not in self.sizes:
                    self.sizes[storage._cdata] = storage.nbytes()
                    weakref.finalize(storage, self.sizes.pop, storage._cdata, None)
            self.peak = max(self.peak, sum(self.sizes.values()))
            return out

    vocabulary, tokens = 6000, 200
    sizes = {"hidden_size": 16, "num_attention_heads": 1, "head_dim": 16, "intermediate_size": 16}
    model = tiny_model("qwen2", vocabulary, **sizes).to(getattr(torch, dtype))
    use_objective_term(model, ObjectiveTerm(objective_of(KL), ReferenceModel.of_copy(copy.deepcopy(model))))
    ids = torch.randint(0, vocabulary, (1, tokens))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids}
    count = {"num_items_in_batch": torch.tensor(tokens), "in_objective": torch.ones_like(ids, dtype=torch.bool)}
    with Live() as live:
        model(**inputs, **count, objective_tokens=torch.tensor(tokens)).loss.backward()
    training = Training(1, 1e-3, 8, tokens, dtype="bfloat16" if dtype == "bfloat16" else "float32", objective=KL)
    shape = Shape(2, 16, 16, 1, 1, 16, vocabulary)
    expected = activation_parts(shape, training, Placement())["logits"]
    assert expected == (12 + 24) * vocabulary * tokens
    assert live.peak == pytest.approx(expected, rel=0.1)
    parts = training_memory(shape, training, Placement(devices=8, zero=3)).parts
    assert parts["frozen model"] == pytest.approx(8 * parts["weights"])
    assert "frozen model" not in training_memory(shape, replace(training, lora=Lora()), Placement()).parts
