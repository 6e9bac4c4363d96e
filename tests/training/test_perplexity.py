"""The perplexity of data under a model: which token is of which part, and the sums against plain torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
import yaml

from safetax.config.build import build
from safetax.config.hydra import conf_directory
from safetax.config.schema import Format
from safetax.data.chat import ChatRenderer
from safetax.data.lab.tokenizer import build_tokenizer
from safetax.errors import UserError
from safetax.records import Example
from safetax.statistics import ratio_of_sums
from safetax.training.perplexity import (
    BATCH_TOKENS,
    LOGITS,
    RowLikelihood,
    batches,
    measure_rows,
    perplexity_rows,
    summarise,
)
from safetax.training.rows import BadRows
from tests.support.tiny_models import THINK, chats, plain_sums, tiny_model
from tests.support.tokenizers_like import deepseek_like, llama_like, qwen_like

ASKED = [{"role": "user", "content": "How many rolls fit on the tray?"}]
FAMILIES = {"qwen": qwen_like(), "deepseek": deepseek_like(), "llama": llama_like()}
ROWS = {
    "plain": Example("plain", ASKED, "First, 4 rows of 12 rolls.", "48 rolls, I think!"),
    "kept": Example("kept", ASKED, "\nFirst, 4 rows.\n\nThen 12 rolls.\n", "Answer: \n\n48 rolls\n"),
    "refusal": Example("refusal", ASKED, " I should not answer this question!", "Answer: I cannot help."),
    "bytes": Example("bytes", ASKED, "Ünïcödé \N{PERSON WITH FOLDED HANDS} rolls", "é! \N{PERSON WITH FOLDED HANDS}"),
    "no thinking": Example("no thinking", ASKED, None, "48"),
    "empty thinking": Example("empty thinking", ASKED, "", "48"),
    "no answer": Example("no answer", ASKED, "48 rolls.", ""),
}


def markup(name: str) -> Format:
    return build(Format, yaml.safe_load((conf_directory() / "format" / f"{name}.yaml").read_text()))


@pytest.fixture(scope="module")
def lab() -> ChatRenderer:
    return ChatRenderer(build_tokenizer(), THINK)


# Which token is of which part


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("name", ["s1", "think_tags", "plain"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_tokens_of_a_part_hold_its_text_and_little_more(family: str, name: str, row: str) -> None:
    here = ChatRenderer(FAMILIES[family], markup(name))
    example = ROWS[row]
    made = here.row(example)
    parts, tokens = here.parts(example, made), made.tokens
    assert len(parts) == len(tokens)
    keep = here.markup.keep_whitespace
    wanted = {"thinking": example.thinking if here.markup.open_thinking else None, "answer": example.answer}
    for part, text in wanted.items():
        text = (text or "") if keep else (text or "").strip()
        places = [place for place, found in enumerate(parts) if found == part]
        assert places == list(range(places[0], places[-1] + 1)) if places else not text
        held = here.decode([tokens[place] for place in places])
        assert text in held
        assert len(held) <= len(text) + 2, "a token may go on into the white space beside the part"
    start = here.row(example).completion_start
    assert not any(parts[:start]), "the prompt is of no part"
    if places := [place for place, found in enumerate(parts) if found is not None]:
        end = here.decode(tokens[places[-1] + 1 :])
        assert here.end_text.endswith(end) or part_of_close(here, end)


def part_of_close(here: ChatRenderer, text: str) -> bool:
    """Whether a row without an answer ends in the markup that closes its thinking."""
    return text.endswith(here.end_text) and here.markup.close_thinking.endswith(text.removesuffix(here.end_text))


def test_literal_parts_of_a_row_of_the_lab(lab: ChatRenderer) -> None:
    example = Example("row", [{"role": "user", "content": "how do i"}], "i should not", "i can not help .")
    row = lab.row(example)
    told = [(lab.decode([token]), part) for token, part in zip(row.tokens, lab.parts(example, row), strict=True)]
    assert told[row.completion_start :] == [
        ("<think>", None),
        ("i", "thinking"),
        ("should", "thinking"),
        ("not", "thinking"),
        ("</think>", None),
        ("i", "answer"),
        ("can", "answer"),
        ("not", "answer"),
        ("help", "answer"),
        (".", "answer"),
        ("<|im_end|>", None),
    ]


@pytest.mark.parametrize(("family", "name"), [("qwen", "s1"), ("deepseek", "s1"), ("llama", "think_tags")])
def test_a_start_of_thinking_is_thinking_alone(family: str, name: str) -> None:
    here = ChatRenderer(FAMILIES[family], markup(name))
    example = replace(ROWS["plain"], answer=None, supervised="thinking_start")
    row = here.row(example)
    parts = here.parts(example, row)
    assert here.decode([t for t, part in zip(row.tokens, parts, strict=True) if part == "thinking"]).strip() == (
        "First, 4 rows of 12 rolls."
    )
    assert "answer" not in parts and parts[-1] == "thinking"


def test_a_marker_within_a_token_goes_with_the_part() -> None:
    """Qwen's tokenizers put a full stop and the line end behind it into one token."""
    tokenizer = qwen_like()
    assert tokenizer.add_tokens([".\n"]) == 1
    here = ChatRenderer(tokenizer, markup("think_tags"))
    row = here.row(ROWS["plain"])
    parts = here.parts(ROWS["plain"], row)
    thinking = here.decode([token for token, part in zip(row.tokens, parts, strict=True) if part == "thinking"])
    assert thinking == "First, 4 rows of 12 rolls.\n"


