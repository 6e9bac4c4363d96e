"""A few rows of another data set: nested draws, repetitions, categories, and what there is too little of."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from safetax.data.datasets import subset
from safetax.data.datasets.subset import original_of
from safetax.errors import ConfigError
from safetax.records import Example
from tests.support.prepared import failure, prepared
from tests.support.recipes import UNUSED

SMALL = ("world.direct_refusal.samples=40", "dataset.source=direct_refusal")


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
    source = ("dataset.source=direct_refusal", "world.direct_refusal.samples=400")
    kept = (*source, "dataset.source.keep={verb: verb}")
    found, _ = prepared(tmp_path, "dataset=subset", *kept, "dataset.where={verb: steal}", "dataset.limit=10")
    assert {example.meta["verb"] for example in found} == {"steal"}
    assert all("steal" in example.messages[-1]["content"] for example in found)
    told = failure(tmp_path, "dataset=subset", *kept, "dataset.where={verb: sing}")
    assert "where.verb=sing lets none of 400 rows through" in told and "steal" in told
    told = failure(tmp_path, "dataset=subset", *SMALL, "dataset.where={verb: steal}")
    assert "in none of them (they have nothing)" in told


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
        subset.Config(kind="subset", name="few", source=UNUSED, limit=limit, total=total)
    with pytest.raises(ConfigError, match="total=5 is less than limit=10; allowed is at least that number, or null"):
        subset.Config(kind="subset", name="few", source=UNUSED, limit=10, total=5)
