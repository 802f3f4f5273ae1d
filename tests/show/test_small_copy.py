"""A figure of a large photo is drawn from a small copy, with its masks and prompts in the same places."""

from __future__ import annotations

import numpy as np
import pytest

from minisam.show import PromptResult, best_masks_figure, prompt_figure
from minisam.show.instance_figure import ShownInstance, instance_figure
from minisam.show.prompt_figure import reduced
from minisam.show.small_copy import LARGEST, factor_of, small_image, small_mask


def large() -> PromptResult:
    """Twice as wide as a figure shows, its right half white, and a mask on it."""
    image = np.zeros((400, 2 * LARGEST, 3), np.uint8)
    image[:, LARGEST:] = 255
    return PromptResult(
        "",
        image,
        np.stack([image[..., 0] > 0] * 2),
        np.array([0.5, 0.25]),
        np.array([[LARGEST, 100]]),
        np.array([1]),
        np.array([[LARGEST, 0, 2 * LARGEST, 400]]),
        image[..., 0] > 0,
    )


def test_everything_is_reduced_by_one_factor():
    small = reduced(large())
    white = small.image[..., 0] == 255
    assert small.image.shape == (200, LARGEST, 3) and (np.flatnonzero(white[0]) >= LARGEST // 2).all()
    for mask in (*small.masks, small.mask):
        assert mask is not None and mask.dtype == bool and (mask == white).all()
    assert small.points is not None and small.points.tolist() == [[LARGEST / 2, 50]]
    assert small.boxes is not None and small.boxes.tolist() == [[LARGEST / 2, 0, LARGEST, 200]]


@pytest.mark.parametrize("shape", [(1, LARGEST), (LARGEST, 3), (7, 9)])
def test_what_is_small_stays(shape):
    image, mask = np.ones((*shape, 3), np.uint8), np.ones(shape, bool)
    assert factor_of(shape) == 1 and small_image(image) is image and small_mask(mask) is mask


def test_a_strip_keeps_a_row():
    assert small_image(np.zeros((1, 9 * LARGEST, 3), np.uint8)).shape == (1, LARGEST, 3)
    assert small_mask(np.ones((9 * LARGEST, 2), bool)).shape == (LARGEST, 1)


def test_figures_show_the_small_copies():
    photo = large()
    one = ShownInstance("a", 0, 0.5, (LARGEST, 0, 2 * LARGEST, 400), photo.masks[0])
    figures = [prompt_figure(photo), best_masks_figure([photo], 1), instance_figure(photo.image, [one], "")]
    for figure in figures:
        for layer in (layer for axes in figure.axes for layer in axes.images):
            shown = layer.get_array()
            assert shown is not None and shown.shape[:2] == (200, LARGEST)
        (box,) = figure.axes[0].patches
        assert (box.get_x(), box.get_width(), box.get_height()) == (LARGEST / 2, LARGEST / 2, 200)  # pyright: ignore[reportAttributeAccessIssue]
