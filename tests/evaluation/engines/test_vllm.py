"""The engine over replicas of a stand-in for vLLM; the real one is in tests/integration/test_vllm.py."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

from safetax.errors import UserError
from safetax.evaluation.engines import Prompt, PromptSharing, vllm
from safetax.evaluation.engines._vllm_placement import Placement, Size
from tests.support.tiny_engines import RUNTIME, loaded_from, markers

SIZE = Size(weights=1e6, heads=2, token=64, context=512)


def engine_of(tokenizer: Any, model: str = "m", replicas: int = 2) -> vllm.VllmEngine:
    where = Placement("cpu", ((),) * replicas)
    return vllm.VllmEngine(vllm.Config("vllm"), {"model": model}, tokenizer, SIZE, where, RUNTIME)


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch, vllm_stand_in: None) -> None:
    monkeypatch.setattr(vllm, "version", lambda distribution: "1.0+cpu")


def test_every_prompt_is_answered_through_both_phases(tiny: tuple[Path, Any, Any]) -> None:
    """The stand-in says the prompt's tokens, last first: an end token of the thinking among them closes it."""
    tokenizer = tiny[2]
    (closing,) = tokenizer.encode("</think>", add_special_tokens=False)
    letters = tokenizer.encode("abcdef", add_special_tokens=False)
    prompts = [
        Prompt([letters[0], letters[1], closing, letters[2]], 9, 1, 0.0, 1.0, 0, name="closes"),
        Prompt(letters, 2, 1, 0.0, 1.0, 0, name="is cut"),
        Prompt(letters, None, 3, 0.0, 1.0, 0, name="has no thinking"),
    ]
    engine = engine_of(tokenizer)
    try:
        got = dict(engine.respond(prompts, markers(tokenizer)))
        assert [got[index].end_of_thinking for index in range(3)] == ["closed", "budget", "none"]
        assert [got[index].thinking_tokens for index in range(3)] == [1, 2, 0]
        assert [got[index].answer_tokens for index in range(3)] == [1, 1, 3]
        mine = PromptSharing(lambda index: index == 1, nodes=2)
        assert list(dict(engine.respond(prompts, markers(tokenizer), mine))) == [1]
        with pytest.raises(UserError, match="Prompt nothing cannot be asked: ValueError: an empty prompt"):
            list(engine.respond([Prompt([], None, 1, 0.0, 1.0, 0, name="nothing")], markers(tokenizer)))
    finally:
        engine.close()
    assert engine.replicas == []


def test_replicas_that_all_die_are_an_error_with_the_end_of_their_log(tiny: tuple[Path, Any, Any]) -> None:
    tokenizer = tiny[2]
    engine = engine_of(tokenizer, "broken", replicas=1)
    try:
        with pytest.raises(UserError, match=r"too little memory on cpu[\s\S]*runtime\.engine_memory=0\.5"):
            list(engine.respond([Prompt([1], None, 1, 0.0, 1.0, 0)], markers(tokenizer)))
    finally:
        engine.close()


def test_a_library_that_is_missing_and_gpus_that_are_named(
    tiny: tuple[Path, Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = loaded_from(tiny[0], tiny[2])
    monkeypatch.setattr(vllm, "visible_gpus", list)
    monkeypatch.setattr(vllm, "version", lambda distribution: "1.0")
    with pytest.raises(UserError, match=r"engine\.kind=vllm: no GPU is visible"):
        vllm.start(vllm.Config("vllm"), source, RUNTIME)

    def missing(distribution: str) -> str:
        raise PackageNotFoundError

    monkeypatch.setattr(vllm, "version", missing)
    with pytest.raises(UserError, match="pip install"):
        vllm.start(vllm.Config("vllm"), source, RUNTIME)
