"""Comparisons that are made together: p-values, corrected for how many there are."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values of a family of comparisons, corrected by Holm's method (1979), in their order."""
    # statsmodels' multipletests would bring pandas and a second's import for these lines; scipy has none.
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return corrected
