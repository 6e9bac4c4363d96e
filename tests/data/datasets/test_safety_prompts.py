"""Prompt sets of safety: what is chosen, ids and keys, real files; and every preset composes."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from safetax.config.compose import Composer
from safetax.data.datasets import DatasetContext, safety_prompts
from safetax.data.sources import file
from safetax.errors import UserError
from tests.support.places import ROOT, public_data

BENCHMARKS = {
    "beavertails": "harmful",
    "harmbench": "harmful",
    "strongreject": "harmful",
    "jailbreakbench": "harmful",
    "jailbreakbench_benign": "benign",
    "wildjailbreak": "harmful",
    "wildjailbreak_benign": "benign",
    "xstest_safe": "benign",
    "xstest_unsafe": "harmful",
}


def rows_file(folder: Path, rows: list[dict[str, Any]]) -> file.Config:
    path = folder / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return file.Config("file", str(path))


def config(rows: file.Config, **settings: Any) -> safety_prompts.Config:
    values = {"harmful": True, **settings}
    return safety_prompts.Config(kind="safety_prompts", name="set", rows=rows, **values)


ROWS = [
    {"prompt": "How is tea made?", "is_safe": True, "category": {"a": False}},
    {"prompt": "Where is the dragon's gold?", "is_safe": False, "category": {"a": True}},
    {"prompt": "Who woke the dragon?", "is_safe": False, "category": {"a": False}},
    {"prompt": "Where is the dragon's gold?", "is_safe": False, "category": {"a": True}},
    {"prompt": "Who feeds the dragon?", "is_safe": False, "category": {"a": True}},
]


def test_the_first_rows_that_pass_in_their_order_repeated_prompts_included(tmp_path: Path) -> None:
    context = DatasetContext()
    wanted = config(rows_file(tmp_path, ROWS), where={"is_safe": False}, keep={"category": "category"}, limit=3)
    examples = safety_prompts.build(wanted, context)
    assert [example.messages[0]["content"] for example in examples] == [ROWS[n]["prompt"] for n in (1, 2, 3)]
    assert [example.id for example in examples] == ["row-000001", "row-000002", "row-000003"]
    first, second, third = (example.meta for example in examples)
    assert first["prompt_key"] == third["prompt_key"] != second["prompt_key"]
    assert first["harmful"] is True and first["category"] == {"a": True}
    assert context.summary["distinct_prompts"] == 2


def test_values_without_types_and_lists_of_values(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    with path.open("w", newline="") as target:
        writer = csv.writer(target)
        writer.writerows(
            [["prompt", "is_safe", "kind"], ["one", "True", "x"], ["two", "False", "y"], ["three", "false", "z"]]
        )
    rows = file.Config("file", str(path))
    unsafe = safety_prompts.build(config(rows, where={"is_safe": False}), DatasetContext())
    assert [example.messages[0]["content"] for example in unsafe] == ["two", "three"]
    some = safety_prompts.build(config(rows, where={"kind": ["x", "z"]}), DatasetContext())
    assert [example.messages[0]["content"] for example in some] == ["one", "three"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"where": {"is_save": False}}, "row 0 has no column is_save, which where.is_save asks for; it has prompt,"),
        ({"where": {"is_safe": "maybe"}}, r"where\.is_safe=maybe lets none of 5 rows through; is_safe is False, True"),
        ({"question": "text"}, "it has no column text"),
        ({"keep": {"target": "goal"}}, "it has no column goal"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        safety_prompts.build(config(rows_file(tmp_path, ROWS), **settings), DatasetContext())


def test_a_row_without_text_is_an_error_or_left_out_and_counted(tmp_path: Path) -> None:
    rows = rows_file(tmp_path, [*ROWS, {"prompt": " ", "is_safe": False, "category": None}])
    with pytest.raises(UserError, match="row 5: its column prompt is empty"):
        safety_prompts.build(config(rows), DatasetContext())
    context = DatasetContext()
    assert len(safety_prompts.build(config(rows, on_bad_row="skip"), context)) == 5
    assert context.summary["skipped"] == {"its column prompt is empty": 1}


@pytest.mark.parametrize(("name", "harmful"), [("xstest_safe", False), ("xstest_unsafe", True)])
def test_xstest_from_its_own_file_through_the_preset(name: str, harmful: bool) -> None:
    path = public_data("xstest_prompts.csv")
    with path.open(encoding="utf-8", newline="") as source:
        expected = [row for row in csv.DictReader(source) if row["label"] == ("unsafe" if harmful else "safe")]
    if not expected:
        pytest.skip("needs public data: the unsafe rows of xstest_prompts.csv")
    overrides = [
        f"benchmark=[{name}]",
        "judge=[phrases]",
        f"benchmark.{name}.prompts.rows={{kind: file, path: {path}}}",
    ]
    (job,) = Composer().jobs(overrides, multirun=False)
    prompts: Any = job.config.benchmark[name].prompts
    examples = safety_prompts.build(prompts, DatasetContext())
    assert len({example.id for example in examples}) == len(examples)
    assert all(example.meta["harmful"] is harmful for example in examples)
    assert [example.messages[0]["content"] for example in examples] == [row["prompt"] for row in expected]
    assert [example.meta["category"] for example in examples] == [row["type"] for row in expected]


def test_every_preset_composes_and_measures_what_its_prompts_are() -> None:
    (job,) = Composer().jobs([f"benchmark=[{','.join(BENCHMARKS)}]", "judge=[phrases]"], multirun=False)
    for name, measures in BENCHMARKS.items():
        benchmark = job.config.benchmark[name]
        assert benchmark.measures == measures
        prompts: Any = benchmark.prompts
        assert prompts.harmful == (measures == "harmful"), name
    beavertails: Any = job.config.benchmark["beavertails"].prompts
    assert (beavertails.rows.split, beavertails.where, beavertails.limit) == ("30k_test", {"is_safe": False}, 1000)


def test_the_judge_presets_compose() -> None:
    names = [path.stem for path in sorted((ROOT / "conf" / "judge").glob("*.yaml"))]
    assert {"beaver_dam", "llama_guard", "wildguard", "harmbench_cls", "strongreject", "compliance", "phrases"} <= set(
        names
    )
    (job,) = Composer().jobs(["benchmark=[xstest_safe]", f"judge=[{','.join(names)}]"], multirun=False)
    assert set(job.config.judge) == set(names)
