import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minisam.config import CONFIGS, build_from_config
from minisam.errors import ImageError, PromptError
from minisam.predict import ResizeLongestSide, SamPredictor
from minisam.predict.mask_prompt import mask_to_logits


@pytest.fixture(scope="module")
def sam():
    torch.manual_seed(0)
    return build_from_config(CONFIGS["nano"])


def photo(height=30, width=50, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def predictor(sam):
    predictor = SamPredictor(sam)
    predictor.set_image(photo())
    return predictor


@pytest.mark.parametrize("multimask", [True, False])
def test_shapes_and_types(predictor, multimask):
    masks, iou, low_res = predictor.predict([[10, 10]], [1], multimask_output=multimask)
    count = 3 if multimask else 1
    assert masks.shape == (count, 30, 50) and masks.dtype == bool
    assert iou.shape == (count,) and iou.dtype == np.float32
    assert low_res.shape == (count, 32, 32)


@pytest.mark.parametrize("quantile", [None, 0.2, 0.8])
def test_masks_are_the_logits_above_the_networks_threshold(predictor, monkeypatch, quantile):
    logits, _, _ = predictor.predict([[10, 10]], [1], return_logits=True)
    threshold = 0.0 if quantile is None else float(np.quantile(logits, quantile))
    monkeypatch.setattr(predictor.model, "mask_threshold", threshold)
    masks, _, _ = predictor.predict([[10, 10]], [1])
    assert np.array_equal(masks, logits > np.float32(threshold))
    assert quantile is None or abs(masks.mean() - (1 - quantile)) < 0.01
    again, _, _ = predictor.predict([[10, 10]], [1], return_logits=True)
    assert np.array_equal(again, logits)


def test_a_prediction_can_be_fed_back(predictor):
    _, iou, low_res = predictor.predict([[10, 10]], [1])
    masks, _, _ = predictor.predict([[10, 10], [30, 20]], [1, 0], mask_input=low_res[[iou.argmax()]])
    assert masks.shape == (3, 30, 50)


def test_one_box_and_several_boxes(predictor):
    one, _, _ = predictor.predict(box=[5, 5, 20, 20], return_logits=True)
    same, _, _ = predictor.predict(box=[[5, 5, 20, 20]], return_logits=True)
    two, _, _ = predictor.predict(box=[[5, 5, 20, 20], [20, 5, 40, 25]], return_logits=True)
    assert np.array_equal(one, same)
    assert not np.allclose(one, two)


def test_bgr_is_rgb_reversed(sam):
    a, b = SamPredictor(sam), SamPredictor(sam)
    a.set_image(photo())
    b.set_image(photo()[..., ::-1], image_format="BGR")
    assert a.get_image_embedding().equal(b.get_image_embedding())


def test_a_network_for_bgr_is_given_bgr(sam, monkeypatch):
    """`image_format` says what the image is, and the network's own what it becomes."""
    embeddings = []
    for of_network, image, of_image in (
        ("RGB", photo(), "RGB"),
        ("BGR", photo(), "BGR"),
        ("BGR", photo()[..., ::-1], "RGB"),
        ("BGR", photo(), "RGB"),
    ):
        monkeypatch.setattr(sam, "image_format", of_network)
        predictor = SamPredictor(sam)
        predictor.set_image(image, of_image)
        embeddings.append(predictor.get_image_embedding())
    same, kept, turned, swapped = embeddings
    assert kept.equal(same) and turned.equal(same) and not swapped.allclose(same)


def test_images_in_turn_are_each_what_they_are_alone(sam):
    images = [photo(30, 50), photo(50, 30, seed=1), photo(44, 60, seed=2)]
    together, alone = SamPredictor(sam), SamPredictor(sam)
    for image, _ in zip(images, together.set_images_in_turn(images), strict=True):
        alone.set_image(image)
        assert together.original_size == image.shape[:2] and together.input_size == alone.input_size
        torch.testing.assert_close(together.get_image_embedding(), alone.get_image_embedding())
        found, wanted = (one.predict([[10, 20]], [1], return_logits=True)[0] for one in (together, alone))
        np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())


def test_predict_before_set_image_says_so(sam):
    with pytest.raises(RuntimeError, match="set_image"):
        SamPredictor(sam).predict([[1, 1]], [1])


def test_reset_forgets_the_image(predictor):
    predictor.reset_image()
    assert not predictor.is_image_set
    with pytest.raises(RuntimeError, match="set_image"):
        predictor.predict([[1, 1]], [1])


