"""Which program accesses which elements of a tensor, observed in the interpreter, where programs run one by one.

Every active lane of every load and store has an address. The address determines the tensor, and the tensor's strides
determine the element.  The result is, for every launch and every tensor in it, a table of programs by elements, for
reads and for writes.  trace_figure.py draws it, and trace_steps.py the accesses one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from minisam_kernels.lab.memory_guard import Access, watched_interpreter

Program = tuple[int, int, int]
# Sizes with several programs whose elements can still be distinguished, in the order of cases.SIZES.
PICTURED = {
    "softmax": (40, 24),
    "attention": (1, 1, 70, 70, 16),
    "cross_attention": (1, 1, 7, 300, 16),
    "rel_pos_attention": (1, 1, 8, 10, 16),
    "window_attention": (1, 7, 9, 1, 16, 4),
    "token_to_image": (1, 20, 600, 16),
    "image_to_token": (1, 2, 2, 3, 90, 16),
    "mask_statistics": (2, 8, 12, 20, 36),
    "mask_bits": (2, 8, 12, 70, 36),
}


@dataclass
class Touched:
    """One tensor of one launch, and the programs that read and wrote each of its elements."""

    name: str
    shape: tuple[int, ...]
    address: int
    itemsize: int
    cell_at: np.ndarray
    reads: dict[Program, np.ndarray] = field(default_factory=dict)
    writes: dict[Program, np.ndarray] = field(default_factory=dict)

    @staticmethod
    def of(name: str, tensor: Tensor) -> Touched:
        """`cell_at[offset]` is the element, in row order, at that offset from the first; -1 if there is none."""
        steps = [np.arange(size) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True)]
        offsets = np.zeros(tensor.shape, dtype=np.int64)
        for axis, step in enumerate(steps):
            offsets += step.reshape([-1 if i == axis else 1 for i in range(tensor.ndim)])
        cell_at = np.full(int(offsets.max(initial=0)) + 1, -1)
        cell_at[offsets.ravel()] = np.arange(offsets.size)
        return Touched(name, tuple(tensor.shape), tensor.data_ptr(), tensor.element_size(), cell_at)

    def note(self, access: Access) -> np.ndarray:
        """Mark the elements of this tensor that an access reads or writes; returns them, and there may be none."""
        offsets, rest = np.divmod(access.addresses.astype(np.int64) - self.address, self.itemsize)
        here = (offsets >= 0) & (offsets < len(self.cell_at)) & (rest == 0)
        cells = self.cell_at[offsets[here]]
        cells = cells[cells >= 0]
        if not len(cells):
            return cells
        tables = {"load": [self.reads], "store": [self.writes], "atomic": [self.reads, self.writes]}
        for table in tables[access.kind]:
            touched = table.setdefault(access.program, np.zeros(int(np.prod(self.shape)), dtype=bool))
            touched[cells] = True
        return cells

    def count(self, kind: str) -> np.ndarray:
        """How many programs access each element, in the tensor's shape; `kind` is "reads" or "writes"."""
        tables = list(getattr(self, kind).values())
        total = np.sum(tables, axis=0) if tables else np.zeros(int(np.prod(self.shape)), dtype=int)
        return total.reshape(self.shape)


@dataclass(frozen=True)
class Step:
    """One load or store of one program: the elements of a tensor, numbered in row order."""

    program: Program
    kind: str
    tensor: str
    cells: np.ndarray


@dataclass
class TracedLaunch:
    """One launch of one kernel; `steps` are its accesses in order."""

    kernel: str
    grid: tuple[int, ...]
    tensors: list[Touched]
    steps: list[Step] = field(default_factory=list)


@contextmanager
def traced_launches() -> Iterator[list[TracedLaunch]]:
    """Within this context, every interpreted launch is added to the list, with the accesses of its programs."""
    from triton.runtime.interpreter import GridExecutor

    launches: list[TracedLaunch] = []
    names: list[str] = []
    run = GridExecutor.__call__

    def noted(self: Any, *args: Any, **kwargs: Any) -> Any:
        arguments = [*zip(self.arg_names, args, strict=False), *kwargs.items()]
        names[:] = [name for name, value in arguments if isinstance(value, Tensor)]
        shape: Any = self.grid(dict(arguments)) if callable(self.grid) else self.grid
        launches.append(TracedLaunch(self.fn.__name__.strip("_"), tuple(shape), []))
        return run(self, *args, **kwargs)

    def on_launch(tensors: list[Tensor]) -> None:
        pairs = zip(names, tensors, strict=True)
        launches[-1].tensors = [Touched.of(name.removesuffix("_ptr"), tensor) for name, tensor in pairs]

    def on_access(access: Access) -> None:
        for tensor in launches[-1].tensors:
            if len(cells := tensor.note(access)):
                launches[-1].steps.append(Step(access.program, access.kind, tensor.name, cells))

    with mock.patch.object(GridExecutor, "__call__", noted), watched_interpreter(on_launch, on_access):
        yield launches


def trace_call(
    call: Callable[..., Tensor], inputs: dict[str, np.ndarray], backward: bool, **constants: Any
) -> list[TracedLaunch]:
    """The launches of a call with float32 inputs, followed by those of its backward if requested and available."""
    tensors = {name: torch.tensor(array) for name, array in inputs.items()}
    for name, tensor in tensors.items():
        if tensor.is_floating_point():
            tensors[name] = tensor.float().requires_grad_(backward)
    with traced_launches() as launches:
        out = call(**tensors, **constants)
        if out.requires_grad:
            out.backward(torch.ones_like(out))
    return launches
