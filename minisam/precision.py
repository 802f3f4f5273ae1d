"""The precisions in which a network trains: float32, or 16 bits by autocast with the weights in float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

AUTOCAST = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@contextmanager
def computing_in(precision: str, device: str | torch.device) -> Iterator[None]:
    """Autocast to a precision of `AUTOCAST` on a device.

    On a CPU, attention in half precision uses plain matrix products, because torch's fused backward is slow for few
    tokens.
    """
    kind, dtype = torch.device(device).type, AUTOCAST[precision]
    if dtype is None:
        yield
        return
    with torch.autocast(kind, dtype), sdpa_kernel(SDPBackend.MATH) if kind == "cpu" else nullcontext():
        yield
