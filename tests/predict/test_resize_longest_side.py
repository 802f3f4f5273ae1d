import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minisam.errors import ImageError, PromptError
from minisam.predict import ResizeLongestSide


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from([64, 256, 1024]))
def test_longest_side_fits_and_no_side_vanishes(height, width, target):
    new_h, new_w = ResizeLongestSide.get_preprocess_shape(height, width, target)
    assert max(new_h, new_w) == target and min(new_h, new_w) >= 1
    assert abs(new_h - height * target / max(height, width)) <= 0.5 or new_h == 1
    assert abs(new_w - width * target / max(height, width)) <= 0.5 or new_w == 1


@pytest.mark.parametrize("half", range(1, 40, 2))
def test_a_half_is_rounded_up(half):
    """As segment-anything's int(x + 0.5), not to the nearest even number."""
    assert ResizeLongestSide.get_preprocess_shape(half, 128, 64) == ((half + 1) // 2, 64)
    assert ResizeLongestSide.get_preprocess_shape(128, half, 64) == (64, (half + 1) // 2)


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


NUMBER_TYPES = [np.int8, np.uint8, np.int16, np.int64, np.float16, np.float32, np.float64]


@pytest.mark.parametrize("dtype", NUMBER_TYPES)
def test_numbers_of_any_type_are_scaled_as_floats(dtype):
    transform, size = ResizeLongestSide(64), (90, 100)
    points, box = np.array([[50, 75]], dtype), np.array([[10, 20, 100, 90]], dtype)
    assert transform.apply_coords(points, size).tolist() == [[50 * 0.64, 75 * (58 / 90)]]
    np.testing.assert_allclose(transform.apply_boxes(box, size), [[6.4, 20 * (58 / 90), 64, 58]], rtol=1e-12)
    as_tensor = transform.apply_coords_torch(torch.from_numpy(points), size)
    torch.testing.assert_close(as_tensor, torch.tensor([[50 * 0.64, 75 * (58 / 90)]]))
    torch.testing.assert_close(
        transform.apply_boxes_torch(torch.from_numpy(box), size),
        torch.tensor([[6.4, 20 * (58 / 90), 64, 58]]),
    )


def test_lists_are_taken_and_inputs_are_left_alone():
    transform = ResizeLongestSide(64)
    assert transform.apply_coords([[50, 75]], (100, 100)).tolist() == [[32, 48]]
    assert transform.apply_boxes([50, 75, 100, 100], (100, 100)).tolist() == [[32, 48, 64, 64]]
    assert transform.apply_coords_torch([[50, 75]], (100, 100)).tolist() == [[32, 48]]
    points = np.array([[50.0, 75.0]])
    transform.apply_coords(points, (100, 100))
    assert points.tolist() == [[50, 75]]


def test_one_box_becomes_a_batch_of_one_and_no_box_stays_none():
    transform = ResizeLongestSide(64)
    one = transform.apply_boxes_torch(torch.tensor([50, 75, 100, 100]), (100, 100))
    assert one.tolist() == [[32, 48, 64, 64]]
    assert transform.apply_boxes_torch(torch.zeros(0, 4), (100, 100)).shape == (0, 4)
    assert transform.apply_boxes(np.zeros((0, 4)), (100, 100)).shape == (0, 4)


def test_tensors_are_scaled_down_by_the_same_filter_as_images():
    """Noise at a quarter of its size: every pixel is a mean over several, up to Pillow's rounding to whole numbers."""
    image = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    transform = ResizeLongestSide(40)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    ours = transform.apply_image_torch(tensor)[0].permute(1, 2, 0).numpy()
    assert np.abs(ours - transform.apply_image(image)).max() < 1.5


BOX = [[10, 20, 100, 90]]
SCALED = [[6.4, 20 * (58 / 90), 64, 58]]


@pytest.mark.parametrize(
    "boxes",
    [
        BOX,
        tuple(map(tuple, BOX)),
        np.array(BOX, ">i2"),
        np.array(BOX, np.uint64),
        np.array(BOX, np.longdouble),
        np.array(BOX, object),
        np.array(BOX)[:, ::-1].copy()[:, ::-1],
        np.array(BOX + BOX)[::2],
        torch.tensor(BOX, dtype=torch.bfloat16),
        torch.tensor(BOX, dtype=torch.uint16),
        torch.tensor(BOX, dtype=torch.float64, requires_grad=True),
        [torch.tensor(BOX[0])],
    ],
)
@pytest.mark.filterwarnings("error")
def test_lists_arrays_and_tensors_of_any_layout_have_one_result(boxes):
    transform, size = ResizeLongestSide(64), (90, 100)
    read_only = np.array(BOX)
    read_only.flags.writeable = False
    for each in (boxes, read_only):
        np.testing.assert_allclose(transform.apply_boxes(each, size), SCALED)
        np.testing.assert_allclose(transform.apply_boxes_torch(each, size).detach(), SCALED, rtol=1e-6)


@pytest.mark.parametrize(
    "boxes",
    [np.zeros((2, 6)), [1, 2, 3], 5, None, "1 2 3 4", [[1, 2, 3, 4j]], [[object()] * 4], np.zeros((3, 0))],
)
def test_what_is_no_box_is_refused_and_not_cut_into_boxes(boxes):
    """A detector's rows of six numbers, two of them, are twelve and would make three boxes."""
    transform = ResizeLongestSide(64)
    for method in (transform.apply_boxes, transform.apply_boxes_torch):
        if not (isinstance(boxes, np.ndarray) and not boxes.size and method == transform.apply_boxes):
            with pytest.raises(PromptError, match="boxes must "):
                method(boxes, (90, 100))
    for method in (transform.apply_coords, transform.apply_coords_torch):
        with pytest.raises(PromptError, match="coords must "):
            method(boxes, (90, 100))


def test_no_boxes_have_no_coordinates():
    transform = ResizeLongestSide(64)
    for none in ([], np.zeros((0, 4)), torch.zeros(0, 4)):
        assert transform.apply_boxes(none, (9, 9)).shape == (0, 4)
        assert transform.apply_boxes_torch(none, (9, 9)).shape == (0, 4)


def test_an_image_of_another_type_is_named_with_the_remedy():
    with pytest.raises(ImageError, match="image is float32, not uint8; use"):
        ResizeLongestSide(64).apply_image(np.ones((4, 5, 3), np.float32))  # pyright: ignore[reportArgumentType]
    assert ResizeLongestSide(8).apply_image(np.ones((4, 4), np.uint8)).shape == (8, 8)
