"""The map of a small course and of the whole: boxes by part, arrows inside a part, and numbers of other parts."""

from __future__ import annotations

import io
from itertools import combinations, pairwise

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, Rectangle
from matplotlib.path import Path

from minisam.lesson import course_map
from minisam.lesson.course_map import (
    COLORS,
    HEIGHT,
    LANES,
    PARTS,
    PIXELS,
    ROW,
    STEP,
    WIDTH,
    Stop,
    columns,
    draw_way,
    rows,
    save_map,
    stops,
    table,
)

COURSE = [
    Stop(0, 1, "Start", (), "00_start", 30),
    Stop(1, 1, "Next", (0,), "01_next", 40),
    Stop(2, 1, "Beside it", (0,), "02_beside", 45),
    Stop(3, 2, "Both", (1, 2), "03_both", 50),
    Stop(4, 3, "Planned", (0, 3)),
    Stop(5, 2, "Later", (3,), "05_later", 20),
]


@pytest.fixture
def drawn(monkeypatch):
    def draw(course: list[Stop]):
        figures = []
        monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: figures.append(figure))
        save_map(io.BytesIO(), course)
        (axes,) = figures[0].axes
        boxes = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
        return axes, boxes, [patch for patch in axes.patches if isinstance(patch, FancyArrowPatch)]

    return draw


def test_a_column_is_the_longest_way_from_the_start_of_the_part():
    assert columns(COURSE[:3]) == {0: 0, 1: 1, 2: 1}
    assert columns([COURSE[3], COURSE[5]]) == {3: 0, 5: 1}
    assert columns([Stop(n, 4, "", (0,)) for n in (7, 8, 9)]) == {7: 0, 8: 1, 9: 2}


def test_lessons_that_need_none_of_their_part_are_drawn_five_in_a_row():
    part = [Stop(n, 4, "", (0,)) for n in range(20, 27)]
    column = columns(part)
    assert list(column.values()) == [0, 1, 2, 3, 4, 0, 1]
    assert list(rows(part, column).values()) == [0, 0, 0, 0, 0, 1, 1]


def test_a_row_is_the_first_free_one_from_the_row_before():
    part = [Stop(0, 1, "", ()), Stop(1, 1, "", ()), Stop(2, 1, "", (1,)), Stop(3, 1, "", (0, 1))]
    assert rows(part, columns(part)) == {0: 0, 1: 1, 2: 1, 3: 2}
    assert rows([], {}) == {}


def test_boxes_show_part_and_state(drawn):
    axes, boxes, _ = drawn(COURSE)
    labels = [text.get_text() for text in axes.texts]
    assert [f"{stop.number}  {stop.title}" in labels for stop in COURSE] == [True] * 4 + [False, True]
    assert "4  Planned\n(planned)" in labels and set(PARTS.values()) <= set(labels)
    for stop, box in zip(COURSE, boxes, strict=True):
        assert box.get_linestyle() == ("-" if stop.folder else "--")
        figure_colour = Rectangle((0, 0), 1, 1, edgecolor=COLORS[stop.part]).get_edgecolor()
        assert box.get_edgecolor() == figure_colour
        assert box.get_facecolor() == (figure_colour if stop.folder else (1, 1, 1, 1))
    assert [box.get_x() / STEP for box in boxes] == pytest.approx([0, 1, 1, 0, 0, 1])


@pytest.mark.parametrize("course", [COURSE, stops()], ids=["small", "whole"])
def test_a_circle_names_each_lesson_of_another_part_above_the_box_that_needs_it(drawn, course):
    axes, boxes, _ = drawn(course)
    part_of = {stop.number: stop.part for stop in course}
    wanted = [
        (n, box)
        for stop, box in zip(course, boxes, strict=True)
        for n in stop.builds_on
        if part_of[n] != stop.part
    ]
    circles = [patch for patch in axes.patches if isinstance(patch, Circle)]
    numbers = [text for text in axes.texts if text.get_text().isdigit()]
    for (number, box), circle, text in zip(wanted, circles, numbers, strict=True):
        (x, y), edge = circle.get_center(), box.get_y() + HEIGHT
        assert text.get_text() == str(number) and text.get_position() == (x, y)
        assert circle.get_edgecolor() == Circle((0, 0), edgecolor=COLORS[part_of[number]]).get_edgecolor()
        assert box.get_x() < x < box.get_x() + WIDTH and edge < y < edge + circle.radius


