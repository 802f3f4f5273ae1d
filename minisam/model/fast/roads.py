"""Where a part of the network asks whether a faster road leads to its result.

The files of the network know nothing of the faster code.  `dispatcher.py` knows both, and leaves here the function that
decides for a part's class; without one, or where it gives None, the plain road below the question is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

ROADS: dict[type[nn.Module], Callable[..., Any]] = {}


def by_faster_road(part: nn.Module, *inputs: Any) -> Any:
    """What a part computes of `inputs`, by a faster road, or None.  A subclass of a class that has one has none."""
    road = ROADS.get(type(part))
    return None if road is None else road(part, *inputs)
