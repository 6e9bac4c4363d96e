"""Colours, markers and themes."""

from __future__ import annotations

import itertools

from safetax.report.plots.style import DARK, LIGHT


def test_many_curves_are_told_apart_in_both_themes() -> None:
    for theme in (LIGHT, DARK):
        styles = [tuple(map(str, theme.line(index).values())) for index in range(72)]
        assert len(set(styles)) == 72
        for one, other in itertools.combinations(range(16), 2):
            first, second = theme.line(one), theme.line(other)
            assert (first["color"], first["marker"]) != (second["color"], second["marker"])
        assert theme.text("#000000") != theme.text("#ffffff")
