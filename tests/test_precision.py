"""Half precision on a CPU: the products stay in it, and torch's settings are restored afterwards."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

from minisam.model.fast.plain_products import as_now_when_recomputed, plain_products
from minisam.precision import computing_in


class Products(TorchDispatchMode):
    """Notes the types of the factors of all batched products."""

    def __init__(self) -> None:
        super().__init__()
        self.types: set[torch.dtype] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.bmm.default:
            self.types |= {args[0].dtype, args[1].dtype}
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("precision", "expected"), [("bf16", torch.bfloat16), ("fp16", torch.float16), ("fp32", torch.float32)]
)
def test_attention_and_its_gradient_are_computed_in_the_precision(precision, expected):
    q, k, v = torch.randn(3, 1, 2, 8, 4, requires_grad=True).to(expected)
    with Products() as products:
        with computing_in(precision, "cpu"):
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=torch.zeros(8, 8, dtype=expected))
        out.float().sum().backward()
    assert products.types <= {expected} and (products.types or precision == "fp32")


def test_afterwards_torch_is_as_before():
    before = torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed()
    with pytest.raises(RuntimeError), computing_in("bf16", "cpu"):
        assert torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed()
        raise RuntimeError
    assert torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed() == before


@pytest.mark.parametrize("allowed", [True, False])
def test_what_was_set_before_is_set_again(allowed):
    """One block may lie in another: the inner one must not end the outer one."""
    before = torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed()
    torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(allowed)
    try:
        with plain_products():
            with plain_products():
                pass
            assert torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed()
        assert torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed() == allowed
    finally:
        torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(before)


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_what_is_recomputed_after_the_forward_pass_is_computed_as_there(precision):
    q = torch.randn(1, 2, 8, 4, requires_grad=True)
    mask = torch.zeros(8, 8)

    def gradient(recompute):
        q.grad = None
        with computing_in(precision, "cpu"):
            half = F.linear(q, torch.eye(4))  # in the precision of autocast
            attend = F.scaled_dot_product_attention
            out = (
                checkpoint(
                    attend,
                    half,
                    half,
                    half,
                    mask.to(half),
                    use_reentrant=False,
                    context_fn=as_now_when_recomputed,
                )
                if recompute
                else attend(half, half, half, mask.to(half))
            )
        out.float().square().sum().backward()
        return q.grad.clone()

    assert torch.equal(gradient(recompute=True), gradient(recompute=False))
