import io
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from minisam.show import (
    PromptResult,
    best_masks_figure,
    prompt_figure,
    save_figure,
    show_box,
    show_mask,
    show_points,
)
from minisam.show.draw import shortened


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


@pytest.mark.parametrize(
    ("given", "color"),
    [({}, (30, 144, 255)), ({"color": (1.0, 0.2, 0.0)}, (255, 51, 0))],
    ids=["blue", "red"],
)
@pytest.mark.parametrize("inside", [True, 1, 255])
def test_a_mask_is_blue_where_it_is_unless_another_colour_is_given(axes, given, color, inside):
    mask = np.zeros((20, 20), bool if inside is True else np.uint8)
    mask[:, :10] = inside
    show_mask(axes, mask, **given)
    image = pixels(axes.figure)
    left, right = image[50, 20], image[50, 80]
    np.testing.assert_allclose(left, 0.6 * np.array(color) + 0.4 * 255, atol=2)
    assert right.tolist() == [255, 255, 255]


@pytest.mark.parametrize("shape", [(1, 20), (20, 1), (1, 1), (20, 20)])
@pytest.mark.parametrize("inside", [0, 0.5, 1])
def test_an_outline_is_drawn_where_there_is_one(axes, shape, inside):
    mask = np.zeros(shape, bool)
    mask.ravel()[: round(inside * mask.size)] = True
    show_mask(axes, mask)
    assert bool(axes.collections) == (min(shape) > 1 and inside == 0.5)


@pytest.mark.parametrize("form", [np.array, list])
def test_points_are_green_or_red_by_label(axes, form):
    show_points(axes, form([[5.0, 10.0], [15.0, 10.0]]), form([1, 0]))
    image = pixels(axes.figure)
    green, red = image[52, 27], image[52, 77]
    assert green[1] > green[0] + 80 and red[0] > red[1] + 80


@pytest.mark.parametrize(("given", "size"), [({}, 180), ({"size": 30}, 30)])
def test_points_have_the_size_that_is_asked_for(axes, given, size):
    show_points(axes, np.array([[5.0, 10.0], [15.0, 10.0]]), np.array([1, 0]), **given)
    assert [stars.get_sizes().tolist() for stars in axes.collections] == [[size], [size]]


def test_a_box_is_drawn_on_its_corners(axes):
    show_box(axes, np.array([5, 5, 14, 14]))
    x, y = axes.patches[-1].get_xy()
    assert (x, y, axes.patches[-1].get_width(), axes.patches[-1].get_height()) == (5, 5, 9, 9)


def result(masks=3, **prompt):
    image = np.zeros((8, 12, 3), np.uint8)
    drawn = np.zeros((masks, 8, 12), bool)
    drawn[:, 2:5] = True
    return PromptResult("a prompt", image, drawn, np.linspace(0.2, 0.9, masks), **prompt)


def test_the_best_mask_is_large_and_has_the_prompt(tmp_path):
    figure = prompt_figure(result(points=np.array([[1, 1]]), labels=np.array([1])))
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["a prompt: predicted IoU 0.90", "or: 0.55", "or: 0.20"]
    stars = 2  # one collection for each label
    assert [len(axes.collections) for axes in figure.axes] == [1 + stars, 1, 1]
    save_figure(figure, tmp_path / "figure.png")
    areas = [axes.get_window_extent().width * axes.get_window_extent().height for axes in figure.axes]
    assert areas[0] > 4 * areas[1] and areas[1] == pytest.approx(areas[2], rel=0.1)


def test_the_large_panel_shows_the_best_mask_and_no_other():
    one = result()
    one.masks[:] = False
    one.masks[2, 2:5] = True
    image = pixels(prompt_figure(one))
    blue = image[..., 2] > image[..., 0] + 50
    assert blue.any() and not blue[:, int(0.72 * blue.shape[1]) :].any()


def test_a_mask_of_the_prompt_is_orange():
    mask = np.zeros((8, 12), bool)
    mask[3, :6] = True
    for axes in (prompt_figure(result(mask=mask)).axes[0], best_masks_figure([result(mask=mask)], 1).axes[0]):
        layers = [layer.get_array() for layer in axes.images[1:]]
        assert [np.unique(layer[layer[..., 3] > 0], axis=0).tolist() for layer in layers] == [
            [[30, 144, 255, 153]],
            [[255, 153, 0, 153]],
        ]
        assert np.array_equal(layers[1][..., 3] > 0, mask)


