"""What components of somebody else's may get wrong: each is one message that names component, value and remedy."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from safetax.config.components import PluginError, calling
from safetax.config.plugins import (
    RespondChecks,
    check_engine,
    check_finite,
    check_objective,
    check_response,
    checked_choice,
    checked_examples,
    checked_facts,
    checked_rows,
    checked_values,
    checked_verdicts,
)
from safetax.errors import UserError
from safetax.evaluation.engines import Generated
from safetax.records import Example, Response, Verdict

ASKED = [{"role": "user", "content": "how do i"}]
RESPONSES = [Response(name, 0, None, "no", 0, 1, "none", "stop", 0) for name in ("a", "b")]
GENERATED = Generated(None, "", "no", 0, 1, "none", "stop")


def refused(call: Callable[[], Any], *parts: str) -> None:
    """Check that a call is refused with one message that has these parts and the component's name."""
    with pytest.raises(PluginError) as caught:
        call()
    text = str(caught.value)
    assert len(text.splitlines()) == 1 and "mine.x" in text, text
    for part in parts:
        assert part in text, text


# Judges and graders


def verdict(name: Any = "a", repeat: Any = 0, label: Any = "x", **values: Any) -> Verdict:
    return Verdict(name, repeat, label, **(values or {"harmful": False}))


@pytest.mark.parametrize(
    ("verdicts", "parts"),
    [
        (None, ["judge returned None", "a list of Verdict"]),
        ("yes", ["judge returned 'yes'"]),
        (["safe", "safe"], ["a verdict is 'safe'", "Verdict(..)"]),
        ([verdict(), verdict("b", harmful=0.7)], ["verdict on b", "harmful=0.7", "True or False", "score > 0.5"]),
        ([verdict(), verdict("b", harmful="yes")], ["harmful='yes'", "True or False or None"]),
        ([verdict(), verdict("b", harmful=1)], ["harmful=1"]),
        ([verdict(), verdict("b", harmful=float("nan"))], ["harmful=nan"]),
        ([verdict(), verdict("b", correct=np.bool_(True))], ["correct=np.True_", "bool(..)"]),
        ([verdict(), verdict("b", refused=torch.tensor(True))], ["refused=tensor(True)", "bool(..)"]),
        ([verdict(), verdict("b", label=None, harmful=True)], ["label=None", "text"]),
        ([verdict(), verdict("b", error=ValueError("x"))], ["error=ValueError('x')", "text or None"]),
        ([verdict(), verdict("b", error="x", harmful=False)], ["harmful=False beside error='x'"]),
        ([verdict(), Verdict("b", 0, "x")], ["verdict on b says nothing", "harmful, refused, correct and error"]),
        ([verdict(), verdict("b", harmful=True, detail={"p": float("nan")})], ["detail={'p': nan}", "no NaN"]),
        ([verdict(), verdict("b", harmful=True, detail={"p": np.float32(1)})], ["plain JSON"]),
        ([verdict(), verdict("b", harmful=True, detail={1: "x"})], ["plain JSON"]),
        ([verdict(), verdict("b", label="\ud800", harmful=True)], ["lone surrogate"]),
        ([verdict()], ["no verdict on 1 of 2 responses, such as b", "Verdict(id, repeat, 'error'"]),
        ([verdict(), verdict(), verdict("b")], ["two verdicts on a"]),
        ([verdict(), verdict("b"), verdict("c")], ["a verdict on c, which it was not asked about"]),
        ([verdict(), verdict("b"), verdict("b", repeat=1)], ["a verdict on b, repeat 1, which"]),
        ([verdict(), verdict("b", repeat="0")], ["repeat='0'", "a whole number"]),
        ([verdict(), verdict(2)], ["id=2", "text"]),
    ],
)
def test_verdicts(verdicts: Any, parts: list[str]) -> None:
    refused(lambda: checked_verdicts(verdicts, RESPONSES, "judge mine.x"), *parts)


def test_verdicts_come_in_the_order_of_the_responses() -> None:
    given = [Verdict("b", 0, "none"), verdict("a", error="the server did not answer")]
    assert checked_verdicts(iter(given), RESPONSES, "judge mine.x") == given[::-1]


# Data sets and row sources


def example(name: Any = "a", messages: Any = ASKED, **values: Any) -> Example:
    given: dict[str, Any] = {"answer": "no"} | values
    return Example(name, messages, **given)


