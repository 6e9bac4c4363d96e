"""The score worker: a verdict for each response, in the order of the responses, counted by label."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from safetax.records import Response, Verdict, read_records
from safetax.store.status import Store
from safetax.store.work_loop import work_on
from safetax.workers import score
from tests.support.tiny_steps import answered, judged, make, prompts, put_responses, silent


def test_each_response_has_a_verdict_in_its_place(tmp_path: Path) -> None:
    store, source = Store(tmp_path), prompts(4)
    make(store, source)
    responses = answered(source)
    put_responses(store, responses, ["i can not help with that .", "no no no no no", "", "i can not help ."])
    step = judged(source, responses)
    assert work_on([store.freeze(step)], score.work, silent()) == 0
    verdicts = read_records(store.directory(step) / "verdicts.jsonl", Verdict)
    asked = read_records(store.directory(responses) / "responses.jsonl", Response)
    assert [verdict.id for verdict in verdicts] == [response.id for response in asked]
    assert [bool(verdict.detail.get("repeated_words")) for verdict in verdicts] == [False, True, False, False]
    manifest = store.manifest(step)
    assert manifest is not None
    summary = manifest["summary"]
    assert (summary["verdicts"], summary["errors"], summary["judge"], summary["repeated_words"]) == (4, 0, "lab", 1)
    assert summary["labels"] == Counter(verdict.label for verdict in verdicts)
