"""One training from rows to checkpoint: rows packed or padded, and the mean that its loss is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.tiny_models import chats, save_tiny, training_step
from tests.support.tiny_steps import silent
from tests.support.tiny_trainings import losses


def test_the_worker_packs_micro_batches_of_several_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetax.store.job import StepJob
    from safetax.training import trained_model
    from safetax.training.sft import train

    source = save_tiny(tmp_path / "tiny", "qwen2")
    curves, packed = {}, {}
    for name, micro, packs in (("packed", None, True), ("padded", None, False), ("alone", 1, True)):
        calls: list[Any] = []
        with monkeypatch.context() as patch:
            real = trained_model.use_packing
            patch.setattr(
                trained_model, "use_packing", lambda model, calls=calls, real=real: (calls.append(1), real(model))
            )
            if not packs:
                patch.setattr(trained_model, "can_pack", lambda config: False)
            directory = training_step(tmp_path / name, source, chats(16), {"micro_batch": micro})
            train(StepJob(directory, silent()), lambda done, total, rate: None)
        packed[name], curves[name] = len(calls), losses(directory)
    assert packed == {"packed": 1, "padded": 0, "alone": 0}
    assert len(curves["packed"]) == 8
    for name in ("padded", "alone"):
        assert curves["packed"] == pytest.approx(curves[name], rel=1e-3)
    saved = json.loads((tmp_path / "packed" / "train" / directory.name / "model" / "config.json").read_text())
    assert "rows_apart" not in json.dumps(saved)


@pytest.mark.parametrize("micro", [None, 1, 2])
def test_the_worker_takes_the_mean_over_rows(tmp_path: Path, micro: int | None) -> None:
    import torch

    from safetax.data.chat import ChatRenderer
    from safetax.store.job import StepJob
    from safetax.training.batches import Collator
    from safetax.training.rows import tokenise
    from safetax.training.sft import train
    from tests.support.tiny_models import THINK

    source = save_tiny(tmp_path / "tiny", "qwen2")
    directory = training_step(
        tmp_path / "o", source, chats(4), {"micro_batch": micro}, loss_mean="rows", learning_rate=1e-9, epochs=1
    )
    train(StepJob(directory, silent()), lambda done, total, rate: None)
    (loss,) = losses(directory)
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(source)
    rows = tokenise(chats(4), ChatRenderer(AutoTokenizer.from_pretrained(source), THINK), 64)
    assert len({len(row.tokens) for row in rows}) > 1
    with torch.no_grad():
        own = [float(model(**Collator(0)([row])).loss) for row in rows]
    assert loss == pytest.approx(sum(own) / 4, rel=1e-4)
