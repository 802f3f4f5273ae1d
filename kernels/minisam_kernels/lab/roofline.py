"""The least time that a kernel can take on a GPU, calculated.

    floor  = max( products / tensor-core rate,  bytes / memory rate,  exponentials / exponential rate )
    serial = products and exponentials one after the other: the least time without overlapping the two

The floor divided by the measured time shows how much can still be gained; the largest of the three terms shows where.
`minisam kernel roofline` prints the calculation.
"""

from __future__ import annotations

from dataclasses import dataclass

from minisam_kernels.lab.gpus import Gpu
from minisam_kernels.lab.work import Work

KINDS = {"products": ("FLOP", "products"), "bytes": ("B", "memory"), "exponentials": ("exp", "exponentials")}


@dataclass(frozen=True)
class Floor:
    """Seconds on one GPU, for each of the units that work in parallel."""

    products: float
    bytes: float
    exponentials: float

    @property
    def floor(self) -> float:
        return max(self.products, self.bytes, self.exponentials)

    @property
    def serial(self) -> float:
        return max(self.products + self.exponentials, self.bytes)

    @property
    def limit(self) -> str:
        """The unit that takes the longest: products, memory or exponentials."""
        return KINDS[max(KINDS, key=lambda kind: getattr(self, kind))][1]


def rate(gpu: Gpu, kind: str, dtype: str) -> float:
    """The GPU's rates per second; products of float32 inputs do not use the tensor cores."""
    return getattr(gpu, "products_fp32" if kind == "products" and dtype == "fp32" else kind)


def floor_on(gpu: Gpu, work: Work) -> Floor:
    return Floor(**{kind: work.total(kind) / rate(gpu, kind, work.dtype) for kind in KINDS})


def working(gpu: Gpu, work: Work) -> list[str]:
    """The calculation, one line per term: factors, amount, rate, time."""
    lines = [f"{work.name}, {work.dtype}, on {gpu.name}"]
    for kind, (unit, label) in KINDS.items():
        for term in getattr(work, kind):
            factors = " · ".join(f"{factor:g}" for factor in term.factors)
            lines.append(f"  {term.what}: {factors} = {with_prefix(term.amount)}{unit}")
        amount, per_second = work.total(kind), rate(gpu, kind, work.dtype)
        quotient = f"{with_prefix(amount)}{unit} / {with_prefix(per_second)}{unit}/s"
        lines.append(f"  {label}: {quotient} = {microseconds(amount / per_second)}")
    floor = floor_on(gpu, work)
    lines.append(f"  floor {microseconds(floor.floor)} ({floor.limit}), serial {microseconds(floor.serial)}")
    return [*lines, f"  rates: {gpu.source}"]


def with_prefix(amount: float) -> str:
    """4.29e9 -> "4.29 G"."""
    for prefix, factor in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if amount >= factor:
            return f"{amount / factor:.4g} {prefix}"
    return f"{amount:.4g} "


def microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:.4g} µs"
