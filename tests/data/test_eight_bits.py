"""Deep values keep their contrast, and the advice for arrays is an expression that does what it says."""

from __future__ import annotations

import re

import numpy as np
import pytest

from minisam.data.eight_bits import Window, advice, window_of
from minisam.data.images import check_image_array
from minisam.errors import ImageError

RAMP = np.linspace(0, 1, 60).reshape(4, 5, 3)


@pytest.mark.parametrize(
    ("values", "window"),
    [
        (np.array([0, 65535], np.uint16), (0, 65535)),
        (np.array([40000, 50000], np.uint16), (0, 65535)),
        (np.array([16384], np.uint16), (0, 65535)),
        (np.array([7, 1023], np.uint16), (7, 1023)),
        (np.array([30, 4095], np.uint16), (30, 4095)),
        (np.array([0, 16383], np.uint16), (0, 16383)),
        (np.array([0, 255], np.uint16), (0, 255)),
        (np.array([250, 255], np.uint16), (0, 255)),
        (np.array([0, 2], np.uint16), (0, 255)),
        (np.array([0, 1], np.uint16), (0, 1)),
        (np.array([3000, 3000], np.uint16), (0, 255)),
        (np.array([-1000, 250], np.int32), (-1000, 250)),
        (np.array([0, 70000], np.int32), (0, 70000)),
        (np.array([0, 0.5], np.float32), (0, 1)),
        (np.array([0, 200.5], np.float32), (0, 255)),
        (np.array([-1, 1, np.nan, np.inf], np.float32), (-1, 1)),
        (np.array([np.nan], np.float32), (0, 1)),
        (np.array([0, 1.02], np.float32), (0, np.float32(1.02))),
        (np.array([0.0, 1.0], np.float32), (0, 1)),
        (np.array([0, 10.5], np.float32), (0, 10.5)),
        (np.array([0, 10], np.float32), (0, 255)),
        (np.array([0.5, 0.53125]), (0.5, 0.53125)),
        (np.array([29000, 31000], np.uint16), (29000, 31000)),
        (np.array([1, 1], np.uint16), (0, 255)),
        (np.array([1.0, 1.0], np.float32), (0, 1)),
        (np.array([0, 0], np.uint16), (0, 255)),
    ],
)
def test_the_window_is_that_of_the_values(values, window):
    assert window_of([values]) == window
    assert window_of([values[:1], values[1:]]) == window, "in parts as in one"


@pytest.mark.parametrize(
    ("low", "high", "window"),
    [
        (0, 63.5, (0, 63.5)),  # darker than a quarter of 255
        (0.5, 63.75, (0, 255)),
        (200.5, 216.25, (200.5, 216.25)),  # less than a sixteenth apart
        (200.5, 216.4375, (0, 255)),
        (0.5, 255.5, (0.5, 255.5)),
        (0.25, 1.0, (0, 1)),
        (0.0, 0.25, (0, 1)),
        (0.0, 0.2, (0.0, 0.2)),
    ],
)
def test_where_values_fill_a_usual_window(low, high, window):
    assert window_of([np.array([low, high])]) == pytest.approx(window)


def test_rounding_to_eight_bits_is_to_the_nearest():
    values = np.arange(65536)
    assert (Window(0, 65535).apply(values.astype(np.uint16)) == np.round(values / 257)).all()
    assert Window(0, 10).apply(np.array([1, 5, 9])).tolist() == [26, 128, 230]
    assert Window(0, 65535).apply(np.array([-5, 70000])).tolist() == [0, 255]


def test_the_ends_of_a_window_are_black_and_white():
    assert Window(-1000, 250).apply(np.array([-1000, -375, 250, 999, -9999])).tolist() == [
        0,
        128,
        255,
        255,
        0,
    ]
    assert Window(0, 65535).apply(np.array([0, 257, 65535, 70000])).tolist() == [0, 1, 255, 255]
    assert Window(0, 1).apply(np.array([np.nan, 0.5, np.inf])).tolist() == [0, 128, 255]


@pytest.mark.parametrize(
    "image",
    [
        (RAMP * 1250 - 1000).astype(np.int16),
        (RAMP * 65535 - 32768).astype(np.int16),
        (RAMP * 4095).astype(np.uint16),
        (RAMP * 4095).astype(np.int64),
        RAMP.astype(np.float32),
        (RAMP * 2 - 1).astype(np.float64),
        (RAMP * 4000).astype(np.float32),
        (RAMP * 255).astype(np.float16),
        (RAMP * 100 - 50).astype(np.int8),
        RAMP > 0.5,
        RAMP * 1.02,
        (RAMP * 10).astype(np.float32),
        RAMP * 1e-5,
        RAMP * 0.01 + 0.4,
        RAMP * 3 + 1234567,
        (RAMP * 2000 + 29000).astype(np.uint16),
        (RAMP * 255).astype(np.int64) + 10_000_000,
        (RAMP * 1.8e19).astype(np.uint64),
        (RAMP * 2000 + 29000).astype(">u2"),
    ],
)
def test_what_the_error_advises_gives_the_image(image):
    with pytest.raises(ImageError) as caught:
        check_image_array(image)
    expression = re.search(r"use (.*)$", str(caught.value))
    assert expression is not None
    advised = eval(expression[1], {"np": np, "image": image})
    assert check_image_array(advised) is not None
    assert np.corrcoef(advised.ravel(), image.ravel().astype(float))[0, 1] > 0.999
    assert advised.max() > 200


@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_values_that_are_not_finite_are_counted_and_cost_no_contrast(hole, dtype):
    image = RAMP.astype(dtype)
    image[1, 1, 1] = hole
    with pytest.raises(ImageError, match="59 of 60 values are finite") as caught:
        check_image_array(image)
    advised = eval(str(caught.value).split("use ")[1], {"np": np, "image": image})
    finite = np.isfinite(image)
    assert check_image_array(advised).max() == 255
    assert np.corrcoef(advised[finite], image[finite].astype(float))[0, 1] > 0.999


def test_without_a_finite_value_the_image_is_black():
    image = np.full((4, 5, 3), np.nan)
    assert not eval(advice(image), {"np": np, "image": image}).any()
