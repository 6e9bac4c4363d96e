"""The train worker: what carries loss, resuming, DeepSpeed ZeRO-3 against the plain run, and what it refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from safetax.errors import UserError
from safetax.records import Example, read_records, write_records
from safetax.store.manifest import read_json, sha256_of, write_json
from tests.conftest import run_lab
from tests.support.tiny_models import chats, save_tiny, training_step
from tests.support.tiny_steps import silent


def aligned_step(outputs: Path) -> Path:
    """Return the folder of the one aligned checkpoint."""
    found = [
        path.parent for path in outputs.glob("train/*/step.json") if "align" in json.loads(path.read_text())["title"]
    ]
    assert len(found) == 1
    return found[0]


def weights(directory: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(directory / "model" / "model.safetensors")


def losses(directory: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (directory / "history.jsonl").read_text().splitlines()]


def unfinish(directory: Path) -> None:
    """Take a finished step back to where it was frozen."""
    from safetax.store.manifest import clear

    clear(directory)


def set_runtime(directory: Path, **values: object) -> None:
    write_json(directory / "runtime.json", {**(read_json(directory / "runtime.json") or {}), **values})


def train_by_hand(directory: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "safetax.workers.train", str(directory)],
        capture_output=True,
        text=True,
        timeout=400,
        env={**os.environ, **environment},
    )


def test_loss_is_on_the_assistant_alone(quick_lab: Path) -> None:
    from safetax.config.identity import restore_node
    from safetax.config.schema import Format
    from safetax.data.chat import ChatRenderer
    from safetax.models.checkpoint import load_tokenizer
    from safetax.training.batches import IGNORED, Collator

    frozen = read_json(aligned_step(quick_lab) / "step.json")
    assert frozen is not None
    root = quick_lab
    inputs = {name: root / key for name, key in frozen["inputs"].items()}
    tokenizer = load_tokenizer(frozen["identity"], inputs)
    renderer = ChatRenderer(tokenizer, restore_node(Format, frozen["identity"]["format"]))
    examples = read_records(inputs["data"] / "examples.jsonl", Example)[:4]
    batch = Collator(tokenizer.pad_token_id)([renderer.row(example) for example in examples])
    for index, example in enumerate(examples):
        kept = batch["labels"][index] != IGNORED
        told = tokenizer.decode(batch["input_ids"][index][kept]).replace(" ", "")
        written = f"<think>{example.thinking}</think>{example.answer}<|im_end|>"
        assert told == written.lower().replace(" ", "")
        asked = tokenizer.decode(batch["input_ids"][index][~kept])
        assert example.messages[-1]["content"].split()[0].lower() in asked
        assert batch["attention_mask"][index].sum() >= kept.sum()


def test_row_without_loss_is_named(copied_lab: Path) -> None:
    step = aligned_step(copied_lab)
    data = copied_lab / json.loads((step / "step.json").read_text())["inputs"]["data"] / "examples.jsonl"
    examples = read_records(data, Example)
    examples[3] = Example(examples[3].id, examples[3].messages, None, "")
    write_records(data, examples)
    unfinish(step)
    done = train_by_hand(step)
    assert done.returncode == 2
    assert "Row 3" in done.stderr and examples[3].id in done.stderr and "answer is empty" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (step / "manifest.json").exists()


def test_row_that_is_too_long_is_named() -> None:
    from safetax.config.schema import Format
    from safetax.data.chat import ChatRenderer
    from safetax.data.lab.tokenizer import build_tokenizer
    from safetax.training.batches import tokenise

    renderer = ChatRenderer(build_tokenizer(), Format("tags", "<think>", "</think>"))
    example = Example("row", [{"role": "user", "content": "how do i"}], "i should", "i can not help with that .")
    length = len(tokenise([example], renderer, 100)[0].tokens)
    with pytest.raises(UserError, match=rf"Row 0 \(row\).*{length} tokens, more than max_tokens={length - 1}"):
        tokenise([example], renderer, length - 1)
    with pytest.raises(UserError, match="no rows"):
        tokenise([], renderer, 100)


@pytest.mark.slow
def test_killed_training_resumes_to_the_same_weights(copied_lab: Path) -> None:
    """The whole process group is killed behind a checkpoint; the rerun goes on from there, to the same bits."""
    step = aligned_step(copied_lab)
    before, history = sha256_of(step / "model" / "model.safetensors"), losses(step)
    unfinish(step)
    set_runtime(step, checkpoint_minutes=0.0001)
    process = subprocess.Popen(
        [sys.executable, "-m", "safetax.workers.train", str(step)], stdout=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while not list(step.glob("scratch/checkpoint-*/complete")):
        assert process.poll() is None, "the training ended before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (step / "manifest.json").exists()
    done = train_by_hand(step)
    assert done.returncode == 0, done.stderr
    summary = (read_json(step / "manifest.json") or {})["summary"]
    assert summary["resumed_at"] > 0
    assert sha256_of(step / "model" / "model.safetensors") == before
    assert losses(step) == history
    assert not (step / "scratch").exists()


@pytest.mark.slow
@pytest.mark.deepspeed
@pytest.mark.skipif(sys.platform != "linux", reason="DeepSpeed needs Linux")
def test_zero3_on_two_ranks_trains_as_the_plain_run_does(copied_lab: Path) -> None:
    import torch

    step = aligned_step(copied_lab)
    plain, plain_losses = weights(step), losses(step)
    lrm = copied_lab / json.loads((step / "step.json").read_text())["inputs"]["model"]
    unfinish(step)
    set_runtime(step, zero=3, devices=2, threads=1)
    done = train_by_hand(step)
    assert done.returncode == 0, done.stdout + done.stderr
    sharded, start = weights(step), weights(lrm)
    assert losses(step) == pytest.approx(plain_losses, rel=1e-4)
    assert sharded.keys() == plain.keys()
    for name, value in sharded.items():
        assert value.shape == plain[name].shape
        torch.testing.assert_close(value, plain[name], rtol=1e-3, atol=2e-5)
    moved = [name for name, value in sharded.items() if not torch.equal(value, start[name])]
    assert len(moved) == len(sharded)
    summary = (read_json(step / "manifest.json") or {})["summary"]
    assert summary["optimizer"] == "AdamW"
    assert summary["parameters"] == sum(value.numel() for value in sharded.values())


def test_muon_under_zero_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"alignment\.optimizer=muon_adamw does not go with runtime\.zero=3"):
        run_lab(tmp_path / "o", "runtime.zero=3", "alignment.optimizer=muon_adamw", "alignment.muon_learning_rate=0.01")
    with pytest.raises(UserError, match=r"reasoning\.training\.optimizer=muon_adamw does not go with runtime\.zero=3"):
        run_lab(tmp_path / "o", "runtime.zero=3", "runtime.distributed=[reasoning,alignment]")
    assert not (tmp_path / "o").exists()


def test_resuming_on_other_ranks_is_refused_before_deepspeed_does(tmp_path: Path) -> None:
    from safetax.training.resume import Layout, last_checkpoint

    whole, broken = tmp_path / "checkpoint-4", tmp_path / "checkpoint-9"
    for path in (whole, broken):
        path.mkdir()
    (whole / "complete").write_text('{"ranks": 2}')
    found = last_checkpoint(tmp_path, Layout(2))
    assert found is not None and (found.path, found.step) == (whole, 4)
    with pytest.raises(UserError, match=r"written by 2 ranks.*cannot be resumed on 4.*runtime\.devices=2"):
        last_checkpoint(tmp_path, Layout(4))


def test_saved_tensor_of_another_shape_is_noticed(copied_lab: Path) -> None:
    import torch
    from safetensors.torch import save_file

    from safetax.models.checkpoint import verify_saved

    model = aligned_step(copied_lab) / "model"
    verify_saved(model)
    tensors = weights(model.parent)
    name = next(name for name in tensors if "mlp" in name)
    save_file({**tensors, name: torch.zeros(0)}, model / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"with shape \(0,\) instead of"):
        verify_saved(model)
    del tensors[name]
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="lacks the tensor"):
        verify_saved(model)


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


def summary_of(step: Path) -> dict[str, Any]:
    manifest = read_json(step / "manifest.json")
    assert manifest is not None, (step / "worker.log").read_text() if (step / "worker.log").exists() else "not finished"
    return manifest["summary"]


def in_process(step: Path) -> int:
    from safetax.store.work_loop import work_on
    from safetax.workers import train

    return work_on([step], train.work, silent())


@pytest.mark.parametrize(
    ("dtype", "weights_in", "masters"),
    [
        ("float32", "float32", "float32"),
        ("bfloat16", "bfloat16", "bfloat16"),
        ("bfloat16_mixed", "float32", "float32"),
    ],
)
def test_numbers_are_in_the_format_that_was_asked_for(
    tmp_path: Path, dtype: str, weights_in: str, masters: str
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from safetax.training.trainer import SupervisedTrainer

    seen: dict[str, set[torch.dtype]] = {"gradients": set(), "products": set()}
    original = SupervisedTrainer.training_step

    def looked_at(self: Any, model: Any, *arguments: Any, **keywords: Any) -> torch.Tensor:
        layer = model.model.layers[0].mlp.up_proj
        hook = layer.register_forward_hook(lambda *found: seen["products"].add(found[2].dtype))
        loss = original(self, model, *arguments, **keywords)
        hook.remove()
        seen["gradients"] |= {value.grad.dtype for value in model.parameters()}
        return loss

    start = save_tiny(tmp_path / "start", "llama")
    step = training_step(tmp_path / "o", start, chats(8), dtype=dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SupervisedTrainer, "training_step", looked_at)
        assert in_process(step) == 0
    assert summary_of(step)["dtypes"] == {"weights": weights_in, "masters": masters, "optimizer": masters}
    assert seen["gradients"] == {getattr(torch, weights_in)}
    assert seen["products"] == {torch.float32 if dtype == "float32" else torch.bfloat16}
    saved = "float32" if dtype == "float32" else "bfloat16"
    assert {value.dtype for value in weights(step).values()} == {getattr(torch, saved)}
    assert json.loads((step / "model" / "config.json").read_text())["dtype"] == saved
    assert AutoModelForCausalLM.from_pretrained(step / "model").dtype == getattr(torch, saved)


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
        assert in_process(step) == 0
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


def test_bad_rows_are_skipped_and_counted_where_the_data_say_so(tmp_path: Path) -> None:
    start = save_tiny(tmp_path / "start", "llama")
    rows = chats(9)
    rows[2] = Example("long", rows[2].messages, " ".join(["i"] * 80), "i can .")
    rows[5] = Example("empty", rows[5].messages, None, "")
    step = training_step(tmp_path / "o", start, rows, on_bad_row="skip")
    assert in_process(step) == 0
    summary = summary_of(step)
    assert (summary["examples"], summary["skipped"]) == (7, 2)
    assert "Row 2 (long)" in summary["skipped_rows"][0] and "more than max_tokens=64" in summary["skipped_rows"][0]
    assert "Row 5 (empty)" in summary["skipped_rows"][1]
    strict = training_step(tmp_path / "p", start, rows)
    assert in_process(strict) == 2
    none = training_step(tmp_path / "q", start, [rows[2]], on_bad_row="skip")
    assert in_process(none) == 2


def test_what_a_training_cost_is_told(tmp_path: Path) -> None:
    start = save_tiny(tmp_path / "start", "llama")
    rows = chats(10)
    step = training_step(tmp_path / "o", start, rows, epochs=3)
    assert in_process(step) == 0
    summary = summary_of(step)
    assert summary["tokens"] == 3 * summary["tokens_per_epoch"] > 0
    assert summary["tokens_per_second"] == pytest.approx(summary["tokens"] / summary["train_seconds"], rel=0.02)
    assert (summary["optimizer_steps"], summary["attempts"], summary["resumed_at"]) == (9, 1, 0)
    assert summary["lost_seconds"] < 0.1
    assert summary["startup_seconds"] > 0 and 0.1 < summary["peak_memory_gb"] < 24
    assert (summary["devices"], summary["zero"], summary["gpu"], summary["mfu"]) == (1, 0, None, None)


def test_operations_of_a_training_by_hand() -> None:
    from safetax.config.training import Lora
    from safetax.training.batches import Work
    from safetax.training.cost import training_flops
    from safetax.training.lora import with_adapters
    from tests.support.tiny_models import tiny_model

    layer = 64 * 64 + 2 * 64 * 32 + 64 * 64 + 3 * 64 * 96 + 2 * 64  # q, k and v, o, the three of the MLP, two norms
    head = 97 * 64
    attention = 12 * 2 * 64 * 500
    untied, tied = (tiny_model("llama", 97, tie_word_embeddings=tie) for tie in (False, True))
    expected = 6 * (2 * layer + 64 + head) * 30 + attention
    assert training_flops(untied, Work(30, 500)) == training_flops(tied, Work(30, 500)) == expected
    adapted = with_adapters(untied, Lora(rank=2, target_modules=["o_proj"]), float32=True)
    adapters = 2 * 2 * (64 + 64)
    expected = (6 * adapters + 4 * (2 * layer + 64 + head)) * 30 + attention
    assert training_flops(adapted, Work(30, 500)) == expected


def test_the_order_of_rows_is_that_of_one_rank_whatever_the_number_of_ranks() -> None:
    import torch
    from accelerate.data_loader import BatchSamplerShard, SeedableRandomSampler
    from torch.utils.data import BatchSampler

    from safetax.training.batches import Order

    alone = SeedableRandomSampler(range(21), data_seed=5, generator=torch.Generator())
    for epoch in (0, 1, 3):
        alone.set_epoch(epoch)
        expected = list(BatchSampler(alone, 8, drop_last=False))
        for ranks, micro in ((2, 4), (4, 1), (8, 1)):
            order = Order(21, 8, 5, lambda epoch=epoch: epoch)
            shards: list[list[Any]] = [
                list(BatchSamplerShard(BatchSampler(order, micro, drop_last=False), ranks, rank))
                for rank in range(ranks)
            ]
            per_step = 8 // ranks // micro
            assert {len(shard) for shard in shards} == {3 * per_step}
            for step, wanted in enumerate(expected):
                taken = [
                    index
                    for shard in shards
                    for batch in shard[step * per_step : (step + 1) * per_step]
                    for index in batch
                    if index < 21
                ]
                assert sorted(taken) == sorted(wanted)


@pytest.mark.slow
def test_two_ranks_and_two_nodes_train_as_one_does(tmp_path: Path) -> None:
    """Rows that fill no last step included; two agents on this machine stand for two nodes."""
    import torch

    start = save_tiny(tmp_path / "start", "qwen3", tie_word_embeddings=True)
    rows = chats(13)
    steps = {
        name: training_step(tmp_path / name, start, rows, runtime, global_batch=4, epochs=3)
        for name, runtime in {
            "alone": {},
            "ranks": {"devices": 2, "micro_batch": 1, "loss_chunk": 8},
            "nodes": {"devices": 2, "nodes": 2, "rendezvous": f"127.0.0.1:{free_port()}"},
        }.items()
    }
    assert in_process(steps["alone"]) == 0
    done = train_by_hand(steps["ranks"])
    assert done.returncode == 0, done.stdout + done.stderr
    command = [sys.executable, "-m", "safetax.workers.train", str(steps["nodes"])]
    second = subprocess.Popen(
        command, env={**os.environ, "NODE_RANK": "1"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    done = train_by_hand(steps["nodes"])
    said = second.communicate(timeout=100)[0]
    assert done.returncode == 0, done.stdout + done.stderr
    assert second.returncode == 0 and "joined" in said, said
    one = summary_of(steps["alone"])
    for name in ("ranks", "nodes"):
        step, summary = steps[name], summary_of(steps[name])
        assert losses(step) == pytest.approx(losses(steps["alone"]), rel=1e-5)
        for tensor, value in weights(step).items():
            torch.testing.assert_close(value, weights(steps["alone"])[tensor], rtol=1e-3, atol=1e-3)
        for key in ("tokens", "optimizer_steps", "examples", "parameters"):
            assert summary[key] == one[key], key
        assert summary["devices"] == 2
        assert summary["startup_seconds"] > 1
    # Nothing more to do for either.
    assert subprocess.run(command, env={**os.environ, "NODE_RANK": "1"}, timeout=60).returncode == 0


@pytest.mark.slow
def test_the_mean_over_rows_is_that_of_all_ranks(tmp_path: Path) -> None:
    """In the last step of each epoch one rank has no row; over its own rows alone the mean would be another."""
    start = save_tiny(tmp_path / "start", "qwen3", tie_word_embeddings=True)
    alone = training_step(tmp_path / "alone", start, chats(13), loss_mean="rows")
    ranks = training_step(tmp_path / "ranks", start, chats(13), {"devices": 2}, loss_mean="rows")
    by_token = training_step(tmp_path / "token", start, chats(13))
    assert in_process(alone) == in_process(by_token) == 0
    done = train_by_hand(ranks)
    assert done.returncode == 0, done.stdout + done.stderr
    assert losses(ranks) == pytest.approx(losses(alone), rel=1e-5)
    assert losses(by_token) != pytest.approx(losses(alone), rel=1e-3)


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_nodes_that_cannot_meet_are_refused(tmp_path: Path) -> None:
    from safetax.store.job import StepJob
    from safetax.workers.train import launch_command

    start = tmp_path / "start"

    def command(**runtime: Any) -> list[str]:
        return launch_command(StepJob(training_step(tmp_path / "o", start, chats(4), runtime), silent()))

    with pytest.raises(
        UserError, match=r"devices=3 cannot be spread over runtime\.nodes=2; allowed are multiples of 2"
    ):
        command(devices=3, nodes=2, rendezvous="localhost:29500")
    for wrong in (None, "localhost", "localhost:port", ":29500"):
        with pytest.raises(UserError, match=r"runtime\.rendezvous=.*set it to host:port"):
            command(devices=2, nodes=2, rendezvous=wrong)
    told = command(devices=16, nodes=2, rendezvous="127.0.0.1:29500")
    assert "--nnodes=2" in told and "--nproc-per-node=8" in told and "--rdzv-endpoint=127.0.0.1:29500" in told
    assert "--local-addr=127.0.0.1" in told and "--standalone" not in told
    assert "--standalone" in command(devices=4)


def test_settings_that_deepspeed_would_not_follow_are_refused() -> None:
    from safetax.config.training import Training
    from safetax.training.deepspeed_settings import check_zero

    plain = Training(1, 1e-3, 8, 128)
    muon = Training(1, 1e-3, 8, 128, optimizer="muon_adamw", muon_learning_rate=1e-2)
    for training, zero, offload, match in (
        (plain, 0, "optimizer", r"runtime\.offload=optimizer does not go with runtime\.zero=0"),
        (plain, 2, "all", r"runtime\.offload=all does not go with runtime\.zero=2"),
        (muon, 3, "none", "optimizer=muon_adamw does not go with"),
    ):
        with pytest.raises(UserError, match=match):
            check_zero(training, {"zero": zero, "offload": offload})
    check_zero(muon, {"zero": 0, "offload": "auto"})
    check_zero(plain, {"zero": 3, "offload": "all"})


def test_a_checkpoint_of_another_layout_is_not_resumed(tmp_path: Path) -> None:
    from safetax.training.batches import Work
    from safetax.training.resume import Layout, last_checkpoint, mark_complete

    for step in (3, 6):
        (tmp_path / f"checkpoint-{step}").mkdir()
        mark_complete(tmp_path, step, Layout(4, 3), 12.5, Work(100, 2000))
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-6"]
    resumed = last_checkpoint(tmp_path, Layout(4, 3))
    assert resumed is not None and (resumed.step, resumed.seconds, resumed.work) == (6, 12.5, Work(100, 2000))
    with pytest.raises(UserError, match=r"written with ZeRO stage 3 .* on stage 2: set runtime\.zero=3"):
        last_checkpoint(tmp_path, Layout(4, 2))
    with pytest.raises(UserError, match=r"written with offload=none .* on optimizer: set runtime\.offload=none"):
        last_checkpoint(tmp_path, Layout(4, 3, "optimizer"))


@pytest.mark.slow
@pytest.mark.deepspeed
@pytest.mark.skipif(sys.platform != "linux", reason="DeepSpeed needs Linux")
@pytest.mark.parametrize(
    ("zero", "model_type", "tied", "values", "formats"),
    [
        (
            3,
            "qwen2",
            False,
            {"dtype": "bfloat16", "lora": {"rank": 4, "target_modules": ["q_proj", "down_proj"]}},
            {"weights": "bfloat16", "masters": "bfloat16", "optimizer": "bfloat16"},
        ),
        (
            2,
            "llama",
            True,
            # Decay decides much here: inside the gradient, as another Adam has it, the losses would be others.
            {"dtype": "bfloat16_mixed", "offload": "optimizer", "weight_decay": 30.0, "loss_mean": "rows"},
            {"weights": "bfloat16", "masters": "float32", "optimizer": "float32"},
        ),
    ],
    ids=["zero3-bfloat16-lora", "zero2-mixed-offload"],
)
def test_zero_in_bfloat16_with_everything_that_saves_memory(
    tmp_path: Path, zero: int, model_type: str, tied: bool, values: dict[str, Any], formats: dict[str, str]
) -> None:
    """Chunked loss, gradient checkpointing, micro batches and tied weights, against the plain run on one rank."""
    import torch

    from safetax.config.training import Lora

    start = save_tiny(tmp_path / "start", model_type, tie_word_embeddings=tied)
    lora = Lora(**values["lora"]) if "lora" in values else None
    offload, decay = values.get("offload", "none"), values.get("weight_decay", 0.0)
    settings = {"dtype": values["dtype"], "lora": lora, "learning_rate": 3e-3, "epochs": 3, "weight_decay": decay}
    settings |= {"loss_mean": values.get("loss_mean", "tokens")}
    spread = {"devices": 2, "zero": zero, "micro_batch": 1, "loss_chunk": 8, "gradient_checkpointing": True}
    spread |= {"offload": offload}
    step = training_step(tmp_path / "o", start, chats(9), spread, **settings)
    done = train_by_hand(step)
    assert done.returncode == 0, done.stdout + done.stderr
    plain = training_step(tmp_path / "p", start, chats(9), **settings)
    assert in_process(plain) == 0
    summary = summary_of(step)
    assert summary["dtypes"] == formats
    optimizer = "AdamW" if offload == "none" else "DeepSpeedCPUAdam"  # the latter is compiled on its first use
    assert (summary["optimizer"], summary["zero"], summary["devices"]) == (optimizer, zero, 2)
    for key in ("tokens", "parameters", "trained_parameters", "optimizer_steps"):
        assert summary[key] == summary_of(plain)[key], key
    assert losses(step) == pytest.approx(losses(plain), rel=0.02)
    from safetensors.torch import load_file

    before, after, alone = load_file(start / "model.safetensors"), weights(step), weights(plain)
    assert after.keys() == before.keys() == alone.keys()
    for name, value in after.items():
        assert value.dtype == torch.bfloat16
        begun = before[name].to(torch.bfloat16)
        # An adapter is on the matrix; a bias beside it stays.
        targeted = lora is None or any(f"{part}.weight" in name for part in lora.target_modules)
        assert torch.equal(value, begun) != targeted, name
        if targeted:
            way, other = (tensor.float() - begun.float() for tensor in (value, alone[name]))
            assert torch.nn.functional.cosine_similarity(way.flatten(), other.flatten(), 0) > 0.8, name


@pytest.mark.slow
@pytest.mark.deepspeed
@pytest.mark.skipif(sys.platform != "linux", reason="DeepSpeed needs Linux")
def test_killed_zero3_training_in_pure_bfloat16_resumes(tmp_path: Path) -> None:
    """In its second epoch, so that the order of the rows must be found again; costs of both attempts add up."""
    start = save_tiny(tmp_path / "start", "qwen3", tie_word_embeddings=True)
    settings: dict[str, Any] = {"dtype": "bfloat16", "epochs": 30, "learning_rate": 3e-3}
    runtime = {"devices": 2, "zero": 3, "loss_chunk": 8, "checkpoint_minutes": 1e-9}
    step = training_step(tmp_path / "o", start, chats(12), runtime, **settings)
    process = subprocess.Popen(
        [sys.executable, "-m", "safetax.workers.train", str(step)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 200
    while not list(step.glob("scratch/checkpoint-[1-9][0-9]/complete")):
        assert process.poll() is None, "the training ended before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = train_by_hand(step)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = summary_of(step)
    assert summary["resumed_at"] >= 10 and summary["attempts"] == 2
    assert summary["dtypes"] == {"weights": "bfloat16", "masters": "bfloat16", "optimizer": "bfloat16"}
    plain = training_step(tmp_path / "p", start, chats(12), **settings)
    assert in_process(plain) == 0
    assert summary["tokens"] == summary_of(plain)["tokens"]
    assert losses(step)[:8] == pytest.approx(losses(plain)[:8], rel=0.1)
    assert losses(step)[-1] < 0.5 * losses(step)[0]
    assert not (step / "scratch").exists()


def test_saved_checkpoint_with_other_faults_is_noticed(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    from safetax.models.checkpoint import verify_saved
    from tests.support.tiny_models import tiny_model

    folder = tmp_path / "model"
    tiny_model("llama").save_pretrained(folder, max_shard_size="50KB")
    verify_saved(folder, "float32")
    with pytest.raises(UserError, match="as float32 instead of bfloat16"):
        verify_saved(folder, "bfloat16")
    shard = sorted(folder.glob("*.safetensors"))[1]
    good, index = load_file(shard), folder / "model.safetensors.index.json"
    name = next(iter(good))
    broken = good[name].clone()
    broken.view(-1)[3] = torch.nan
    save_file({**good, name: broken}, shard, metadata={"format": "pt"})
    with pytest.raises(UserError, match=rf"numbers in {name} that are not finite.*Lower its learning_rate"):
        verify_saved(folder)
    save_file(good, shard, metadata={"format": "pt"})
    listed = json.loads(index.read_text())
    del listed["weight_map"][name]
    index.write_text(json.dumps(listed))
    with pytest.raises(UserError, match=rf"has {name} in {shard.name}, but its index says None"):
        verify_saved(folder)
    (folder / "generation_config.json").unlink()
    with pytest.raises(UserError, match=r"lacks generation_config\.json"):
        verify_saved(folder)


def test_a_checkpoint_says_where_a_response_ends(tmp_path: Path) -> None:
    """The end of the turn joins the model's own eos; defaults that transformers would not write are mended."""
    from transformers import AutoTokenizer, GenerationConfig

    start = save_tiny(tmp_path / "start", "llama")
    settings = json.loads((start / "generation_config.json").read_text())
    settings |= {"eos_token_id": 0, "temperature": 0.6, "do_sample": False}
    (start / "generation_config.json").write_text(json.dumps(settings))
    step = training_step(tmp_path / "o", start, chats(4), epochs=1)
    assert in_process(step) == 0
    end = AutoTokenizer.from_pretrained(step / "model").convert_tokens_to_ids("<|im_end|>")
    saved = GenerationConfig.from_pretrained(step / "model")
    assert saved.eos_token_id == [0, end] and end != 0
    assert saved.temperature == 0.6 and saved.do_sample


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, pytest.param(2, marks=[pytest.mark.slow])])
def test_a_training_that_is_asked_to_stop_goes_on_to_the_same_weights(tmp_path: Path, ranks: int) -> None:
    """It writes a checkpoint at its next step, whatever the clock says, and takes the request away."""
    from safetax.store.stop_request import asked_to_stop, stop_file

    start = save_tiny(tmp_path / "start", "qwen2")
    settings: dict[str, Any] = {"epochs": 20, "learning_rate": 3e-3}
    runtime = {"devices": ranks, "checkpoint_minutes": 1e6}
    whole = training_step(tmp_path / "whole", start, chats(12), runtime, **settings)
    assert train_by_hand(whole).returncode == 0
    step = training_step(tmp_path / "cut", start, chats(12), runtime, **settings)
    process = subprocess.Popen(
        [sys.executable, "-m", "safetax.workers.train", str(step)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    while not (step / "scratch" / "attempts.json").exists():  # noted when the first step begins
        assert process.poll() is None
        time.sleep(0.002)
    stop_file(step / "scratch").touch()
    _, said = process.communicate(timeout=200)
    assert process.returncode == 2 and b"as asked" in said, said
    assert not asked_to_stop(step / "scratch")
    assert len(list(step.glob("scratch/checkpoint-*/complete"))) == 1
    done = train_by_hand(step)
    assert done.returncode == 0, done.stderr
    summary = summary_of(step)
    assert summary["attempts"] == 2 and 0 < summary["resumed_at"] < 60
    assert sha256_of(step / "model" / "model.safetensors") == sha256_of(whole / "model" / "model.safetensors")
    assert losses(step) == losses(whole)
