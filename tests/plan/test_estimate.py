"""The estimate against what is known, and against transformers' own models, counted tensor by tensor."""

from __future__ import annotations

import functools
import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from safetax.config.compose import Composer
from safetax.config.runtime import Runtime
from safetax.config.schema import Config, Shape
from safetax.config.training import Lora, Training
from safetax.models.gpus import Gpu
from safetax.plan.estimate import Estimate, Estimates, estimates, resolve_offload
from safetax.plan.estimate.generation import serving
from safetax.plan.estimate.memory import (
    GIB,
    Memory,
    Placement,
    activation_parts,
    checkpoint_bytes,
    parameters_in,
    training_memory,
)
from safetax.plan.estimate.stage import shape_in
from safetax.plan.estimate.training import flops_per_token, remedies
from safetax.plan.estimate.workload import prompts_of, training_rows
from safetax.plan.graph import Plan
from safetax.plan.planner import plan
from safetax.plan.resolve import Resolver
from safetax.plan.status import status_of
from safetax.plan.table import seconds_of
from safetax.store.manifest import MANIFEST, write_json
from safetax.store.status import Store

LARGE = Shape(layers=64, hidden=5120, intermediate=27648, heads=40, kv_heads=8, head_dim=128, vocabulary=152064)
SMALL = Shape(layers=28, hidden=3584, intermediate=18944, heads=28, kv_heads=4, head_dim=128, vocabulary=152064)
SHARDED = Placement(devices=8, zero=3, gradient_checkpointing=True)
REAL = [
    "model=deepseek-r1-distill-qwen-32b",
    "engine.dtype=bfloat16",
    "runtime=single",
    "runtime.devices=8",
    "runtime.zero=3",
    "runtime.micro_batch=1",
    "runtime.gradient_checkpointing=true",
    "runtime.gpu_memory=141",
    "alignment.dtype=bfloat16",
    "alignment.max_tokens=32768",
]
CHOSEN = ["evaluation=sound", "recipes=paper", "alignment.learning_rate=1e-5"]
"""What the command takes of no default, since the lab's fit no real model."""


def training(dtype: Any = "bfloat16", tokens: int = 32768, lora: Lora | None = None) -> Training:
    return Training(epochs=5, learning_rate=1e-5, global_batch=8, max_tokens=tokens, dtype=dtype, lora=lora)


def gib(shape: Shape, settings: Training, placement: Placement) -> float:
    return training_memory(shape, settings, placement).total / GIB


@functools.cache
def composer() -> Composer:
    return Composer()


def composed(*overrides: str) -> Config:
    return composer().job(composer().force([*REAL, *overrides])).config


def planned(config: Config) -> Plan:
    return plan([(Resolver(lenient=True).resolve(config), ())])


def estimated(config: Config, outputs: Path) -> Estimates:
    graph = planned(config)
    return estimates(status_of(graph, outputs), graph.steps)


# What is known of real machines


def test_the_papers_training_fits_on_its_machine() -> None:
    assert gib(LARGE, training(), SHARDED) < 141
    assert gib(LARGE, training(), replace(SHARDED, gradient_checkpointing=False)) > 141
    assert gib(LARGE, training(), replace(SHARDED, zero=2)) > 141
    assert gib(LARGE, training(), replace(SHARDED, zero=0)) > 141


def test_on_80_gb_the_papers_training_needs_a_loss_in_parts() -> None:
    assert gib(LARGE, training(), SHARDED) > 80
    assert gib(LARGE, training(), replace(SHARDED, loss_chunk=2048)) < 80
    mixed = training("bfloat16_mixed")
    assert gib(LARGE, mixed, replace(SHARDED, loss_chunk=2048)) > 80
    offloaded = training_memory(LARGE, mixed, replace(SHARDED, loss_chunk=2048, offload="optimizer"))
    assert offloaded.total / GIB < 80
    assert offloaded.host == pytest.approx(14 * parameters_in(LARGE))


