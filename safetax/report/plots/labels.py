"""Places the small numbers beside points so that they cover neither each other nor a marker."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Corners before sides, since bars leave a point along the axes; a number far from its point is read as another's.
_DIRECTIONS = ((1, 1), (-1, 1), (1, -1), (-1, -1), (1, 0), (-1, 0), (0, 1), (0, -1))
_DISTANCES = (1.0, 1.35, 1.8)
_FAR = (2.4, 3.2, 4.2, 5.4, 6.8, 8.4, 10.2)
"""Distances at which a line leads from a name to its point."""
_LED = 2.0
_MISREAD = 4.0
"""Cost, in lines crossed, of a place that is nearer to another marker than to the text's own."""

Box = tuple[float, float, float, float]
Segment = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True)
class Label:
    """A text for the point at ``x``, ``y`` (data coordinates); ``room`` is the size of its marker against others'."""

    x: float
    y: float
    text: str
    color: str
    room: float = 1.0
    far: bool = False
    """Whether the text may stand away from its point, at the end of a thin line."""


def place_labels(
    axes: Axes,
    labels: Sequence[Label],
    markers: Sequence[tuple[float, float]],
    segments: Sequence[Segment],
    size: float,
    halo: str,
) -> int:
    """Write the labels that find a free place and return how many found none; the limits of the axes must be final.

    No label covers another one or one of the ``markers`` (data coordinates); places that lines and bars (``segments``)
    cross are taken last. ``size`` is the font size in points, ``halo`` the colour around letters.
    """
    from matplotlib.patheffects import withStroke

    figure = axes.get_figure(root=True)
    assert figure is not None
    scale = figure.dpi / 72
    half = 3.2 * scale
    places = [tuple(axes.transData.transform(marker)) for marker in markers]
    taken: list[Box] = [(x - half, y - half, x + half, y + half) for x, y in places]
    drawn = [tuple(map(tuple, axes.transData.transform(segment))) for segment in segments]
    dropped = 0
    # Names first, then numbers from the freest point to the most crowded one, where dropping one costs least.
    for label in sorted(labels, key=lambda label: (label.room <= 1.0, -_freedom(axes, label, places))):
        spot = _best_place(axes, label, size * scale, half, taken, drawn, places)
        if spot is None:
            dropped += 1
            continue
        (dx, dy), box, led = spot
        taken.append(box)
        axes.annotate(
            label.text,
            (label.x, label.y),
            xytext=(dx / scale, dy / scale),
            textcoords="offset points",
            ha="center",
            va="center_baseline",
            fontsize=size,
            color=label.color,
            annotation_clip=False,
            zorder=7,
            path_effects=[withStroke(linewidth=2.0, foreground=halo)],
            arrowprops=_leader(label) if led else None,
        )
    return dropped


def _best_place(
    axes: Axes,
    label: Label,
    size: float,
    half: float,
    taken: Sequence[Box],
    drawn: Sequence[Any],
    places: Sequence[tuple[float, ...]],
) -> tuple[tuple[float, float], Box, bool] | None:
    """Return offset from the point and box, in pixels, of the place that the fewest lines cross, near first.

    Also whether a line must lead there. Places at which the text would be read as that of another of the markers, at
    ``places`` in pixels, come late.
    """
    x, y = axes.transData.transform((label.x, label.y))
    # Digits and points are narrower than the letters of a name.
    letter = 0.6 if label.text[0].isdigit() else 0.72
    width, height = (letter * len(label.text) + 0.1) * size, 0.88 * size
    frame = axes.bbox
    best = None
    for distance in (*_DISTANCES, *(_FAR if label.far else ())):
        led = distance > _LED
        for across, up in _DIRECTIONS:
            # A corner needs the full step along one axis only. Far off, a long name must not go as far as it is long.
            stretch = (1 + (distance - 1) * 0.3) if led else distance
            dx = across * (half * label.room + width / 2 + 0.1 * size) * stretch * (0.8 if up else 1)
            dy = up * (half * label.room + height / 2 + 0.05 * size) * distance
            box = (x + dx - width / 2, y + dy - height / 2, x + dx + width / 2, y + dy + height / 2)
            inside = frame.x0 <= box[0] and box[2] <= frame.x1 and frame.y0 <= box[1] and box[3] <= frame.y1 + size
            if not inside or any(_overlap(box, other) for other in taken):
                continue
            cost = sum(_crosses(segment, box) for segment in drawn) + 2 * (distance - 1)
            own = _distance((x, y), box)
            cost += _MISREAD * any(_distance(other, box) < own - 1 for other in places)
            if led:
                cost += 3 + sum(_crosses(((x, y), (x + dx, y + dy)), other) for other in taken[:-1])
            if best is None or cost < best[0] - 1e-9:
                best = (cost, ((dx, dy), box, led))
    return best[1] if best else None


def _leader(label: Label) -> dict[str, Any]:
    return {"arrowstyle": "-", "color": label.color, "linewidth": 0.6, "alpha": 0.7, "shrinkA": 0, "shrinkB": 2}


def _crosses(segment: Segment, box: Box) -> bool:
    """Whether the segment passes through the box (Liang and Barsky's clipping)."""
    (x0, y0), (x1, y1) = segment
    start, end = 0.0, 1.0
    for step, low, high in ((x1 - x0, box[0] - x0, box[2] - x0), (y1 - y0, box[1] - y0, box[3] - y0)):
        if abs(step) < 1e-9:
            if low > 0 or high < 0:
                return False
            continue
        enter, leave = sorted((low / step, high / step))
        start, end = max(start, enter), min(end, leave)
    return start <= end


def _freedom(axes: Axes, label: Label, places: Sequence[tuple[float, ...]]) -> float:
    """Return the distance to the three nearest other points, in pixels."""
    place = tuple(axes.transData.transform((label.x, label.y)))
    return sum(sorted(math.dist(place, other) for other in places)[1:4])


def _distance(place: Sequence[float], box: Box) -> float:
    """Return how far a place lies from a box; 0 within it."""
    x, y = place[0], place[1]
    return math.hypot(max(box[0] - x, 0.0, x - box[2]), max(box[1] - y, 0.0, y - box[3]))


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
