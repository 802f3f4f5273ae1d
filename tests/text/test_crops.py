import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minisam.text.crops import covered_shares, crop_squares, cut, masked_crops, random_crops


def box_mask(x0, y0, x1, y1, size=16):
    mask = torch.zeros(1, size, size, dtype=torch.bool)
    mask[:, y0:y1, x0:x1] = True
    return mask


def test_a_square_has_the_boxs_centre_and_its_longer_side():
    mask = box_mask(2, 4, 12, 7)
    assert crop_squares(mask, 1.0).tolist() == [[7.0, 5.5, 10.0]]
    assert crop_squares(mask, 1.5).tolist() == [[7.0, 5.5, 15.0]]


def test_a_crop_of_the_whole_picture_is_the_picture():
    picture = torch.rand(2, 3, 16, 16)
    whole = torch.tensor([[8.0, 8.0, 16.0]]).expand(2, -1)
    torch.testing.assert_close(cut(picture, whole, 16), picture)
    halves = torch.nn.functional.avg_pool2d(picture, 2)
    torch.testing.assert_close(cut(picture, whole, 8), halves)


def test_columns_are_x_and_rows_are_y():
    picture = torch.zeros(1, 1, 8, 12)
    picture[0, 0, 1, 9] = 1
    crop = cut(picture, torch.tensor([[9.0, 2.0, 4.0]]), 4)
    expected = torch.zeros(4, 4)
    expected[1, 2] = 1
    torch.testing.assert_close(crop[0, 0], expected)


@given(centre=st.floats(-4, 20), side=st.floats(0.5, 40), size=st.integers(1, 9), pixels=st.integers(1, 16))
@settings(deadline=None)
def test_shares_add_up_to_what_lies_in_the_picture(centre, side, size, pixels):
    shares = covered_shares(torch.tensor([centre]).double(), torch.tensor([side]).double(), size, pixels)
    low, high = centre - side / 2, centre + side / 2
    in_picture = max(0.0, min(high, pixels) - max(low, 0.0))
    assert shares.min() >= 0
    assert shares.sum().item() * side / size == pytest.approx(in_picture, abs=1e-5)


def test_pixels_outside_the_mask_or_the_picture_are_black_where_asked():
    images = torch.full((1, 3, 16, 16), 200, dtype=torch.uint8)
    masks = box_mask(0, 4, 8, 12).expand(2, -1, -1)
    index, zero = torch.zeros(2, dtype=torch.long), torch.tensor([True, False])
    crops, inside = masked_crops(images, index, masks, 2.0, zero, 8)
    expected = torch.zeros(8, 8, dtype=torch.bool)
    expected[2:6, 2:6] = True
    assert inside[0].equal(expected) and inside[1].equal(expected)
    assert crops[0, 0].equal(expected * 200.0)
    beyond = torch.zeros(8, 8)
    beyond[:, 2:] = 200
    assert crops[1, 0].equal(beyond)


def test_a_thing_too_thin_for_a_pixel_keeps_a_mask():
    masks = torch.zeros(1, 64, 64, dtype=torch.bool)
    masks[0, 30, 2:62] = True
    _, inside = masked_crops(
        torch.zeros(1, 3, 64, 64, dtype=torch.uint8), torch.tensor([0]), masks, 2.0, torch.tensor([False]), 8
    )
    assert inside.any()


def test_random_crops_zero_half_and_expand_up_to_twice():
    images = torch.full((1, 3, 32, 32), 100, dtype=torch.uint8)
    masks = box_mask(12, 12, 20, 20, 32).expand(400, -1, -1)
    index = torch.zeros(400, dtype=torch.long)
    crops, inside = random_crops(images, index, masks, 16, torch.Generator().manual_seed(0))
    zeroed = (crops[:, 0, 0, 0] == 0) & ~inside[:, 0, 0]
    assert 0.42 < zeroed.float().mean() < 0.58
    area = inside.flatten(1).float().mean(dim=1)
    assert area.min() < 0.3 and area.max() > 0.85