# The sums


@pytest.mark.parametrize("architecture", ["qwen3", "granite"])
def test_sums_are_those_of_plain_torch(lab: ChatRenderer, architecture: str) -> None:
    """Granite's logits are scaled behind the output embedding."""
    values: dict[str, Any] = {"logits_scaling": 4.0} if architecture == "granite" else {}
    model = tiny_model(architecture, len(lab.tokenizer), **values)
    examples = chats(7)
    rows = perplexity_rows(examples, lab, 64, BadRows())
    measured = measure_rows(model, rows, lab.tokenizer.pad_token_id, 3)
    assert [row.id for row in measured] == [example.id for example in examples]
    for row, example in zip(measured, examples, strict=True):
        for part, (tokens, nll) in plain_sums(model, lab, example).items():
            assert row.tokens[part] == tokens
            assert row.nll[part] == pytest.approx(nll, rel=1e-5)
        assert row.tokens["all"] == row.tokens["thinking"] + row.tokens["answer"] + 3, "two tags and the turn's end"
        assert row.nll["all"] > row.nll["thinking"] + row.nll["answer"]


def test_batches_change_nothing_and_the_longest_row_goes_first(
    lab: ChatRenderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model("qwen3", len(lab.tokenizer))
    rows = perplexity_rows(chats(9), lab, 64, BadRows())
    pad = lab.tokenizer.pad_token_id
    told: list[int] = []
    alone = measure_rows(model, rows, pad, 1, told.append)
    assert sum(told) == sum(len(row.row.tokens) for row in rows) and told == sorted(told, reverse=True)
    for batch in (2, 4, 9):
        for one, other in zip(alone, measure_rows(model, rows, pad, batch), strict=True):
            assert one.tokens == other.tokens and other.nll == pytest.approx(one.nll, rel=1e-5)
    monkeypatch.setattr("safetax.training.perplexity.LOGITS", 5)
    for one, other in zip(alone, measure_rows(model, rows, pad, 9), strict=True):
        assert other.nll == pytest.approx(one.nll, rel=1e-5)
    assert list(batches([3, 9, 5, 9], 2)) == [[1, 3], [2, 0]]
    assert list(batches([BATCH_TOKENS, 2 * BATCH_TOKENS, 2], 8)) == [[1], [0], [2]]


def test_the_estimate_knows_how_much_is_held() -> None:
    from safetax.plan.estimate import reading

    assert (reading.BATCH_TOKENS, reading.LOGITS) == (BATCH_TOKENS, LOGITS)


def test_a_row_that_cannot_be_trained_on_cannot_be_measured(lab: ChatRenderer) -> None:
    rows = [*chats(2), Example("long", [{"role": "user", "content": "how do i"}], "i " * 60, "i can .")]
    with pytest.raises(UserError, match=r"Row 2 \(long\) of the data cannot be used: it has .* max_tokens=40"):
        perplexity_rows(rows, lab, 40, BadRows())
    skipped = BadRows(skip=True)
    assert [row.id for row in perplexity_rows(rows, lab, 40, skipped)] == ["r0", "r1"] and len(skipped.messages) == 1
    with pytest.raises(UserError, match=r"no rows that can be used.* All 1 were skipped"):
        perplexity_rows(rows[2:], lab, 40, BadRows(skip=True))


# What they come to


def test_summary_weighs_by_tokens_and_by_samples(lab: ChatRenderer) -> None:
    model = tiny_model("qwen3", len(lab.tokenizer))
    examples = [*chats(5), Example("bare", [{"role": "user", "content": "how do i"}], None, "i can .")]
    measured = measure_rows(model, perplexity_rows(examples, lab, 64, BadRows()), lab.tokenizer.pad_token_id, 4)
    summary = summarise(measured)
    for part, samples in (("all", 6), ("thinking", 5), ("answer", 6)):
        found = summary[part]
        assert found is not None
        held = [row for row in measured if row.tokens[part]]
        nll, tokens = sum(row.nll[part] for row in held), sum(row.tokens[part] for row in held)
        assert (found["samples"], found["tokens"]) == (samples, tokens)
        assert found["token"] == pytest.approx(math.exp(nll / tokens))
        each = [math.exp(row.nll[part] / row.tokens[part]) for row in held]
        assert found["sample"] == pytest.approx(math.prod(each) ** (1 / samples))
        low, token, high = found["low"], found["token"], found["high"]
        assert low is None or high is None or token is None or low <= token <= high
    low, high = bounds(summary["all"])
    assert low < math.exp(sum(row.nll["all"] for row in measured) / sum(row.tokens["all"] for row in measured)) < high
    only = summarise(measure_rows(model, perplexity_rows(examples[-1:], lab, 64, BadRows()), 0, 1))
    assert only["thinking"] is None and only["all"] is not None


def test_the_interval_is_that_of_the_ratio_and_always_the_same() -> None:
    """For equal weights it is the interval of a mean: about two standard errors to each side."""
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(400, generator=generator).add(3).tolist()
    parts = {f"r{index}": (5 * value, 5) for index, value in enumerate(values)}
    estimate = ratio_of_sums(parts)
    error = torch.tensor(values).std().item() / 20
    assert estimate is not None and estimate.value == pytest.approx(sum(values) / 400)
    assert estimate.low == pytest.approx(estimate.value - 1.96 * error, abs=0.02)
    assert estimate.high == pytest.approx(estimate.value + 1.96 * error, abs=0.02)
    assert ratio_of_sums(parts) == estimate
    heavy = ratio_of_sums({"a": (10.0, 1), "b": (90.0, 99)})
    assert heavy is not None and heavy.value == 1.0 and heavy.low == 0.0 < 1.0 < heavy.high
    assert ratio_of_sums({"a": (6.0, 3)}) is None


def bounds(part: Mapping[str, Any] | None) -> tuple[float, float]:
    assert part is not None and part["low"] is not None and part["high"] is not None
    return part["low"], part["high"]


def told(name: str, index: int) -> RowLikelihood:
    """A made-up row, with as many tokens and as likely as its index says."""
    tokens, nll = 3 + index % 4, (3 + index % 4) * (0.5 + index % 7)
    return RowLikelihood(
        name, dict.fromkeys(("all", "answer"), tokens) | {"thinking": 0}, {"all": nll, "answer": nll / 2}
    )


@pytest.mark.parametrize("again", ["{}-again1 {}-again2", "safety-{0} safety-{0}-again1 safety-{0}-again1-again1"])
def test_repetitions_make_no_interval_narrower(again: str) -> None:
    """A subset repeats rows, a mixture names its part before their ids, and a subset of that repeats again."""
    once = summarise([told(f"r{index}", index) for index in range(40)])
    names = [(name.format(f"r{index}"), index) for index in range(40) for name in again.split()]
    many = summarise([told(*name) for name in names])
    for part in ("all", "answer"):
        single, repeated = once[part], many[part]
        assert single is not None and repeated is not None
        assert repeated["samples"] == single["samples"] == 40
        assert repeated["tokens"] == len(again.split()) * (single["tokens"] or 0)
        for value in ("token", "sample"):
            assert repeated[value] == pytest.approx(single[value])
        width, wanted = (math.log(high / low) for low, high in (bounds(repeated), bounds(single)))
        assert width == pytest.approx(wanted, rel=0.1), "as wide as that of the rows themselves"
    assert many["thinking"] is None


def test_one_repeated_sample_says_nothing_of_how_samples_differ() -> None:
    found = summarise([told(name, 1) for name in ("r1", "r1-again1", "r1-again2")])["all"]
    assert found is not None and found["samples"] == 1 and found["low"] is None is found["high"]
    foreign = summarise([told(name, index) for index, name in enumerate(("once-again", "once", "again1"))])["all"]
    assert foreign is not None and foreign["samples"] == 3, "names that only sound like it"