@pytest.mark.parametrize("course", [COURSE, stops()], ids=["small", "whole"])
def test_parts_are_below_each_other_in_order(drawn, course):
    axes, boxes, _ = drawn(course)
    titles = {text.get_text(): text.get_position()[1] for text in axes.texts}
    heights = [titles[title] for title in PARTS.values()]
    assert heights == sorted(heights, reverse=True) and list(PARTS) == sorted(PARTS)
    for stop, box in zip(course, boxes, strict=True):
        below = heights[list(PARTS).index(stop.part)] - box.get_y() - HEIGHT
        after = [height for height in heights if height < box.get_y()]
        assert below > 0 and len(after) == len(PARTS) - list(PARTS).index(stop.part) - 1


def test_the_map_fits_800_pixels_with_labels_inside_their_boxes_and_letters_of_11(drawn):
    axes, boxes, _ = drawn(stops())
    figure = axes.get_figure()
    assert 700 < 100 * figure.get_figwidth() <= 800 and PIXELS == 200
    renderer = FigureCanvasAgg(figure).get_renderer()
    for box, stop in zip(boxes, stops(), strict=True):
        (label,) = [text for text in axes.texts if text.get_text().startswith(f"{stop.number}  ")]
        room, used = box.get_window_extent(renderer), label.get_window_extent(renderer)
        assert room.x0 < used.x0 and used.x1 < room.x1 and room.y0 < used.y0 and used.y1 < room.y1
        assert label.get_fontsize() * 100 / 72 > 11


@pytest.mark.parametrize("course", [COURSE, stops()], ids=["small", "whole"])
def test_boxes_do_not_overlap_and_lie_inside(drawn, course):
    axes, boxes, _ = drawn(course)
    left, right = axes.get_xlim()
    low, high = axes.get_ylim()
    corners = [(box.get_x(), box.get_y(), box.get_x() + WIDTH, box.get_y() + HEIGHT) for box in boxes]
    assert all(left < x0 and x1 < right and low < y0 and y1 < high for x0, y0, x1, y1 in corners)
    for a, b in combinations(corners, 2):
        assert a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1]


@pytest.mark.parametrize("course", [COURSE, stops()], ids=["small", "whole"])
def test_an_arrow_leaves_one_box_on_the_right_enters_the_other_on_the_left_and_crosses_none(drawn, course):
    _, boxes, arrows = drawn(course)
    place = {
        stop.number: (box.get_x(), box.get_y() + HEIGHT / 2) for stop, box in zip(course, boxes, strict=True)
    }
    part_of = {stop.number: stop.part for stop in course}
    ways = [(number, stop) for stop in course for number in stop.builds_on if part_of[number] == stop.part]
    for (number, stop), arrow in zip(ways, arrows, strict=True):
        corners = arrow._path_original.vertices.tolist()
        (x0, y0), (x1, y1) = place[number], place[stop.number]
        assert corners[0] == pytest.approx([x0 + WIDTH, y0]) and corners[-1] == pytest.approx([x1, y1])
        own = Rectangle((0, 0), 1, 1, edgecolor=COLORS[part_of[number]]).get_edgecolor()
        assert arrow.get_edgecolor() == own
        for (ax, ay), (bx, by) in pairwise(corners):
            assert ax == pytest.approx(bx) or ay == pytest.approx(by)
            for x, y in place.values():
                across = min(ax, bx) < x + WIDTH - 1e-9 and max(ax, bx) > x + 1e-9
                assert not (across and min(ay, by) < y + HEIGHT / 2 and max(ay, by) > y - HEIGHT / 2)


def test_the_table_has_the_written_lessons():
    lines = table(COURSE).splitlines()
    assert lines[2] == "| [0 · Start](00_start/README.md) | 30 | nothing |"
    assert lines[5] == "| [3 · Both](03_both/README.md) | 50 | 1, 2 |" and len(lines) == 7


@pytest.mark.parametrize("lane", range(LANES))
def test_a_way_goes_down_in_gaps_at_the_place_of_its_lane(lane, monkeypatch):
    """Straight across to a stop of the next column; else below the stops between, and back."""
    drawn = []
    monkeypatch.setattr(course_map, "Polyline", lambda corners: drawn.append(corners) or Path(corners))
    axes = Figure().subplots()
    for distance in (STEP, 3 * STEP):
        draw_way(axes, (0.0, 2.0), (distance, -1.0), lane, "red")
    aside = (lane + 1) / (LANES + 2) * (STEP - WIDTH)
    start, end = WIDTH / 2, 3 * STEP - WIDTH / 2
    first, last = start + aside, end - (STEP - WIDTH) + aside
    direct, around = drawn
    assert np.allclose(direct, [(start, 2), (first, 2), (first, -1), (STEP - WIDTH / 2, -1)])
    across = around[2][1]
    assert HEIGHT / 2 < across + 1 < ROW - HEIGHT / 2
    corners = [(start, 2), (first, 2), (first, across), (last, across), (last, -1), (end, -1)]
    assert np.allclose(around, corners)