def test_adapters_on_7_billion_parameters_fit_on_24_gb_and_all_weights_do_not() -> None:
    alone = Placement(gradient_checkpointing=True, loss_chunk=1024)
    assert gib(SMALL, training(tokens=4096, lora=Lora()), alone) < 24
    assert gib(SMALL, training(tokens=4096), alone) > 24
    assert gib(SMALL, training(tokens=8192), replace(alone, loss_chunk=2048)) < 80


def test_sixteen_bytes_a_parameter_with_float32_masters_and_eight_without() -> None:
    """The figures of the ZeRO paper for Adam in mixed precision, and of all in bfloat16."""
    count = parameters_in(LARGE)

    def states(dtype: str, zero: int, devices: int) -> float:
        parts = training_memory(LARGE, training(dtype), Placement(devices=devices, zero=zero)).parts
        return sum(parts[name] for name in ("weights", "gradients", "optimizer states"))

    assert states("bfloat16_mixed", 3, 1) == pytest.approx(16 * count)
    assert states("bfloat16", 3, 8) == pytest.approx(count)
    assert states("bfloat16_mixed", 1, 8) == pytest.approx((4 + 12 / 8) * count)
    assert states("bfloat16_mixed", 2, 8) == pytest.approx((2 + 14 / 8) * count)
    assert states("bfloat16_mixed", 3, 8) == pytest.approx(16 / 8 * count)
    assert states("float32", 0, 1) == pytest.approx(16 * count)


# Against transformers' own models


def counted(arch: str, shape: Shape, tokens: int, dtype: str, checkpointing: bool, backward: bool = True) -> float:
    """Return the bytes that a model of transformers keeps at the peak of its passes, or behind the forward pass.

    Its tensors are counted without being made; weights and gradients are left out.
    """
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.distributed._tools.mem_tracker import MemTracker
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(
        arch,
        num_hidden_layers=shape.layers,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        vocab_size=shape.vocabulary,
        tie_word_embeddings=shape.tied,
    )
    with FakeTensorMode():
        model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
        model.config.use_cache = False
        model.train()
        if checkpointing:
            model.gradient_checkpointing_enable()
        tracker = MemTracker()
        tracker.track_external(model)
        with tracker:
            ids = torch.randint(0, shape.vocabulary, (1, tokens))
            loss = model(input_ids=ids, labels=ids).loss
            if backward:
                loss.backward()
            (sizes,) = tracker.get_tracker_snapshot("peak" if backward else "current").values()
    named = {str(kind).rsplit(".", 1)[-1]: size for kind, size in sizes.items()}
    return named["Total"] - named["PARAM"] - named["GRAD"] - named["BUFFER"]


@pytest.mark.parametrize(
    ("arch", "shape", "dtype"),
    [
        ("qwen2", replace(SMALL, layers=2, vocabulary=512), "bfloat16"),
        ("qwen2", replace(SMALL, layers=2, vocabulary=512), "float32"),
        ("qwen3", Shape(2, 4096, 12288, 32, 8, 128, 512), "bfloat16"),
        ("llama", Shape(2, 4096, 14336, 32, 8, 128, 512), "bfloat16"),
    ],
)
def test_what_a_layer_keeps_is_what_transformers_keeps(arch: str, shape: Shape, dtype: str) -> None:
    more = replace(shape, layers=4)
    each = (counted(arch, more, 2048, dtype, False, False) - counted(arch, shape, 2048, dtype, False, False)) / 2
    expected = activation_parts(shape, training(dtype, 2048), Placement())["activations"] / 2
    # Norms of queries and keys are counted for models without them too.
    assert 0.95 < expected / each < 1.17


def test_a_layer_at_work_under_gradient_checkpointing_is_what_transformers_needs() -> None:
    shape = replace(SMALL, layers=1, vocabulary=512)
    expected = activation_parts(shape, training("bfloat16", 2048), Placement(gradient_checkpointing=True))
    assert sum(expected.values()) == pytest.approx(counted("qwen2", shape, 2048, "bfloat16", True), rel=0.15)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_twelve_bytes_for_each_logit(dtype: str) -> None:
    shape = Shape(1, 512, 1024, 8, 2, 64, 152064)
    assert counted("qwen2", shape, 1024, dtype, True) == pytest.approx(12 * 152064 * 1024, rel=0.05)
    assert activation_parts(shape, training(dtype, 1024), Placement())["logits"] == 12 * 152064 * 1024


