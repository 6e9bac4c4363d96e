"""What an engine is asked for one response, and where a text of one phase parts."""

from __future__ import annotations

from typing import Any

import pytest

from safetax.config.schema import Format
from safetax.data.chat import ChatRenderer
from safetax.errors import UserError
from safetax.evaluation.engines import Generated
from safetax.evaluation.prompting import make_prompt, markers_of, prompt_seed, split
from safetax.records import Example
from tests.support.tokenizers_like import deepseek_like

TAGS = Format("think_tags", "<think>", "</think>", force_answer="</think>\nSo:")
SAMPLING: dict[str, Any] = {
    "thinking_budget": 9,
    "answer_budget": 4,
    "one_phase": False,
    "assistant_header": True,
    "temperature": 0.5,
    "top_p": 0.9,
    "seed": 3,
    "ignore_end": 1,
    "go_on": "Wait",
}
EXAMPLE = Example("row-1", [{"role": "user", "content": "Two and two?"}])


def asked(markup: Format = TAGS, **sampling: Any) -> Any:
    return make_prompt({"sampling": {**SAMPLING, **sampling}}, ChatRenderer(deepseek_like(), markup), EXAMPLE, 2)


def test_a_prompt_has_the_budgets_of_its_phases() -> None:
    two = asked()
    assert (two.thinking_budget, two.answer_budget, two.ignore_end, two.go_on, two.name) == (9, 4, 1, "Wait", "row-1")
    one = asked(one_phase=True)
    assert (one.thinking_budget, one.answer_budget) == (None, 9)
    assert asked(thinking_budget=0).thinking_budget is None
    assert asked(Format("plain")).thinking_budget is None


def test_a_seed_comes_from_the_step_the_prompt_and_the_repeat_alone() -> None:
    seeds = {prompt_seed(seed, name, repeat) for seed in (0, 1) for name in ("a", "b") for repeat in (0, 1)}
    assert len(seeds) == 8 and all(0 <= seed < 2**63 for seed in seeds)
    assert asked().seed == prompt_seed(3, "row-1", 2)


def test_a_prompt_that_cannot_be_tokenised_is_named() -> None:
    class Refuses(ChatRenderer):
        def prompt(self, messages: Any, thinking: bool = True, assistant_header: bool = True) -> list[int]:
            raise ValueError("no turn of the user")

    with pytest.raises(UserError, match=r"Prompt row-1 cannot be asked: no turn of the user"):
        make_prompt({"sampling": SAMPLING}, Refuses(deepseek_like(), TAGS), EXAMPLE, 0)


def test_markers_are_the_formats_and_the_ends_also_the_models_own() -> None:
    renderer = ChatRenderer(deepseek_like(), TAGS)
    found = markers_of(renderer, [5, 5])
    assert (found.stop_thinking, found.resume_answer, found.force_answer) == ("</think>", "</think>", "</think>\nSo:")
    own = [token for end in renderer.ends if len(end) == 1 for token in end]
    assert own and list(found.end_tokens) == [*own, 5]


@pytest.mark.parametrize(
    ("text", "thinking", "answer", "end"),
    [("so</think>4</think>", "so", "4</think>", "closed"), ("so 4", None, "so 4", "unclosed")],
)
def test_a_text_of_one_phase_parts_at_its_first_marker(text: str, thinking: str | None, answer: str, end: str) -> None:
    parted = split(Generated(None, "", text, 0, 5, "none", "stop"), TAGS)
    assert (parted.thinking, parted.answer, parted.end_of_thinking) == (thinking, answer, end)
