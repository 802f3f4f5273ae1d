"""What is true of token_to_image alone; what all kernels have to pass is in test_kernels.py."""

from __future__ import annotations

import pytest
import torch
from kernel_operations import DEVICE

from minisam_kernels import token_to_image as file
from minisam_kernels.attention import attention
from minisam_kernels.launch import INTERPRETED
from minisam_kernels.token_to_image import TOKENS_PER_PART, token_to_image

pytestmark = [] if INTERPRETED else [pytest.mark.gpu]


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE)


def test_it_is_attention_of_one_head_whose_keys_have_their_positions_added():
    rows, image, pe = draw(2, 7, 24), draw(2, 61, 24, seed=1), draw(61, 24, seed=2)
    expected = attention(rows[:, None], (image + pe)[:, None], image[:, None], 0.2)[:, 0]
    torch.testing.assert_close(token_to_image(rows, image, pe, 0.2), expected, rtol=1e-5, atol=1e-6)


def test_parts_depend_on_the_image_alone(monkeypatch):
    """Rows get the same bits alone and after two tiles of others that share their image."""
    monkeypatch.setattr(file, "TOKENS_PER_PART", 32)
    image, pe = draw(1, 70, 16), draw(70, 16, seed=1)
    others, prompt = draw(1, 128, 16, seed=2), draw(1, 7, 16, seed=3)
    together = token_to_image(torch.cat([others, prompt], dim=1), image, pe, 0.3)
    assert torch.equal(together[:, 128:], token_to_image(prompt, image, pe, 0.3))


@pytest.mark.parametrize("tokens", [31, 32, 33, 64, 65])
def test_any_number_of_parts_gives_the_same(tokens, monkeypatch):
    rows, image, pe = draw(1, 5, 16), draw(1, tokens, 16, seed=1), draw(tokens, 16, seed=2)
    whole = token_to_image(rows, image, pe, 0.3)
    monkeypatch.setattr(file, "TOKENS_PER_PART", 32)
    torch.testing.assert_close(token_to_image(rows, image, pe, 0.3), whole, rtol=1e-5, atol=1e-6)
    assert TOKENS_PER_PART % 32 == 0


def test_no_rows_give_nothing_and_no_gradient():
    rows, image, pe = draw(1, 0, 16), draw(1, 5, 16), draw(5, 16)
    leaves = [x.requires_grad_() for x in (rows, image, pe)]
    out = token_to_image(rows, image, pe, 0.3)
    assert out.shape == rows.shape
    assert not any(grad.any() for grad in torch.autograd.grad(out.sum(), leaves))


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((3, 16), (1, 5, 16), (5, 16)), r"rows must be \[B, R, E\] and image \[B, S, E\], got \[3, 16\]"),
        (((1, 3, 20), (1, 5, 20), (5, 20)), "20 channels have no kernel"),
        (((1, 3, 264), (1, 5, 264), (5, 264)), "264 channels have no kernel"),
        (((2, 3, 16), (1, 5, 16), (5, 16)), r"image must be \[2, 5, 16\], got \[1, 5, 16\]"),
        (((1, 3, 16), (1, 5, 24), (5, 24)), r"image must be \[1, 5, 16\]"),
        (((1, 3, 16), (1, 5, 16), (1, 5, 16)), r"image_pe must be \[5, 16\], got \[1, 5, 16\]"),
        (((1, 3, 16), (1, 0, 16), (0, 16)), "there are no image tokens"),
    ],
)
def test_shapes_that_do_not_fit_are_refused_by_name(shapes, message):
    with pytest.raises(ValueError, match=f"token_to_image: {message}"):
        token_to_image(*[draw(*shape) for shape in shapes], scale=0.25)
