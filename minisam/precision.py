"""The precisions in which a network trains: float32, or 16 bits by autocast with the weights in float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch

from minisam.model.fast.plain_products import plain_products

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
