"""Light by hand: the gain, the saturation and the way towards the background's colour, one at a time."""

import math

import numpy as np
from drawn_by_hand import DrawnByHand

from minisam.data.cutouts.light import cast_shadow, relight
from minisam.data.cutouts.paste import Sprite


def sprite(*colour, alpha=255):
    """8 × 8 pixels of a colour, premultiplied."""
    return Sprite(np.tile(np.array([*colour, alpha], np.float32), (8, 8, 1)), 12, 12)


def relit(one, normals, around=(0, 0, 0), towards=0.0):
    """Normal draws are those of the gain, the gain of each channel, and the saturation."""
    under = np.tile(np.array(around, np.float32), (8, 8, 1))
    return relight(DrawnByHand(normals, [towards]), one, under).pixels[0, 0]


def test_without_saturation_a_colour_is_its_luminance():
    red, green, blue = (relit(sprite(*colour), [0, 0, 0]) for colour in 200 * np.eye(3))
    assert np.allclose(red[:3], 0.299 * 200) and np.allclose(green[:3], 0.587 * 200)
    assert np.allclose(blue[:3], 0.114 * 200)


def test_gains_multiply_and_nothing_shines_brighter_than_white():
    assert np.allclose(relit(sprite(40, 60, 80), [math.log(2), math.log(1.5), 1]), [120, 180, 240, 255])
    assert np.allclose(relit(sprite(90, 20, 0, alpha=100), [math.log(2), 0, 1]), [100, 40, 0, 100])


def test_the_mean_colour_goes_at_most_45_hundredths_of_the_way_to_the_background():
    own, around = np.array([100, 50, 200]), np.array([0, 150, 100])
    lit = relit(sprite(*own), [0, 0, 1], around, towards=1.0)
    assert np.allclose(lit[:3], own + 0.45 * (around - own), atol=1e-3)


def test_where_hardly_anything_shows_the_light_stays():
    faint = sprite(1, 2, 3, alpha=3)  # 64 · 3 < 255
    assert relight(DrawnByHand([1, 1, 0]), faint, np.zeros((8, 8, 3), np.float32)) is faint


def test_the_darkest_shadow_takes_seven_tenths_of_the_light():
    large = Sprite(np.full((48, 48, 4), 255, np.float32), 8, 8)
    image = np.full((80, 80, 3), 100, np.float32)
    cast_shadow(DrawnByHand(), image, large)
    assert np.isclose(image.min(), 30, atol=0.5) and image.max() == 100
