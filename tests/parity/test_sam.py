"""Sam as a whole against segment-anything's: several images, each with its prompts, before and after."""

from __future__ import annotations

import pytest
import torch
from parity.oracle import SMALL, assert_same, assert_same_masks, random, run_both

from minisam.bench.twins import build_twins

SIZE = SMALL.image_size


@pytest.fixture(scope="module")
def sams():
    return build_twins(SMALL, seed=5)


def image(seed: int, height: int, width: int) -> torch.Tensor:
    return torch.rand((3, height, width), generator=torch.Generator().manual_seed(seed)) * 255


RECORDS = [
    {
        "image": image(1, 96, SIZE),
        "original_size": (75, 100),
        "point_coords": torch.tensor(
            [[[10.0, 20.0], [30.0, 5.0]], [[90.0, 90.0], [64.0, 3.5]], [[1.0, 2.0], [0.0, 0.0]]]
        ),
        "point_labels": torch.tensor([[1, 0], [1, 1], [1, -1]]),
    },
    {
        "image": image(2, SIZE, 57),
        "original_size": (300, 133),
        "boxes": torch.tensor([[3.0, 4.0, 50.0, 60.0], [10.0, 10.0, 20.0, 120.0]]),
    },
    {
        "image": image(3, SIZE, SIZE),
        "original_size": (SIZE, SIZE),
        "boxes": torch.tensor([[3.0, 4.0, 50.0, 60.0]]),
        "point_coords": torch.tensor([[[10.0, 20.0]]]),
        "point_labels": torch.tensor([[0]]),
        "mask_inputs": random(4, 1, 1, SIZE // 2, SIZE // 2, scale=8.0),
    },
    {"image": image(5, SIZE, 1), "original_size": (SIZE, 1)},
]


@pytest.mark.parametrize("multimask_output", [True, False])
def test_images_with_different_prompts(sams, multimask_output):
    ours, theirs = (sam(RECORDS, multimask_output) for sam in sams)
    for record, our, their in zip(RECORDS, ours, theirs, strict=True):
        assert our.keys() == their.keys()
        assert_same(our["low_res_logits"], their["low_res_logits"])
        assert_same(our["iou_predictions"], their["iou_predictions"])
        size = tuple(record["image"].shape[-2:])
        logits = sams[1].postprocess_masks(their["low_res_logits"], size, record["original_size"])
        assert_same_masks(our["masks"], their["masks"], logits)


@pytest.mark.parametrize("size", [(SIZE, SIZE), (SIZE, 31), (1, SIZE), (97, SIZE)])
def test_preprocess(sams, size):
    run_both(sams[0].preprocess, sams[1].preprocess, image(1, *size)[None])


@pytest.mark.parametrize(
    ("input_size", "original_size"),
    [((SIZE, SIZE), (SIZE, SIZE)), ((SIZE, 57), (301, 133)), ((5, SIZE), (4, 90))],
)
def test_postprocess_masks(sams, input_size, original_size):
    logits = random(1, 2, 3, SIZE // 2, SIZE // 2)
    run_both(sams[0].postprocess_masks, sams[1].postprocess_masks, logits, input_size, original_size)
