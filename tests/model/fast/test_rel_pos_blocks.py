"""Attention with relative positions is the same in blocks of any size, and only one block's bias is in memory."""

from __future__ import annotations

import pytest
import torch
from held_to_reference import assert_same_gradients, assert_same_values
from strategies import normal
from torch.utils._python_dispatch import TorchDispatchMode

from minisam.model.fast import rel_pos_blocks
from minisam.model.fast.rel_pos_blocks import too_large_at_once
from minisam.model.rel_pos_attention import rel_pos_attention
from minisam.precision import computing_in
from minisam_kernels.reference.rel_pos_attention import rel_pos_attention as reference

BATCH, HEADS, DIM, GRID = 2, 3, 4, (5, 7)
TOKENS, SCALE = 35, 0.4
ONE_HEAD = BATCH * TOKENS**2


@pytest.fixture(
    params=[
        pytest.param(1, id="a row a block"),
        pytest.param(BATCH * TOKENS * 4, id="four rows"),
        pytest.param(ONE_HEAD, id="a head"),
        pytest.param(2 * ONE_HEAD, id="two heads of three"),
    ]
)
def largest_block(request, monkeypatch) -> int:
    monkeypatch.setattr(rel_pos_blocks, "BIAS_ENTRIES_PER_BLOCK", request.param)
    return request.param


def draw() -> dict:
    shapes = {name: (BATCH, HEADS, TOKENS, DIM) for name in "qkv"}
    shapes |= {"rel_h": (BATCH, HEADS, TOKENS, GRID[0]), "rel_w": (BATCH, HEADS, TOKENS, GRID[1])}
    return {name: normal(i, *shape) for i, (name, shape) in enumerate(shapes.items())}


def functions():
    return (
        lambda **tensors: rel_pos_attention(**tensors, scale=SCALE),
        lambda **arrays: reference(**arrays, scale=SCALE),
    )


@pytest.mark.usefixtures("largest_block")
@pytest.mark.parametrize("layout", ["contiguous", "permuted"])
def test_values(layout):
    assert too_large_at_once(torch.tensor(draw()["q"]))
    assert_same_values(*functions(), draw(), layout)


@pytest.mark.usefixtures("largest_block")
def test_gradients():
    assert_same_gradients(*functions(), draw(), seed=1, directions=1)


@pytest.mark.usefixtures("largest_block")
def test_half_precision_is_recomputed_as_it_was():
    tensors = {name: torch.tensor(array) for name, array in draw().items()}
    q = tensors.pop("q").requires_grad_()
    with computing_in("bf16", "cpu"):
        half = {name: tensor.bfloat16() for name, tensor in tensors.items()}
        out = rel_pos_attention(q=q.bfloat16(), **half, scale=SCALE)
    out.float().sum().backward()  # torch refuses a recomputation in another type
    assert q.grad.isfinite().all() and q.grad.any()


class LargestTensor(TorchDispatchMode):
    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor):
            self.numbers = max(self.numbers, out.numel())
        return out


def test_no_bias_is_larger_than_a_block(largest_block):
    tensors = {name: torch.tensor(array) for name, array in draw().items()}
    with torch.no_grad(), LargestTensor() as seen:
        rel_pos_attention(**tensors, scale=SCALE)
    inputs = max(tensor.numel() for tensor in tensors.values())
    assert seen.numbers <= max(inputs, largest_block, BATCH * TOKENS)


def test_all_at_once_where_it_fits_or_is_not_on_a_cpu():
    q = torch.zeros(1, 12, 64, 8)
    assert not too_large_at_once(q)
    assert too_large_at_once(torch.zeros(1, 12, 1, 1).expand(1, 12, 4096, 64))
    assert not too_large_at_once(torch.empty(1, 12, 4096, 64, device="meta"))


@pytest.mark.parametrize("entries", [1, BATCH * TOKENS * 4, ONE_HEAD, 2 * ONE_HEAD])
def test_a_blocks_bias_has_no_more_entries_than_it_may(entries, monkeypatch):
    monkeypatch.setattr(rel_pos_blocks, "BIAS_ENTRIES_PER_BLOCK", entries)
    sizes = []

    def attend(q, k, v, rel_h, rel_w, scale):
        assert (k.shape, v.shape) == ((BATCH, q.shape[1], TOKENS, DIM),) * 2 and scale == SCALE
        sizes.append(q.shape[:3].numel() * TOKENS)
        return q

    inputs = {name: torch.tensor(array) for name, array in draw().items()}
    assert rel_pos_blocks.by_blocks(attend, **inputs, scale=SCALE).equal(inputs["q"])
    assert max(sizes) <= max(entries, BATCH * TOKENS)  # a row of one head at least
    assert sum(sizes) == HEADS * ONE_HEAD