@pytest.mark.parametrize(
    ("examples", "parts"),
    [
        (None, ["build returned None", "a list of Example"]),
        ({"a": 1}, ["build returned {'a': 1}"]),
        ([], ["built no examples"]),
        ([{"id": "a"}], ["example 0 is {'id': 'a'}", "Example(..)"]),
        ([example(), example()], ["example 1 (a) has the id of example 0"]),
        ([example("")], ["empty id"]),
        ([example(7)], ["id=7", "text"]),
        ([example(answer=None)], ["example 0 (a) has answer=None", "trained on"]),
        ([example(answer=3)], ["answer=3", "text or None"]),
        ([example(thinking=["step"])], ["thinking=['step']", "text or None"]),
        ([example(messages="how")], ["messages='how'"]),
        ([example(messages=[])], ["messages=[]", "at least one message"]),
        ([example(messages=[{"role": "User", "content": "x"}])], ["'User'", "system or user or assistant"]),
        ([example(messages=[{"role": "user", "content": None}])], ["None"]),
        ([example(messages=[{"role": "user"}])], ["content"]),
        ([example(meta={"score": float("inf")})], ["meta={'score': inf}", "plain JSON"]),
        ([example(meta={"seen": {1, 2}})], ["plain JSON"]),
        ([example(supervised="answer")], ["supervised='answer'", "one of turn, thinking_start"]),
        ([example(answer="\udcff")], ["lone surrogate"]),
    ],
)
def test_examples(examples: Any, parts: list[str]) -> None:
    refused(lambda: checked_examples(examples, "data set mine.x", trained=True), *parts)


def test_a_prompt_set_has_no_answers() -> None:
    assert checked_examples((example(answer=None) for _ in range(1)), "data set mine.x") == [example(answer=None)]
    start = example(answer=None, thinking="i", supervised="thinking_start")
    assert checked_examples([start], "data set mine.x", trained=True) == [start]


@pytest.mark.parametrize(
    ("rows", "parts"),
    [(None, ["load returned None"]), (["x"], ["row 0 is 'x'"]), ([{1: "x"}], ["{1: 'x'}", "text as keys"])],
)
def test_rows(rows: Any, parts: list[str]) -> None:
    refused(lambda: checked_rows(rows, "row source mine.x"), *parts)


@pytest.mark.parametrize("facts", ["v1", {"path": Path()}, {"p": float("nan")}, {2: "x"}])
def test_facts(facts: Any) -> None:
    refused(lambda: checked_facts(facts, "judge mine.x"), "resolve returned", "plain JSON")
    assert checked_facts({"v": [1, None]}, "judge mine.x") == {"v": [1, None]}
    assert checked_facts(None, "judge mine.x") is None


# Engines


@pytest.mark.parametrize(
    ("engine", "parts"),
    [
        (None, ["start returned None", "no method respond"]),
        (SimpleNamespace(respond=print, facts={}), ["no method close"]),
        (SimpleNamespace(respond=print, close=print), ["no dict facts"]),
    ],
)
def test_an_engine_that_lacks_something_is_refused_before_it_generates(engine: Any, parts: list[str]) -> None:
    refused(lambda: check_engine(engine, "engine mine.x"), *parts)


@pytest.mark.parametrize(
    ("entries", "parts"),
    [
        (["text"], ["yielded 'text'", "(index, Generated)"]),
        ([(0, "text")], ["yielded (0, 'text')"]),
        ([(0, None)], ["(0, None)"]),
        ([("a", GENERATED)], ["the index 'a'", "0 to 1"]),
        ([(2, GENERATED)], ["the index 2"]),
        ([(-1, GENERATED)], ["the index -1"]),
        ([(0, GENERATED), (0, GENERATED)], ["two responses to prompt 0 (a)"]),
        ([(0, GENERATED)], ["no response to 1 of 2 prompts, such as b", "sharing.claim"]),
    ],
)
def test_responses_to_prompts(entries: list[Any], parts: list[str]) -> None:
    def respond() -> None:
        checks = RespondChecks("engine mine.x", ["a", "b"], Generated)
        for entry in entries:
            checks.check(entry)
        checks.check_all(range(2))

    refused(respond, *parts)


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"answer": None}, ["response to a has answer=None", "text"]),
        ({"thinking": b"x"}, ["thinking=b'x'"]),
        ({"answer_tokens": -1}, ["answer_tokens=-1"]),
        ({"answer_tokens": 1.5}, ["answer_tokens=1.5", "a whole number"]),
        ({"end_of_thinking": "done"}, ["end_of_thinking='done'", "one of closed"]),
        ({"end_of_answer": None}, ["end_of_answer=None", "one of stop, budget"]),
        ({"answer": "\ud800"}, ["lone surrogate"]),
    ],
)
def test_a_response(values: dict[str, Any], parts: list[str]) -> None:
    response = Response(**{**vars(RESPONSES[0]), **values})
    refused(lambda: check_response(response, "engine mine.x"), *parts)


