"""The prompt encoder against segment-anything's: every kind of prompt and mixtures of them."""

from __future__ import annotations

import pytest
import torch
from parity.oracle import SMALL, assert_same, random, run_both

from minisam.bench.twins import build_twins

SIZE = SMALL.image_size


@pytest.fixture(scope="module")
def encoders():
    ours, theirs = build_twins(SMALL)
    return ours.prompt_encoder, theirs.prompt_encoder


def pixels(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * SIZE


POINTS = (pixels(1, 3, 4, 2), torch.tensor([[1, 0, -1, 1], [0, 0, 1, 1], [-1, -1, -1, -1]]))
BOXES = pixels(2, 3, 4)
MASKS = random(3, 3, 1, SIZE // 2, SIZE // 2, scale=5.0)
PROMPTS = {
    "points": (POINTS, None, None),
    "one point": ((pixels(4, 1, 1, 2), torch.ones(1, 1, dtype=torch.int32)), None, None),
    "boxes": (None, BOXES, None),
    "masks": (None, None, MASKS),
    "points and boxes": (POINTS, BOXES, None),
    "points and masks": (POINTS, None, MASKS),
    "boxes and masks": (None, BOXES, MASKS),
    "everything": (POINTS, BOXES, MASKS),
    "nothing": (None, None, None),
    "outside the image": ((POINTS[0] * 3 - SIZE, POINTS[1]), BOXES * 3 - SIZE, None),
    "floating labels": ((POINTS[0], POINTS[1].float()), None, None),
}


@pytest.mark.parametrize("name", PROMPTS)
def test_prompts(encoders, name):
    points, boxes, masks = PROMPTS[name]
    with torch.no_grad():
        sparse, dense = encoders[0](points, boxes, masks)
        their_sparse, their_dense = encoders[1](points, boxes, masks)
    assert sparse.shape == their_sparse.shape
    if sparse.numel():
        assert_same(sparse, their_sparse)
    assert_same(dense, their_dense)


def test_positions_of_the_image_tokens(encoders):
    run_both(encoders[0].get_dense_pe, encoders[1].get_dense_pe)


def test_one_box_as_a_list_of_one(encoders):
    with torch.no_grad():
        assert_same(encoders[0](None, BOXES[:, None], None), encoders[1](None, BOXES, None))


def test_several_boxes_in_one_prompt(encoders):
    """The original does not support this: expected are its embeddings of the boxes, one after the other."""
    boxes = pixels(5, 2, 3, 4)
    with torch.no_grad():
        sparse, dense = encoders[0](None, boxes, None)
        singles = [encoders[1](None, boxes[:, n], None)[0] for n in range(3)]
    assert sparse.shape == (2, 6, SMALL.prompt_dim)
    assert dense.shape[0] == 2
    assert_same(sparse, torch.cat(singles, dim=1))
