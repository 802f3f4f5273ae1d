"""What is true of cross-attention alone; what all kernels have to pass is in test_kernels.py."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from unittest import mock

import pytest
import torch
from kernel_operations import DEVICE

from minisam_kernels import cross_attention as file
from minisam_kernels import cross_attention_backward as backward_file
from minisam_kernels.attention import attention
from minisam_kernels.cross_attention import LAUNCHES, cross_attention, launch_for
from minisam_kernels.cross_attention_backward import (
    FEW,
    KEY_LAUNCHES,
    NARROW,
    QUERY_LAUNCHES,
    TOKENS_PER_PART,
    tokens_per_part,
)
from minisam_kernels.launch import INTERPRETED

pytestmark = [] if INTERPRETED else [pytest.mark.gpu]


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE)


def test_sums_are_cut_where_few_ask_and_by_nothing_else():
    assert tokens_per_part(4096, asked_by=7) == TOKENS_PER_PART
    assert tokens_per_part(4096, asked_by=FEW) == TOKENS_PER_PART
    assert tokens_per_part(4096, asked_by=FEW + 1) == 4096


@pytest.mark.parametrize("queries", [3, 70])
def test_parts_or_not_it_is_attention(queries):
    q, k, v = draw(1, 2, queries, 24), draw(1, 2, 600, 24, seed=1), draw(1, 2, 600, 24, seed=2)
    torch.testing.assert_close(
        cross_attention(q, k, v, 0.2, launch="many, single"), attention(q, k, v, 0.2), rtol=1e-5, atol=1e-6
    )


@contextmanager
def launched(module, kernel):
    """The arguments and options of each launch of that kernel."""
    found = []
    original = getattr(module, kernel).__getitem__

    def spied(grid):
        def launch(*args, **options):
            found.append((args, options))
            return original(grid)(*args, **options)

        return launch

    with mock.patch.object(module, kernel, mock.MagicMock(__getitem__=lambda _, grid: spied(grid))):
        yield found


def test_heads_split_from_tokens_are_not_copied():
    q, k, v = (draw(2, n, 2, 16, seed=n).transpose(1, 2) for n in (5, 40, 40))
    with launched(file, "_cross_attention_kernel") as found:
        out = cross_attention(q, k, v, 0.25)
    ((args, _),) = found
    assert [x.data_ptr() for x in args[:3]] == [x.data_ptr() for x in (q, k, v)]
    assert out.transpose(1, 2).is_contiguous()


@pytest.mark.parametrize(("head_dim", "warps"), [(16, 1), (NARROW - 8, 1), (NARROW, 4)])
def test_few_queries_of_narrow_heads_are_one_warps(head_dim, warps):
    q, k, v = (draw(1, 1, n, head_dim, seed=n).half().requires_grad_() for n in (5, 40, 40))
    with (
        launched(file, "_cross_attention_kernel") as forward,
        launched(backward_file, "_cross_attention_query_gradient_kernel") as backward,
    ):
        cross_attention(q, k, v, 0.25).sum().backward()
    assert [options["num_warps"] for _, options in (*forward, *backward)] == [warps, warps]


def test_narrow_heads_have_the_tiles_of_all_others():
    for launches, narrow in ((LAUNCHES, file.NARROW_HEADS), (QUERY_LAUNCHES, backward_file.NARROW_HEADS)):
        assert {name: replace(one, num_warps=1) for name, one in launches.items()} == {
            name: replace(one, num_warps=1) for name, one in narrow.items()
        }


def test_parts_of_a_gradient_are_added_in_float32_and_rounded_once():
    parts = torch.tensor([[2048.0, 1.0], [0.5, 2.0], [-2048.0, 3.0]], device=DEVICE)
    like = torch.empty(2, dtype=torch.float16, device=DEVICE)
    assert backward_file._add_parts(parts, like).tolist() == [0.5, 6.0]


def test_no_queries_give_nothing_and_no_gradient():
    q, k, v = (draw(1, 2, n, 16).requires_grad_() for n in (0, 5, 5))
    out = cross_attention(q, k, v, 0.25)
    grads = torch.autograd.grad(out.sum(), (q, k, v))
    assert out.shape == q.shape and not any(grad.any() for grad in grads)


def test_launches_are_chosen_by_queries_and_type_and_have_their_backward():
    assert (
        launch_for(FEW, torch.float16) == "few, half" and launch_for(FEW + 1, torch.float32) == "many, single"
    )
    assert set(LAUNCHES) == set(QUERY_LAUNCHES) == set(KEY_LAUNCHES)


def test_no_keys_are_refused():
    with pytest.raises(ValueError, match="cross_attention: there are no keys"):
        cross_attention(draw(1, 1, 3, 16), draw(1, 1, 0, 16), draw(1, 1, 0, 16), 0.25)
