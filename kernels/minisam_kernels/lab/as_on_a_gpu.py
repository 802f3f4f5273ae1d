"""Triton's interpreter is kinder than a GPU in four places; within this context it is not.

                              interpreter                      GPU                        here
    masked lane, no `other`   0                                anything                   NaN, or ± a large number
    float32 in tl.dot         as it is                         TF32, if nothing is said   TF32
    tl.gather out of range    counted from the end, or stops   anything                   an error
    tl.dot of few channels    any number                       at least 16; in newer      an error
                                                               Triton, 8 of float32

TF32 keeps 10 of float32's 23 bits of the significand. Compiled code passes all bits to the tensor cores, and they
ignore the last 13. Without tensor cores for float32, `input_precision="ieee"` multiplies all bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np

from minisam_kernels.lab.memory_guard import StrayAccess

TF32_BITS = np.uint32(0xFFFFE000)


@dataclass
class Kindnesses:
    """How often a launch needed what a GPU does not give."""

    unset: int = 0
    """Loads with masked lanes and no `other`."""
    tf32: int = 0
    """Products of float32 as TF32."""


@contextmanager
def as_on_a_gpu(large: bool = False) -> Iterator[Kindnesses]:
    """Within this context, interpreted kernels get what a GPU would give them.

    Masked lanes without `other` are NaN, or with `large` numbers of both signs, which a maximum does not ignore.
    Raises StrayAccess at an index of tl.gather that is out of range, and RuntimeError if Triton's interpreter has
    changed.
    """
    from triton.backends.compiler import GPUTarget
    from triton.backends.nvidia.compiler import min_dot_size
    from triton.runtime import interpreter

    builder, found = interpreter.interpreter_builder, Kindnesses()
    stray: list[StrayAccess] = []

    def load(original: Callable[..., Any]) -> Callable[..., Any]:
        def loaded(pointers: Any, mask: Any, other: Any, *rest: Any) -> Any:
            result = original(pointers, mask, other, *rest)
            masked = ~np.broadcast_to(mask.data.astype(bool), np.shape(result.data))
            if other is None and masked.any():
                found.unset += 1
                result.data = np.where(masked, anything(result.data, large), result.data)
            return result

        return loaded

    def dot(original: Callable[..., Any]) -> Callable[..., Any]:
        def multiplied(a: Any, b: Any, d: Any, precision: Any, *rest: Any) -> Any:
            if a.data.dtype == b.data.dtype == np.float32 and getattr(precision, "name", "") == "TF32":
                found.tf32 += 1
                a, b = (interpreter.TensorHandle(tf32(x.data), x.dtype) for x in (a, b))
            return original(a, b, d, precision, *rest)

        return multiplied

    def gather(original: Callable[..., Any]) -> Callable[..., Any]:
        def gathered(source: Any, indices: Any, axis: int) -> Any:
            size = source.data.shape[axis]
            outside = int(((indices.data < 0) | (indices.data >= size)).sum())
            if outside:
                program = tuple(int(i) for i in builder.grid_idx)
                counts = f"{outside} of {indices.data.size} indices are not in 0 … {size - 1}"
                stray.append(StrayAccess(f"gather of program {program}: {counts}"))
                raise stray[-1]
            return original(source, indices, axis)

        return gathered

    with ExitStack() as stack:
        for name, wrap in (("create_masked_load", load), ("create_dot", dot), ("create_gather", gather)):
            if not hasattr(builder, name):
                raise RuntimeError(f"Triton's interpreter no longer has {name}: it cannot be made like a GPU")
            stack.enter_context(mock.patch.object(builder, name, wrap(getattr(builder, name))))
        smallest = min_dot_size(GPUTarget("cuda", 80, 32))
        stack.enter_context(mock.patch.dict(builder.codegen_fns, {"min_dot_size": smallest}))
        try:
            yield found
        except Exception as error:  # the interpreter wraps errors in its own
            if stray and not isinstance(error, StrayAccess):
                raise stray[0] from error
            raise


def anything(like: np.ndarray, large: bool) -> np.ndarray:
    """What a GPU may leave in masked lanes: NaN, or numbers of both signs near the largest of the type."""
    if like.dtype.kind == "f" and not large:
        return np.full_like(like, np.nan)
    most = np.finfo(like.dtype).max if like.dtype.kind == "f" else np.iinfo(like.dtype).max // 3
    signs = np.where(np.arange(like.size).reshape(like.shape) % 2, -1, 1)
    return (signs * most).astype(like.dtype)


def tf32(values: np.ndarray) -> np.ndarray:
    """float32 without the last 13 bits."""
    return (np.ascontiguousarray(values).view(np.uint32) & TF32_BITS).view(np.float32)
