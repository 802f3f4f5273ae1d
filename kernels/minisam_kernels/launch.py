"""Code shared by the wrappers of all kernels: the choice of block sizes, and the checks before a launch.

A kernel is launched with a `Launch` from a small dictionary in the kernel's file. Nothing is tuned at run time: all
possible choices are listed there, and each of them is tested.

Kernels run on a GPU, or as NumPy on the CPU in Triton's interpreter if TRITON_INTERPRET=1 is set before a kernel's
file is imported. The interpreter silently computes bfloat16 wrongly, which is why it is refused there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from triton import knobs

from minisam_kernels.quick_interpreter import quicken_interpreter

INTERPRETED: bool = bool(knobs.runtime.interpret)
if INTERPRETED:
    quicken_interpreter()
HEAD_DIMS = range(16, 129, 8)
CHANNELS = range(16, 257, 8)  # for tokens that are not split into heads
MOST_PROGRAMS = 65535
"""The limit of CUDA for the second and the third axis of a grid; the first may have 2³¹ - 1."""
DTYPES = (torch.float32, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Launch:
    """The block sizes of one program, its number of warps, and how many loads are in flight ahead of use."""

    block_m: int
    block_k: int
    num_warps: int = 4
    num_stages: int = 2

    def options(self) -> dict[str, int]:
        """As keyword arguments of a kernel."""
        return {
            "BLOCK_M": self.block_m,
            "BLOCK_K": self.block_k,
            "num_warps": self.num_warps,
            "num_stages": self.num_stages,
        }


def chosen(launches: Mapping[str, Launch], name: str) -> Launch:
    """The launch of that name. Raises ValueError, which lists the valid names, if there is none."""
    if name not in launches:
        raise ValueError(f"no launch {name!r}; use one of {', '.join(launches)}")
    return launches[name]


def pieces(batch: int, programs: int) -> list[slice]:
    """Parts of a batch that fit a grid whose second or third axis needs `programs` per item; [] if all of it fits."""
    if batch * programs <= MOST_PROGRAMS:
        return []
    size = max(1, MOST_PROGRAMS // programs)
    return [slice(start, start + size) for start in range(0, batch, size)]


def joined(results: Iterable[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """The results for the parts of a batch, as for the whole batch."""
    return tuple(torch.cat(tensors) for tensors in zip(*results, strict=True))


def launch_on(tensor: Tensor) -> str:
    """Which of "half", "hopper" and "single" fits a tensor's type and device."""
    capability = torch.cuda.get_device_capability(tensor.device)[0] if tensor.is_cuda else 8
    return launch_for(tensor.dtype, capability)


def launch_for(dtype: torch.dtype, capability: int) -> str:
    """By type, because tensor cores multiply 16-bit numbers, and by generation: 9 is Hopper, 8 is Ampere.

    Hopper's tensor cores take their operands from shared memory and leave more registers for larger blocks.
    """
    if dtype.itemsize > 2:
        return "single"
    return "hopper" if capability >= 9 else "half"


def check_tensors(operation: str, **tensors: Tensor) -> None:
    """Raises ValueError unless all tensors have the same device and the same type, one that kernels support."""
    first_name, first = next(iter(tensors.items()))
    for name, tensor in tensors.items():
        if tensor.dtype != first.dtype or tensor.device != first.device:
            raise ValueError(
                f"{operation}: {name} is {tensor.dtype} on {tensor.device}, {first_name} is {first.dtype} on "
                f"{first.device}; convert them to one type and device with .to()"
            )
    if INTERPRETED and first.dtype == torch.bfloat16:
        raise ValueError(
            f"{operation}: Triton's interpreter computes bfloat16 wrongly; use float32 or float16 there, or a GPU"
        )
    if first.dtype not in (*DTYPES, torch.float64):
        raise ValueError(f"{operation}: {first.dtype} has no kernel; use float32, float16 or bfloat16")
    if not INTERPRETED and first.dtype == torch.float64:
        raise ValueError(f"{operation}: float64 runs only in Triton's interpreter; use float32 on a GPU")
    if not INTERPRETED and first.device.type != "cuda":
        raise ValueError(
            f"{operation}: the tensors are on {first.device}; move them to a CUDA device, or set TRITON_INTERPRET=1 "
            "before the first import of a kernel to run it on the CPU"
        )


def check_head_dim(operation: str, head_dim: int) -> None:
    """Raises ValueError unless head_dim is one of HEAD_DIMS."""
    if head_dim not in HEAD_DIMS:
        raise ValueError(
            f"{operation}: head dim {head_dim} has no kernel; it takes 16, 24, 32, … 128. Pad the heads, or use torch"
        )


def check_channels(operation: str, channels: int) -> None:
    """Raises ValueError unless channels is one of CHANNELS."""
    if channels not in CHANNELS:
        raise ValueError(
            f"{operation}: {channels} channels have no kernel; it takes 16, 24, 32, … 256. Pad them, or use torch"
        )


def check_shape(operation: str, name: str, tensor: Tensor, expected: tuple[int, ...]) -> None:
    """Raises ValueError unless the tensor has the expected shape."""
    if tuple(tensor.shape) != expected:
        raise ValueError(f"{operation}: {name} must be {list(expected)}, got {list(tensor.shape)}")
