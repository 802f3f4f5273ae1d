"""Whether a result in 16 bits is right: compared with the right one in float32, and with torch's in the same type.

error = ‖found − right‖ / ‖right‖       at most twice torch's
scale = ⟨found, right⟩ / ‖right‖²       1 up to 0.003: rounding cancels in this sum, a wrong factor does not
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from minisam.backend import use_backend
from minisam_kernels.lab.results import OURS

TORCH = "minisam, torch backend"
FACTOR = 2.0
SCALE = 0.003
EXACT = 1e-6


@dataclass(frozen=True)
class Agreement:
    error: float
    scale: float

    @staticmethod
    def of(found: Tensor, right: Tensor) -> Agreement:
        """nan if the right result is all zeros, which could not show any error."""
        one, other = found.detach().double().flatten(), right.detach().double().flatten()
        return Agreement(float((one - other).norm() / other.norm()), float(one @ other / (other @ other)))


def worst(agreements: list[Agreement]) -> Agreement:
    """The largest error and the scale furthest from 1; nan if any is nan."""
    errors = torch.tensor([one.error for one in agreements])
    scales = torch.tensor([one.scale for one in agreements])
    return Agreement(float(errors.max()), float(scales[(scales - 1).abs().argmax()]))


def complaint(agreements: Mapping[str, Agreement], exact: float = EXACT) -> str:
    """What is wrong with our result; "" if it is right, or if there is nothing to compare it with.

    An error up to `exact` is right in any type.
    """
    if OURS not in agreements or TORCH not in agreements:
        return ""
    ours, torchs = agreements[OURS], agreements[TORCH]
    if not ours.error <= max(FACTOR * torchs.error, exact):
        return f"wrong: error {ours.error:.1e}, torch's in the same type {torchs.error:.1e}"
    if not abs(ours.scale - 1) <= SCALE:
        return f"wrong: the result is {ours.scale:.4f} times the right one"
    return ""


@contextmanager
def exactly() -> Iterator[None]:
    """Our torch modules without TF32, to which cuDNN would round the patch embedding's inputs."""
    with use_backend("torch"), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield
