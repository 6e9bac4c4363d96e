from __future__ import annotations

import json
from pathlib import Path

from safetax.results.codec import from_json, to_json
from safetax.results.collect import collect, write_results
from safetax.results.document import Results
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


def test_an_aligned_model_says_what_is_not_known_of_its_data(tmp_path: Path) -> None:
    collected = collect([make_paper_outputs(tmp_path, epochs=(0, 5), size=0.1)])
    for entry in to_json(collected.results)["checkpoints"]:
        told = {"method", "data", "shift", "recipe"} & entry.keys()
        assert len(told) == (4 if entry["role"] == "aligned" else 0)
