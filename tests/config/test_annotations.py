"""The walk over a configuration's components: which there are, and where they stand."""

from __future__ import annotations

from safetax.config.annotations import component_nodes
from safetax.config.compose import Composer


def test_every_component_is_found_where_it_stands() -> None:
    composer = Composer()
    overrides = composer.force(
        ["+experiment=lab_quick", "objective@alignment.objective=kl", "dataset=dgr", "dataset.source=safechain"]
    )
    found = {(path, package) for path, _, package in component_nodes(composer.job(overrides).config)}
    assert {
        ("model.pretraining.dataset", "datasets"),
        ("reasoning.dataset", "datasets"),
        ("dataset", "datasets"),
        ("dataset.source", "datasets"),
        ("dataset.source.rows", "rows"),
        ("dataset.judge", "judges"),
        ("alignment.objective", "objectives"),
        ("engine", "engines"),
        ("judge.lab", "judges"),
        ("benchmark.lab_harmful.prompts", "datasets"),
        ("benchmark.lab_reasoning.grader", "judges"),
    } <= found
    assert all(package in ("datasets", "rows", "judges", "engines", "objectives") for _, package in found)