# Remedies, offload, disk, arithmetic


def test_every_way_that_is_named_makes_it_fit(tmp_path: Path) -> None:
    small = ["runtime.gpu_memory=80", "runtime.micro_batch=null", "runtime.gradient_checkpointing=false"]
    stage = next(stage for stage in estimated(composed(*small), tmp_path).stages if stage.scratch)
    assert not stage.fits and stage.remedies
    for way in stage.remedies:
        settings, _, memory = way.replace(" (another training)", "").partition(": ")
        overrides = settings.split()
        assert all(override.startswith(("runtime.", "alignment.")) for override in overrides), way
        mended = next(s for s in estimated(composed(*small, *overrides), tmp_path).stages if s.scratch)
        assert mended.fits, way
        assert memory.startswith(f"{mended.memory.total / GIB:.1f} GiB")


def test_few_changes_come_before_many_and_none_is_idle() -> None:
    ways = remedies(LARGE, training(), SHARDED, 80 * GIB, "alignment")
    assert ways[0].startswith("runtime.loss_chunk=2048:")
    assert not any("loss_chunk" in way for way in ways[1:])
    assert remedies(LARGE, training("float32"), Placement(), 1 * GIB, "alignment") == []


def test_muon_is_not_sent_to_deepspeed() -> None:
    muon = replace(training(), optimizer="muon_adamw", muon_learning_rate=1e-2)
    assert not any("zero" in way or "offload" in way for way in remedies(SMALL, muon, Placement(), 80 * GIB, "x"))


@pytest.mark.parametrize(
    ("memory", "dtype", "expected"),
    [(141, "bfloat16", "none"), (80, "bfloat16_mixed", "optimizer"), (48, "bfloat16_mixed", "all")],
)
def test_auto_offloads_the_least_that_fits(memory: int, dtype: str, expected: str) -> None:
    auto = [
        "runtime.offload=auto",
        f"runtime.gpu_memory={memory}",
        f"alignment.dtype={dtype}",
        "runtime.loss_chunk=2048",
    ]
    assert resolve_offload(composed(*auto)) == expected


def test_offload_is_taken_as_set_and_auto_does_nothing_without_zero() -> None:
    assert resolve_offload(composed("runtime.offload=all")) == "all"
    assert resolve_offload(composed("runtime.offload=auto", "runtime.zero=0", "runtime.gpu_memory=8")) == "none"


def test_a_forward_pass_is_two_flops_a_parameter_and_recomputation_is_one_more() -> None:
    count = parameters_in(LARGE)
    plain = Placement()
    assert flops_per_token(LARGE, training(), plain, 0) == pytest.approx(6 * count)
    assert flops_per_token(LARGE, training(), SHARDED, 0) == pytest.approx(8 * count)
    assert flops_per_token(LARGE, training(lora=Lora()), plain, 0) == pytest.approx(4 * count, rel=0.02)
    attention = flops_per_token(LARGE, training(), plain, 1000) - flops_per_token(LARGE, training(), plain, 0)
    assert attention == pytest.approx(12 * 64 * 5120 * 1000)


def test_a_checkpoint_on_disk_is_the_model_and_while_it_trains_its_optimizer_too() -> None:
    count = parameters_in(LARGE)
    assert checkpoint_bytes(LARGE, training(), 3) == pytest.approx((2 * count, 6 * count))
    assert checkpoint_bytes(LARGE, training("bfloat16_mixed"), 3) == pytest.approx((2 * count, 14 * count))
    model, adapters = checkpoint_bytes(LARGE, training(lora=Lora()), 0)
    assert model == pytest.approx(2 * count) and adapters < model / 10


