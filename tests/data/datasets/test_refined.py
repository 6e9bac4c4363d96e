"""Rows that the reasoning model writes itself: which sample is taken, why others are not, and the plan of it."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from safetax.config.identity import identity
from safetax.config.needs import on_policy
from safetax.data.building import build_examples
from safetax.data.datasets import DatasetContext, refined, unmet
from safetax.data.datasets.refined import Checks, copied
from safetax.errors import UserError
from safetax.records import EndOfAnswer, EndOfThinking, Example, Response, Verdict, write_records
from safetax.store.step import in_order
from tests.support.prepared import composer, planned
from tests.support.recipes import UNUSED

SOURCE = [
    Example("a", [{"role": "user", "content": "may i ?"}], "one two three four five", "no .", {"verb": "steal"}),
    Example("b", [{"role": "user", "content": "how ?"}], "six seven eight nine ten", "never ."),
    Example("c", [{"role": "user", "content": "why ?"}], "a thought", "not so ."),
]

CHECKS = {"labels": ["refusal"], "max_copied": 0.8}


def response(
    name: str,
    text: str = "my own way to see it",
    repeat: int = 0,
    thought: EndOfThinking = "closed",
    answered: EndOfAnswer = "stop",
    answer: str = "i will not .",
) -> Response:
    return Response(name, repeat, f" {text}\n", f"\n{answer} ", 5, 3, thought, answered, 7)


def sampled(folder: Path, *rounds: list[tuple[Response, str]]) -> DatasetContext:
    """Steps of a refined data set, as its workers leave them."""
    inputs = {"source": folder / "source", "prompts": folder / "prompts"}
    for name in inputs:
        inputs[name].mkdir()
        write_records(inputs[name] / "examples.jsonl", SOURCE)
    for number, samples in enumerate(rounds, start=1):
        suffix = f"-{number}" * (number > 1)
        folders = {name: folder / f"{name}{suffix}" for name in ("responses", "verdicts")}
        for name, path in folders.items():
            path.mkdir()
            inputs[f"{name}{suffix}"] = path
        write_records(folders["responses"] / "responses.jsonl", [each for each, _ in samples])
        verdicts = [
            Verdict(each.id, each.repeat, "error", error="no answer")
            if label == "error"
            else Verdict(each.id, each.repeat, label)
            for each, label in samples
        ]
        write_records(folders["verdicts"] / "verdicts.jsonl", verdicts)
    return DatasetContext(inputs)


def config(fallback: Any = "keep", rounds: int = 1, **checks: Any) -> refined.Config:
    return refined.Config(
        kind="refined",
        name="dgr",
        source=UNUSED,
        prompts=UNUSED,
        judge=UNUSED,
        checks=Checks(**(CHECKS | checks)),
        tries=2,
        fallback=fallback,
        rounds=rounds,
    )


def test_a_row_becomes_its_first_sample_that_passes(tmp_path: Path) -> None:
    context = sampled(
        tmp_path,
        [
            (response("a", "quite another thought of mine"), "refusal"),
            (response("a", "a second one", repeat=1), "refusal"),
            (response("b"), "compliance"),
            (response("b", "now it is a refusal", repeat=1), "refusal"),
            (response("c"), "compliance"),
            (response("c", thought="budget", repeat=1), "refusal"),
        ],
    )
    examples = refined.build(config(), context)
    assert [example.id for example in examples] == ["a", "b", "c"]
    assert (examples[0].thinking, examples[0].answer) == ("quite another thought of mine\n", "i will not .")
    assert examples[0].messages == SOURCE[0].messages
    assert examples[0].meta == {"verb": "steal", "refined": True, "verdict": "refusal"}
    assert examples[1].thinking == "now it is a refusal\n", "the model's own way into its answer, as it will be asked"
    assert (examples[2].thinking, examples[2].answer) == (SOURCE[2].thinking, SOURCE[2].answer)
    assert examples[2].meta == {"refined": False}
    assert context.summary["fallback"] == {
        "rows": 3,
        "fallen_back": 1,
        "dropped": 0,
        "reasons": {"it is judged compliance": 1},
    }
    assert context.summary["rejected"] == {"it is judged compliance": 2, "its thinking is not closed": 1}


def test_help_takes_the_place_of_help_and_refusal_of_refusal(tmp_path: Path) -> None:
    context = sampled(
        tmp_path,
        [
            (response("a"), "compliance"),
            (response("a", "no", repeat=1), "refusal"),
            (response("b"), "refusal"),
            (response("b", "yes", repeat=1), "compliance"),
        ],
    )
    rows = [replace(SOURCE[0], meta={"harmful": True}), replace(SOURCE[1], meta={"harmful": False}), SOURCE[2]]
    write_records(context.inputs["source"] / "examples.jsonl", rows)
    examples = refined.build(config(benign_labels=["compliance"]), context)
    assert [example.meta.get("verdict") for example in examples] == ["refusal", "compliance", None]
    assert "benign_labels" not in identity(Checks(**CHECKS)), "what was made before there were such labels stays"


def test_rows_without_a_sample_are_dropped_where_that_is_asked(tmp_path: Path) -> None:
    context = sampled(tmp_path, [(response(row.id), "refusal" if row.id == "b" else "compliance") for row in SOURCE])
    assert [example.id for example in refined.build(config("drop"), context)] == ["b"]
    assert context.summary["fallback"]["dropped"] == context.summary["fallback"]["fallen_back"] == 2


def test_nothing_that_passes_is_an_error_only_where_rows_are_dropped(tmp_path: Path) -> None:
    context = sampled(tmp_path, [(response(row.id), "compliance") for row in SOURCE])
    assert len(refined.build(config("keep"), context)) == 3
    with pytest.raises(UserError, match=r"no sample of 3 rows passes its checks \(it is judged compliance: 3\)"):
        refined.build(config("drop"), context)


@pytest.mark.parametrize(
    ("sample", "label", "checks", "reason"),
    [
        (response("a", thought="end_of_text"), "refusal", {}, "its thinking is not closed"),
        (response("a", thought="unclosed"), "refusal", {}, "its thinking is not closed"),
        (response("a", answered="budget"), "refusal", {}, "its answer is not ended"),
        (response("a", answer=" "), "refusal", {}, "its answer is empty"),
        (response("a"), "refusal", {"min_words": 20}, "it is too short"),
        (response("a"), "refusal", {"max_words": 4}, "it is too long"),
        (response("a", "the Reference says"), "refusal", {"without": ["reference"]}, "it speaks of what it must not"),
        (response("a", "my preferences"), "garbled", {"without": ["reference"]}, "it is judged garbled"),
        (response("a", "one two three four five", answer="no ."), "refusal", {}, "it is a copy of the source"),
        (response("a"), "error", {}, "its judging failed"),
        (response("a"), "garbled", {}, "it is judged garbled"),
    ],
)
def test_what_does_not_pass(tmp_path: Path, sample: Response, label: str, checks: dict[str, Any], reason: str) -> None:
    context = sampled(tmp_path, [(sample, label)])
    refined.build(config(**checks), context)
    assert context.summary["rejected"] == {reason: 1}
    assert context.summary["fallback"]["reasons"] == {reason: 1, "it was not sampled": 2}


def test_how_much_is_copied() -> None:
    source = "the quick brown fox jumps over the lazy dog"
    assert copied(source, source) == 1.0
    assert copied("The QUICK, brown fox... jumps", source) == 1.0
    assert copied("a slow red hen walks below a busy cat", source) == 0.0
    assert copied("the quick brown fox walks", source) == 0.5  # one of two runs of four words
    assert copied("lazy dog", source) == 1.0 and copied("dog lazy", source) == 0.0
    assert copied("", source) == 0.0


def test_a_round_may_have_nothing_left_to_ask_for(tmp_path: Path) -> None:
    context = sampled(tmp_path, [(response(name), "refusal") for name in ("a", "b", "c")])
    identity = {"kind": "unmet", "checks": {**asdict(Checks(**CHECKS)), "labels": list(CHECKS["labels"])}}
    assert build_examples(identity, context) == [] and context.summary["passed"] == 3


def test_the_next_round_asks_only_for_what_has_not_passed(tmp_path: Path) -> None:
    first = [(response("a"), "refusal"), (response("b"), "garbled"), (response("c"), "garbled")]
    second = [(response("b", "at last"), "refusal"), (response("c"), "garbled")]
    (tmp_path / "one").mkdir()
    context = sampled(tmp_path / "one", first)
    left = unmet.build(unmet.Config("unmet", "again", Checks(**CHECKS)), context)
    assert [prompt.id for prompt in left] == ["b", "c"] and context.summary["passed"] == 1
    (tmp_path / "two").mkdir()
    context = sampled(tmp_path / "two", first, second)
    examples = refined.build(config("resample", 2), context)
    assert examples[1].thinking == "at last\n"
    assert context.summary["fallback"]["reasons"] == {"it is judged garbled": 1}


def test_the_plan_of_a_rewritten_data_set() -> None:
    step = planned("dataset=dgr", "dataset.source=safechain", "dataset.fallback=resample", "dataset.rounds=3")
    kinds = {name: source.kind for name, source in step.inputs.items()}
    assert kinds == {
        "source": "prepare",
        "prompts": "prepare",
        **{f"responses{suffix}": "generate" for suffix in ("", "-2", "-3")},
        **{f"verdicts{suffix}": "score" for suffix in ("", "-2", "-3")},
    }
    source, prompts = step.inputs["source"], step.inputs["prompts"]
    assert prompts.inputs == {"source": source}, "asked about, and judged by, the very rows"
    assert step.inputs["verdicts-2"].inputs["prompts"] is source
    again = step.inputs["responses-2"].inputs["prompts"]
    assert set(again.inputs) == {"source", "prompts", "responses", "verdicts"}
    seeds = {step.inputs[f"responses{suffix}"].identity["sampling"]["seed"] for suffix in ("", "-2", "-3")}
    assert len(seeds) == 3
    model = step.inputs["responses"].inputs["model"]
    assert model.title.startswith("reasoning stage") and step.inputs["responses-3"].inputs["model"] is model
    alone = planned("dataset=safechain")
    assert source.key == alone.key, "the source is the data set that it is alone"


def test_evaluating_otherwise_samples_no_other_data() -> None:
    for dataset in ("dgr", "thinksafe", "self_generated"):
        made = {planned(f"dataset={dataset}", *other).key for other in ((), ("evaluation=lab_no_thinking",))}
        assert len(made) == 1, dataset


def test_data_are_called_after_what_the_model_rewrites() -> None:
    assert planned("dataset=dgr", "dataset.source=star1").title == "data dgr_star1"


def test_a_data_set_made_of_one_that_the_model_writes_needs_the_model() -> None:
    step = planned("dataset=subset", "dataset.source=dgr", "dataset.source.source=safechain")
    assert any(each.kind == "train" for each in in_order([step]))
    (job,) = composer().jobs(["dataset=subset", "dataset.source=dgr"], multirun=False)
    assert on_policy(job.config.dataset)


def test_halves_that_the_model_writes(tmp_path: Path) -> None:
    step = planned("dataset=thinksafe")
    halves = {name: step.inputs[f"parts.{name}"] for name in ("harmful", "benign")}
    asked = {name: half.inputs["prompts"] for name, half in halves.items()}
    assert asked["harmful"].identity["dataset"]["system"].startswith("be safe")
    assert asked["benign"].identity["dataset"]["system"] is None
    assert {name: half.identity["dataset"]["checks"]["labels"] for name, half in halves.items()} == {
        "harmful": ["refusal"],
        "benign": ["compliance"],
    }
