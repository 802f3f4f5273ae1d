"""What a GPU gives less kindly than Triton's interpreter: masked lanes, TF32, small products, gathers."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest
import torch
import triton
import triton.language as tl
from triton.runtime import interpreter

from minisam_kernels.lab.as_on_a_gpu import as_on_a_gpu, tf32
from minisam_kernels.lab.check import check_function
from minisam_kernels.lab.memory_guard import StrayAccess
from minisam_kernels.launch import INTERPRETED

pytestmark = pytest.mark.skipif(
    not INTERPRETED, reason="only the interpreter is made like a GPU: TRITON_INTERPRET=1"
)


@triton.jit
def _copy_kernel(x_ptr, out_ptr, N, OTHER: tl.constexpr, BLOCK: tl.constexpr):
    """One program copies N numbers and stores all lanes."""
    at = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + at, mask=at < N) if OTHER is None else tl.load(x_ptr + at, mask=at < N, other=OTHER)
    tl.store(out_ptr + at, x)


@triton.jit
def _product_kernel(a_ptr, b_ptr, out_ptr, PRECISION: tl.constexpr):
    """One program multiplies two matrices [16, 16]."""
    at = tl.arange(0, 16)[:, None] * 16 + tl.arange(0, 16)[None, :]
    tl.store(out_ptr + at, tl.dot(tl.load(a_ptr + at), tl.load(b_ptr + at), input_precision=PRECISION))


@triton.jit
def _narrow_kernel(a_ptr, out_ptr, K: tl.constexpr):
    """One program multiplies a matrix [16, K] by its transpose."""
    a = tl.load(a_ptr + tl.arange(0, 16)[:, None] * K + tl.arange(0, K)[None, :])
    product = tl.dot(a, tl.trans(a), input_precision="ieee")
    tl.store(out_ptr + tl.arange(0, 16)[:, None] * 16 + tl.arange(0, 16)[None, :], product)


@triton.jit
def _gather_kernel(x_ptr, index_ptr, out_ptr):
    """One program takes 16 of 16 numbers."""
    at = tl.arange(0, 16)
    tl.store(out_ptr + at, tl.gather(tl.load(x_ptr + at), tl.load(index_ptr + at), axis=0))


def copied(dtype, other, large=False):
    x, out = torch.ones(5, dtype=dtype), torch.zeros(8, dtype=dtype)
    with as_on_a_gpu(large) as found:
        _copy_kernel[(1,)](x, out, 5, OTHER=other, BLOCK=8)
    assert (out[:5] == 1).all() and found.unset == (other is None)
    return out[5:]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_masked_lanes_without_other_are_nan_or_large_numbers_of_both_signs(dtype):
    assert copied(dtype, None).isnan().all()
    large = copied(dtype, None, large=True)
    assert set(large.tolist()) == {torch.finfo(dtype).max, torch.finfo(dtype).min}
    assert (copied(dtype, 0.0) == 0).all()


def test_masked_whole_numbers_are_large():
    assert (copied(torch.int32, None).abs() > 2**29).all() and (copied(torch.int32, 7) == 7).all()


def test_a_load_whose_lanes_are_all_active_is_left_alone():
    with as_on_a_gpu() as found:
        _copy_kernel[(1,)](torch.ones(8), torch.empty(8), 8, OTHER=None, BLOCK=8)
    assert found.unset == 0


@pytest.mark.parametrize("precision", [None, "tf32"])
def test_the_default_product_of_float32_drops_13_bits(precision):
    a, b = (torch.randn(16, 16, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    out = torch.empty(16, 16)
    with as_on_a_gpu() as found:
        _product_kernel[(1,)](a, b, out, PRECISION=precision)
    wanted = tf32(a.numpy()).astype(np.float64) @ tf32(b.numpy())
    np.testing.assert_allclose(out.numpy(), wanted, rtol=1e-5, atol=1e-6)
    assert found.tf32 == 1 and abs(out.double() - a.double() @ b.double()).max() > 1e-4


@pytest.mark.parametrize(("precision", "dtype"), [("ieee", torch.float32), (None, torch.float16)])
def test_other_products_are_left_alone(precision, dtype):
    a, out = torch.randn(16, 16, generator=torch.Generator().manual_seed(0)).to(dtype), torch.empty(16, 16)
    with as_on_a_gpu() as found:
        _product_kernel[(1,)](a, a, out, PRECISION=precision)
    torch.testing.assert_close(out.double(), a.double() @ a.double(), rtol=1e-5, atol=1e-5)
    assert found.tf32 == 0


@pytest.mark.parametrize("K", [1, 4, 16])
def test_products_of_too_few_channels_are_refused_as_by_the_compiler(K):
    a, out = torch.ones(16, K), torch.empty(16, 16)
    _narrow_kernel[(1,)](a, out, K=K)
    assert (out == K).all()
    with as_on_a_gpu(), nullcontext() if K == 16 else pytest.raises(Exception, match="and K >= "):
        _narrow_kernel[(1,)](a, out, K=K)


def test_tf32_has_ten_bits_after_the_point_and_does_not_round():
    kept, dropped = np.float32(1 + 2**-10), np.float32(1 + 2**-10 + 2**-11)
    assert (tf32(np.array([kept, dropped, -dropped])) == [kept, kept, -kept]).all()


@pytest.mark.parametrize("index", [-1, 16])
def test_an_index_out_of_range_is_an_error(index):
    indices = torch.arange(16)
    with as_on_a_gpu():
        _gather_kernel[(1,)](torch.zeros(16), indices, torch.empty(16))
    indices[3] = index
    with pytest.raises(StrayAccess, match=r"gather .*: 1 of 16 indices are not in 0 … 15"), as_on_a_gpu():
        _gather_kernel[(1,)](torch.zeros(16), indices, torch.empty(16))


@pytest.mark.parametrize("name", ["create_masked_load", "create_dot", "create_gather"])
def test_what_triton_renames_is_missed_loudly(name, monkeypatch):
    monkeypatch.delattr(interpreter.InterpreterBuilder, name)
    with pytest.raises(RuntimeError, match=f"no longer has {name}"), as_on_a_gpu():
        pass


@triton.jit
def _softmax_kernel(x_ptr, y_ptr, scale, N, K: tl.constexpr, MASKED: tl.constexpr):
    """One program owns a row; without MASKED, lanes past its end count in the sum, and always in the maximum."""
    at = tl.program_id(0) * N + tl.arange(0, K)
    inside = tl.arange(0, K) < N
    x = tl.load(x_ptr + at, mask=inside) * scale
    exponentials = tl.exp(x - tl.max(x, 0))
    if MASKED:
        exponentials = tl.where(inside, exponentials, 0.0)
    tl.store(y_ptr + at, exponentials / tl.sum(exponentials, 0), mask=inside)


def softmax(masked):
    def function(x, scale):
        y = torch.empty_like(x, requires_grad=False)
        rows, N = x.shape
        _softmax_kernel[(rows,)](x, y, scale, N, K=triton.next_power_of_2(N), MASKED=masked)
        return y

    return function


@pytest.mark.parametrize(
    ("masked", "says"),
    # The interpreter's maximum ignores NaN, a GPU's may find any number: only the second run shows it.
    [(False, "output: 91 values are not finite"), (True, "a second run gives other bits")],
)
def test_check_finds_a_kernel_that_needs_zeros_in_masked_lanes(masked, says):
    failure = check_function(softmax(masked), "softmax", ("fp32",), "prime").failure
    assert failure is not None and failure.what.startswith(says)
    assert "a load has a mask but no `other`" in failure.what


@triton.jit
def _one_token_kernel(q_ptr, k_ptr, v_ptr, out_ptr, scale, PRECISION: tl.constexpr):
    """One program attends from one query to one key: the weight is 1, and the output is the value."""
    at = tl.arange(0, 16)[:, None] * 16 + tl.arange(0, 16)[None, :]
    first = tl.arange(0, 16)[:, None] < 1
    v = tl.load(v_ptr + at, mask=first & (at < 16), other=0.0)
    weights = (tl.arange(0, 16)[:, None] == tl.arange(0, 16)[None, :]).to(v.dtype)
    out = tl.dot(weights, v, input_precision=PRECISION)
    tl.store(out_ptr + at, out.to(v.dtype), mask=first & (at < 16))


def attention_of_one_token(precision):
    def function(q, k, v, scale):
        out = torch.empty_like(q, requires_grad=False)
        _one_token_kernel[(1,)](q, k, v, out, scale, PRECISION=precision)
        return out

    return function


def test_check_multiplies_float32_as_a_gpu_does_and_says_so():
    failure = check_function(attention_of_one_token(None), "attention", ("fp32",), "one token").failure
    assert failure is not None and "TF32, a GPU's default" in failure.what
    for precision, dtype in (("ieee", "fp32"), (None, "fp16")):
        function = attention_of_one_token(precision)
        assert check_function(function, "attention", (dtype,), "one token").failure is None
