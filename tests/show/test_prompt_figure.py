import io
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from minisam.show import PromptResult, prompt_figure, save_figure, show_box, show_mask, show_points


def pixels(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=50)
    return np.asarray(Image.open(buffer).convert("RGB"), dtype=int)


@pytest.fixture
def axes():
    figure = Figure(figsize=(2, 2))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(np.full((20, 20, 3), 255, np.uint8))
    axes.set_axis_off()
    return axes


def test_a_mask_is_blue_where_it_is_and_nothing_elsewhere(axes):
    mask = np.zeros((20, 20), bool)
    mask[:, :10] = True
    show_mask(axes, mask)
    image = pixels(axes.figure)
    left, right = image[50, 20], image[50, 80]
    np.testing.assert_allclose(left, 0.6 * np.array([30, 144, 255]) + 0.4 * 255, atol=2)
    assert right.tolist() == [255, 255, 255]


@pytest.mark.parametrize("shape", [(1, 20), (20, 1), (1, 1), (20, 20)])
@pytest.mark.parametrize("inside", [0, 0.5, 1])
def test_an_outline_is_drawn_where_there_is_one(axes, shape, inside):
    mask = np.zeros(shape, bool)
    mask.ravel()[: round(inside * mask.size)] = True
    show_mask(axes, mask)
    assert bool(axes.collections) == (min(shape) > 1 and inside == 0.5)


def test_points_are_green_or_red_by_label(axes):
    show_points(axes, np.array([[5.0, 10.0], [15.0, 10.0]]), np.array([1, 0]))
    image = pixels(axes.figure)
    green, red = image[52, 27], image[52, 77]
    assert green[1] > green[0] + 80 and red[0] > red[1] + 80


def test_a_box_is_drawn_on_its_corners(axes):
    show_box(axes, np.array([5, 5, 14, 14]))
    x, y = axes.patches[-1].get_xy()
    assert (x, y, axes.patches[-1].get_width(), axes.patches[-1].get_height()) == (5, 5, 9, 9)


def result(masks=3, **prompt):
    image = np.zeros((8, 12, 3), np.uint8)
    drawn = np.zeros((masks, 8, 12), bool)
    drawn[:, 2:5] = True
    return PromptResult("a prompt", image, drawn, np.linspace(0.2, 0.9, masks), **prompt)


def test_masks_stand_best_first():
    figure = prompt_figure([result()])
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["a prompt", "predicted IoU 0.90", "predicted IoU 0.55", "predicted IoU 0.20"]


def test_prompts_stand_in_columns_row_by_row():
    results = [replace(result(), title=f"prompt {number}") for number in range(5)]
    grid = np.reshape(prompt_figure(results, columns=2).axes, (3, 8))
    titles = [[axes.get_title() for axes in row[::4]] for row in grid]
    assert titles == [["prompt 0", "prompt 1"], ["prompt 2", "prompt 3"], ["prompt 4", ""]]


def test_prompts_of_every_kind_and_rows_of_different_length(tmp_path):
    mask = np.zeros((8, 12), bool)
    mask[3] = True
    results = [
        result(points=np.array([[1, 1]]), labels=np.array([1])),
        result(boxes=np.array([[1, 1, 5, 5]])),
        result(masks=1, mask=mask),
    ]
    figure = prompt_figure(results, columns=2)
    assert len(figure.axes) == 16
    save_figure(figure, tmp_path / "figure.png")
    with Image.open(tmp_path / "figure.png") as image:
        assert image.size == tuple(int(110 * inches) for inches in figure.get_size_inches())
