"""The hook through which a part of the network gets a fast path to the same result.

The files of the network do not depend on the fast code.  `dispatcher.py` imports both, and registers here a function
that decides for a part's class. Without one, or if it returns None, the plain code is used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

FAST_PATHS: dict[type[nn.Module], Callable[..., Any]] = {}


def by_fast_path(part: nn.Module, *inputs: Any) -> Any:
    """The output of a part for `inputs`, by a fast path, or None.  Subclasses do not inherit a fast path.

    A network that is exported has none: which path is faster depends on sizes, and an exported network takes all.
    """
    path = FAST_PATHS.get(type(part))
    return None if path is None or torch.compiler.is_exporting() else path(part, *inputs)
