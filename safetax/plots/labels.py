"""Places the small numbers beside points so that they cover neither each other nor a marker."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Right above first, then around; a number far from its point is read as another's, hence few distances.
_ANGLES = (45, 135, 0, 180, 315, 225, 90, 270)
_DISTANCES = (1.0, 1.4, 1.9)

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Label:
    """A text for the point at ``x``, ``y`` (data coordinates); ``room`` is the size of its marker against others'."""

    x: float
    y: float
    text: str
    color: str
    room: float = 1.0


def place_labels(
    axes: Axes, labels: Sequence[Label], markers: Sequence[tuple[float, float]], size: float, halo: str
) -> int:
    """Write the labels that find a free place and return how many found none; the limits of the axes must be final.

    ``markers`` are the points (data coordinates) that no label may cover, ``size`` is the font size in points, and
    ``halo`` the colour around letters, where lines pass below them.
    """
    from matplotlib.patheffects import withStroke

    figure = axes.get_figure(root=True)
    assert figure is not None
    scale = figure.dpi / 72
    half = 3.0 * scale
    places = [tuple(axes.transData.transform(marker)) for marker in markers]
    taken: list[Box] = [(x - half, y - half, x + half, y + half) for x, y in places]
    dropped = 0
    # Names first, then numbers from the freest point to the most crowded one, where dropping one costs least.
    order = sorted(labels, key=lambda label: (label.room <= 1.0, -_freedom(axes, label, places)))
    for label in order:
        spot = _free_place(axes, label, size * scale, half, taken)
        if spot is None:
            dropped += 1
            continue
        (dx, dy), box = spot
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
            path_effects=[withStroke(linewidth=2.2, foreground=halo)],
        )
    return dropped


def _free_place(
    axes: Axes, label: Label, size: float, half: float, taken: Sequence[Box]
) -> tuple[tuple[float, float], Box] | None:
    """Return the offset from the point, in pixels, and the box of the first place that covers nothing."""
    x, y = axes.transData.transform((label.x, label.y))
    width, height = (0.62 * len(label.text) + 0.1) * size, 0.95 * size
    frame = axes.bbox
    for distance in _DISTANCES:
        for angle in _ANGLES:
            across, up = math.cos(math.radians(angle)), math.sin(math.radians(angle))
            dx = across * (half * label.room + width / 2 + 0.2 * size) * distance
            dy = up * (half * label.room + height / 2 + 0.1 * size) * distance
            box = (x + dx - width / 2, y + dy - height / 2, x + dx + width / 2, y + dy + height / 2)
            inside = frame.x0 <= box[0] and box[2] <= frame.x1 and frame.y0 <= box[1] and box[3] <= frame.y1 + size
            if inside and not any(_overlap(box, other) for other in taken):
                return (dx, dy), box
    return None


def _freedom(axes: Axes, label: Label, places: Sequence[tuple[float, ...]]) -> float:
    """Return the distance to the three nearest other points, in pixels."""
    place = tuple(axes.transData.transform((label.x, label.y)))
    return sum(sorted(math.dist(place, other) for other in places)[1:4])


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