def test_a_refused_image_leaves_the_old_one_usable(predictor):
    before = predictor.get_image_embedding()
    with pytest.raises(ImageError):
        predictor.set_image(photo().astype(np.float32))
    assert predictor.get_image_embedding() is before


def test_wrong_format_and_wrong_torch_size(predictor):
    with pytest.raises(ValueError, match="RGB or BGR"):
        predictor.set_image(photo(), image_format="GRB")
    with pytest.raises(ValueError, match="longest side of 64"):
        predictor.set_torch_image(torch.zeros(1, 3, 32, 32), (32, 32))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 700), (700, 1), (64, 64), (3, 200)])
def test_extreme_aspect_ratios(sam, height, width):
    predictor = SamPredictor(sam)
    predictor.set_image(photo(height, width))
    masks, iou, _ = predictor.predict([[width / 2, height / 2]], [1])
    assert masks.shape == (3, height, width) and np.isfinite(iou).all()


def test_no_double_precision_on_the_way(predictor):
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    class NoFloat64(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            assert not any(
                isinstance(t, torch.Tensor) and t.dtype == torch.float64 for t in tree_leaves(out)
            ), func
            return out

    with NoFloat64():
        predictor.set_image(photo())
        predictor.predict(np.array([[3.0, 4.0]]), np.array([1]), box=np.array([1.0, 1.0, 9.0, 9.0]))


def test_a_mask_prompt_keeps_its_place(sam):
    mask = np.zeros((32, 64), bool)
    mask[8:16, 20:40] = True
    logits = mask_to_logits(mask, sam)
    assert logits.shape == (1, 32, 32)
    assert np.array_equal(np.argwhere(logits[0] > 0).min(0), [4, 10])
    assert np.array_equal(np.argwhere(logits[0] > 0).max(0), [7, 19])
    assert logits.min() == -10 and logits.max() == 10


def test_an_empty_mask_prompt_is_refused(sam):
    with pytest.raises(PromptError, match="empty"):
        mask_to_logits(np.zeros((8, 8), bool), sam)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.sampled_from([0, 1])), min_size=1, max_size=4),
)
def test_any_points_inside_any_image_give_finite_masks(sam, height, width, points):
    predictor = SamPredictor(sam)
    predictor.set_image(photo(height, width))
    coords = np.array([[x * width, y * height] for x, y, _ in points])
    logits, iou, _ = predictor.predict(coords, np.array([label for *_, label in points]), return_logits=True)
    assert logits.shape == (3, height, width)
    assert np.isfinite(logits).all() and np.isfinite(iou).all()


def test_a_predictor_follows_the_size_of_its_network(sam):
    predictor = SamPredictor(sam)
    predictor.set_image(photo())
    try:
        sam.set_image_size(128)
        with pytest.raises(RuntimeError, match=r"image size is 128 and was 64 .* set_image"):
            predictor.predict([[10, 10]], [1])
        later = SamPredictor(sam)
        for each in (predictor, later):
            each.set_image(photo())
            assert each.input_size == (77, 128) and each.transform.target_length == 128
        ours, wanted = (each.predict([[10, 10]], [1], return_logits=True)[0] for each in (predictor, later))
        assert np.array_equal(ours, wanted)
    finally:
        sam.set_image_size(64)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_comes_out_as_float32(sam, predictor, dtype):
    expected, _, _ = predictor.predict([[10, 10]], [1], box=[5, 5, 30, 25], return_logits=True)
    half = SamPredictor(copy.deepcopy(sam).to(dtype))
    half.set_image(photo())
    with torch.autocast("cpu", torch.bfloat16):
        predictor.set_image(photo())
        by_autocast = predictor.predict([[10, 10]], [1], box=[5, 5, 30, 25], return_logits=True)
    for logits, iou, low_res in (
        half.predict([[10, 10]], [1], box=[5, 5, 30, 25], return_logits=True),
        by_autocast,
    ):
        assert logits.dtype == iou.dtype == low_res.dtype == np.float32
        assert np.abs(logits - expected).max() < 0.05 * np.abs(expected).max()
    masks, _, _ = half.predict([[10, 10]], [1], mask_input=low_res[:1])
    assert masks.shape == (3, 30, 50)


