"""The last programs of a launch whose tensors have more than 2³¹ numbers: do their offsets have 64 bits?

torch.empty reserves addresses, and memory only for the pages that are touched. The interpreter runs a few programs of
the grid, which touch a few pages at the far end, and its int32 overflows like a GPU's: such an offset leaves the tensor
and is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor
from triton.language import int32
from triton.runtime import interpreter

from minisam_kernels.cross_attention_backward import ADDED_PER_PROGRAM
from minisam_kernels.lab.memory_guard import checked_lanes
from minisam_kernels.token_to_image import JOINED

FAR = 2**31 + 2**20
F16 = torch.float16
EMPTY = torch.empty
Kept = Callable[[tuple[int, ...]], list[list[int]]]


def unwritten(*size: Any, **options: Any) -> Tensor:
    """torch.empty, with NaN in a tensor that is small enough to be filled: memory that was used before may hold it."""
    tensor = EMPTY(*size, **options)
    return tensor.fill_(math.nan) if tensor.numel() < 2**24 and tensor.is_floating_point() else tensor


@contextmanager
def programs_kept(kept: Kept) -> Iterator[None]:
    """Within this context, a launch runs those programs of its grid whose indices `kept` returns for each axis."""
    indices: list[list[int]] = []
    executor, builder = interpreter.GridExecutor, interpreter.interpreter_builder
    start = executor.__init__
    whole: list[int] = []

    def started(
        self: interpreter.GridExecutor, fn: object, names: list[str], grid: tuple, *rest: object
    ) -> None:
        whole[:] = [*grid, 1, 1][:3]
        indices[:] = [*kept(tuple(grid)), [0], [0]][:3]
        start(self, fn, names, tuple(len(axis) for axis in indices), *rest)

    def number(value: int) -> interpreter.TensorHandle:
        return interpreter.TensorHandle(np.array([value], dtype=np.int32), int32)

    with (
        mock.patch.object(executor, "__init__", started),
        mock.patch.object(executor, "_restore_args_dev", lambda *args: None),  # would touch every page
        mock.patch.object(
            builder, "create_get_program_id", lambda axis: number(indices[axis][builder.grid_idx[axis]])
        ),
        mock.patch.object(builder, "create_get_num_programs", lambda axis: number(whole[axis])),
        mock.patch.object(torch, "empty", unwritten),
        checked_lanes(),
    ):
        yield


def last(axis: int, batch: int = 0, joining: int = 2) -> Kept:
    """All programs with the last index of that axis; with `batch`, which divides it, the last of each so many.

    Of a grid that lacks the axis, whose programs join parts, the last `joining`.
    """

    def kept(grid: tuple[int, ...]) -> list[list[int]]:
        if axis >= len(grid):
            return [list(range(max(0, grid[0] - joining), grid[0]))]
        indices = [list(range(size)) for size in grid]
        indices[axis] = list(range((batch or grid[axis]) - 1, grid[axis], batch or grid[axis]))
        return indices

    return kept


def far(one: Tensor, batch: int) -> Tensor:
    """A batch of that many, of which only the last has been written: it is `one` [1, ...]."""
    whole = torch.empty((batch, *one.shape[1:]), dtype=one.dtype)
    whole[-1:] = one
    return whole


def enough(*tensors: Tensor) -> int:
    """A batch of the largest of these tensors [1, ...] that has more than 2³¹ numbers."""
    return FAR // max(tensor.numel() for tensor in tensors) + 1


def half(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(F16)


def check_far(
    function: Callable[..., tuple[Tensor, ...]],
    one: list[Tensor],
    kept: Callable[[int], Kept],
    shared: tuple = (),
) -> None:
    """function(*one, *shared) for one image and for a batch of as many as it takes, of which the last is the same."""
    batch = enough(*one)
    alone = function(*one, *shared)
    with programs_kept(kept(batch)):
        together = function(*[far(x, batch) for x in one], *shared)
    for mine, theirs in zip(together, alone, strict=True):
        assert torch.equal(mine[-len(theirs) :], theirs)


def softmax(module: ModuleType) -> None:
    def function(x: Tensor, grad: Tensor) -> tuple[Tensor, ...]:
        y = module._softmax(x, 0.5, "medium")
        return y, module._softmax_backward(y, grad, 0.5, "medium")

    images = [half(1, 16, 1000), half(1, 16, 1000, seed=1)]
    check_far(function, images, lambda batch: lambda grid: [list(range(grid[0] - 8, grid[0]))])


def attention(module: ModuleType) -> None:
    def function(q: Tensor, k: Tensor, v: Tensor, grad: Tensor) -> tuple[Tensor, ...]:
        out, lse = module._attention(q, k, v, 0.1, "half")
        return out, *module.attention_backward(q, k, v, out, lse, grad, 0.1, "half")

    check_far(function, [half(1, 1, 257, 128, seed=seed) for seed in range(4)], lambda batch: last(1))


def cross_attention(module: ModuleType) -> None:
    def function(q: Tensor, k: Tensor, v: Tensor, grad: Tensor) -> tuple[Tensor, ...]:
        out, lse = module._cross_attention(q, k, v, 0.1, "few, half")
        return out, *module.cross_attention_backward(q, k, v, out, lse, grad, 0.1, "few, half")

    keys = [half(1, 300, 8, 128, seed=seed) for seed in (2, 3)]
    queries = [half(1, 8, 8, 128, seed=seed) for seed in range(2)]
    joining = queries[0].numel() // ADDED_PER_PROGRAM
    check_far(function, [queries[0], *keys, queries[1]], lambda batch: last(2, batch, joining))


def rel_pos_attention(module: ModuleType) -> None:
    def function(*tensors: Tensor) -> tuple[Tensor, ...]:
        return module._rel_pos_attention(*tensors, 0.1, "half")[:1]

    tokens = [half(1, 2, 256, 128, seed=seed) for seed in range(3)]
    check_far(function, [*tokens, half(1, 2, 256, 16), half(1, 2, 256, 16)], lambda batch: last(2))


def window_attention(module: ModuleType) -> None:
    def function(qkv: Tensor, *shared: Tensor) -> tuple[Tensor, ...]:
        return module._window_attention(qkv, *shared, 1, 14, "half")[:1]

    shared = (half(384), half(27, 128), half(27, 128))
    check_far(
        function, [half(1, 14, 14, 384)], lambda batch: lambda grid: [[grid[0] - 2, grid[0] - 1], [0]], shared
    )


def token_to_image(module: ModuleType) -> None:
    def function(rows: Tensor, image: Tensor, pe: Tensor) -> tuple[Tensor, ...]:
        return (module._token_to_image(rows, image, pe, 0.1, "half"),)

    # the last program that joins parts joins those of the last image
    tensors = [half(1, JOINED, 256), half(1, 600, 256)]
    check_far(function, tensors, lambda batch: last(2, joining=1), (half(600, 256),))


def image_to_token(module: ModuleType) -> None:
    def function(
        image: Tensor, rows: Tensor, offsets: Tensor, values: Tensor, *shared: Tensor
    ) -> tuple[Tensor, ...]:
        pe, weight, bias = shared
        return (module._image_to_token(image, pe, rows, offsets, values, weight, bias, 0.1, 1e-5, "half"),)

    tokens = [half(1, 2, 7, 256, seed=1), half(1, 2, 7), half(1, 2, 7, 256, seed=2)]
    shared = (half(600, 256), half(256), half(256))
    check_far(function, [half(1, 600, 256), *tokens], lambda batch: last(1), shared)


def masks(module: ModuleType, call: str, thresholds: tuple[float, ...]) -> None:
    def function(low_res: Tensor, *shared: Tensor) -> tuple[Tensor, ...]:
        return (getattr(module, call)(low_res, *shared, *thresholds, "large"),)

    first, weights = torch.arange(40, dtype=torch.int32), torch.full((40, 2), 0.5, dtype=F16)
    check_far(function, [half(1, 64, 64)], lambda batch: last(0), (first, weights, first, weights))


CHECKS: dict[str, Callable[[ModuleType], None]] = {
    "softmax": softmax,
    "attention": attention,
    "cross_attention": cross_attention,
    "rel_pos_attention": rel_pos_attention,
    "window_attention": window_attention,
    "token_to_image": token_to_image,
    "image_to_token": image_to_token,
    "mask_statistics": lambda module: masks(module, "_mask_statistics", (-1.0, 0.0, 1.0)),
    "mask_bits": lambda module: masks(module, "_mask_bits", (0.0,)),
}
