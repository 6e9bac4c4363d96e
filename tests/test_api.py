"""The public face: its names and signatures, and the page that lists them."""

from __future__ import annotations

import inspect
import re
import typing
from pathlib import Path
from typing import Any

import pytest

from safetax import api
from tests.support.places import ROOT

PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
PINNED = {
    "ALONE": "",
    "AtLeast": "low",
    "BadRowError": "reason, detail=..",
    "Between": "low=.., high=.., open_low=..",
    "Case": "response, messages, text, meta",
    "ConfigError": "",
    "DatasetContext": "inputs=.., facts=.., summary=..",
    "Engine": "close, facts, respond",
    "Example": "id, messages, thinking=.., answer=.., meta=.., supervised=..",
    "Generated": "thinking, transition, answer, thinking_tokens, answer_tokens, end_of_thinking, end_of_answer",
    "HashedUnless": "value",
    "Job": "overrides, config",
    "JudgeContext": "facts, runtime, scratch, cache, progress, summary=..",
    "Kind": "package",
    "Label": "",
    "Library": "module, key=..",
    "LocalModel": "id, parameters, dtype, max_tokens=..",
    "Markers": "stop_thinking, resume_answer, force_answer, end_tokens, end_texts=..",
    "Message": "",
    "MoreThan": "low",
    "Needs": "libraries=.., repositories=.., server=.., local_model=.., served_model=.., rows=.., row_tokens=..",
    "NotHashed": "",
    "Objective": "in_objective, name, values, weight",
    "OnBadRow": "error | skip",
    "Part": "answer | thinking",
    "Plan": "runs",
    "Prompt": "tokens, thinking_budget, answer_budget, temperature, top_p, seed, ignore_end=.., go_on=.., name=..",
    "Reader": "",
    "Repository": "id, kind, gated=.., key=..",
    "Response": (
        "id, repeat, thinking, answer, thinking_tokens, answer_tokens, end_of_thinking, end_of_answer, seed, "
        "transition=.."
    ),
    "Row": "",
    "ServedModel": "dtype, sharded=.., memory_reads=..",
    "PromptSharing": "claim=.., nodes=..",
    "Source": "identity, inputs, tokenizer",
    "TwoPhaseResponse": "prompt, markers, tokenizer",
    "UserError": "",
    "Verdict": "id, repeat, label, harmful=.., refused=.., correct=.., error=.., detail=..",
    "collect": "folders",
    "compose": "overrides=.., config_dir=.., sweep=..",
    "examples_of": "rows, make, config, context, empty=..",
    "judge_cases": "part, examples, responses, context, start",
    "load_model": "identity, inputs, tokenizer, dtype, seed, on_gpus=..",
    "load_rows": "config",
    "model_facts": "name, revision",
    "plan": "jobs",
    "read_records": "path, record_type",
    "text_in": "row, column",
    "value_in": "row, column",
    "write_records": "path, records",
}
"""Changing one of these breaks modules that others wrote: say so in the commit, and raise the version."""


def signature(value: Any) -> str:
    """Return what a user of a name relies on: parameters, a protocol's members, or the options of a choice."""
    if options := typing.get_args(value):
        return " | ".join(map(str, options)) if typing.get_origin(value) is typing.Literal else ""
    if getattr(value, "_is_protocol", False):
        members = {*vars(value), *value.__annotations__}
        return ", ".join(sorted(name for name in members if not name.startswith("_")))
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return ""
    return ", ".join(each.name if each.default is each.empty else f"{each.name}=.." for each in parameters)


def test_names_and_signatures_stay() -> None:
    assert {name: signature(getattr(api, name)) for name in api.__all__} == PINNED


def test_the_page_lists_the_names_and_no_others() -> None:
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", PAGE, re.MULTILINE)
    assert sorted(name for row in rows for name in re.findall(r"`(\w+)`", row)) == sorted(api.__all__)


def test_a_notebook_plans_and_collects(quick_lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's own lines."""
    monkeypatch.chdir(quick_lab.parent)
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    found: dict[str, Any] = {}
    exec(code, found)
    assert len(found["graph"].runs) == 2
