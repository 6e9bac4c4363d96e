"""Judge models: batches of like length, copies that share the work, and models that cannot be had."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from safetax.data.hub import UnreachableError
from safetax.errors import ConfigError, UserError
from safetax.evaluation.judges import beaver_dam
from safetax.evaluation.judging.models import JudgeModel, grouped
from tests.support.judged import context, example, response


def test_batches_hold_texts_of_like_length_and_not_too_many_tokens() -> None:
    assert grouped([3, 9, 5, 9, 1], 2, None) == [[1, 3], [2, 0], [4]]
    assert grouped([3, 9, 5, 9, 1], 4, 20) == [[1, 3], [2, 0, 4]]
    assert grouped([50], 4, 20) == [[0]]


def test_copies_share_the_work_and_an_error_in_one_is_raised(classifier: Path) -> None:

    model = JudgeModel(
        beaver_dam.Config("beaver_dam", id=str(classifier)),
        "AutoModelForSequenceClassification",
        {"files": {}},
        {"judge_batch": 2, "threads": 1},
    )
    model.copies = [model.copies[0], model.copies[0], model.copies[0]]
    found = dict(model.run([1] * 11, None, lambda copy, batch: [index * 10 for index in batch]))
    assert found == {index: index * 10 for index in range(11)}

    def fails(copy: Any, batch: list[int]) -> list[int]:
        if 4 in batch:
            raise RuntimeError("no memory")
        return batch

    with pytest.raises(RuntimeError, match="no memory"):
        list(model.run([1] * 11, None, fails))


def test_a_model_that_cannot_be_had_is_named(tmp_path: Path, classifier: Path) -> None:
    with pytest.raises(UnreachableError, match="id=nobody/nothing"):
        beaver_dam.resolve(beaver_dam.Config("beaver_dam", id="nobody/nothing"))
    commit = "0123456789" * 4
    pinned = beaver_dam.Config("beaver_dam", id="nobody/nothing", revision=commit)
    assert beaver_dam.resolve(pinned) == {"commit": commit}
    with pytest.raises(UserError, match=r"judge model id=nobody/nothing \(beaver_dam\) cannot be loaded"):
        beaver_dam.judge(pinned, [example("a", "q")], [response("a", "x")], context(tmp_path, {"commit": commit}))
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ConfigError, match=r"has no config\.json"):
        beaver_dam.resolve(beaver_dam.Config("beaver_dam", id=str(empty)))


def test_weights_that_are_no_safetensors_are_refused(tmp_path: Path, classifier: Path) -> None:

    import torch

    folder = tmp_path / "pickled"
    shutil.copytree(classifier, folder)
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    config = beaver_dam.Config("beaver_dam", id=str(folder))
    with pytest.raises(UserError, match="its weights are pickles"):
        beaver_dam.judge(
            config, [example("a", "q")], [response("a", "x")], context(tmp_path, beaver_dam.resolve(config))
        )