def test_a_single_mask_has_no_others():
    (axes,) = prompt_figure(replace(result(masks=1), title="")).axes
    assert axes.get_title() == "predicted IoU 0.20"


@pytest.mark.parametrize("shape", [(8, 12), (12, 8), (1, 200), (200, 1)])
def test_figures_keep_the_shape_of_the_image(shape, tmp_path):
    image = PromptResult("", np.zeros((*shape, 3), np.uint8), np.ones((3, *shape), bool), np.ones(3))
    figure = prompt_figure(image, size=6)
    assert min(figure.get_size_inches()) >= 1 and max(figure.get_size_inches()) <= 6 * 1.4 + 0.3
    save_figure(figure, tmp_path / "figure.png")
    with Image.open(tmp_path / "figure.png") as file:
        assert file.size == pytest.approx(110 * figure.get_size_inches(), abs=1)


def test_prompts_stand_in_columns_row_by_row():
    mask = np.zeros((8, 12), bool)
    mask[3] = True
    prompts = [
        {"points": np.array([[1, 1]]), "labels": np.array([1])},
        {"boxes": np.array([[1, 1, 5, 5]])},
        {"mask": mask},
    ]
    results = [
        replace(result(masks=3 - number, **prompt), title=f"prompt {number}")
        for number, prompt in enumerate(prompts)
    ]
    figure = best_masks_figure(results, columns=2)
    titles = [axes.get_title() for axes in figure.axes]
    best = [0.9, 0.9, 0.2]
    assert titles == [f"prompt {n}: predicted IoU {best[n]:.2f}" for n in range(3)] + [""]
    assert len(figure.axes[1].patches) == 1
    width, height = figure.get_size_inches()
    assert width == pytest.approx(8.4) and height == pytest.approx(2 * (4.2 * 8 / 12 + 0.3))
    width, height = best_masks_figure(results, columns=2, size=3).get_size_inches()
    assert width == pytest.approx(6) and height == pytest.approx(2 * (3 * 8 / 12 + 0.3))


@pytest.mark.parametrize("columns", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 6])
def test_a_figure_has_as_many_rows_as_it_needs(count, columns):
    figure = best_masks_figure([result(masks=1)] * count, columns=columns)
    rows = {axes.get_subplotspec().rowspan.start for axes in figure.axes}
    assert len(rows) == -(-count // columns) and len(figure.axes) == len(rows) * columns


def strip(height, width):
    return PromptResult(
        "p.png, 1", np.zeros((height, width, 3), np.uint8), np.ones((1, height, width), bool), np.ones(1)
    )


@pytest.mark.parametrize(("shape", "ratio"), [((3000, 2), 2), ((2, 3000), 0.2), ((8, 12), 8 / 12)])
def test_a_strip_among_many_has_a_panel_of_moderate_height(shape, ratio):
    assert best_masks_figure([strip(*shape)], 1, size=4).get_size_inches() == pytest.approx(
        (4, 4 * ratio + 0.3)
    )


LONG = "a_photo_with_a_name_that_is_longer_than_its_picture_is_wide_" * 2


@pytest.mark.parametrize("name", ["short.png", f"{LONG}9.png", "猫" * 60 + "9.png"])
@pytest.mark.parametrize("shape", [(600, 100), (100, 600), (40, 40)])
@pytest.mark.filterwarnings("ignore:Glyph")
def test_titles_are_not_cut_off_and_do_not_overlap(name, shape):
    image = np.zeros((*shape, 3), np.uint8)
    prompt = PromptResult(name, image, np.ones((3, *shape), bool), np.array([0.9, 0.5, 0.3]))
    figure = prompt_figure(prompt)
    pixels(figure)
    titles = [axes.title.get_window_extent() for axes in figure.axes]
    assert titles[0].x0 >= 0 and titles[0].x1 <= min(titles[1].x0, titles[2].x0)
    assert max(title.x1 for title in titles) <= figure.bbox.x1
    assert figure.axes[0].get_title().endswith(f"{name[-2:]}: predicted IoU 0.90")


@pytest.mark.parametrize(
    ("text", "inches", "shown"),
    [
        ("abcdefgh", 8.5, "abcdefgh"),
        ("abcdefgh", 0.6, "abc…fgh"),
        ("猫猫猫猫猫", 0.6, "猫…猫猫"),
        ("ab", 0, "a…b"),
        ("a\nb", 8.5, "a\\nb"),
    ],
)
def test_a_long_title_loses_its_middle(text, inches, shown):
    assert shortened(text, inches) == shown
