"""The figure of labelled objects: what is drawn for each of them."""

import io

import numpy as np

from minisam.show.instance_figure import ShownInstance, instance_figure


def shown(name, label, side):
    mask = np.zeros((40, 60), bool)
    mask[5 : 5 + side, 5 : 5 + side] = True
    return ShownInstance(name, label, 0.5, (5, 5, 5 + side, 5 + side), mask)


def test_every_object_has_its_mask_box_and_words_with_large_ones_below_small_ones():
    figure = instance_figure(np.zeros((40, 60, 3), np.uint8), [shown("cup", 0, 6), shown("_$x$", 2, 20)], "t")
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == [r" _\$x\$ 0.50", "cup 0.50"]
    assert [patch.get_width() for patch in axes.patches] == [20, 6]
    assert axes.patches[0].get_edgecolor() != axes.patches[1].get_edgecolor()
    figure.savefig(io.BytesIO())


def test_no_objects_are_only_the_image():
    figure = instance_figure(np.zeros((40, 60, 3), np.uint8), [], "nothing")
    assert not figure.axes[0].texts and not figure.axes[0].patches