def test_nothing_beside_something_is_ignored(predictor):
    nothing, no_box = (np.zeros((0, 2)), np.zeros(0)), np.zeros((0, 4))
    box, (point, label) = [5, 5, 20, 20], ([[10, 10]], [1])
    pairs = [
        ((*nothing, box), (None, None, box)),
        (([], [], box), (None, None, box)),
        ((point, label, no_box), (point, label)),
    ]
    for given_prompt, meant in pairs:
        ours, wanted = (predictor.predict(*prompt, return_logits=True)[0] for prompt in (given_prompt, meant))
        assert np.array_equal(ours, wanted)
    for alone in (nothing, (None, None, no_box), (*nothing, no_box)):
        with pytest.raises(PromptError, match="shape"):
            predictor.predict(*alone)


def test_several_images_are_refused(predictor):
    with pytest.raises(ValueError, match=r"one image .* list of records"):
        predictor.set_torch_image(torch.zeros(2, 3, 64, 64), (64, 64))


def test_an_assigned_transform_stays(sam):
    predictor = SamPredictor(sam)
    assert predictor.transform.target_length == sam.image_encoder.img_size
    predictor.transform = ResizeLongestSide(40)
    assert predictor.transform.target_length == 40


def test_numpy_where_tensors_are_expected(predictor):
    points, labels, boxes = np.array([[[30, 20]]]), np.array([[1]]), np.array([[5, 5, 40, 30]])
    masks = np.zeros((1, 1, *predictor.model.prompt_encoder.mask_input_size), bool)
    wanted = predictor.predict_torch(*map(torch.from_numpy, (points, labels, boxes, masks)))
    read_only = points[:, :, ::-1].copy()[:, :, ::-1]
    read_only.flags.writeable = False
    for prompt in ((points, labels, boxes, masks), (read_only, labels.tolist(), boxes.tolist(), masks)):
        for ours, theirs in zip(predictor.predict_torch(*prompt), wanted, strict=True):
            assert torch.equal(ours, theirs)
    tokens = np.zeros((1, 2, predictor.model.prompt_encoder.embed_dim), np.float32)
    assert predictor.predict_torch(None, None, boxes, external=tokens)[1].shape == (1, 3)
    assert predictor.predict(box=boxes[0], external=tokens)[1].shape == (3,)


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ((torch.tensor([[[np.nan, 1]]]), torch.ones(1, 1)), "point_coords has values that are not finite"),
        ((None, None, torch.tensor([[0, 0, np.inf, 9]])), "boxes has values that are not finite"),
        ((None, None, None, torch.full((1, 1, 16, 16), np.nan)), "mask_input has values that are not finite"),
        ((torch.ones(1, 1, 2), torch.full((1, 1), 7)), "point_labels must be 1"),
        ((torch.ones(1, 1, 2), torch.full((1, 1), 0.5)), "point_labels must be 1"),
        (("three", "four"), "point_coords must be an array of numbers"),
    ],
)
def test_values_that_would_give_masks_of_nothing(predictor, prompt, words):
    with pytest.raises(PromptError, match=words):
        predictor.predict_torch(*prompt)


def test_an_embedding_that_was_kept_can_be_set_again(sam, predictor):
    """As in segment-anything, by its attributes."""
    point = np.array([[30, 20]]), np.array([1])
    wanted, other = predictor.predict(*point), SamPredictor(sam)
    other.features, other.is_image_set = predictor.features, True
    other.original_size, other.input_size = predictor.original_size, predictor.input_size
    for ours, theirs in zip(other.predict(*point), wanted, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    other.features = torch.zeros(1, sam.prompt_encoder.embed_dim, 4, 4)
    with pytest.raises(RuntimeError, match=r"call set_image\(image\) again"):
        other.predict(*point)


def test_what_set_torch_image_takes(predictor):
    size = predictor.model.image_encoder.img_size
    image = np.random.default_rng(0).integers(0, 255, (1, 3, size, size - 4), np.uint8)
    predictor.set_torch_image(torch.from_numpy(image), (70, 60))
    wanted = predictor.features
    for each in (
        image[..., ::-1].copy()[..., ::-1],
        image.astype(np.float64),
        torch.from_numpy(image).double(),
    ):
        predictor.set_torch_image(each, (70, 60))
        torch.testing.assert_close(predictor.features, wanted)
    with pytest.raises(
        ValueError, match=r"original_image_size must be \(H, W\), .* above 0, got \(70, 60, 3\)"
    ):
        predictor.set_torch_image(image, (70, 60, 3))
    with pytest.raises(PromptError, match="transformed_image has values that are not finite"):
        predictor.set_torch_image(image * np.nan, (70, 60))
