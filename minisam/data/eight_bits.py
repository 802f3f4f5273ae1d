"""Values of more than 8 bits to 0 … 255: which value becomes black and which white.

    pixel = 255 · (value − low) / (high − low)

Full 16-bit data have the window 0 … 65535.  A camera of 10, 12 or 14 bits, a CT or a height map fills a small part of
its type's range, and would be black, grey or wrapped around in that window: it gets that of its own values.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FULL = 65535
# Below it the two highest of 16 bits are empty.
FULL_FROM = 16384


class Window(NamedTuple):
    """The values that become 0 and 255."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:g} … {self.high:g}"

    def apply(self, values: NDArray) -> NDArray[np.uint8]:
        """Values of any shape -> uint8; what is outside is clipped, NaN is black."""
        if self == (0, FULL):
            clipped = values.clip(0, FULL).astype(np.uint32)
            return ((clipped * 255 + FULL // 2) // FULL).astype(np.uint8)
        scaled = (values.astype(np.float64) - self.low) * 255 / (self.high - self.low)
        return np.nan_to_num(scaled.clip(0, 255)).round().astype(np.uint8)


def window_of(parts: Iterable[NDArray]) -> Window:
    """The window for an image of more than 8 bits that is given in parts.

    8-bit values stay as they are; fractions have 0 … 1.
    """
    low, high, fractions = np.inf, -np.inf, False
    for part in parts:
        fractions |= part.dtype.kind == "f"
        finite = part[np.isfinite(part)] if part.dtype.kind == "f" else part
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    if low >= 0 and fractions and high <= 1:
        return Window(0, 1)
    if low >= 0 and high <= 255:
        return Window(0, 255)
    if low >= 0 and FULL_FROM <= high <= FULL and not fractions:
        return Window(0, FULL)
    return Window(low, high) if low < high else Window(0, 255)


def advice(image: NDArray) -> str:
    """The expression that brings an array's values to 0 … 255 as uint8, guessed from its smallest and largest."""
    if image.dtype.kind == "b":
        return "(image * 255).astype(np.uint8)"
    if image.dtype.kind not in "iuf":
        return "image.real.astype(np.uint8)" if image.dtype.kind == "c" else "numbers"
    with np.errstate(invalid="ignore"):
        finite = image if image.dtype.kind != "f" else image[np.isfinite(image)]
    if finite.size < image.size:
        return f"np.nan_to_num(image), whose values are finite; {finite.size} of {image.size} are"
    low, high = finite.min().item(), finite.max().item()
    if low < 0 or (image.dtype.kind == "f" and high > 255):
        top = high if high > low else low + 1
        return f"np.interp(image, ({low:g}, {top:g}), (0, 255)).round().astype(np.uint8)"
    if image.dtype.kind == "f":
        return ("(image * 255).round()" if high <= 1 else "image.round().clip(0, 255)") + ".astype(np.uint8)"
    return ("image" if high <= 255 else f"(image / {high} * 255).round()") + ".astype(np.uint8)"
