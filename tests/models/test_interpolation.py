"""Weights between two checkpoints: the ends bit for bit, the middle by the formula, and sweeps that train once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from safetax.errors import UserError
from safetax.models.checkpoint import verify_saved
from safetax.models.interpolation import interpolate, read_header
from safetax.plan.graph import Plan
from safetax.plan.planner import plan
from safetax.plan.resolve import Resolver
from safetax.results.collect import collect
from safetax.store.manifest import read_json
from tests.conftest import run_lab
from tests.support.prepared import composer
from tests.support.tiny_models import save_tiny


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for path in folder.glob("*.safetensors") for name, tensor in load_file(path).items()}


def same_bits(first: torch.Tensor, second: torch.Tensor) -> bool:
    raw = [tensor.contiguous().reshape(-1).view(torch.uint8) for tensor in (first, second)]
    return first.dtype == second.dtype and first.shape == second.shape and torch.equal(raw[0], raw[1])


def change(folder: Path, **tensors: torch.Tensor | None) -> None:
    """Set or remove tensors of a checkpoint in one file."""
    path = folder / "model.safetensors"
    held = load_file(path) | tensors
    save_file({name: tensor for name, tensor in held.items() if tensor is not None}, path, {"format": "pt"})


def sharded(folder: Path, target: Path, size: str = "60KB") -> Path:
    """Save a checkpoint again in several files."""
    shutil.copytree(folder, target)
    (target / "model.safetensors").unlink()
    AutoModelForCausalLM.from_pretrained(folder).save_pretrained(target, max_shard_size=size)
    assert len(list(target.glob("*.safetensors"))) > 2
    return target


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two checkpoints of one architecture; a zero has the sign that arithmetic would lose."""
    folder = tmp_path_factory.mktemp("pair")
    first, second = (save_tiny(folder / str(seed), "qwen2", seed=seed) for seed in (0, 1))
    for place in (first, second):
        norm = load_file(place / "model.safetensors")["model.norm.weight"]
        norm[0] = -0.0
        change(place, **{"model.norm.weight": norm})
    return first, second


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_ends_are_the_two_checkpoints_bit_for_bit(pair: tuple[Path, Path], tmp_path: Path, share: float) -> None:
    tensors, parameters = interpolate(*pair, share, tmp_path / "out")
    end = weights(pair[int(share)])
    made = weights(tmp_path / "out")
    assert made.keys() == end.keys() and all(same_bits(made[name], end[name]) for name in end)
    assert tensors == len(end) and parameters == sum(tensor.numel() for tensor in end.values())
    verify_saved(tmp_path / "out", "float32")


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
def test_between_them_it_is_torchs_lerp_in_float32(pair: tuple[Path, Path], tmp_path: Path, share: float) -> None:
    told: list[tuple[int, int]] = []
    interpolate(*pair, share, tmp_path / "out", lambda done, total: told.append((done, total)))
    first, second, made = weights(pair[0]), weights(pair[1]), weights(tmp_path / "out")
    for name, tensor in made.items():
        assert same_bits(tensor, torch.lerp(first[name], second[name], share)), name
        assert torch.allclose(tensor, (1 - share) * first[name] + share * second[name], atol=1e-6)
    assert told == sorted(told) and told[-1][0] == told[-1][1] == sum(4 * tensor.numel() for tensor in made.values())
    names = {path.name for path in pair[1].iterdir()}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "out").config.model_type == "qwen2"


