"""transformers' generate: markers of several tokens, batches, and the model's own settings."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from safetax.evaluation.engines.hf import Config as HfConfig
from safetax.evaluation.engines.hf import HfEngine
from safetax.evaluation.engines.hf import start as start_hf
from tests.support.tiny_engines import (
    RUNTIME,
    asked,
    by_hf,
    loaded_from,
    markers,
    set_defaults,
    several_tokens,
)


def test_texts_of_several_tokens_end_thinking_and_answer(tiny: tuple[Path, Any, Any]) -> None:
    """And in every batch alike: what a batch gives, each prompt gives alone."""
    _, model, tokenizer = tiny
    around = several_tokens(tiny)
    prompts = asked(tokenizer)
    got = by_hf(tiny, prompts, around)
    ends = {response.end_of_thinking for response in got.values()}
    assert {"closed", "budget", "end_of_text"} <= ends, ends
    assert {response.end_of_answer for response in got.values()} == {"stop", "budget"}
    for response in got.values():
        assert around.stop_thinking not in (response.thinking or "")
        assert around.end_texts[0] not in (response.thinking or "") + response.answer
    alone = HfEngine(model, tokenizer, 1)
    assert all(next(alone.respond([prompts[index]], around))[1] == got[index] for index in (0, 1, 3, 4))


def test_the_models_own_settings_for_generation_count_for_nothing(tiny: tuple[Path, Any, Any], tmp_path: Path) -> None:
    directory, _, tokenizer = tiny
    shutil.copytree(directory, tmp_path / "model")
    set_defaults(tmp_path / "model", repetition_penalty=1.5, no_repeat_ngram_size=2, max_length=3)
    for temperature in (0.0, 1.0):
        prompts = asked(tokenizer, 6, temperature)
        plain, own = (
            dict(start_hf(HfConfig("hf"), loaded_from(folder, tokenizer), RUNTIME).respond(prompts, markers(tokenizer)))
            for folder in (directory, tmp_path / "model")
        )
        assert own == plain
