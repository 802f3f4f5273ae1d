"""The precisions in which a network trains: float32, or 16 bits by autocast with the weights in float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

AUTOCAST = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@contextmanager
def computing_in(precision: str, device: str | torch.device) -> Iterator[None]:
    """Autocast to a precision of `AUTOCAST` on a device.

    On a CPU, attention in half precision uses plain matrix products, because torch's fused backward is slow for few
    tokens. The products stay in half precision, which is much faster on processors with instructions for it.
    """
    kind, dtype = torch.device(device).type, AUTOCAST[precision]
    if dtype is None:
        yield
        return
    with torch.autocast(kind, dtype), plain_products() if kind == "cpu" else nullcontext():
        yield


@contextmanager
def plain_products() -> Iterator[None]:
    """Attention by plain matrix products in the type of their factors; torch's default computes them in float32."""
    before = (
        torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed()
    )  # of the CPU as well, despite its name
    torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(True)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(before)


def as_now_when_recomputed() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """For `torch.utils.checkpoint`: the backward pass recomputes after `plain_products` has ended, so enter it again.

    Autocast is restored by torch itself.
    """
    plain = torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed()
    return nullcontext(), plain_products() if plain else nullcontext()
