"""What the property tests draw from: shapes, values and memory layouts at which attention code breaks.

Sides of 1, odd and prime ones meet block sizes they do not divide; non-square grids tell rows from columns;
layouts other than the contiguous one tell a tensor's values from its memory.
"""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

seeds = st.integers(min_value=0, max_value=2**32 - 1)
batches = st.integers(min_value=1, max_value=3)
heads = st.sampled_from([1, 2, 3, 4])
head_dims = st.sampled_from([1, 2, 3, 5, 8, 16])
sides = st.sampled_from([1, 2, 3, 4, 5, 7, 8, 11])
grids = st.tuples(sides, sides)
windows = st.sampled_from([1, 2, 3, 4, 5, 7])
lengths = st.sampled_from([1, 2, 3, 5, 8, 17, 31])
value_scales = st.sampled_from([1e-3, 0.3, 1.0, 3.0])
layouts = st.sampled_from(["contiguous", "permuted", "strided", "offset"])


def normal(seed: int, *shape: int, scale: float = 1.0) -> np.ndarray:
    """Float64 values of a normal distribution; the shape takes part in the seed, so that q is not k."""
    return scale * np.random.default_rng([seed, *shape]).standard_normal(shape)


def lay_out(tensor: Tensor, layout: str) -> Tensor:
    """The same values in another memory layout; memory that is not the tensor's own holds NaN.

    permuted: axes stored in reverse order.  strided: every second element.  offset: not at the start.
    """
    if layout == "contiguous" or tensor.ndim == 0:
        return tensor.contiguous()
    if layout == "permuted":
        backwards = list(range(tensor.ndim))[::-1]
        return tensor.permute(backwards).contiguous().permute(backwards)
    filler = float("nan") if tensor.is_floating_point() else -128
    if layout == "strided":
        storage = torch.full((*tensor.shape, 2), filler, dtype=tensor.dtype, device=tensor.device)
        view = storage[..., 0]
    elif layout == "offset":
        storage = torch.full((tensor.numel() + 3,), filler, dtype=tensor.dtype, device=tensor.device)
        view = storage[3:].view(tensor.shape)
    else:
        raise ValueError(f"unknown layout: {layout}")
    return view.copy_(tensor)
