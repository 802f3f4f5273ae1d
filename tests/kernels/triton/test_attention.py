"""What is true of attention alone; what all kernels have to pass is in test_kernels.py."""

from __future__ import annotations

import pytest
import torch
from kernel_operations import DEVICE

from minisam_kernels.attention import _attention, attention
from minisam_kernels.attention_backward import KEY_LAUNCHES, QUERY_LAUNCHES
from minisam_kernels.launch import INTERPRETED

pytestmark = [] if INTERPRETED else [pytest.mark.gpu]


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE)


def test_the_log_sum_exp_is_what_is_kept_of_a_row():
    q, k, v = draw(1, 2, 5, 24), draw(1, 2, 37, 24, seed=1), draw(1, 2, 37, 24, seed=2)
    _, lse = _attention(q, k, v, 0.3, "single")
    torch.testing.assert_close(lse, (0.3 * q @ k.mT).logsumexp(dim=-1))


def test_weights_sum_to_one():
    q, k = draw(1, 1, 9, 16), draw(1, 1, 33, 16, seed=1)
    out = attention(q, k, torch.ones_like(k), 0.25)
    torch.testing.assert_close(out, torch.ones_like(out))


def test_no_queries_give_nothing_and_no_gradient():
    q, k, v = (draw(1, 2, n, 16).requires_grad_() for n in (0, 5, 5))
    out = attention(q, k, v, 0.25)
    grads = torch.autograd.grad(out.sum(), (q, k, v))
    assert out.shape == q.shape
    assert [grad.shape for grad in grads] == [q.shape, k.shape, v.shape]
    assert not any(grad.any() for grad in grads)


def test_every_launch_has_its_backward():
    from minisam_kernels.attention import LAUNCHES

    assert set(LAUNCHES) == set(QUERY_LAUNCHES) == set(KEY_LAUNCHES)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((2, 3, 16),) * 3, r"must be \[B, N, tokens, D\], got \[2, 3, 16\]"),
        (((1, 2, 3, 12),) * 3, "head dim 12 has no kernel"),
        (((1, 2, 3, 136),) * 3, "head dim 136 has no kernel"),
        (((1, 2, 3, 16), (1, 2, 5, 24), (1, 2, 5, 24)), r"k must be \[1, 2, 5, 16\], got \[1, 2, 5, 24\]"),
        (((1, 2, 3, 16), (1, 1, 5, 16), (1, 1, 5, 16)), r"k must be \[1, 2, 5, 16\]"),
        (((1, 2, 3, 16), (1, 2, 5, 16), (1, 2, 4, 16)), r"v must be \[1, 2, 5, 16\], got \[1, 2, 4, 16\]"),
        (((1, 2, 3, 16), (1, 2, 0, 16), (1, 2, 0, 16)), "there are no keys"),
    ],
)
def test_shapes_that_do_not_fit_are_refused_by_name(shapes, message):
    with pytest.raises(ValueError, match=f"attention: .*{message}"):
        attention(*(draw(*shape) for shape in shapes), 0.25)
