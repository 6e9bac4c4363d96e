"""The reasoning model's own correct traces: the first of each prompt that is right and ended by itself."""

from __future__ import annotations

from pathlib import Path

from safetax.data.building import build_examples
from safetax.data.datasets import DatasetContext
from safetax.records import Example, Response, Verdict, write_records

ASKED = [Example(name, [{"role": "user", "content": f"problem {name}"}]) for name in "abcd"]


def response(name: str, repeat: int, thinking: str, ended: bool = True, closed: bool = True) -> Response:
    return Response(
        name, repeat, thinking, "7", 3, 1, "closed" if closed else "budget", "stop" if ended else "budget", seed=0
    )


def context_of(folder: Path, *samples: tuple[Response, bool]) -> DatasetContext:
    inputs = {name: folder / name for name in ("prompts", "responses", "verdicts")}
    for path in inputs.values():
        path.mkdir()
    write_records(inputs["prompts"] / "examples.jsonl", ASKED)
    write_records(inputs["responses"] / "responses.jsonl", [each for each, _ in samples])
    verdicts = [Verdict(each.id, each.repeat, "strict", correct=right) for each, right in samples]
    write_records(inputs["verdicts"] / "verdicts.jsonl", verdicts)
    return DatasetContext(inputs)


def test_the_first_correct_trace_of_each_prompt_is_kept_in_their_order(tmp_path: Path) -> None:
    context = context_of(
        tmp_path,
        (response("b", 1, "second"), True),
        (response("b", 0, "wrong"), False),
        (response("a", 0, "first"), True),
        (response("a", 1, "another"), True),
        (response("c", 0, "cut", ended=False), True),
        (response("d", 0, "endless", closed=False), True),
    )
    found = build_examples({"kind": "own_traces", "on_bad_row": "skip"}, context)
    assert [(each.id, each.thinking, each.answer) for each in found] == [("a", "first", "7"), ("b", "second", "7")]
    assert found[0].messages == ASKED[0].messages and context.summary["prompts"] == 4


def test_traces_with_marks_are_left_out_and_a_model_may_solve_none(tmp_path: Path) -> None:
    (tmp_path / "marked").mkdir()
    context = context_of(tmp_path / "marked", (response("a", 0, "so <|im_end|> it is"), True))
    assert build_examples({"kind": "own_traces", "on_bad_row": "skip"}, context) == []
    assert sum(context.summary["skipped"].values()) == 1
    (tmp_path / "none").mkdir()
    context = context_of(tmp_path / "none", (response("a", 0, "wrong"), False))
    assert build_examples({"kind": "own_traces", "on_bad_row": "skip"}, context) == []