def test_a_copy_is_served_by_as_few_gpus_as_hold_it() -> None:
    def widths(memory: float, gpus: int = 8) -> tuple[int, int]:
        served = serving(LARGE, "bfloat16", 10_000, gpus, memory * GIB, 0.9, None)
        return served.tensor_parallel, served.replicas

    assert widths(141) == (1, 8)
    assert widths(80) == (2, 4)
    assert widths(40) == (4, 2)
    assert not serving(LARGE, "bfloat16", 10_000, 1, 24 * GIB, 0.9, None).fits
    two, four = (serving(SMALL, "bfloat16", 10_000, 8, 80 * GIB, 0.9, width) for width in (2, 4))
    assert two.weights == 2 * four.weights and two.replicas == 2 * four.replicas


def test_a_shape_is_read_from_a_local_models_configuration(tmp_path: Path) -> None:
    values = {"num_hidden_layers": 28, "hidden_size": 3584, "intermediate_size": 18944, "num_attention_heads": 28}
    write_json(tmp_path / "config.json", {**values, "num_key_value_heads": 4, "vocab_size": 152064})
    assert shape_in(tmp_path / "config.json") == SMALL
    assert shape_in(tmp_path / "nothing.json") is None


# Whole plans


def test_hours_follow_from_rows_and_share_of_the_arithmetic(tmp_path: Path) -> None:
    config = composed("alignment.max_tokens=32768", "runtime.gpu_tflops=1000", "runtime.mfu=0.5", "epochs=4")
    graph = planned(config)
    train = next(step for step in graph.steps if step.kind == "train")
    finish(Store(tmp_path), train.inputs["data"].frozen(), {"examples": 2})
    texts = [
        {"id": str(n), "messages": [{"role": "user", "content": "x" * 35_000}], "answer": "y" * 35_000} for n in "ab"
    ]
    folder = Store(tmp_path).directory(train.inputs["data"])
    (folder / "examples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in texts))
    stage = next(stage for stage in estimates(status_of(graph, tmp_path), [train]).stages)
    tokens = 20_040
    flops = 4 * 2 * tokens * flops_per_token(LARGE, training(), SHARDED, tokens)
    assert stage.hours == pytest.approx(flops / (1e15 * 0.5) / 3600)
    assert "from the length of the texts" in stage.time and "recomputation included" in stage.time


def finish(store: Store, frozen: dict[str, Any], summary: dict[str, Any], **runtime: Any) -> None:
    """Write the manifest that a finished step leaves."""
    inputs = {name: {"step": key, "outputs": "0"} for name, key in frozen["inputs"].items()}
    provenance = {"seconds": 100.0, "finished": "2026-01-01T00:00:00+00:00", "runtime": runtime}
    folder = store.directory(f"{frozen['kind']}/{frozen['fingerprint']}")
    outputs: dict[str, Any] = {}
    write_json(
        folder / MANIFEST,
        {**frozen, "inputs": inputs, "outputs": outputs, "summary": summary, "provenance": provenance},
    )


def test_a_finished_training_of_the_model_says_better_than_a_setting(tmp_path: Path) -> None:
    before = planned(composed("epochs=1"))
    train = next(step for step in before.steps if step.kind == "train")
    measured = {"mfu": 0.3, "tokens_per_epoch": 5_000_000, "examples": 500}
    finish(Store(tmp_path), train.frozen(), measured, gradient_checkpointing=True)
    stage = next(stage for stage in estimated(composed("epochs=2"), tmp_path).stages if stage.scratch)
    # 30 % of model flops are 40 % of hardware flops where a third more is calculated.
    assert "40% of 989 TFLOP/s (measured)" in stage.time
    assert "500 rows of 10,000 tokens (measured)" in stage.time
    # Adapters need no gradients of the weights: two thirds of the arithmetic, of which the share is what it was.
    adapters = {
        **train.frozen(),
        "identity": {**train.identity, "training": {**train.identity["training"], "lora": {}}},
    }
    finish(Store(tmp_path), adapters, measured, gradient_checkpointing=True)
    stage = next(stage for stage in estimated(composed("epochs=2"), tmp_path).stages if stage.scratch)
    assert "45% of 989 TFLOP/s (measured)" in stage.time
    other = next(stage for stage in estimated(composed("model=s1.1-32b"), tmp_path).stages if stage.scratch)
    assert "(runtime.mfu)" in other.time


def test_one_step_says_nothing_of_eight(tmp_path: Path) -> None:
    train = next(step for step in planned(composed("epochs=1")).steps if step.kind == "train")
    measured = {"mfu": 0.01, "tokens_per_epoch": 5_000, "examples": 5, "optimizer_steps": 1, "train_seconds": 40.0}
    finish(Store(tmp_path), train.frozen(), measured)
    stage = next(stage for stage in estimated(composed("epochs=8"), tmp_path).stages if stage.scratch)
    assert "(runtime.mfu)" in stage.time
    longer = next(step for step in planned(composed("epochs=8")).steps if step.kind == "train")
    manifest = {**train.frozen(), "summary": measured, "provenance": {"seconds": 50.0}}
    assert seconds_of(longer, manifest) is None
    assert seconds_of(train, manifest) == 50.0
    enough = {**manifest, "summary": {**measured, "optimizer_steps": 100}}
    assert seconds_of(longer, enough) == 10.0 + 8 * 40.0, "what comes before and after the training comes once"


def test_a_finished_generation_of_the_model_says_how_fast_it_is(tmp_path: Path) -> None:
    """By the rate of its last attempt: the tokens are those of all attempts, the seconds are not."""
    graph = planned(composed("seed=1"))
    steps = [step for step in graph.steps if step.kind == "generate" and "model" not in step.inputs]
    written = {"engine": "hf", "tokens": 600_000, "responses": 1, "tokens_per_second": 300.0}
    for step in steps[:2]:
        finish(Store(tmp_path), step.frozen(), written)
    finish(Store(tmp_path), steps[2].frozen(), written)
    manifest = Store(tmp_path).directory(steps[2]) / MANIFEST
    manifest.write_text(manifest.read_text().replace("2026-01-01T00", "2025-12-31T00"))  # on another day
    found = estimates(status_of(graph, tmp_path), [step for step in graph.steps if step not in steps[:3]])
    assert any("at 600 a second (measured)" in stage.time for stage in found.stages)


def test_data_made_of_others_are_as_many_as_they_will_be(tmp_path: Path) -> None:
    few = planned(composed("dataset=subset", "dataset.limit=10", "dataset.total=1000"))
    train = next(step for step in few.steps if step.kind == "train")
    assert training_rows(train, Store(tmp_path), []).count == 1000
    refined = planned(composed("dataset=dgr", "dataset.source=direct_refusal", "dataset.source.limit=300"))
    sample = next(step for step in refined.steps if step.title.startswith("sample"))
    assert prompts_of(sample, Store(tmp_path), None) == 300


@pytest.mark.parametrize(
    ("benchmark", "prompts"),
    [("gsm8k", 1319), ("wildjailbreak", 2000), ("wildjailbreak_benign", 210), ("harmbench", 200)],
)
def test_published_sets_are_as_long_as_they_are(tmp_path: Path, benchmark: str, prompts: int) -> None:
    graph = planned(composed(f"benchmark=[{benchmark}]", "evaluation=sound", "judge=phrases"))
    [evaluated] = graph.runs[0].checkpoints[0].evaluations
    assert prompts_of(evaluated.generate, Store(tmp_path), evaluated.config.size) == prompts


def test_a_guard_reads_as_much_of_a_text_as_it_is_told(tmp_path: Path) -> None:
    def hours(tokens: int) -> float:
        judge = ["judge=[phrases,llama_guard]", f"judge.llama_guard.max_text_tokens={tokens}"]
        found = estimated(composed("benchmark=[xstest_unsafe]", *judge), tmp_path)
        (stage,) = (stage for stage in found.stages if stage.title.startswith("judge: llama_guard"))
        assert f"of at most {tokens:,} tokens" in stage.time
        return stage.hours

    assert hours(4096) == pytest.approx(4 * hours(1024))


def test_a_sweep_counts_each_step_once_and_shows_like_ones_together(tmp_path: Path) -> None:
    configs = [composed(f"epochs={epochs}") for epochs in (1, 2, 3)]
    one = plan([(Resolver(lenient=True).resolve(configs[0]), ())])
    all_of_them = plan([(Resolver(lenient=True).resolve(config), ()) for config in configs])
    alone = next(stage for stage in estimates(status_of(one, tmp_path), one.steps).stages if stage.scratch)
    together = next(s for s in estimates(status_of(all_of_them, tmp_path), all_of_them.steps).stages if s.scratch)
    assert len(together.steps) == 3 and "3 trainings" in together.title
    assert together.hours == pytest.approx(6 * alone.hours)
    assert together.disk == 3 * alone.disk and together.scratch == alone.scratch


def test_what_is_done_takes_nothing(tmp_path: Path) -> None:
    graph = planned(composed())
    assert estimates(status_of(graph, tmp_path), []).stages == []


def test_a_model_of_unknown_shape_is_said_to_be_unknown(tmp_path: Path) -> None:
    found = estimated(composed("model.shape=null"), tmp_path)
    assert found.stages == [] and "model.shape" in found.unknown[0]


def shown(graph: Plan, outputs: Path, width: int) -> str:
    from rich.console import Console

    from safetax.plan.table import print_plan

    text = io.StringIO()
    print_plan(status_of(graph, outputs), Console(file=text, width=width))
    return text.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_the_plan_shows_memory_hours_and_disk_at_any_width(tmp_path: Path, width: int) -> None:
    text = shown(planned(composed("runtime.gpu_memory=80")), tmp_path, width)
    words = re.sub(r"\s+", " ", text)
    assert "115.6 of 80 GiB on a GPU, does not fit: weights 7.6 + gradients 7.6 + optimizer states 15.3" in words
    assert "would fit runtime.loss_chunk=2048" in words
    assert "GPU-hours" in words and "GiB of disk" in words and "32.8 billion parameters" in words
    estimate = text[text.index("Nothing was run.") :]
    assert max(len(line.rstrip()) for line in estimate.splitlines()) <= width


def test_the_lab_shows_its_seconds_and_no_gpu_hours(tmp_path: Path) -> None:
    config = composer().job([]).config
    assert "GPU" not in shown(planned(config), tmp_path, 120)


def test_a_real_plan_is_shown_without_torch(tmp_path: Path) -> None:
    """In a process of its own, as a user meets it."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "safetax", *REAL, *CHOSEN, "plan=true", "runtime.outputs=outputs"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "GPU-hours" in done.stdout
    imported = {match[1].split(".")[0] for match in re.finditer(r"^import time:.*\|\s+([\w.]+)$", done.stderr, re.M)}
    assert "safetax" in imported and not imported & {"torch", "transformers", "datasets", "vllm"}
    assert list(tmp_path.iterdir()) == []


def test_memory_that_is_not_set_is_that_of_the_smallest_gpu_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A stand-in for nvidia-smi, which this machine may lack."""
    from safetax.plan.estimate.stage import gpu_memory

    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho '0, GPU-a, NVIDIA H200, 143771'\necho '1, GPU-b, NVIDIA L40S, 46068'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpu_memory(Runtime()) == 46068 * 2**20
    assert gpu_memory(Runtime(gpu_memory=80)) == 80 * GIB
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert gpu_memory(Runtime()) == 143771 * 2**20


def test_the_sum_counts_downloads_and_speaks_of_the_machine_that_it_is_told_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from rich.console import Console

    from safetax.plan import table

    def told(gpus: list[Gpu]) -> str:
        monkeypatch.setattr(table, "visible_gpus", lambda: gpus)
        console = Console(file=io.StringIO(), width=200)
        memory = Memory({"weights": 1.0 * GIB})
        stage = Estimate("a stage", (), "here", memory, 80.0 * GIB, 8, 3.0, "long", disk=10.0 * GIB)
        table.print_estimates(Estimates([stage], downloads={"a model": 61.0 * GIB}), console)
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()

    assert "71 GiB of disk, 61 of them downloads" in told([])
    assert "This machine has no GPU" in told([])
    assert "This machine has no GPU" not in told([Gpu("0", "a GPU", 80.0 * GIB)])