def test_the_second_ones_number_format_is_kept_and_the_arithmetic_is_float32(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    half = tmp_path / "half"
    shutil.copytree(pair[1], half)
    model = AutoModelForCausalLM.from_pretrained(pair[1], dtype=torch.bfloat16)
    model.save_pretrained(half)
    interpolate(pair[0], half, 0.5, tmp_path / "out")
    first, second, made = weights(pair[0]), weights(half), weights(tmp_path / "out")
    for name, tensor in made.items():
        assert tensor.dtype == torch.bfloat16
        assert same_bits(tensor, torch.lerp(first[name], second[name].float(), 0.5).bfloat16()), name
    interpolate(pair[0], half, 0.0, tmp_path / "start")
    assert all(same_bits(tensor, first[name].bfloat16()) for name, tensor in weights(tmp_path / "start").items())


def test_files_may_be_split_in_any_way(pair: tuple[Path, Path], tmp_path: Path) -> None:
    interpolate(*pair, 0.5, tmp_path / "whole")
    pieces = sharded(pair[1], tmp_path / "pieces"), sharded(pair[0], tmp_path / "others", "90KB")
    for number, (first, second) in enumerate([(pair[0], pieces[0]), (pieces[1], pair[1]), (pieces[1], pieces[0])]):
        out = tmp_path / f"out{number}"
        interpolate(first, second, 0.5, out)
        verify_saved(out, "float32")  # its index too
        made, whole = weights(out), weights(tmp_path / "whole")
        assert made.keys() == whole.keys() and all(same_bits(made[name], whole[name]) for name in whole)
        files = {path.name: read_header(path) for path in second.glob("*.safetensors")}
        assert {path.name: read_header(path) for path in out.glob("*.safetensors")} == files


def test_tied_weights_may_stand_once_or_twice(tmp_path: Path) -> None:
    first, second = (save_tiny(tmp_path / str(seed), "qwen2", seed=seed, tie_word_embeddings=True) for seed in (0, 1))
    assert "lm_head.weight" not in weights(second)
    interpolate(first, second, 0.5, tmp_path / "once")
    twice = tmp_path / "twice"
    shutil.copytree(first, twice)
    change(twice, **{"lm_head.weight": weights(first)["model.embed_tokens.weight"].clone()})
    interpolate(twice, second, 0.5, tmp_path / "more")
    change(twice, **{"model.embed_tokens.weight": None})
    interpolate(twice, second, 0.5, tmp_path / "other")
    expected = weights(tmp_path / "once")
    for name in ("more", "other"):
        made = weights(tmp_path / name)
        assert made.keys() == expected.keys() and all(same_bits(made[each], expected[each]) for each in expected)
        verify_saved(tmp_path / name)


def test_checkpoints_that_do_not_match_are_named_by_what_differs(pair: tuple[Path, Path], tmp_path: Path) -> None:
    def refused(**tensors: torch.Tensor | None) -> str:
        other = tmp_path / "other"
        shutil.rmtree(other, ignore_errors=True)
        shutil.copytree(pair[0], other)
        change(other, **tensors)
        with pytest.raises(UserError) as caught:
            interpolate(other, pair[1], 0.5, tmp_path / "out")
        assert not (tmp_path / "out").exists()
        return str(caught.value)

    assert "model.norm.weight has the shapes (3,) and (64,)" in refused(**{"model.norm.weight": torch.zeros(3)})
    assert "the first has no model.norm.weight" in refused(**{"model.norm.weight": None})
    assert "the second has no model.more.weight" in refused(**{"model.more.weight": torch.zeros(3)})
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UserError, match="no weights as safetensors"):
        interpolate(empty, pair[1], 0.5, tmp_path / "out")


def test_whole_numbers_are_the_same_or_an_error(pair: tuple[Path, Path], tmp_path: Path) -> None:
    copies = [tmp_path / "first", tmp_path / "second"]
    for source, copy in zip(pair, copies, strict=True):
        shutil.copytree(source, copy)
        change(copy, steps=torch.arange(3))
    interpolate(copies[0], copies[1], 0.5, tmp_path / "out")
    assert weights(tmp_path / "out")["steps"].tolist() == [0, 1, 2]
    change(copies[1], steps=torch.arange(1, 4))
    with pytest.raises(UserError, match="whole numbers of steps differ"):
        interpolate(copies[0], copies[1], 0.5, tmp_path / "out")


