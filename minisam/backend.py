"""The backend that computes attention and filters masks: PyTorch, or the Triton kernels of minisam_kernels.

    minisam.use_backend("triton")           from here on
    with minisam.use_backend("torch"): …    within this block

The default, "auto", uses Triton for tensors on a CUDA device and PyTorch for all others. Both compute the same
functions with the same arguments. Only this file connects the network with the kernels.
"""

from __future__ import annotations

import importlib.util
from functools import partial
from types import TracebackType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from minisam.errors import CommandError
from minisam.model.fast.kernel_choice import Kernel, choose_kernels_by, torch_alone

BACKENDS = ("auto", "torch", "triton")
WIDEST_HEAD, WIDEST_TOKEN = 128, 256
KERNEL_DTYPES = (torch.float32, torch.float16, torch.bfloat16)


class use_backend:
    """Choose the backend, for the rest of the process or, as a context manager, until its end.

    Cases without a kernel are computed by PyTorch under every backend: heads wider than 128, dropout, windows whose
    heads are not 16, 24, 32, … 128 wide, masks whose logits are not float32, float64 on a GPU under "auto". Other
    heads narrower than 128 are padded.

    Raises CommandError for an unknown name, and for "triton" if Triton or a device for it is missing.
    """

    def __init__(self, name: str) -> None:
        if name not in BACKENDS:
            raise CommandError(f"no backend {name!r}; use {', '.join(BACKENDS)}")
        if name == "triton":
            check_triton_runs()
        choices = {
            "auto": kernel_on_cuda if has_triton() else torch_alone,
            "torch": torch_alone,
            "triton": kernel,
        }
        self.before = choose_kernels_by(choices[name])

    def __enter__(self) -> use_backend:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        choose_kernels_by(self.before)


def has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None


def check_triton_runs() -> None:
    """Raises CommandError, with the remedy, if no kernel can run."""
    if not has_triton():
        raise CommandError("the triton backend needs the package triton (Linux): install it, or use 'torch'")
    from minisam_kernels.launch import INTERPRETED

    if not INTERPRETED and not torch.cuda.is_available():
        raise CommandError(
            "the triton backend needs a CUDA device; use 'torch', or set TRITON_INTERPRET=1 before Python starts "
            "to try the kernels slowly on the CPU"
        )


def kernel_on_cuda(operation: str, tensor: Tensor, head_dim: int) -> Kernel | None:
    """The kernel for tensors on a CUDA device, if there is one for their type."""
    if tensor.device.type != "cuda" or tensor.dtype not in KERNEL_DTYPES or operation in UNMEASURED:
        return None
    return kernel(operation, tensor, head_dim)


def kernel(operation: str, tensor: Tensor, head_dim: int) -> Kernel | None:
    """The kernel of an operation, as a function with the torch code's arguments, or None if it has none."""
    if operation in ABSORBED:
        return ABSORBED[operation] if head_dim % 8 == 0 and 16 <= head_dim <= WIDEST_TOKEN else None
    if operation in MASKS:  # for other types F.interpolate rounds its first step
        return MASKS[operation] if tensor.dtype == torch.float32 else None
    if head_dim > WIDEST_HEAD:
        return None
    if operation == "window_attention":
        return windowed if head_dim % 8 == 0 and head_dim >= 16 else None
    attend = {"rel_pos_attention": rel_pos, "cross_attention": cross}[operation]
    return partial(attend, padding=max(16, -(-head_dim // 8) * 8) - head_dim)


def cross(q: Tensor, k: Tensor, v: Tensor, scale: float, padding: int) -> Tensor:
    """Pads heads with channels of zeros, which change no score and return zeros."""
    from minisam_kernels.cross_attention import cross_attention

    if padding == 0:
        return cross_attention(q, k, v, scale)
    q, k, v = (F.pad(x, (0, padding)) for x in (q, k, v))
    return cross_attention(q, k, v, scale)[..., :-padding]


def rel_pos(
    q: Tensor, k: Tensor, v: Tensor, rel_h: Tensor, rel_w: Tensor, scale: float, padding: int
) -> Tensor:
    """Converts the bias to the type of the scores, which may differ under autocast."""
    from minisam_kernels.rel_pos_attention import rel_pos_attention

    rel_h, rel_w = rel_h.to(q.dtype), rel_w.to(q.dtype)
    if padding == 0:
        return rel_pos_attention(q, k, v, rel_h, rel_w, scale)
    q, k, v = (F.pad(x, (0, padding)) for x in (q, k, v))
    return rel_pos_attention(q, k, v, rel_h, rel_w, scale)[..., :-padding]


def windowed(
    qkv: Tensor, qkv_bias: Tensor, rel_pos_h: Tensor, rel_pos_w: Tensor, num_heads: int, window_size: int
) -> Tensor:
    """Converts parameters to the projection's type, which autocast makes half precision: a kernel needs one type."""
    from minisam_kernels.window_attention import window_attention

    qkv_bias, rel_pos_h, rel_pos_w = (x.to(qkv.dtype) for x in (qkv_bias, rel_pos_h, rel_pos_w))
    return window_attention(qkv, qkv_bias, rel_pos_h, rel_pos_w, num_heads, window_size)


def tokens_ask_image(rows: Tensor, image: Tensor, image_pe: Tensor, scale: float) -> Tensor:
    from minisam_kernels.token_to_image import token_to_image

    return token_to_image(rows, image, image_pe, scale)


def image_asks_tokens(*tensors_and_numbers: Any) -> Tensor:
    from minisam_kernels.image_to_token import image_to_token

    return image_to_token(*tensors_and_numbers)


def statistics_of_masks(*tensors_and_numbers: Any) -> Tensor:
    from minisam_kernels.mask_statistics import mask_statistics

    return mask_statistics(*tensors_and_numbers)


def bits_of_masks(*tensors_and_numbers: Any) -> Tensor:
    from minisam_kernels.mask_bits import mask_bits

    return mask_bits(*tensors_and_numbers)


# The kernels of the mask decoder and the mask generator; "auto" does not use them until they are measured on a GPU.
ABSORBED: dict[str, Kernel] = {"token_to_image": tokens_ask_image, "image_to_token": image_asks_tokens}
MASKS: dict[str, Kernel] = {"mask_statistics": statistics_of_masks, "mask_bits": bits_of_masks}
UNMEASURED = {*ABSORBED, *MASKS}

use_backend("auto")
