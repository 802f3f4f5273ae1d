"""Converts values of more than 8 bits to 0 … 255: which value becomes black and which white.

    pixel = 255 · (value − low) / (high − low)

The window low … high is a standard one, 0 … 1, 0 … 255 or 0 … 65535, if the values fill it.  A camera of 10, 12 or 14
bits, a CT, a thermal image or a height map fills only a small part, and would be black, grey or wrapped around. These
images get the range of their values as the window.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FULL = 65535
# Below it, the two highest of 16 bits are unused.
FULL_FROM = 16384
SHOWN = "more than 8 bits per value, of which {} are shown as black … white"
"""A note for the user, with a window."""
BRIGHTEST, CONTRAST = (
    1 / 4,
    1 / 16,
)  # of a standard window: what values must at least reach and span to fill it


class Window(NamedTuple):
    """The values that become 0 and 255."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:g} … {self.high:g}"

    def apply(self, values: NDArray) -> NDArray[np.uint8]:
        """Values of any shape -> uint8; values outside the window are clipped, NaN is black."""
        if self == (0, FULL):
            clipped = values.clip(0, FULL).astype(np.uint32)
            return ((clipped * 255 + FULL // 2) // FULL).astype(np.uint8)
        scaled = (values.astype(np.float64) - self.low) * 255 / (self.high - self.low)
        return np.nan_to_num(scaled.clip(0, 255)).round().astype(np.uint8)


class Extent(NamedTuple):
    """The smallest and the largest finite value, whether the type has fractions, and whether a value does."""

    low: float
    high: float
    floating: bool
    fractional: bool

    @classmethod
    def of(cls, values: NDArray) -> Extent:
        floating = values.dtype.kind == "f"
        finite = values[np.isfinite(values)] if floating else values
        if not finite.size:
            return cls(np.inf, -np.inf, floating, False)
        fractional = floating and bool((finite % 1).any())
        return cls(finite.min().item(), finite.max().item(), floating, fractional)

    def joined(self, other: Extent) -> Extent:
        return Extent(min(self.low, other.low), max(self.high, other.high), *map(max, self[2:], other[2:]))

    def window(self) -> Window:
        """8-bit values stay unchanged; fractions get 0 … 1 or 0 … 255, if they fill it."""
        low, high = self.low, self.high
        if self.floating and self.fills(1):
            return Window(0, 1)
        if self.fills(255) or (not self.fractional and low >= 0 and 1 < high <= 255):
            return Window(0, 255)
        if not self.floating and self.fills(FULL) and high >= FULL_FROM:
            return Window(0, FULL)
        return Window(low, high) if low < high else Window(0, 255)

    def fills(self, top: float) -> bool:
        """Whether the values lie in 0 … `top` and are not too dark or too similar there; a single value never is."""
        if self.low < 0 or self.high > top:
            return False
        return self.low >= self.high or (
            self.high >= BRIGHTEST * top and self.high - self.low >= CONTRAST * top
        )


def window_of(parts: Iterable[NDArray]) -> Window:
    """The window for an image of more than 8 bits that is given in parts."""
    return reduce(Extent.joined, map(Extent.of, parts)).window()


def advice(image: NDArray) -> str:
    """The expression that converts an array to uint8, by `window_of`, or at least gets closer; for error messages."""
    if image.dtype.kind == "b":
        return "(image * 255).astype(np.uint8)"
    if image.dtype.kind not in "iuf":
        return {"c": "image.real", "O": "image.astype(float)"}.get(image.dtype.kind, "numbers")
    extent = Extent.of(image)
    low, high = (np.array(end, image.dtype) for end in extent[:2]) if extent.low <= extent.high else (0, 1)
    name = "image"
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        name = f"np.nan_to_num(image, nan={low}, posinf={high}, neginf={low})"
    window = extent.window()
    if window == (0, 1):
        return f"({name} * 255).round().astype(np.uint8)"
    if window == (0, 255) and 0 <= low <= high <= 255:
        return f"{name}{'.round().clip(0, 255)' if extent.floating else ''}.astype(np.uint8)"
    if low >= 0 and 4 * low <= high and not extent.floating:
        return f"({name} / {high} * 255).round().astype(np.uint8)"
    return f"np.interp({name}, ({low}, {high if high > low else low + 1}), (0, 255)).round().astype(np.uint8)"
