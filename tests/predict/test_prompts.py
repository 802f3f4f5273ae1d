import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minisam.errors import PromptError
from minisam.predict.prompts import check_boxes, check_mask, check_points

SIZE = 40, 60

BAD_POINTS = [
    ([[float("nan"), 1.0]], [1], "not finite"),
    ([[float("inf"), 1.0]], [1], "not finite"),
    ([[70.0, 1.0]], [1], "outside the image of 60 x 40"),
    ([[-1.0, 1.0]], [0], "outside"),
    ([], [], "shape"),
    (np.zeros((0, 2)), np.zeros(0), "shape"),
    ([[1.0, 2.0, 3.0]], [1], "shape"),
    ([1.0, 2.0], [1], "shape"),
    ([[1.0, 2.0]], [1, 0], "one label per point"),
    ([[1.0, 2.0]], [2], "must be 1"),
    ([[1.0, 2.0]], [0.5], "must be 1"),
    ([["a", "b"]], [1], "array of numbers"),
    ([[1.0, 2.0], [3.0]], [1, 1], "array of numbers"),
    ([[1 + 2j, 1.0]], [1], "array of numbers"),
    (None, [1], "give both"),
    ([[1.0, 2.0]], None, "give both"),
]


@pytest.mark.parametrize(("coords", "labels", "message"), BAD_POINTS)
def test_bad_points_are_named(coords, labels, message):
    with pytest.raises(PromptError, match=message) as caught:
        check_points(coords, labels, SIZE)
    assert "\n" not in str(caught.value)


def test_good_points_of_any_number_type():
    for dtype in (np.int64, np.uint8, np.float16, np.float64, bool):
        points, labels = check_points(np.array([[1, 0]], dtype), np.array([1], dtype), SIZE)
        assert points.dtype == np.float32 and labels.tolist() == [1]


def test_padding_points_may_lie_anywhere_and_the_far_edge_is_inside():
    points, _ = check_points([[500.0, 500.0], [60.0, 40.0]], [-1, 1], SIZE)
    assert points.tolist() == [[500, 500], [60, 40]]


def test_a_small_overhang_is_moved_onto_the_edge():
    points, _ = check_points([[-0.9, 40.9], [60.4, 3.0]], [1, 0], SIZE)
    assert points.tolist() == [[0, 40], [60, 3]]
    assert check_boxes([-0.3, -0.4, 60.4, 40.1], SIZE).tolist() == [0, 0, 60, 40]
    assert check_boxes([[-4.9, 0, 505, 400]], (400, 500)).tolist() == [[0, 0, 500, 400]]
    with pytest.raises(PromptError, match=r"box corner \(506, 400\) is outside"):
        check_boxes([0, 0, 506, 400], (400, 500))
    with pytest.raises(PromptError, match=r"point \(-1, 2\) is outside"):
        check_points([[-1, 2]], [1], SIZE)
    with pytest.raises(PromptError, match="area"):
        check_boxes([60.2, 1, 60.6, 9], SIZE)


def test_no_points_are_allowed_where_something_else_is_given():
    for nothing in ([], np.zeros((0, 2)), torch.zeros(0, 2)):
        points, labels = check_points(nothing, [], SIZE, fewest=0)
        assert points.shape == (0, 2) and labels.shape == (0,)
    with pytest.raises(PromptError, match="one label per point"):
        check_points(np.zeros((1, 2)), [], SIZE, fewest=0)
    with pytest.raises(PromptError, match="shape"):
        check_points([], [1], SIZE, fewest=0)


def test_tensors_with_gradients_and_in_bfloat16_are_taken():
    points, labels = check_points(torch.tensor([[1.0, 2.0]], requires_grad=True), torch.tensor([True]), SIZE)
    assert points.tolist() == [[1, 2]] and labels.tolist() == [1]
    assert check_boxes(torch.tensor([1, 2, 8, 9]).bfloat16(), SIZE).tolist() == [1, 2, 8, 9]
    logits = torch.linspace(-3, 3, 64).reshape(1, 8, 8).requires_grad_()
    assert np.array_equal(check_mask(logits, (8, 8)), logits.detach().numpy())
    assert np.unique(check_mask(torch.ones(8, 8, dtype=torch.bool), (8, 8))).tolist() == [10]


BAD_BOXES = [
    ([1, 2, 3], "shape"),
    ([[1, 2, 3, 4, 5]], "shape"),
    (np.zeros((0, 4)), "shape"),
    (np.zeros((1, 1, 4)), "shape"),
    ([5, 5, 5, 9], "area"),
    ([5, 5, 9, 5], "area"),
    ([9, 5, 5, 9], "area"),
    ([[1, 1, 5, 5], [3, 3, 3, 3]], "area"),
    ([0, 0, float("nan"), 4], "not finite"),
    ([0, 0, 100, 4], "outside"),
    ("box", "array of numbers"),
]


@pytest.mark.parametrize(("box", "message"), BAD_BOXES)
def test_bad_boxes_are_named(box, message):
    with pytest.raises(PromptError, match=message):
        check_boxes(box, SIZE)


def test_a_boolean_mask_becomes_logits_and_logits_stay():
    mask = np.zeros((8, 8), bool)
    mask[2:4] = True
    assert np.unique(check_mask(mask, (8, 8))).tolist() == [-10, 10]
    logits = np.linspace(-3, 3, 64).reshape(1, 8, 8)
    assert np.array_equal(check_mask(logits, (8, 8)), logits.astype(np.float32))


@pytest.mark.parametrize("mask", [np.zeros((4, 8)), np.zeros((2, 8, 8)), np.full((8, 8), np.nan), "mask"])
def test_bad_masks_are_named(mask):
    with pytest.raises(PromptError, match="mask_input"):
        check_mask(mask, (8, 8))


ANYTHING = st.one_of(
    st.none(),
    st.text(max_size=3),
    st.floats(),
    st.integers(),
    st.lists(st.floats(width=32), max_size=5),
    hnp.arrays(
        st.sampled_from([np.float32, np.int64, np.bool_, np.complex64, np.dtype("U3")]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5),
    ),
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(ANYTHING, ANYTHING)
def test_anything_at_all_gives_a_usable_prompt_or_a_prompt_error(first, second):
    for check in (lambda: check_points(first, second, SIZE), lambda: check_boxes(first, SIZE)):
        try:
            checked = check()
        except PromptError as error:
            assert "\n" not in str(error)
        else:
            values = checked[0] if isinstance(checked, tuple) else checked
            assert values.dtype == np.float32 and np.isfinite(values).all()
