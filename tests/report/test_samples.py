"""The samples that the page lets its reader browse."""

from __future__ import annotations

from safetax.report import samples


def test_samples_are_spread_over_labels_and_a_smaller_choice_begins_a_larger_one() -> None:
    labels = {(f"p{i}", 0): "common" if i < 97 else "rare" for i in range(100)}
    forty = samples.stratified_choice(labels, 40, "benchmark")
    assert len(set(forty)) == 40
    assert sum(labels[key] == "rare" for key in forty) == 3
    assert samples.stratified_choice(labels, 10, "benchmark") == forty[:10]
    assert samples.stratified_choice(dict(reversed(labels.items())), 40, "benchmark") == forty
    assert samples.stratified_choice(labels, 40, "other") != forty


def test_long_texts_are_shortened_and_say_so() -> None:
    assert samples.shorten("x" * 100, 100) == "x" * 100
    short = samples.shorten("a" * 60 + "b" * 60, 100)
    assert short is not None
    assert short.startswith("a" * 50)
    assert short.endswith("b" * 50)
    assert "20 characters left out" in short
    assert samples.shorten(None, 5) is None
