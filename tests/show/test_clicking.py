import io

import numpy as np
import pytest
import torch
from PIL import Image

from minisam import SamPredictor
from minisam.config import CONFIGS, build_from_config
from minisam.errors import ImageError, PromptError
from minisam.show import click
from minisam.web.photos import LONGEST_SHOWN


@pytest.fixture(scope="module")
def sam():
    torch.manual_seed(0)
    return build_from_config(CONFIGS["nano"])


def image_of(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("size", [(30, 50), (40, 2 * LONGEST_SHOWN)])
def test_the_value_is_what_the_predictor_gives(sam, size):
    image, points, labels, box = image_of(*size), [[10, 20], [30, 5]], [1, 0], [4, 4, 44, 24]
    value = click(image, sam, points, labels, [box]).value
    predictor = SamPredictor(sam)
    predictor.set_image(image)
    masks, iou, _ = predictor.predict(np.array(points), np.array(labels), np.array([box]))
    assert np.array_equal(value.masks, masks) and value.masks.shape == (3, *size)
    np.testing.assert_allclose(value.iou_predictions, iou, rtol=1e-5)
    np.testing.assert_allclose(value.points, points, rtol=1e-6)
    np.testing.assert_allclose(value.boxes, [box], rtol=1e-6)
    assert value.labels.tolist() == labels and value.index == iou.argmax()
    assert value.mask is not None and np.array_equal(value.mask, masks[iou.argmax()])


def test_without_a_prompt_the_value_is_empty_and_the_figure_the_image(sam):
    image = image_of(30, 50)
    clicked = click(image, sam)
    value = clicked.value
    assert value.mask is None and value.masks.shape == (0, 30, 50)
    assert [len(part) for part in (value.points, value.labels, value.boxes, value.iou_predictions)] == [0] * 4
    with Image.open(io.BytesIO(clicked._repr_png_())) as figure:
        assert np.array_equal(np.array(figure), image)


def test_where_nobody_can_click_the_figure_shows_the_masks(sam):
    figure = click(image_of(30, 50), sam, points=[[10, 20]])._repr_png_()
    with Image.open(io.BytesIO(figure)) as image:
        assert image.width > 600
    assert click(image_of(30, 50), sam, points=[[10, 20]]).value.labels.tolist() == [1]


@pytest.mark.parametrize(
    "given",
    [
        {"points": [[1, 2, 3, 4, 5]]},
        {"points": [[500, 1]]},
        {"points": [["a", 1]]},
        {"points": [[1, 2]], "labels": [7]},
        {"points": [[1, 2]], "labels": [1, 0]},
        {"boxes": [[5, 5, 5, 9]]},
        {"boxes": [1, 2, 3]},
        {"points": [[np.nan, 1]]},
    ],
)
def test_a_prompt_that_does_not_fit_is_refused_at_once(sam, given):
    with pytest.raises(PromptError):
        click(image_of(30, 50), sam, **given)


def test_an_array_that_is_no_image_is_refused(sam):
    with pytest.raises(ImageError):
        click(np.zeros((30, 50), np.uint8), sam)
