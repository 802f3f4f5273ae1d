"""SamPredictor against segment-anything's, from the pixels of a photo to masks in those pixels."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from parity.oracle import SMALL, assert_same, assert_same_masks, original
from PIL import Image

from minisam.bench.twins import build_twins
from minisam.predict.predictor import SamPredictor
from minisam.predict.resize_longest_side import ResizeLongestSide

RESIZE = original.utils.transforms.ResizeLongestSide


def photo() -> np.ndarray:
    """The portrait of Grace Hopper included in matplotlib, taller than wide."""
    path = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    return np.asarray(Image.open(path).convert("RGB"))


def drawn(height: int, width: int) -> np.ndarray:
    """Noise over a gradient."""
    noise = np.random.default_rng(height * width).integers(0, 60, (height, width, 3))
    gradient = np.linspace(0, 195, width)[None, :, None]
    return (noise + gradient).astype(np.uint8)


IMAGES = {"photo": photo(), "wide": drawn(61, 233), "tall": drawn(200, 37), "square": drawn(128, 128)}


@pytest.fixture(scope="module")
def predictors():
    ours, theirs = build_twins(SMALL, seed=8)
    return SamPredictor(ours), original.SamPredictor(theirs)


@pytest.fixture(scope="module", params=IMAGES)
def on_image(request, predictors):
    for predictor in predictors:
        predictor.set_image(IMAGES[request.param])
    return predictors


def prompt(name: str, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """A prompt by the names of its parts, on an image of (H, W)."""
    height, width = size
    low_res = SMALL.image_size // 2
    parts = {
        "point": {"point_coords": np.array([[0.4 * width, 0.3 * height]]), "point_labels": np.array([1])},
        "points": {
            "point_coords": np.array([[0.4, 0.3], [0.9, 0.8], [0.0, 1.0]]) * (width, height),
            "point_labels": np.array([1, 0, 1]),
        },
        "box": {"box": np.array([0.1 * width, 0.2 * height, 0.7 * width, 0.9 * height])},
        "mask": {
            "mask_input": np.random.default_rng(1).normal(0, 6, (1, low_res, low_res)).astype(np.float32)
        },
    }
    return {key: value for part in name.split("+") for key, value in parts[part].items()}


PROMPTS = ["point", "points", "box", "mask", "points+box", "point+mask", "box+mask", "points+box+mask"]


@pytest.mark.parametrize("multimask_output", [True, False])
@pytest.mark.parametrize("name", PROMPTS)
def test_predict(on_image, name, multimask_output):
    given = prompt(name, on_image[1].original_size)
    ours, theirs = (
        predictor.predict(**given, multimask_output=multimask_output, return_logits=True)
        for predictor in on_image
    )
    assert_same(ours, theirs)
    masks, their_masks = (
        predictor.predict(**given, multimask_output=multimask_output)[0] for predictor in on_image
    )
    assert_same_masks(masks, their_masks, theirs[0])


def test_image_embedding(on_image):
    assert_same(*(predictor.get_image_embedding() for predictor in on_image))


def test_a_mask_fed_back(on_image):
    """The usual second round: the best low-resolution logits of the first, and one more point."""
    results = []
    for predictor in on_image:
        given = prompt("points", predictor.original_size)
        _, iou, logits = predictor.predict(given["point_coords"][:1], given["point_labels"][:1])
        best = logits[iou.argmax()][None]
        results.append(
            predictor.predict(**given, mask_input=best, multimask_output=False, return_logits=True)
        )
    assert_same(*results)


def test_batch_of_prompts(on_image):
    generator = torch.Generator().manual_seed(4)
    points, boxes = (
        torch.rand(shape, generator=generator) * SMALL.image_size for shape in ((5, 2, 2), (5, 4))
    )
    labels = torch.randint(-1, 2, (5, 2), generator=generator)
    assert_same(
        *(predictor.predict_torch(points, labels, boxes, return_logits=True) for predictor in on_image)
    )


def test_image_format(predictors):
    for predictor in predictors:
        predictor.set_image(IMAGES["photo"][..., ::-1], image_format="BGR")
    from_bgr = predictors[0].get_image_embedding()
    assert_same(from_bgr, predictors[1].get_image_embedding())
    predictors[0].set_image(IMAGES["photo"])
    assert_same(predictors[0].get_image_embedding(), from_bgr)


@pytest.mark.parametrize("target", [64, 1024])
@pytest.mark.parametrize("name", IMAGES)
def test_resize_longest_side(name, target):
    ours, theirs = ResizeLongestSide(target), RESIZE(target)
    image = IMAGES[name]
    size = image.shape[:2]
    assert np.array_equal(ours.apply_image(image), theirs.apply_image(image))
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float()
    assert_same(ours.apply_image_torch(pixels), theirs.apply_image_torch(pixels))

    points, boxes = (
        np.random.default_rng(2).uniform(0, 30, (5, 2)),
        np.random.default_rng(3).uniform(0, 30, (5, 4)),
    )
    np.testing.assert_allclose(ours.apply_coords(points, size), theirs.apply_coords(points, size), rtol=1e-12)
    np.testing.assert_allclose(ours.apply_boxes(boxes, size), theirs.apply_boxes(boxes, size), rtol=1e-12)
    as_tensor = torch.from_numpy(points), torch.from_numpy(boxes)
    assert_same(ours.apply_coords_torch(as_tensor[0], size), theirs.apply_coords_torch(as_tensor[0], size))
    assert_same(ours.apply_boxes_torch(as_tensor[1], size), theirs.apply_boxes_torch(as_tensor[1], size))


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float16, np.float32])
def test_coordinates_of_any_type(dtype):
    ours, theirs, size = ResizeLongestSide(64), RESIZE(64), (70, 90)
    points, boxes = np.array([[50, 37]], dtype), np.array([[5, 7, 80, 60], [1, 2, 3, 4]], dtype)
    for name, values in (("apply_coords", points), ("apply_boxes", boxes)):
        found, wanted = (getattr(each, name)(values, size) for each in (ours, theirs))
        assert np.array_equal(found, wanted) and found.dtype == wanted.dtype
        tensor = torch.from_numpy(values)
        assert_same(*(getattr(each, f"{name}_torch")(tensor, size) for each in (ours, theirs)))


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8])
def test_labels_of_small_types(on_image, dtype):
    points, labels = torch.tensor([[[50.0, 20.0], [9.0, 30.0]]]), torch.tensor([[1, 0]]).to(dtype)
    assert_same(*(predictor.predict_torch(points, labels, return_logits=True) for predictor in on_image))


def test_a_box_a_fraction_outside_and_no_points_beside_a_box(on_image):
    width = on_image[0].original_size[1]
    inside, outside = np.array([0.0, 3.0, width, 20.0]), np.array([-0.3, 3.0, width + 0.4, 20.0])
    ours = on_image[0].predict(box=outside, return_logits=True)
    assert_same(ours, on_image[1].predict(box=inside, return_logits=True))
    nothing = np.zeros((0, 2)), np.zeros(0)
    assert_same(*(predictor.predict(*nothing, box=inside, return_logits=True) for predictor in on_image))
