"""Random numbers: everything random in step t of a run depends only on (seed, t), and a run resumes from t alone.

Processes that share a batch draw the numbers of the whole batch, and each uses those of its rows: a result does not
depend on the number of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor


def hash_seed(seed: int, step: int) -> int:
    """One number below 2³¹ for (seed, step), far from those of other seeds."""
    return (seed * 1_000_003 + step * 7919 + 1) % (2**31 - 1)


class OwnRows(NamedTuple):
    """A generator for a process that works on the rows `rows` of a batch of `total`."""

    generator: torch.Generator
    rows: slice
    total: int


Randomness: TypeAlias = torch.Generator | OwnRows | None


def draw(
    distribution: Callable[..., Tensor],
    shape: Sequence[int],
    device: torch.device | str,
    randomness: Randomness,
) -> Tensor:
    """`distribution`, as torch.rand, for a row of `shape` each; with `OwnRows` its rows of the whole batch's."""
    if not isinstance(randomness, OwnRows):
        return distribution(shape, device=device, generator=randomness)
    whole = (randomness.total, *shape[1:])
    return distribution(whole, device=device, generator=randomness.generator)[randomness.rows]
