"""Data sets of whole responses: how they are parted, what is chosen and kept, what cannot be used, and real rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from safetax.data.chat import ChatRenderer
from safetax.data.datasets import DatasetContext, traces
from safetax.data.sources import file
from safetax.errors import ConfigError, UserError
from tests.support.places import public_data
from tests.support.prepared import failure, from_file, planned, prepared, rows_file
from tests.support.recipes import markup
from tests.support.tokenizers_like import deepseek_like, qwen_like

COMMIT = "0123456789abcdef0123456789abcdef01234567"

REPOSITORIES = {
    "star1": ("star1", "UCSC-VLAA/STAR-1", ("question", "response")),
    "star_benign_915": ("star_benign_915", "UCSC-VLAA/STAR-benign-915", ("question", "response")),
    "r1_act": ("r1_act", "Yeonjun/R1-Act-train", ("instruction", "response")),
    "safechain_40k": ("safechain", "UWNSL/SafeChain", ("instruction", "response")),
    "thinksafe_published": (
        "thinksafe_published",
        "Seanie-lee/ThinkSafe-R1-Distill-7B",
        ("instruction", "response"),
    ),
}
"""Data set -> its entry in the world, repository, columns."""

LABELS = ["vanilla_harmful", "vanilla_benign", "adversarial_harmful", "adversarial_benign"]
CHAINS = [
    {"instruction": f"May I feed dragon {number}?", "response": f"Hm, {number}.\n</think>\n\nNo.", "label": label}
    for number, label in enumerate(LABELS)
]


def config(folder: Path, rows: list[dict[str, Any]], **settings: Any) -> traces.Config:
    return traces.Config(kind="traces", name="set", rows=file.Config("file", str(rows_file(folder, rows))), **settings)


def row(response: Any, question: Any = "May I?") -> dict[str, Any]:
    return {"question": question, "response": response}


@pytest.mark.parametrize(
    ("response", "thinking", "answer"),
    [
        ("<think>\nHm.\n</think>\n\nNo.", "Hm.", "No."),
        ("Hm.</think>No.", "Hm.", "No."),
        (" \n<think> \n Hm.\n\nWell. </think>\n No. \n", "Hm.\n\nWell.", "No."),
        ("<think>\n\n</think>\n\nNo.", "", "No."),
        ("Hm.</think>No.</think>Never.", "Hm.", "No.</think>Never."),
        ("Hm.</think>No <think> here.", "Hm.", "No <think> here."),
    ],
)
def test_a_response_is_parted_at_the_first_end_of_thinking(
    response: str, thinking: str, answer: str, tmp_path: Path
) -> None:
    (example,) = traces.build(config(tmp_path, [row(response, " May I? ")]), DatasetContext())
    assert ((example.thinking or "").strip(), example.answer) == (thinking, answer)
    assert example.thinking == thinking + "\n"
    assert example.messages == [{"role": "user", "content": " May I? "}]
    assert example.meta == {}


def test_other_tags(tmp_path: Path) -> None:
    tags = {"open_thinking": "[plan]", "end_thinking": "[say]"}
    (example,) = traces.build(config(tmp_path, [row("[plan]Hm. </think>[say]No.")], **tags), DatasetContext())
    assert (example.thinking, example.answer) == ("Hm. </think>\n", "No.")
    untagged = config(tmp_path, [row("<think>Hm.</think>No.")], open_thinking="")
    assert traces.build(untagged, DatasetContext())[0].thinking == "<think>Hm.\n"


BAD = [
    (row("I never stop thinking."), "its response has no </think> ('I never stop thinking.')"),
    (row("Hm.</think> \n"), "its answer behind </think> is empty"),
    (row("Sure. <think>Hm.</think>No."), "its response has <think> in the midst of its thinking"),
    (row("<think><think>Hm.</think>No."), "its response has <think> in the midst of its thinking"),
    (row(None), "its column response holds no text (but None)"),
    (row("Hm.</think>No.", ""), "its column question is empty"),
    ({"response": "Hm.</think>No."}, "it has no column question"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD)
def test_a_bad_row_is_named_by_index_and_reason(bad: dict[str, Any], reason: str, tmp_path: Path) -> None:
    good = row("Hm.</think>No.")
    with pytest.raises(UserError, match=r"dataset set: 1 of 3 rows cannot be used:\n  row 1: ") as raised:
        traces.build(config(tmp_path, [good, bad, good]), DatasetContext())
    assert reason in str(raised.value) and "on_bad_row=skip" in str(raised.value)


def test_bad_rows_may_be_skipped_with_a_count_by_reason(tmp_path: Path) -> None:
    rows = [*(bad for bad, _ in BAD), row("Hm.</think>No."), row("Nor do I.")]
    context = DatasetContext()
    (example,) = traces.build(config(tmp_path, rows, on_bad_row="skip"), context)
    assert example.id == f"traces-{len(BAD):05d}"
    assert context.summary["skipped"]["its response has no </think>"] == 2
    assert sum(context.summary["skipped"].values()) == len(BAD) + 1


def test_rows_are_chosen_kept_and_known_to_be_harmful_by_their_columns(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "question": "instruction",
        "keep": {"category": "label"},
        "harmful_where": {"label": ["vanilla_harmful", "adversarial_harmful"]},
    }
    examples = traces.build(config(tmp_path, CHAINS, **settings), DatasetContext())
    assert [example.meta for example in examples] == [
        {"harmful": "harmful" in label, "category": label} for label in LABELS
    ]
    vanilla = config(tmp_path, CHAINS, where={"label": ["vanilla_benign", "adversarial_benign"]}, **settings)
    assert [example.id for example in traces.build(vanilla, DatasetContext())] == ["traces-00001", "traces-00003"]
    first = config(tmp_path, CHAINS, where={"label": ["vanilla_benign", "adversarial_benign"]}, limit=1, **settings)
    assert [example.id for example in traces.build(first, DatasetContext())] == ["traces-00001"]
    alike = config(tmp_path, CHAINS, question="instruction", harmful=False)
    assert [example.meta for example in traces.build(alike, DatasetContext())] == [{"harmful": False}] * 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"where": {"lable": "x"}}, r"row 0 has no column lable, which where\.lable asks for; it has instruction,"),
        ({"where": {"label": "x"}}, r"where\.label=x lets none of 4 rows through; label is adversarial_benign,"),
        ({"keep": {"category": "kind"}}, "it has no column kind"),
        ({"harmful_where": {"prompt_label": "x"}}, "it has no column prompt_label"),
    ],
)
def test_columns_that_are_not_there_are_named(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        traces.build(config(tmp_path, CHAINS, question="instruction", **settings), DatasetContext())


def test_settings_that_contradict_each_other_are_refused_before_anything_runs() -> None:
    with pytest.raises(ConfigError, match=r"dataset\.end_thinking='' parts no thinking from its answer.*kind=table"):
        planned("world=paper", "dataset=star1", "dataset.end_thinking=''")
    with pytest.raises(ConfigError, match=r"dataset\.harmful=true does not go with harmful_where=\{level:high\}"):
        planned("world=paper", "dataset=star1", "+dataset.harmful_where={level: high}")


@pytest.mark.parametrize("dataset", REPOSITORIES)
def test_each_published_set_names_its_repository_and_columns(dataset: str) -> None:
    entry, repository, columns = REPOSITORIES[dataset]
    step = planned("world=paper", f"dataset={dataset}", f"world.{entry}.revision={COMMIT}")
    values = step.identity["dataset"]
    rows = values["rows"]
    assert (values["kind"], values["question"], values["response"]) == ("traces", *columns)
    assert (rows["kind"], rows["id"], rows["split"]) == ("hub", repository, "train")
    assert rows["resolved"] == {"commit": COMMIT}


def test_the_whole_safechain_leaves_out_rows_that_never_end_their_thinking(tmp_path: Path) -> None:
    rows = [*CHAINS, {"instruction": "May I?", "response": "Hm, and hm", "label": "vanilla_benign"}]
    examples, summary = prepared(tmp_path, "world=paper", "dataset=safechain_40k", from_file(rows_file(tmp_path, rows)))
    assert [example.meta["harmful"] for example in examples] == [True, False, True, False]
    assert summary["skipped"] == {"its response has no </think>": 1}


def test_a_response_that_never_ends_its_thinking_is_an_error_in_the_other_sets(tmp_path: Path) -> None:
    rows = [{**row(response), "category": []} for response in ("<think>Hm.</think>No.", "<think>Hm.")]
    message = failure(tmp_path, "world=paper", "dataset=star1", from_file(rows_file(tmp_path, rows)))
    assert "row 1: its response has no </think>" in message


@pytest.mark.parametrize(("name", "tokenizer"), [("think_tags", deepseek_like), ("s1", qwen_like)])
def test_rows_are_rendered_in_the_markup_of_the_run(name: str, tokenizer: Any, tmp_path: Path) -> None:
    path = from_file(rows_file(tmp_path, [{**row("<think>\nHm.\n</think>\n\nNo."), "category": ["dragons"]}]))
    (example,), _ = prepared(tmp_path, "world=paper", f"format={name}", "dataset=star1", path)
    assert example.meta == {"harmful": True, "category": ["dragons"]}
    text = ChatRenderer(tokenizer(), markup(name)).row_text(example)
    written = {
        "think_tags": "<｜Assistant｜><think>\nHm.\n</think>\n\nNo.",
        "s1": "<|im_start|>assistant\n<|im_start|>think\nHm.\n<|im_start|>answer\nAnswer: No.<|im_end|>\n",
    }[name]
    assert written in text


def test_real_rows_are_parted_so_that_the_models_own_markup_gives_the_very_same_text(tmp_path: Path) -> None:
    star1 = public_data("star1.json")
    examples, summary = prepared(tmp_path, "world=paper", "dataset=star1", from_file(star1))
    rows = json.loads(star1.read_text(encoding="utf-8"))
    assert summary == {"examples": 1000} and len(rows) == 1000
    renderer = ChatRenderer(deepseek_like(), markup("think_tags"))
    for example, real in zip(examples, rows, strict=True):
        assert example.messages == [{"role": "user", "content": real["question"]}]
        assert example.meta == {"harmful": True, "category": real["category"]}
        assert renderer.completion_text(example.thinking, example.answer or "") == real["response"].strip()


def test_real_rows_of_one_category(tmp_path: Path) -> None:
    star1 = public_data("star1.json")
    rows = [entry for entry in json.loads(star1.read_text(encoding="utf-8")) if entry["source"] == "HarmBench"]
    chosen, _ = prepared(
        tmp_path,
        "world=paper",
        "dataset=star1",
        from_file(star1),
        "+dataset.where.source=harmbench",
        "dataset.limit=20",
    )
    assert [example.messages[0]["content"] for example in chosen] == [entry["question"] for entry in rows[:20]]
    assert len(rows) == 31
