"""A prompt as the page sends it: JSON, in pixels of the photo as shown.

{"points": [[x, y, label], …], "boxes": [[x0, y0, x1, y1], …]}
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from minisam.errors import PromptError

MOST_PARTS = 1000


@dataclass(frozen=True)
class Prompt:
    """points [N, 2] with labels [N] (1 foreground, 0 background), boxes [n, 4]; N or n may be 0, not both."""

    points: NDArray[np.float32]
    labels: NDArray[np.int64]
    boxes: NDArray[np.float32]

    def scaled(self, factors: tuple[float, float]) -> Prompt:
        """The same prompt on an image whose sides are larger by the factors of x and y."""
        scale = np.array(factors, np.float32)
        return Prompt(self.points * scale, self.labels, self.boxes * np.tile(scale, 2))


def read_prompt(content: object) -> Prompt:
    """Raises PromptError if this is not a prompt."""
    if not isinstance(content, dict):
        raise PromptError("a prompt is an object with points and boxes")
    points = rows_of(content.get("points", []), 3, "points")
    boxes = rows_of(content.get("boxes", []), 4, "boxes")
    if not len(points) and not len(boxes):
        raise PromptError("nothing to segment: a prompt needs a point or a box")
    if not np.isin(points[:, 2], (0, 1)).all():
        raise PromptError("the label of a point is 1 (foreground) or 0 (background)")
    return Prompt(points[:, :2], points[:, 2].astype(np.int64), boxes)


def rows_of(given: object, width: int, name: str) -> NDArray[np.float32]:
    """A list of lists of `width` numbers as an array [n, width]."""
    if not isinstance(given, list) or len(given) > MOST_PARTS:
        raise PromptError(f"{name} must be a list of at most {MOST_PARTS}")
    if not given:
        return np.zeros((0, width), np.float32)
    fits = all(isinstance(row, list) and len(row) == width and all(map(is_number, row)) for row in given)
    with np.errstate(over="ignore"):
        rows = np.array(given, np.float64).astype(np.float32) if fits else np.array([np.nan])
    if not np.isfinite(rows).all():
        raise PromptError(f"each of the {name} must be a list of {width} finite numbers")
    return rows


def is_number(value: object) -> bool:
    return type(value) is float or (type(value) is int and abs(value) < 2**53)
