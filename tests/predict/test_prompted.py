"""Many prompts on several images: three masks for a first prompt, one with a mask, four for a box."""

from __future__ import annotations

import pytest
import torch
from small_networks import small_sam

from minisam.predict.prompted import Prompted


@pytest.fixture(scope="module")
def prompted() -> Prompted:
    sam = small_sam()
    with torch.no_grad():
        images = torch.randn(2, 3, 48, 48, generator=torch.Generator().manual_seed(0))
        return Prompted(sam, sam.image_encoder(images), torch.tensor([1, 0, 1]))


POINTS = torch.tensor([[[3.0, 40.0]], [[20.0, 5.0]], [[30.0, 30.0]]]), torch.ones(3, 1)
BOXES = torch.tensor([[1.0, 2, 20, 30], [5.0, 5, 40, 44], [0.0, 0, 10, 10]])


@torch.no_grad()
def test_each_prompt_is_predicted_on_its_own_image(prompted):
    sam, fed_back = prompted.sam, torch.randn(3, 1, 24, 24)
    image_pe = sam.prompt_encoder.get_dense_pe()
    for given in ({"points": POINTS}, {"boxes": BOXES}, {"points": POINTS, "mask_input": fed_back}):
        logits, iou = prompted.predict(**given)
        several = "mask_input" not in given
        assert logits.shape == (3, 3 if several else 1, 24, 24) and iou.shape == logits.shape[:2]
        sparse, dense = sam.prompt_encoder(*(given.get(name) for name in ("points", "boxes", "mask_input")))
        for place, image in enumerate((1, 0, 1)):
            one = slice(place, place + 1)
            alone = prompted.embeddings[image][None], image_pe, sparse[one], dense[one], several
            for found, expected in zip((logits, iou), sam.mask_decoder(*alone), strict=True):
                torch.testing.assert_close(found[one], expected)


@torch.no_grad()
def test_all_masks_of_a_box_are_the_single_one_and_the_three(prompted):
    logits, iou = prompted.predict_all(BOXES)
    three, of_three = prompted.predict(boxes=BOXES)
    assert logits.shape == (3, 4, 24, 24) and iou.shape == (3, 4)
    torch.testing.assert_close(logits[:, 1:], three)
    torch.testing.assert_close(iou[:, 1:], of_three)
