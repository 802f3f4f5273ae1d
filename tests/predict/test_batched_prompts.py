"""Batches of prompts, tensors: what is accepted, what an empty batch gives, and one error for what does not fit."""

import pytest
import torch

from minisam.config import CONFIGS, build_from_config
from minisam.errors import PromptError
from minisam.predict import SamPredictor
from minisam.predict.batched_prompts import as_mask_logits, check_batches

POINTS, LABELS = torch.zeros(2, 3, 2), torch.zeros(2, 3)
BOXES, MASKS = torch.zeros(2, 4), torch.zeros(2, 1, 8, 8)

BAD = [
    ((POINTS, None, None, None), "give both"),
    ((None, LABELS, None, None), "give both"),
    ((POINTS[0], LABELS[0], None, None), r"point_coords must have the shape \(B, N, 2\)"),
    ((POINTS, LABELS[:, :2], None, None), "one label per point"),
    ((POINTS, LABELS[0], None, None), "one label per point"),
    ((None, None, BOXES[:, :3], None), "boxes must have the shape"),
    ((None, None, None, torch.zeros(2, 1, 4, 8)), r"mask_input must have the shape \(B, 1, 8, 8\)"),
    ((None, None, None, torch.zeros(2, 3, 8, 8)), "mask_input must"),
    ((POINTS, LABELS, BOXES[:1], None), "point_coords 2, boxes 1"),
    ((None, None, BOXES[:1], MASKS), "boxes 1, mask_input 2"),
]


@pytest.mark.parametrize(("prompt", "message"), BAD)
def test_what_does_not_go_together_is_named(prompt, message):
    with pytest.raises(PromptError, match=message) as caught:
        check_batches(*prompt, (8, 8))
    assert "\n" not in str(caught.value)


def test_boolean_masks_and_a_single_one():
    assert as_mask_logits(torch.zeros(1, 8, 8)).shape == (1, 1, 8, 8)
    assert as_mask_logits(torch.tensor([[[[True, False]]]])).tolist() == [[[[10, -10]]]]
    assert as_mask_logits(MASKS) is MASKS


@pytest.fixture(scope="module")
def predictor():
    torch.manual_seed(0)
    predictor = SamPredictor(build_from_config(CONFIGS["nano"]))
    predictor.set_torch_image(torch.rand(1, 3, 40, 64) * 255, (80, 128))
    return predictor


EMPTY = {
    "boxes": {"boxes": torch.zeros(0, 4)},
    "sets of boxes": {"boxes": torch.zeros(0, 2, 4)},
    "points": {"points": (torch.zeros(0, 3, 2), torch.zeros(0, 3))},
    "no points": {"points": (torch.zeros(0, 0, 2), torch.zeros(0, 0))},
    "masks": {"mask_input": torch.zeros(0, 1, 32, 32)},
    "boxes and a mask": {"boxes": torch.zeros(0, 4), "mask_input": torch.zeros(1, 1, 32, 32)},
}


@pytest.mark.parametrize("kind", EMPTY)
@pytest.mark.parametrize("multimask", [True, False])
def test_an_empty_batch_gives_empty_results(predictor, kind, multimask):
    prompt = dict(EMPTY[kind])
    points = prompt.pop("points", (None, None))
    masks, iou, low_res = predictor.predict_torch(*points, **prompt, multimask_output=multimask)
    count = 3 if multimask else 1
    assert masks.shape == (0, count, 80, 128) and masks.dtype == torch.bool
    assert iou.shape == (0, count) and low_res.shape == (0, count, 32, 32)


def test_one_box_of_four_numbers_is_one_prompt(predictor):
    box = torch.tensor([10, 10, 50, 30])
    expected = predictor.predict_torch(None, None, box[None], return_logits=True)
    for same in (box, box[None, None], box.float(), box.to(torch.int16)):
        found = predictor.predict_torch(None, None, same, return_logits=True)
        assert all(a.equal(b) for a, b in zip(found, expected, strict=True))
    two = predictor.predict_torch(None, None, torch.stack([box, box + 3])[None])
    assert two[0].shape == (1, 3, 80, 128)


def test_one_mask_serves_one_prompt_or_all(predictor):
    boxes = torch.tensor([[10.0, 10, 50, 30], [5, 5, 20, 20]])
    mask = torch.randn(1, 32, 32)
    expected = predictor.predict_torch(
        None, None, boxes, mask.expand(2, 1, -1, -1).contiguous(), return_logits=True
    )
    for same in (mask, mask[None]):
        found = predictor.predict_torch(None, None, boxes, same, return_logits=True)
        for ours, wanted in zip(found, expected, strict=True):
            torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int8, torch.int32, torch.float16])
def test_labels_of_any_type_mean_the_same(predictor, dtype):
    points = torch.tensor([[[10.0, 5.0], [40.0, 20.0]]])
    expected = predictor.predict_torch(points, torch.tensor([[1, 0]]), return_logits=True)
    found = predictor.predict_torch(points, torch.tensor([[1, 0]]).to(dtype), return_logits=True)
    assert all(a.equal(b) for a, b in zip(found, expected, strict=True))


def test_points_without_labels_are_refused_by_the_network_too(predictor):
    record = {"image": torch.zeros(3, 64, 64), "original_size": (64, 64), "point_coords": POINTS}
    with pytest.raises(ValueError, match="points need labels"):
        predictor.model([record], multimask_output=True)
    with pytest.raises(PromptError, match="give both"):
        predictor.predict_torch(POINTS, None)
