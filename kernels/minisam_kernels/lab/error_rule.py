"""A kernel's result is correct if its error is at most twice that of torch in the same type.

    max|out - ref|  <=  factor * max|torch - ref|  +  floor          factor 2, for gradients 3
    ‖out - ref‖ / ‖ref‖  <=  0.005                                   or factor times torch's, if that is more

ref is the float64 reference on the inputs rounded to the type. The tolerance of the first rule is not chosen by hand:
it comes from torch's error in that type. This rule finds single wrong values; the second finds small errors
everywhere, which a maximum hides. The floor is the unavoidable error of storing the result and of adding its terms.
Without it, no result could pass if torch happens to be exact. If the terms cancel to less than the type can resolve,
the result consists of rounding errors and its relative error has no meaning: then only the first rule applies.

Source    the first rule is flash-attention's (Dao et al.), the second flash-linear-attention's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

FACTOR, GRADIENT_FACTOR, RMS_LIMIT = 2.0, 3.0, 0.005
ROUNDINGS, CANCELLED_ROUNDINGS = 16, 128


@dataclass(frozen=True)
class Verdict:
    """How far one tensor is from its reference, and whether that is close enough."""

    name: str
    ok: bool
    error: float
    allowed: float
    rms_ratio: float
    where: tuple[int, ...]
    got: float
    wanted: float
    not_finite: int
    shape_error: str = ""
    rms_allowed: float = RMS_LIMIT
    first: tuple[int, ...] = ()
    first_got: float = np.nan
    first_wanted: float = np.nan

    def explain(self) -> str:
        """One line: the first wrong value, the worst one and its error."""
        if self.shape_error:
            return f"{self.name}: {self.shape_error}"
        worst = f"the worst at {list(self.where)}: got {self.got:.6g}, wanted {self.wanted:.6g}"
        if self.not_finite:
            first = worst.replace("the worst", "the first", 1)
            return f"{self.name}: {self.not_finite} values are not finite, {first}"
        rms = f"RMS {self.rms_ratio:.1e}, {self.rms_allowed:.2g} allowed"
        worst = f"{worst}, off by {self.error:.2e}, {self.allowed:.2e} allowed; {rms}"
        if self.error > self.allowed and self.first != self.where:
            first = (
                f"the first at {list(self.first)}: got {self.first_got:.6g}, wanted {self.first_wanted:.6g}"
            )
            worst = f"{first}; {worst}"
        return f"{self.name}: {'right' if self.ok else 'wrong'}, {worst}"


def compare(
    name: str,
    got: Tensor,
    reference64: np.ndarray,
    same_precision: Tensor,
    factor: float = FACTOR,
    magnitude: float = 0.0,
) -> Verdict:
    """Compare `got` with the float64 reference, relative to torch's error in the same type.

    `magnitude` is the size of the terms that cancelled, if the result is small; for a gradient, the largest value of
    any gradient of the call.
    """
    if tuple(got.shape) != reference64.shape:
        shapes = f"has shape {list(got.shape)}, wanted {list(reference64.shape)}"
        return Verdict(name, False, np.inf, 0.0, np.inf, (), np.nan, np.nan, 0, shapes)
    if got.numel() == 0:
        return Verdict(name, True, 0.0, 0.0, 0.0, (), np.nan, np.nan, 0)

    value = got.detach().double().cpu().numpy()
    torchs = same_precision.detach().double().cpu().numpy()
    not_finite = ~np.isfinite(value)
    difference = np.where(not_finite, np.inf, np.abs(value - reference64))
    worst = tuple(int(i) for i in np.unravel_index(difference.argmax(), difference.shape))

    floor = rounding_floor(reference64, got.dtype, magnitude)
    allowed = factor * float(np.abs(torchs - reference64).max()) + floor
    error = float(difference[worst])
    first = tuple(int(i) for i in np.unravel_index((difference > allowed).argmax(), difference.shape))
    norm = float(np.linalg.norm(reference64))
    rms_ratio = float(np.linalg.norm(difference)) / norm if norm > 0 else np.inf
    torchs_ratio = float(np.linalg.norm(torchs - reference64)) / norm if norm > 0 else np.inf
    rms_allowed = max(RMS_LIMIT, factor * torchs_ratio)
    relative_tells = not cancels(reference64, got.dtype, magnitude) and error > floor
    close = error <= allowed and (rms_ratio <= rms_allowed or not relative_tells)
    return Verdict(
        name=name,
        ok=bool(close and not not_finite.any()),
        error=error,
        allowed=allowed,
        rms_ratio=rms_ratio,
        where=worst,
        got=float(value[worst]),
        wanted=float(reference64[worst]),
        not_finite=int(not_finite.sum()),
        rms_allowed=rms_allowed,
        first=first,
        first_got=float(value[first]),
        first_wanted=float(reference64[first]),
    )


def cancels(reference64: np.ndarray, dtype: torch.dtype, magnitude: float) -> bool:
    """Whether a result is smaller than the type's resolution of the terms that it sums."""
    return float(np.abs(reference64).max()) <= torch.finfo(dtype).eps * magnitude


def rounding_floor(reference64: np.ndarray, dtype: torch.dtype, magnitude: float = 0.0) -> float:
    """Twice the error of rounding the reference to the type, plus some roundings of the sum that led to it.

    Sums are in float32, or in float64 for float64. If the terms cancel, the rounding error of each product remains.
    Numbers below the type's smallest one may be lost.
    """
    largest = float(np.abs(reference64).max())
    accumulator = torch.float64 if dtype == torch.float64 else torch.float32
    storing = torch.finfo(dtype).eps * (largest + torch.finfo(dtype).tiny)
    roundings = CANCELLED_ROUNDINGS if cancels(reference64, dtype, magnitude) else ROUNDINGS
    return storing + roundings * torch.finfo(accumulator).eps * max(largest, magnitude)
