import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minisam.predict import ResizeLongestSide


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from([64, 256, 1024]))
def test_longest_side_fits_and_no_side_vanishes(height, width, target):
    new_h, new_w = ResizeLongestSide.get_preprocess_shape(height, width, target)
    assert max(new_h, new_w) == target and min(new_h, new_w) >= 1
    assert abs(new_h - height * target / max(height, width)) <= 0.5 or new_h == 1
    assert abs(new_w - width * target / max(height, width)) <= 0.5 or new_w == 1


def test_coordinates_scale_each_axis_by_its_own_factor():
    transform = ResizeLongestSide(100)
    coords = transform.apply_coords(np.array([[30.0, 7.0]]), (7, 30))
    assert coords.tolist() == [[100.0, 23.0]]
    boxes = transform.apply_boxes(np.array([[0.0, 0.0, 30.0, 7.0]]), (7, 30))
    assert boxes.tolist() == [[0.0, 0.0, 100.0, 23.0]]


def test_torch_and_numpy_agree():
    transform = ResizeLongestSide(64)
    coords = np.random.default_rng(0).random((3, 4, 2)).astype(np.float32) * 50
    as_tensor = transform.apply_coords_torch(torch.from_numpy(coords), (31, 50))
    np.testing.assert_allclose(as_tensor.numpy(), transform.apply_coords(coords, (31, 50)), rtol=1e-6)
    assert as_tensor.dtype == torch.float32
    boxes = torch.rand(2, 3, 4)
    assert transform.apply_boxes_torch(boxes, (31, 50)).shape == (2, 3, 4)


def test_image_keeps_a_constant_colour():
    image = np.full((7, 30, 3), 93, np.uint8)
    assert (ResizeLongestSide(64).apply_image(image) == 93).all()
    resized = ResizeLongestSide(64).apply_image_torch(torch.full((1, 3, 7, 30), 93.0))
    assert resized.shape == (1, 3, 15, 64)
    torch.testing.assert_close(resized, torch.full_like(resized, 93.0))
