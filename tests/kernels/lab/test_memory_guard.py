"""The memory guard, with kernels that access stray memory on purpose."""

from __future__ import annotations

import pytest
import torch
import triton
import triton.language as tl
from triton.runtime import interpreter

from minisam_kernels.lab.memory_guard import StrayAccess, checked_lanes, fenced, guard_bands
from minisam_kernels.launch import INTERPRETED

needs_interpreter = pytest.mark.skipif(
    not INTERPRETED, reason="lanes are seen in the interpreter: no CUDA device"
)
DEVICE = "cpu" if INTERPRETED else "cuda"


@triton.jit
def _copy_kernel(x_ptr, out_ptr, N, LOADED: tl.constexpr, STORED: tl.constexpr, BLOCK: tl.constexpr):
    """One program copies N numbers, but trusts LOADED of its lanes to read and STORED of them to write."""
    lanes = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + lanes, mask=lanes < LOADED, other=0.0)
    tl.store(out_ptr + lanes, x, mask=lanes < STORED)


@triton.jit
def _unmasked_kernel(x_ptr, out_ptr, BLOCK: tl.constexpr):
    """One program copies BLOCK numbers and looks at no bound."""
    lanes = tl.arange(0, BLOCK)
    tl.store(out_ptr + lanes, tl.load(x_ptr + lanes))


@triton.jit
def _count_kernel(out_ptr, BLOCK: tl.constexpr):
    """One program adds one to BLOCK counters."""
    tl.atomic_add(out_ptr + tl.arange(0, BLOCK), 1.0)


def run_copy(size, loaded, stored):
    x = fenced(torch.arange(size, dtype=torch.float32, device=DEVICE))
    out = torch.empty(size, device=DEVICE)
    _copy_kernel[(1,)](x, out, size, LOADED=loaded, STORED=stored, BLOCK=64)
    return out


@needs_interpreter
def test_a_kernel_that_stays_inside_passes():
    with guard_bands(), checked_lanes():
        out = run_copy(36, 36, 36)
    torch.testing.assert_close(out, torch.arange(36.0))


@needs_interpreter
def test_a_stray_read_that_the_store_masks_away_is_found():
    with pytest.raises(StrayAccess, match=r"load of program \(0, 0, 0\): 28 of 64 lanes"), checked_lanes():
        run_copy(36, 64, 36)


@needs_interpreter
def test_a_stray_write_is_found_before_it_happens():
    with (
        guard_bands(),
        pytest.raises(StrayAccess, match=r"store of program .*: 1 of 64 lanes"),
        checked_lanes(),
    ):
        run_copy(36, 36, 37)


@needs_interpreter
def test_loads_and_stores_without_a_mask_are_checked():
    with checked_lanes():
        _unmasked_kernel[(1,)](torch.ones(64), torch.zeros(64), BLOCK=64)
    with pytest.raises(StrayAccess, match=r"load .*: 1 of 64 lanes"), checked_lanes():
        _unmasked_kernel[(1,)](torch.ones(63), torch.zeros(64), BLOCK=64)
    with pytest.raises(StrayAccess, match=r"store .*: 3 of 64 lanes"), checked_lanes():
        _unmasked_kernel[(1,)](torch.ones(64), torch.zeros(61), BLOCK=64)


@needs_interpreter
def test_atomics_are_checked():
    with pytest.raises(StrayAccess, match=r"atomic .*: 14 of 64 lanes"), checked_lanes():
        _count_kernel[(1,)](torch.zeros(50), BLOCK=64)


@needs_interpreter
def test_the_extent_of_a_strided_tensor_ends_with_its_last_element():
    storage = torch.zeros(200)
    with checked_lanes():
        _copy_kernel[(1,)](storage[: 3 * 63 + 1 : 3], storage[136:], 64, LOADED=64, STORED=64, BLOCK=64)
    with pytest.raises(StrayAccess, match="load"), checked_lanes():
        _copy_kernel[(1,)](storage[:40:3], torch.zeros(64), 64, LOADED=64, STORED=64, BLOCK=64)


@needs_interpreter
@pytest.mark.parametrize("name", ["create_masked_load", "create_masked_store", "create_atomic_rmw"])
def test_what_triton_renames_is_missed_loudly(name, monkeypatch):
    monkeypatch.delattr(interpreter.InterpreterBuilder, name)
    with pytest.raises(RuntimeError, match=f"no longer has {name}"), checked_lanes():
        pass


@triton.jit
def _idle_kernel(x_ptr):
    """One program does nothing."""
    tl.static_assert(True)


@needs_interpreter
def test_a_check_that_sees_nothing_is_missed_loudly():
    with pytest.raises(RuntimeError, match="saw no access"), checked_lanes():
        _idle_kernel[(1,)](torch.zeros(1))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64, torch.int64, torch.uint8])
def test_bands_hold_nan_and_the_tensor_its_values(dtype):
    tensor = torch.arange(15).reshape(3, 5).to(dtype).T
    copy = fenced(tensor)
    assert torch.equal(copy, tensor) and copy.is_contiguous()
    before, after = (torch.as_strided(copy, (1,), (1,), copy.storage_offset() + i) for i in (-1, 15))
    assert set(torch.cat([before, after]).view(torch.uint8).tolist()) == {0xFF}


@pytest.mark.parametrize(("index", "place"), [(-1, "4 bytes before its start"), (6, "0 bytes after its end")])
def test_a_write_into_a_band_is_found(index, place):
    with pytest.raises(StrayAccess, match=place), guard_bands():
        out = torch.empty((2, 3))
        torch.as_strided(out, (1,), (1,), out.storage_offset() + index)[0] = 1.0


def test_outputs_start_as_nan():
    with guard_bands():
        assert torch.empty(3, 4).isnan().all()
        assert torch.empty((3, 4), dtype=torch.float16).isnan().all()
        assert torch.empty_like(torch.zeros(2, 5)).isnan().all()
        assert torch.empty_like(torch.zeros(2, 5), dtype=torch.float64).dtype == torch.float64
        assert torch.empty(0, 4).shape == (0, 4)
        assert torch.zeros(2, 5).new_empty(3, 4).isnan().all()
        assert torch.zeros(2, 5).new_empty((3,), dtype=torch.float16).dtype == torch.float16
        assert (torch.zeros(2, 5) == 0).all() and (torch.zeros_like(torch.ones(3)) == 0).all()
        assert torch.ones(2).new_zeros(3, 4).shape == (3, 4)
        assert torch.empty_like(torch.zeros(2), device="meta").device.type == "meta"
    assert torch.empty(2).shape == (2,)


@pytest.mark.parametrize(
    "new",
    [
        lambda x: x.new_empty(2, 3),
        lambda x: x.new_zeros((2, 3)),
        lambda x: torch.zeros((2, 3)),
        lambda x: torch.zeros(2, 3, dtype=torch.float32),
        lambda x: torch.zeros_like(x),
        lambda x: torch.empty_like(x),
    ],
)
def test_every_way_to_make_an_output_has_bands(new):
    x = torch.ones(2, 3)
    with pytest.raises(StrayAccess, match="0 bytes after its end"), guard_bands():
        out = new(x)
        torch.as_strided(out, (1,), (1,), out.storage_offset() + 6)[0] = 1.0
