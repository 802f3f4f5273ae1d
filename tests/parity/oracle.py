"""What the parity tests share: segment-anything's own code, a small geometry, and what counts as the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from minisam.bench.original import INSTALL_COMMAND, OriginalMissingError, import_original
from minisam.config import SamConfig

try:
    original: Any = import_original()
    modeling: Any = import_original("modeling")
except OriginalMissingError:
    pytest.skip(INSTALL_COMMAND, allow_module_level=True)

TOLERANCE = 1e-5
UNDECIDED_LOGIT = 1e-4

SMALL = SamConfig(
    encoder_dim=48,
    encoder_depth=3,
    encoder_heads=3,
    global_attn_indexes=(1,),
    image_size=128,
    patch_size=8,
    window_size=7,
    prompt_dim=64,
    decoder_mlp_dim=96,
    iou_head_hidden_dim=48,
)


def random(seed: int, *shape: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def relative_error(ours: Tensor | np.ndarray, theirs: Tensor | np.ndarray) -> float:
    """The largest difference, as a share of the largest value."""
    ours, theirs = torch.as_tensor(ours), torch.as_tensor(theirs)
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype == torch.float32
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def assert_same(ours: Any, theirs: Any, tolerance: float = TOLERANCE) -> None:
    """Equal up to rounding; pairs and longer tuples of tensors are compared one by one."""
    if isinstance(theirs, tuple):
        assert len(ours) == len(theirs)
        for our_part, their_part in zip(ours, theirs, strict=True):
            assert_same(our_part, their_part, tolerance)
    else:
        assert torch.isfinite(torch.as_tensor(theirs)).all()
        error = relative_error(ours, theirs)
        assert error <= tolerance, f"relative error {error:.1e}"


def assert_same_masks(ours: Any, theirs: Any, logits: Any) -> None:
    """Equal wherever the logit is not too close to zero to tell, which must be almost everywhere."""
    ours, theirs, logits = (torch.as_tensor(t) for t in (ours, theirs, logits))
    decided = logits.abs() >= UNDECIDED_LOGIT
    assert ours.shape == theirs.shape == logits.shape
    assert ours.dtype == theirs.dtype == torch.bool
    assert decided.float().mean() > 0.99
    assert torch.equal(ours[decided], theirs[decided])


def run_both(ours: Callable[..., Any], theirs: Callable[..., Any], *arguments: Any) -> None:
    """Call both with the same arguments, gradients off, and compare."""
    with torch.no_grad():
        assert_same(ours(*arguments), theirs(*arguments))
