"""Attention in half precision on a CPU: plain matrix products, in the type of their factors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel


@contextmanager
def plain_products() -> Iterator[None]:
    """Attention by plain matrix products; without it, torch computes them in float32."""
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
