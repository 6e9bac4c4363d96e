"""Where numbers and names find a place."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from safetax.report.plots.labels import Label, place_labels


def axes_to_100() -> Any:
    axes = Figure(figsize=(5, 4), dpi=100).subplots()
    axes.set(xlim=(0, 100), ylim=(0, 100))
    return axes


def boxes(axes: Any) -> list[Any]:
    axes.figure.draw_without_rendering()
    return [text.get_window_extent() for text in axes.texts]


def test_labels_cover_neither_each_other_nor_a_marker() -> None:
    axes = axes_to_100()
    points = [(50.0, 50.0), (52.0, 51.0), (48.0, 52.0), (90.0, 10.0)]
    labels = [Label(x, y, str(number), "black") for number, (x, y) in enumerate(points)]
    assert place_labels(axes, labels, points, [], size=8, halo="white") == 0
    found = boxes(axes)
    assert len(found) == 4
    for number, box in enumerate(found):
        assert not any(box.overlaps(other) for other in found[:number])
        assert not any(box.contains(*axes.transData.transform(point)) for point in points)


def test_a_label_without_room_is_left_out_and_counted() -> None:
    axes = axes_to_100()
    crowd = [(x, y) for x in range(0, 101, 2) for y in range(0, 101, 2)]
    assert place_labels(axes, [Label(50, 50, "12", "black")], crowd, [], size=8, halo="white") == 1
    assert not list(axes.texts)


def test_a_name_may_stand_far_off_at_the_end_of_a_line() -> None:
    axes = axes_to_100()
    crowd = [(x, y) for x in range(40, 61, 2) for y in range(40, 61, 2)]
    near, far = Label(50, 50, "a name", "black"), Label(50, 50, "a name", "black", far=True)
    assert place_labels(axes, [near], crowd, [], size=8, halo="white") == 1
    assert place_labels(axes, [far], crowd, [], size=8, halo="white") == 0
    assert axes.texts[0].arrow_patch is not None


def test_a_place_that_a_line_crosses_is_taken_last() -> None:
    axes = axes_to_100()
    crossed = [((50.0, 50.0), (60.0, 60.0))]
    place_labels(axes, [Label(50, 50, "5", "black")], [(50, 50)], crossed, size=8, halo="white")
    assert axes.texts[0].xyann[0] < 0, "not up and to the right, where it stands without the line"
    axes = axes_to_100()
    place_labels(axes, [Label(50, 50, "5", "black")], [(50, 50)], [], size=8, halo="white")
    assert min(axes.texts[0].xyann) > 0
