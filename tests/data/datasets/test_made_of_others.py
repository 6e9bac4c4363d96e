"""Data sets made of others: a few rows, mixtures, three-part thinking, prompts by a template, rewritten rows."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from safetax.config.compose import Composer
from safetax.config.identity import identity
from safetax.config.needs import on_policy
from safetax.data.datasets import DatasetContext, refined, subset, unmet
from safetax.data.datasets.refined import Checks, copied
from safetax.data.datasets.subset import original_of
from safetax.errors import ConfigError, UserError
from safetax.records import EndOfAnswer, EndOfThinking, Example, Response, Verdict, write_records
from safetax.store.step import in_order
from tests.support.prepared import composer, failure, planned, prepared

NONE: Any = None
"""Stands for a component that is not looked at."""
SMALL = ("world.direct_refusal.samples=40", "dataset.source=direct_refusal")


# A few rows


def ids(examples: list[Example]) -> list[str]:
    return [example.id for example in examples]


def test_fewer_rows_are_among_more_for_every_draw(tmp_path: Path) -> None:
    drawn: dict[tuple[int, int], list[str]] = {}
    for draw in (0, 1):
        for limit in (3, 10, 30):
            found, summary = prepared(
                tmp_path, "dataset=subset", *SMALL, f"dataset.limit={limit}", f"dataset.draw={draw}"
            )
            drawn[draw, limit] = ids(found)
            assert (summary["distinct"], summary["draw"], summary["examples"]) == (limit, draw, limit)
        assert drawn[draw, 30][:10] == drawn[draw, 10] and drawn[draw, 10][:3] == drawn[draw, 3]
    assert set(drawn[0, 10]) != set(drawn[1, 10])


def test_without_a_draw_the_first_rows_are_taken(tmp_path: Path) -> None:
    whole, _ = prepared(tmp_path, "dataset=direct_refusal", "world.direct_refusal.samples=40")
    few, _ = prepared(tmp_path, "dataset=subset", *SMALL, "dataset.draw=null", "dataset.limit=5")
    assert few == whole[:5]


def test_repeated_rows_hold_the_steps_equal(tmp_path: Path) -> None:
    found, summary = prepared(tmp_path, "dataset=subset", *SMALL, "dataset.limit=3", "dataset.total=8")
    assert (summary["distinct"], summary["examples"]) == (3, 8)
    assert len(set(ids(found))) == 8
    asked = Counter(example.messages[-1]["content"] for example in found)
    assert sorted(asked.values()) == [2, 3, 3]
    first = {example.messages[-1]["content"]: example.id for example in found[:3]}
    assert all(original_of(example.id) == first[example.messages[-1]["content"]] for example in found)


def test_rows_tell_what_they_repeat_through_other_data_sets(tmp_path: Path) -> None:
    small = "world.direct_refusal.samples=40"
    inner = ("dataset.source=subset", "dataset.source.limit=4", "dataset.source.total=11")
    nested, _ = prepared(tmp_path, "dataset=subset", small, *inner, "dataset.limit=9", "dataset.total=20")
    parts = ("dataset.parts.safety=subset", "dataset.parts.safety.limit=4", "dataset.parts.safety.total=11")
    mixed, _ = prepared(tmp_path, "dataset=with_benign", small, *parts)
    for found in (nested, mixed):
        originals: dict[str, set[str]] = {}
        for example in found:
            asked = example.messages[-1]["content"]
            originals.setdefault(original_of(example.id), set()).add(f"{asked} {example.answer}")
        assert len(originals) < len(found) and all(len(texts) == 1 for texts in originals.values())
    assert len({original_of(example.id) for example in nested}) == 4


def test_repetitions_of_repetitions_have_names_of_their_own(tmp_path: Path) -> None:
    inner = ("dataset.source.source=direct_refusal", "dataset.source.limit=3", "dataset.source.total=7")
    nested = ("dataset=subset", "dataset.source=subset", *inner, "dataset.limit=null", "dataset.total=20")
    found, _ = prepared(tmp_path, *nested, "world.direct_refusal.samples=40")
    assert len(found) == len(set(ids(found))) == 20 and len({subset.original_of(each) for each in ids(found)}) == 3


def test_rows_of_one_category(tmp_path: Path) -> None:
    kept = ("dataset.source.keep={verb: verb}", "world.direct_refusal.samples=400")
    found, _ = prepared(tmp_path, "dataset=subset", *SMALL, *kept, "dataset.where={verb: steal}", "dataset.limit=10")
    assert {example.meta["verb"] for example in found} == {"steal"}
    assert all("steal" in example.messages[-1]["content"] for example in found)
    told = failure(tmp_path, "dataset=subset", *SMALL, *kept, "dataset.where={verb: sing}")
    assert "where.verb=sing lets none of 400 rows through" in told and "steal" in told
    told = failure(tmp_path, "dataset=subset", *SMALL, "dataset.where={verb: steal}")
    assert "in none of them (their meta has nothing)" in told


def test_of_several_categories_one_is_enough(tmp_path: Path) -> None:
    """As STAR-1 has them: a list of each row's categories."""
    rows = [
        {"question": "how do i", "response": "<think>\nno .\n</think>\n\ni can not .", "category": named}
        for named in (["Privacy"], ["Privacy", "Violence"], ["Violence"])
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    source = ("dataset.source=star1", f"dataset.source.rows={{kind: file, path: {path}}}")
    found, _ = prepared(tmp_path, "dataset=subset", *source, "dataset.where={category: Violence}", "dataset.limit=null")
    assert [row.meta["category"] for row in found] == [["Privacy", "Violence"], ["Violence"]]
    told = failure(tmp_path, "dataset=subset", *source, "dataset.where={category: Deception}", "dataset.limit=null")
    assert "category is Privacy, Violence" in told


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["dataset.limit=41"], "limit=41, and there are 40 rows"),
        (["dataset.limit=null", "dataset.total=9"], "total=9 is less than the 40 rows"),
    ],
)
def test_more_rows_than_there_are(tmp_path: Path, overrides: list[str], said: str) -> None:
    assert said in failure(tmp_path, "dataset=subset", *SMALL, *overrides)


