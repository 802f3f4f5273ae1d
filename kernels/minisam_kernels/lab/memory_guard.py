"""Does a kernel access memory outside its tensors? Two checks, which find different faults.

    guard bands    every tensor lies between two bands of NaN. A stray read that is used turns a result into NaN,
                   a stray write changes a band. Works on a GPU too.
    lane check     in the interpreter, the address of every active lane of every load and store is compared with
                   the tensors of the launch. Also finds a stray read whose lanes are masked out later.

A lane whose mask is False accesses no memory and may point anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor

BAND_BYTES = 4096
BAND_VALUE = 0xFF  # all bits set is NaN in every floating-point type


class StrayAccess(Exception):
    """A kernel read or wrote outside its tensors."""


@dataclass(frozen=True)
class Access:
    """One load or store of one program: the addresses of its active lanes, `itemsize` bytes each."""

    kind: str
    program: tuple[int, int, int]
    addresses: np.ndarray
    lanes: int
    itemsize: int
    values: np.ndarray | None = None  # what an active lane stores


def fenced(tensor: Tensor) -> Tensor:
    """A contiguous copy of the tensor between two guard bands."""
    return _between_bands(tensor.shape, tensor.dtype, tensor.device)[1].copy_(tensor)


@contextmanager
def guard_bands() -> Iterator[None]:
    """Within this context, new tensors lie between guard bands, which are checked at the end.

    torch.empty, empty_like and a tensor's new_empty return NaN, torch.zeros, zeros_like and new_zeros zeros. Raises
    StrayAccess if a band has changed.
    """
    buffers: list[tuple[Tensor, Tensor]] = []

    def between_bands(plain: Callable[..., Tensor], zero: bool) -> Callable[..., Tensor]:
        """The same as torch.empty or torch.zeros."""

        def new(*size: Any, dtype: torch.dtype | None = None, device: Any = None, **options: Any) -> Tensor:
            shape = torch.Size(size[0] if len(size) == 1 and not isinstance(size[0], int) else size)
            without_memory = shape.numel() == 0 or (
                device is not None and torch.device(device).type == "meta"
            )
            if options or without_memory:
                return plain(shape, dtype=dtype, device=device, **options)
            buffers.append(_between_bands(shape, dtype or torch.get_default_dtype(), device))
            return buffers[-1][1].zero_() if zero else buffers[-1][1]

        return new

    def like(new: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """The same as torch.empty_like or torch.zeros_like."""

        def new_like(tensor: Tensor, dtype: torch.dtype | None = None, **options: Any) -> Tensor:
            return new(tensor.shape, dtype=dtype or tensor.dtype, **{"device": tensor.device, **options})

        return new_like

    def method(new: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """The same as a tensor's new_empty or new_zeros."""

        def new_of(self: Tensor, *size: Any, **options: Any) -> Tensor:
            dtype, device = options.pop("dtype", None), options.pop("device", None)
            return new(*size, dtype=dtype or self.dtype, device=device or self.device, **options)

        return new_of

    # Only these names are replaced: torch's internal allocations must not change.
    empty, zeros = between_bands(torch.empty, False), between_bands(torch.zeros, True)
    functions: dict[str, Any] = {
        "empty": empty,
        "zeros": zeros,
        "empty_like": like(empty),
        "zeros_like": like(zeros),
    }
    methods: dict[str, Any] = {"new_empty": method(empty), "new_zeros": method(zeros)}
    with mock.patch.multiple(torch, **functions), mock.patch.multiple(Tensor, **methods):
        yield
    for buffer, view in buffers:
        check_bands(buffer, view)


def check_bands(buffer: Tensor, view: Tensor) -> None:
    """Raises StrayAccess, with the distance from the tensor, if a byte in the bands of a buffer has changed."""
    changed = (buffer != BAND_VALUE).cpu().numpy()
    changed[BAND_BYTES : len(changed) - BAND_BYTES] = False
    if changed.any():
        first = int(changed.argmax())
        after = first - (len(changed) - BAND_BYTES)
        place = (
            f"{after} bytes after its end" if after >= 0 else f"{BAND_BYTES - first} bytes before its start"
        )
        raise StrayAccess(f"{changed.sum()} bytes written outside a tensor {list(view.shape)}, first {place}")


def _between_bands(shape: torch.Size, dtype: torch.dtype, device: Any) -> tuple[Tensor, Tensor]:
    size = shape.numel() * dtype.itemsize
    total = BAND_BYTES + size + -size % dtype.itemsize + BAND_BYTES
    buffer = torch.full((total,), BAND_VALUE, dtype=torch.uint8, device=device)
    return buffer, buffer[BAND_BYTES : BAND_BYTES + size].view(dtype).view(shape)


