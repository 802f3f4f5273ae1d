"""A grid has at most 65535 programs along its second and third axis: larger batches are computed in parts.

The limit is lowered here to a few programs; the results must have the same bits as of one launch.
"""

from __future__ import annotations

import pytest
import torch

from minisam_kernels import launch
from minisam_kernels.attention import attention
from minisam_kernels.cross_attention import cross_attention
from minisam_kernels.image_to_token import image_to_token
from minisam_kernels.token_to_image import token_to_image

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def normal(*shape):
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator).to(DEVICE).requires_grad_()


CALLS = {
    "attention": (lambda q, k, v: attention(q, k, v, 0.3), [(5, 2, 7, 16), (5, 2, 9, 16), (5, 2, 9, 16)]),
    "cross_attention, few keys": (
        lambda q, k, v: cross_attention(q, k, v, 0.3),
        [(5, 2, 7, 16), (5, 2, 9, 16), (5, 2, 9, 16)],
    ),
    "cross_attention, keys in parts": (
        lambda q, k, v: cross_attention(q, k, v, 0.3),
        [(5, 1, 3, 16), (5, 1, 600, 16), (5, 1, 600, 16)],
    ),
    "token_to_image": (
        lambda rows, image, pe: token_to_image(rows, image, pe, 0.3),
        [(5, 6, 16), (5, 9, 16), (9, 16)],
    ),
    "image_to_token": (
        lambda *tensors: image_to_token(*tensors, 0.3, 1e-5),
        [(5, 9, 16), (9, 16), (5, 2, 3, 16), (5, 2, 3), (5, 2, 3, 16), (16,), (16,)],
    ),
    "image_to_token, one image": (
        lambda *tensors: image_to_token(*tensors, 0.3, 1e-5),
        [(1, 9, 16), (9, 16), (5, 2, 3, 16), (5, 2, 3), (5, 2, 3, 16), (16,), (16,)],
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_parts_have_the_same_bits(name, monkeypatch):
    function, shapes = CALLS[name]
    found = []
    for limit in (launch.MOST_PROGRAMS, 4):
        monkeypatch.setattr(launch, "MOST_PROGRAMS", limit)
        tensors = [normal(*shape) for shape in shapes]
        out = function(*tensors)
        out.square().sum().backward()
        found.append([out.detach(), *(tensor.grad for tensor in tensors)])
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


def test_the_parts_of_a_batch():
    assert launch.pieces(65535, 1) == launch.pieces(4095, 16) == []
    assert launch.pieces(65536, 1) == [slice(0, 65535), slice(65535, 131070)]
    assert launch.pieces(4096, 16) == [slice(0, 4095), slice(4095, 8190)]
    assert launch.pieces(2, 70000) == [slice(0, 1), slice(1, 2)]