# Objectives


def objective(**values: Any) -> Any:
    return SimpleNamespace(**({"name": "n", "weight": 1.0, "in_objective": bool, "values": print} | values))


@pytest.mark.parametrize(
    ("made", "parts"),
    [
        (None, ["its name is None"]),
        (objective(name="loss"), ["its name is 'loss'", "none of loss"]),
        (objective(weight="0.1"), ["its weight is '0.1'", "a finite number"]),
        (objective(weight=float("nan")), ["its weight is nan"]),
        (objective(weight=True), ["its weight is True"]),
        (objective(values=None), ["no method values"]),
        (objective(in_objective=True), ["no method in_objective"]),
    ],
)
def test_an_objective(made: Any, parts: list[str]) -> None:
    refused(lambda: check_objective(made, "objective mine.x"), *parts)
    check_objective(objective(), "objective mine.x")


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        (lambda logits: 3.0, ["values returned 3.0", "shape [4]"]),
        (lambda logits: logits.sum(), ["a tensor of float32 and shape [];", "one value for each token"]),
        (lambda logits: logits, ["of float32 and shape [4, 5]"]),
        (lambda logits: logits.argmax(1), ["a tensor of int64"]),
        (lambda logits: logits.detach().sum(1), ["no gradient", "detach()"]),
        (lambda logits: logits.sum(1).to("meta"), ["on meta", "allowed is cpu"]),
    ],
)
def test_values(values: Callable[[torch.Tensor], Any], parts: list[str]) -> None:
    logits = torch.randn(4, 5, requires_grad=True)
    refused(lambda: checked_values(values(logits), logits, "objective mine.x"), *parts)
    found = checked_values(logits.logsumexp(1), logits, "objective mine.x")
    assert found.shape == (4,) and found.requires_grad


def test_values_that_are_not_finite_are_the_objectives_where_the_loss_is_finite() -> None:
    nan, one = torch.tensor(float("nan")), torch.tensor(1.0)
    refused(lambda: check_finite(nan, one, "objective mine.x"), "the sum of its values is nan")
    check_finite(one, one, "objective mine.x")
    check_finite(nan, nan, "objective mine.x")  # the training diverged, which is told when it is saved


def test_whether_a_row_is_in_the_objective() -> None:
    refused(lambda: checked_choice(None, "objective mine.x", example()), "in_objective(a) is None", "True and False")
    assert checked_choice(True, "objective mine.x", example()) is True


# Exceptions


def test_an_exception_of_a_plug_in_names_component_file_and_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "raising").mkdir()
    file = tmp_path / "raising" / "judge.py"
    file.write_text("import json\n\n\ndef judge(text):\n    return json.loads(text)\n")
    monkeypatch.syspath_prepend(tmp_path)
    import importlib

    module = importlib.import_module("raising.judge")
    with pytest.raises(PluginError) as caught, calling("judges", "raising.judge"):
        module.judge("{")
    text = str(caught.value)
    assert text.startswith(f"judge raising.judge: {file}, line 5: JSONDecodeError: Expecting property name")
    assert isinstance(caught.value.__cause__, ValueError)
    with pytest.raises(ZeroDivisionError), calling("judges", "raising.judge"):
        _ = 1 / 0  # not the plug-in's
    with pytest.raises(UserError, match="no token"), calling("judges", "raising.judge"):
        raise UserError("no token")
    with pytest.raises(ValueError), calling("judges", "lab"):
        module.judge("{")
    for name in ("raising.judge", "raising"):
        sys.modules.pop(name, None)