@contextmanager
def checked_lanes() -> Iterator[None]:
    """Within this context, every active lane of every load and store of an interpreted kernel must be in a tensor.

    Raises StrayAccess at the first that is not, before the memory is accessed; RuntimeError if Triton's interpreter
    has changed and nothing would be checked.
    """
    bounds: list[tuple[int, int]] = []
    found: list[StrayAccess] = []

    def on_launch(tensors: list[Tensor]) -> None:
        bounds[:] = [_extent(tensor) for tensor in tensors if tensor.numel()]

    def on_access(access: Access) -> None:
        inside = np.zeros(access.addresses.shape, dtype=bool)
        for start, end in bounds:
            inside |= (access.addresses >= start) & (access.addresses + access.itemsize <= end)
        if not inside.all():
            stray = int((~inside).sum())
            message = (
                f"{access.kind} of program {access.program}: {stray} of {access.lanes} lanes out of bounds"
            )
            found.append(StrayAccess(message))
            raise found[-1]

    try:
        with watched_interpreter(on_launch, on_access):
            yield
    except Exception as error:
        if found and not isinstance(error, StrayAccess):
            raise found[0] from error
        raise


def _extent(tensor: Tensor) -> tuple[int, int]:
    """The first address of a tensor and the one after its last, for any strides."""
    last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return tensor.data_ptr(), tensor.data_ptr() + (last + 1) * tensor.element_size()


@contextmanager
def watched_interpreter(
    on_launch: Callable[[list[Tensor]], None], on_access: Callable[[Access], None]
) -> Iterator[None]:
    """Calls `on_launch` with the tensors of every interpreted launch and `on_access` before every access.

    Raises RuntimeError if a function that this relies on no longer exists, or if it was never called.
    """
    from triton.runtime import interpreter

    builder, executor = interpreter.interpreter_builder, interpreter.GridExecutor
    counts = {"launches": 0, "accesses": 0}

    def report(kind: str, pointers: Any, mask: Any, value: Any = None) -> None:
        counts["accesses"] += 1
        addresses, active = np.broadcast_arrays(pointers.data, mask.data)
        lanes = active.astype(bool)
        values = None if value is None else np.broadcast_to(value.data, lanes.shape)[lanes]
        itemsize = max(1, pointers.get_element_ty().primitive_bitwidth // 8)
        x, y, z = (int(i) for i in builder.grid_idx)
        on_access(Access(kind, (x, y, z), addresses[lanes], addresses.size, itemsize, values))

    def load(original: Callable[..., Any]) -> Callable[..., Any]:
        def watched(pointers: Any, mask: Any, *rest: Any) -> Any:
            report("load", pointers, mask)
            return original(pointers, mask, *rest)

        return watched

    def store(original: Callable[..., Any]) -> Callable[..., Any]:
        def watched(pointers: Any, value: Any, mask: Any, *rest: Any) -> Any:
            report("store", pointers, mask, value)
            return original(pointers, value, mask, *rest)

        return watched

    def atomic(original: Callable[..., Any]) -> Callable[..., Any]:
        def watched(operation: Any, pointers: Any, value: Any, mask: Any, *rest: Any) -> Any:
            report("atomic", pointers, mask)
            return original(operation, pointers, value, mask, *rest)

        return watched

    def arguments(original: Callable[..., Any]) -> Callable[..., Any]:
        def watched(self: Any, args: Any, kwargs: Any) -> Any:
            counts["launches"] += 1
            on_host = original(self, args, kwargs)
            values = [*on_host[0], *on_host[1].values()]
            on_launch([value for value in values if isinstance(value, Tensor)])
            return on_host

        return watched

    hooks = [
        (builder, "create_masked_load", load),
        (builder, "create_masked_store", store),
        (builder, "create_atomic_rmw", atomic),
        (executor, "_init_args_hst", arguments),
    ]
    with ExitStack() as stack:
        for owner, name, wrap in hooks:
            if not hasattr(owner, name):
                raise RuntimeError(
                    f"Triton's interpreter no longer has {name}: the lane check cannot see accesses"
                )
            stack.enter_context(mock.patch.object(owner, name, wrap(getattr(owner, name))))
        yield
    if counts["launches"] and not counts["accesses"]:
        raise RuntimeError(
            "kernels were launched, but the lane check saw no access: their grids or their bodies are empty, or "
            "Triton's interpreter has changed"
        )
