"""How much of each low-resolution pixel a mask covers, as logits from -10 to 10."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from minisam.errors import PromptError
from minisam.predict.mask_prompt import mask_to_logits

SAM = SimpleNamespace(
    image_encoder=SimpleNamespace(img_size=64), prompt_encoder=SimpleNamespace(mask_input_size=(32, 32))
)


def logits_of(mask: np.ndarray) -> np.ndarray:
    return mask_to_logits(mask, SAM)[0]  # type: ignore


def test_a_mask_that_shrinks_is_averaged():
    """Stripes, one pixel of four, cover a quarter of every low-resolution pixel: 20 · 0.25 - 10."""
    mask = np.zeros((256, 256), bool)
    mask[:, ::4] = True
    np.testing.assert_allclose(logits_of(mask)[:, 2:-2], -5.0, atol=0.1)


def test_half_a_low_resolution_pixel_is_a_logit_of_zero():
    mask = np.zeros((64, 64), bool)
    mask[8:16, 9:20] = True
    expected = np.full((32, 32), -10.0)
    expected[4:8, 5:10], expected[4:8, 4] = 10.0, 0.0
    for same in (mask, mask.astype(np.uint8), mask.astype(np.uint8) * 255, mask.astype(float)):
        assert logits_of(same).tolist() == expected.tolist()


def test_a_wide_mask_lies_at_the_top_and_a_tall_one_at_the_left():
    everything = np.ones((20, 40), bool)
    assert (logits_of(everything) > 0).sum(axis=0).tolist() == [16] * 32
    assert (logits_of(everything.T) > 0).sum(axis=1).tolist() == [16] * 32
    assert (logits_of(everything)[:16] == 10).all()


@pytest.mark.parametrize(("shape", "message"), [((1, 8, 8), "shape"), ((8,), "shape"), ((8, 8), "empty")])
def test_what_is_not_a_mask_is_refused(shape, message):
    with pytest.raises(PromptError, match=message):
        logits_of(np.zeros(shape, bool))
