from __future__ import annotations

import json
from pathlib import Path

from safetax.results.codec import from_json, to_json
from safetax.results.collect import collect, write_results
from safetax.results.document import Results, Score
from tests.support.synthetic_methods import category_outputs
from tests.support.synthetic_paper import make_paper_outputs


def test_what_was_written_is_read_as_it_was_collected(tmp_path: Path) -> None:
    folders = [
        make_paper_outputs(tmp_path / "paper", ("paper", "sound"), epochs=(0, 5), size=0.1),
        category_outputs(tmp_path / "categories", prompts=10),
    ]
    for number, folder in enumerate(folders):
        collected = collect([folder])
        written = json.loads(write_results(collected, tmp_path / str(number)).read_text())
        assert from_json(Results, written) == collected.results
        assert to_json(collected.results) == written


def test_what_does_not_apply_is_left_out_and_numbers_have_six_places() -> None:
    score = Score(1 / 3, -1e-9, 2.0, 5, 0, 0, "wilson")
    assert to_json(score) == {
        "value": 0.333333,
        "low": 0.0,
        "high": 2.0,
        "n": 5,
        "truncated": 0,
        "errors": 0,
        "interval": "wilson",
    }
    assert str(to_json(score)["low"]) == "0.0", "no minus before nothing"
    assert from_json(Score, {**to_json(score), "unique": None}) == from_json(Score, to_json(score))


def test_an_aligned_model_says_what_is_not_known_of_its_data(tmp_path: Path) -> None:
    collected = collect([make_paper_outputs(tmp_path, epochs=(0, 5), size=0.1)])
    for entry in to_json(collected.results)["checkpoints"]:
        told = {"method", "data", "shift", "recipe"} & entry.keys()
        assert len(told) == (4 if entry["role"] == "aligned" else 0)
