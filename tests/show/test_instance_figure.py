"""Objects of a class have its colour, small ones lie over large ones, and boxes are where they say."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from minisam.show.everything_figure import label_colours
from minisam.show.instance_figure import ShownInstance, instance_figure


def instance(label: int, size: int, score: float) -> ShownInstance:
    mask = np.zeros((40, 80), bool)
    mask[:size, :size] = True
    return ShownInstance(f"class_{label}", label, score, (1, 2, 1 + size, 2 + size), mask)


def test_small_objects_over_large_ones_each_in_the_colour_of_its_class():
    image = np.full((40, 80, 3), 9, np.uint8)
    objects = [instance(2, 5, 0.5), instance(0, 30, 0.75), instance(2, 12, 0.25)]
    (axes,) = instance_figure(image, objects, "a title").axes
    assert axes.get_title() == "a title" and np.array_equal(axes.images[0].get_array(), image)
    painted = [np.count_nonzero(layer.get_array()[..., 3]) for layer in axes.images[1:]]
    assert painted == [900, 144, 25]
    colours = label_colours(3) / 255
    patches = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    for patch, one in zip(patches, (objects[1], objects[2], objects[0]), strict=True):
        x0, y0, x1, y1 = one.box
        assert (patch.get_x(), patch.get_y(), patch.get_width(), patch.get_height()) == (
            x0,
            y0,
            x1 - x0,
            y1 - y0,
        )
        assert patch.get_edgecolor()[:3] == pytest.approx(tuple(colours[one.label]))
    texts = [(text.get_text(), text.get_position()) for text in axes.texts]
    assert texts == [("class_0 0.75", (1, 2)), ("class_2 0.25", (1, 2)), ("class_2 0.50", (1, 2))]


def test_without_objects_the_image_stays():
    (axes,) = instance_figure(np.zeros((4, 4, 3), np.uint8), [], "").axes
    assert len(axes.images) == 1 and not axes.patches


def test_a_name_with_dollars_is_not_mathematics():
    one = instance(0, 6, 0.5)._replace(name="_$x$")
    figure = instance_figure(np.zeros((40, 80, 3), np.uint8), [one], "")
    assert [text.get_text() for text in figure.axes[0].texts] == [r" _\$x\$ 0.50"]


@pytest.mark.parametrize(
    ("box", "corner", "ha", "va"),
    [
        ((0, 0, 80, 90), (0, 0), "left", "top"),
        ((500, 0, 600, 60), (600, 0), "right", "top"),
        ((560, 300, 600, 400), (600, 300), "right", "bottom"),
        ((0, 360, 20, 400), (0, 360), "left", "bottom"),
        ((0, 100, 600, 400), (0, 100), "left", "bottom"),
    ],
)
def test_words_at_the_edge_stay_in_the_image(box, corner, ha, va):
    one = ShownInstance("a_class", 0, 0.5, box, np.zeros((400, 600), bool))
    figure = instance_figure(np.zeros((400, 600, 3), np.uint8), [one], "")
    (words,) = figure.axes[0].texts
    assert (words.get_position(), words.get_ha(), words.get_va()) == (corner, ha, va)
    figure.canvas.draw()
    shown, axes = words.get_window_extent(), figure.axes[0].get_window_extent()
    assert shown.x0 >= axes.x0 - 1 and shown.x1 <= axes.x1 + 1 and shown.y1 <= axes.y1 + 1


def test_a_long_title_loses_its_middle():
    (axes,) = instance_figure(np.zeros((40, 40, 3), np.uint8), [], "x" * 99 + ".png").axes
    assert axes.get_title().endswith("x.png") and "x…x" in axes.get_title() and len(axes.get_title()) <= 82
