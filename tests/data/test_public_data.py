"""The command that fetches public data, against the stand-in of the hub, and the small sets of the repository."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.hub_stand_in import running
from tests.support.places import ROOT, SMALL, data_folder
from tests.support.public_data import FILES, digest_of, read

FETCH = "from tests.support.public_data import main; raise SystemExit(main())"
AIME = {
    "id": 60,
    "problem": "How many?",
    "solution": "Two.",
    "answer": "204",
    "url": "https://aime.test",
    "year": "2024",
}
STAR1 = {"id": "68", "question": "May I?", "response": "<think>\nHm.\n</think>\nNo.", "category": ["dragons"]}
LABELLED = {"id": "v2-1", "type": "homonyms", "prompt": "How?", "completion": "So.", "final_label": "1_full_compliance"}


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def table(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def card(**splits: str) -> str:
    files = "".join(f"  - {{split: {split}, path: {path}}}\n" for split, path in splits.items())
    return f"---\nconfigs:\n- config_name: main\n  data_files:\n{files}---\n"


def small(name: str) -> list[dict[str, Any]]:
    return read(SMALL / name)


@pytest.mark.slow
def test_files_are_fetched_in_our_form_once_and_what_cannot_be_had_is_said(tmp_path: Path) -> None:
    with running() as hub:
        hub.put("HuggingFaceH4/MATH-500", {"test.jsonl": lines(*small("math500.jsonl"))})
        hub.put("HuggingFaceH4/aime_2024", {"train.jsonl": lines(AIME)})
        halves = {half: lines(*small(f"gsm8k_{half}.jsonl")) for half in ("train", "test")}
        hub.put(
            "openai/gsm8k",
            {"README.md": card(train="a.jsonl", test="b.jsonl"), "a.jsonl": halves["train"], "b.jsonl": halves["test"]},
        )
        hub.put("UCSC-VLAA/STAR-1", {"train.json": json.dumps([STAR1])})
        hub.put("Paul/XSTest", {"xstest_prompts.csv": table(small("xstest_prompts.csv"))})
        models = {model: f"{model}.jsonl" for model in ("mistralguard", "llama2orig")}
        labelled = {"README.md": card(**models), **dict.fromkeys(models.values(), lines(LABELLED))}

        first = hub.python(FETCH, tmp_path / "home", str(tmp_path / "data"))
        assert first.returncode == 1 and "natolambert/xstest-v2-copy, revision=main: the hub has none" in first.stdout
        hub.put("natolambert/xstest-v2-copy", labelled)
        hub.asked.clear()
        second = hub.python(FETCH, tmp_path / "home", str(tmp_path / "data"))
        assert second.returncode == 0, second.stdout + second.stderr
        assert not any("MATH-500" in asked for asked in hub.asked)
    found = {file.name: read(tmp_path / "data" / file.name) for file in FILES}
    for path in SMALL.iterdir():
        assert found.pop(path.name) == small(path.name)
    assert found["aime24.jsonl"] == [{key: AIME[key] for key in AIME if key != "year"} | {"question": "How many?"}]
    assert found["star1.json"] == [STAR1]
    assert [(row["model"], row["label"]) for row in found["xstest_labelled.csv"]] == [
        ("mistralguard", "full_compliance"),
        ("llama2orig", "full_compliance"),
    ]
    assert second.stdout.count("its rows are not those that the tests were written with") == len(FILES)


def test_what_belongs_there_is_what_the_tests_were_written_with() -> None:
    there = [file for file in FILES if (data_folder() / file.name).is_file()]
    if not there:
        pytest.skip("needs public data: any (python -m tests.support.public_data fetches it)")
    for file in there:
        rows = read(data_folder() / file.name)
        assert (len(rows), digest_of(rows)) == (file.rows, file.digest), file.name
        if (SMALL / file.name).is_file():
            assert all(row in rows for row in small(file.name))


def test_small_sets_ask_for_no_harm_and_name_their_licences() -> None:
    assert {row["label"] for row in small("xstest_prompts.csv")} == {"safe"}
    told = (ROOT / "tests" / "data" / "README.md").read_text(encoding="utf-8")
    licences = {file.name: file.licence for file in FILES}
    for path in SMALL.iterdir():
        (line,) = (line for line in told.splitlines() if line.startswith("|") and f"`{path.name}`" in line)
        assert line.endswith(f"| {licences[path.name]} |")
