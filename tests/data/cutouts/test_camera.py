"""The camera by hand: the effect of each draw on an image of known colours."""

import math

import numpy as np
import pytest
from drawn_by_hand import DrawnByHand

from minisam.data.cutouts.camera import photograph


def picture():
    """A black and a yellow half, with a grey column between them."""
    image = np.zeros((128, 128, 3), np.float32)
    image[:, 64:, :2] = 255
    image[:, 63] = 100
    return image


def test_a_camera_without_faults_shows_what_is_there():
    assert (photograph(DrawnByHand(), picture()) == picture()).all()


def test_contrast_turns_around_the_middle_and_ends_at_black_and_white():
    image = np.zeros((1, 4, 3), np.float32)
    image[0, :, :] = np.array([50, 100, 128, 200])[:, None]
    shown = photograph(DrawnByHand([0, 0, math.log(2)]), image)
    assert (shown[0, :, 0] == [0, 72, 128, 255]).all()  # 2 · value − 128


def test_exposure_and_the_colour_of_light_multiply():
    shown = photograph(DrawnByHand([math.log(2), math.log(1.5), 0, 10]), np.full((2, 2, 3), 20, np.float32))
    assert (shown == 70).all()  # 20 · 2 · 1.5 and 10 brighter


def test_a_grey_picture_is_as_bright_as_the_eye_sees_colours():
    image = 250 * np.eye(3, dtype=np.float32)[None]
    grey = photograph(DrawnByHand(randoms=[0.0]), image)
    assert (grey == grey[:, :, :1]).all()
    assert abs(grey[0, :, 0] - 250 * np.array([0.299, 0.587, 0.114])).max() < 1.01


@pytest.mark.parametrize(("place", "share"), [(0, 0.1), (1, 0.5), (2, 0.4), (3, 0.7)])
def test_a_share_of_pictures_is_grey_noisy_blurred_or_compressed(place, share):
    """In this order; the strength of the noise is one more draw."""

    def changed(draw):
        randoms = [1.0] * place + [draw]
        return (photograph(DrawnByHand(randoms=randoms), picture()) != picture()).any()

    assert changed(share - 0.01) and not changed(share + 0.01)
