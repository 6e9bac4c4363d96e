"""Traces that a checkpoint reads: where they begin, against plain torch, and what is said of none."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import yaml

from safetax.config.build import build
from safetax.config.hydra import conf_directory
from safetax.config.schema import Format
from safetax.data.chat import ChatRenderer
from safetax.data.lab.tokenizer import build_tokenizer
from safetax.records import Example
from safetax.training.rows import BadRows
from safetax.training.traces import measure_traces, summarise_traces, trace_rows
from tests.support.tiny_models import THINK, tiny_model
from tests.support.tokenizers_like import deepseek_like, llama_like, qwen_like

ASKED = [{"role": "user", "content": "How many rolls fit on the tray?"}]
FAMILIES = {"qwen": qwen_like(), "deepseek": deepseek_like(), "llama": llama_like()}


@pytest.mark.parametrize("thinking", ["First, 4 rows of 12 rolls.", "\nFirst, 4 rows.", None])
@pytest.mark.parametrize("name", ["s1", "think_tags", "plain"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_trace_begins_behind_what_the_prompt_opens(family: str, name: str, thinking: str | None) -> None:
    markup = build(Format, yaml.safe_load((conf_directory() / "format" / f"{name}.yaml").read_text()))
    here = ChatRenderer(FAMILIES[family], markup)
    example = Example("a", ASKED, thinking, "48 rolls")
    row = here.row(example)
    begin, opened = here.opening(example, row)
    thinks = thinking is not None and bool(markup.open_thinking)
    prompt = here.prompt(ASKED, thinks) if thinks else here.header(ASKED)
    assert row.tokens[:begin] == prompt, "what is asked with is no part of what is answered"
    first = here.decode(row.tokens[begin:opened])
    text = (thinking if thinks else "48 rolls") or ""
    written = (markup.before_thinking if thinks else "") + (text if markup.keep_whitespace else text.strip())
    assert first.strip("\n ") or "\n\n" in written[:3]
    assert written.startswith(first)


def test_likelihoods_are_those_of_plain_torch() -> None:
    tokenizer: Any = build_tokenizer()
    here, model = ChatRenderer(tokenizer, THINK), tiny_model("qwen3", len(tokenizer))
    problem = [{"role": "user", "content": "start 7 double flip . result ?"}]
    examples = [
        Example("long", problem, "7 double 4 flip 15", "15"),
        Example("short", problem, "7", "7"),
    ]
    rows = trace_rows(examples, here, BadRows(skip=True))
    read = measure_traces(model, rows, tokenizer.pad_token_id, batch=2, temperature=1.5)
    for example, row, found in zip(examples, rows, read, strict=True):
        tokens = torch.tensor([row.row.tokens])
        with torch.inference_mode():
            logits = model(input_ids=tokens).logits[0].double()
        begin, opened = here.opening(example, row.row)
        assert found.tokens == len(row.row.tokens) - begin

        def likelihood(low: int, high: int, temperature: float, of: Any = (logits, tokens)) -> float:
            logs = (of[0] / temperature).log_softmax(-1)
            return -math.fsum(float(logs[place - 1, of[1][0, place]]) for place in range(low, high))

        assert found.nll == pytest.approx(likelihood(begin, len(row.row.tokens), 1.0), rel=1e-4)
        assert found.opening == pytest.approx(likelihood(begin, opened, 1.0), rel=1e-4)
        assert found.warm == pytest.approx(likelihood(opened, len(row.row.tokens), 1.5), rel=1e-4)
    cold = measure_traces(model, rows, tokenizer.pad_token_id, batch=1)
    assert [row.warm for row in cold] == [None, None] and "warm" not in cold[0].to_dict()
    assert [row.nll for row in cold] == pytest.approx([row.nll for row in read], rel=1e-5)
    said = summarise_traces(read)
    assert said["tokens"] == sum(row.tokens for row in read)
    assert said["opening"] == pytest.approx(sum(math.exp(-row.opening) for row in read) / 2)
    assert said["whole"] == pytest.approx(sum(math.exp(-(row.warm or 0)) for row in read) / 2)


def test_a_model_that_solves_nothing_has_no_traces_and_no_mean() -> None:
    here = ChatRenderer(build_tokenizer(), THINK)
    assert trace_rows([], here, BadRows(skip=True)) == []
    assert summarise_traces([]) == {"tokens": 0, "nll": None, "opening": None, "whole": None}
