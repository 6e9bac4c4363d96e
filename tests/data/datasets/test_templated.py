"""Prompts made of the rows of another data set by a template."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from safetax.data.datasets import DatasetContext, templated
from safetax.data.datasets.templated import filled, slots_of
from safetax.errors import ConfigError
from safetax.records import Example, write_records
from tests.support.recipes import UNUSED


def config(**settings: Any) -> templated.Config:
    return templated.Config(kind="templated", name="set", source=UNUSED, **settings)


def test_a_row_is_asked_as_the_template_says_and_keeps_its_id_and_meta(tmp_path: Path) -> None:
    turns = [("user", "hello"), ("assistant", "yes ?"), ("user", " may i ? ")]
    messages = [{"role": role, "content": content} for role, content in turns]
    write_records(tmp_path / "examples.jsonl", [Example("a", messages, "Hm.", "No.", {"sort": 3})])
    asked = config(template="Say {answer} to {question}", system="Be brief.")
    (prompt,) = templated.build(asked, DatasetContext({"source": tmp_path}))
    assert prompt.messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Say No. to may i ?"},
    ]
    assert (prompt.id, prompt.thinking, prompt.answer, prompt.meta) == ("a", None, None, {"sort": 3})


def test_slots_that_rows_do_not_have_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"names \{reply\}; allowed are \{question\}, \{thinking\}, \{answer\}\."):
        config(template="{question} {reply}")


def test_other_braces_stay() -> None:
    assert slots_of(r"\frac{1}{2} {a b} {x}") == ["1", "2", "x"]
    assert filled(r"\boxed{{x}} {y}", {"x": " 3 "}) == r"\boxed{3} {y}"
