"""Seeds: everything random in step t of a run follows from (seed, t), so that a run resumes from t alone."""

from __future__ import annotations


def hash_seed(seed: int, step: int) -> int:
    """One number below 2³¹ for (seed, step), far from those of other seeds."""
    return (seed * 1_000_003 + step * 7919 + 1) % (2**31 - 1)