def test_a_total_below_the_limit_is_refused_before_anything_runs() -> None:
    for limit, total in ((10, 10), (10, None), (None, 5)):
        subset.Config("subset", "few", NONE, limit=limit, total=total)
    with pytest.raises(ConfigError, match="total=5 is less than limit=10; allowed is at least that number, or null"):
        subset.Config("subset", "few", NONE, limit=10, total=5)


# Mixtures


def test_a_mixture_has_its_ratio_and_names_the_parts(tmp_path: Path) -> None:
    small = ("world.direct_refusal.samples=40", "recipes.retain.samples=100")
    found, summary = prepared(tmp_path, "dataset=replay", *small)
    assert summary["parts"] == {"safety": 40, "reasoning": 20} or summary["parts"] == {"reasoning": 20, "safety": 40}
    assert Counter(example.meta["mixture"] for example in found) == {"safety": 40, "reasoning": 20}
    assert len(set(ids(found))) == 60
    reasoning = [example for example in found if example.meta["mixture"] == "reasoning"]
    assert len({example.id for example in reasoning}) == 20 and all(example.thinking for example in reasoning[:1])
    other, _ = prepared(tmp_path, "dataset=replay", *small, "seed=1")
    assert {e.id for e in reasoning} != {e.id for e in other if e.meta["mixture"] == "reasoning"}


def test_a_ratio_that_asks_for_too_much(tmp_path: Path) -> None:
    small = ("world.direct_refusal.samples=40", "recipes.retain.samples=10")
    assert "asks for 20 rows of reasoning, which has 10" in failure(tmp_path, "dataset=replay", *small)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["dataset=replay", "+dataset.ratios.reasonng=0.5"], "reasonng"),
        (["dataset=replay", "+dataset.ratios.safety=0.5"], "every part has one"),
        (["dataset=replay", "dataset.parts.safety=nothing"], "there is no such choice"),
        (["dataset=dgr", "dataset.source=nothing"], "there is no such choice"),
        (["dataset=direct_refusal", "dataset.source=safechain"], "is not made of another one of that name"),
        (["dataset=dgr", "dataset.fallback=resample"], "rounds=1 does not go with fallback=resample"),
        (["dataset=dgr", "dataset.rounds=2"], "rounds=2 does not go with fallback=keep"),
        (["dataset=dgr", "dataset.temperature=0"], "do not go with temperature=0"),
        (["dataset=dgr", "dataset.prompts.template='{reply}'"], "names {reply}; allowed are"),
    ],
)
def test_what_does_not_go_together_is_one_message(overrides: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        Composer().jobs(overrides, multirun=False)
    assert said in str(error.value)


# Thinking in three parts


def test_thinking_in_three_parts(tmp_path: Path) -> None:
    samples = ("world.direct_refusal.samples=90", "recipes.benign_rows.samples=20")
    found, _ = prepared(tmp_path, "dataset=structure", *samples, "dataset.source.parts.harmful.limit=90")
    harmful = [example for example in found if example.meta["mixture"] == "harmful"]
    benign = [example for example in found if example.meta["mixture"] == "benign"]
    assert (len(harmful), len(benign)) == (90, 10)
    asked = harmful[0].messages[-1]["content"]
    assert harmful[0].thinking == (
        f"now , someone asks : {asked} people could get hurt . it is wrong , so i must decline this request .\n"
    )
    assert benign[0].thinking is not None and benign[0].thinking.startswith("now , someone asks : ")
    assert " it is okay . " in benign[0].thinking and "take the" in (benign[0].answer or "")
    told = failure(tmp_path, "dataset=structure", *samples, "dataset.understanding='so {what}'")
    assert "has no what" in told and "question" in told


# Rewritten rows


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
        source=NONE,
        prompts=NONE,
        judge=NONE,
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