def planned(*overrides: str) -> Plan:
    resolver = Resolver(lenient=True)
    jobs = composer().jobs(overrides, multirun=True)
    return plan([(resolver.resolve(job.config), job.overrides) for job in jobs])


def test_no_other_steps_fingerprint_changes() -> None:
    plain, [mixed] = planned("epochs=1"), planned("epochs=1", "interpolation=0.5").runs
    training = plain.runs[0].checkpoints[-1].train
    assert training is not None
    known = {step.key for step in plain.steps}
    added = [step for step in mixed.steps if step.key not in known]
    assert {step.kind for step in added} == {"merge", "generate", "score", "perplexity"}
    [made] = [step for step in added if step.kind == "merge"]
    assert made.inputs["model"].key == training.key and mixed.checkpoints[-1].weights is made
    assert all(step.inputs["model"] is made for step in added if step.kind == "generate")


def test_a_sweep_has_one_training_and_names_that_differ() -> None:
    graph = planned("epochs=1", "interpolation=0,0.25,1")
    assert sum(step.kind == "train" for step in graph.steps) == 3
    assert sum(step.kind == "merge" for step in graph.steps) == 3
    assert len({run.name for run in graph.runs}) == 3
    assert [run.name.split("-")[3] for run in graph.runs] == ["i0", "i0.25", "i1"]
    zero = planned("epochs=0", "interpolation=0.5").runs[0]
    assert all(checkpoint.merge is None for checkpoint in zero.checkpoints) and "-i0.5-" not in zero.name


def test_a_model_that_is_the_lrm_itself_is_named_in_the_merge() -> None:
    [run] = planned("+experiment=s1", "epochs=1", "interpolation=0.5").runs
    made = run.checkpoints[-1].merge
    assert made is not None and set(made.inputs) == {"model"}
    assert made.identity["model"]["id"] == "TianshengHuang/s1k"


@pytest.mark.slow
def test_a_sweep_of_the_lab_trains_once(copied_lab: Path) -> None:
    before = {path.name for path in copied_lab.glob("train/*")}
    document = collect([copied_lab]).results
    run_lab(copied_lab, "interpolation=0,0.5,1", "runtime.workers=2", "runtime.keep=evaluated", sweep=True)
    assert {path.name for path in copied_lab.glob("train/*")} == before
    [sweep] = copied_lab.glob("sweeps/*")
    mixed = collect([sweep]).results
    aligned = [entry for entry in mixed.checkpoints if entry.role == "aligned"]
    assert [entry.variant for entry in aligned] == [f"interpolation={share}" for share in ("0.0", "0.5", "1.0")]
    assert {entry.epochs for entry in aligned} == {1.0}
    [plain] = [entry for entry in document.checkpoints if entry.role == "aligned"]
    lrm = next(entry for entry in document.checkpoints if entry.role == "lrm")
    assert aligned[2].scores == plain.scores, "with all of the alignment it is the aligned model"
    for metric in ("accuracy", "harmful_score", "over_refusal"):
        assert aligned[0].scores[metric] == lrm.scores[metric], "with none of it it is the LRM"
    together = collect([copied_lab]).results.checkpoints
    assert [entry.variant for entry in together if entry.role == "aligned"].count("") == 1
    kept = {path.parts[-3] for path in copied_lab.glob("*/*/model/*.safetensors")}
    assert kept >= {entry.weights for entry in aligned}, "what was evaluated stays"
    assert plain.weights not in kept, "in this sweep the aligned model itself was not evaluated"
    costs = read_json(sweep / "provenance.json")
    assert costs is not None
    listed = [(entry["role"], entry["variant"], entry["step"]) for entry in costs["training"]]
    assert listed.count(("aligned", "", f"train/{plain.weights}")) == 1 and len(listed) == 3
    assert "0 steps executed" in run_lab(copied_lab, "interpolation=0.5", "runtime.keep=evaluated")
    record = json.loads(next(copied_lab.glob("runs/*-i0.5-*/run.json")).read_text())
    assert record["checkpoints"][-1]["step"].startswith("merge/")
