"""Scales that are not D^-0.5, for exercises whose function is given the scale."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from minisam_kernels.cases import Case

FACTOR = 0.6


def with_other_scales(cases: Iterable[Case]) -> list[Case]:
    """The cases, with the scale of every second one multiplied by FACTOR: a function has to use what it is given."""
    return [
        replace(case, constants={**case.constants, "scale": FACTOR * case.constants["scale"]})
        if number % 2
        else case
        for number, case in enumerate(cases)
    ]
