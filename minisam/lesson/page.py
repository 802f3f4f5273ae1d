"""The names for a lesson's page, imported in one line: NumPy, torch, pyplot and `check`.

    from minisam.lesson.page import check, np, plt, torch

Without a GPU, kernels on the page run in Triton's interpreter. This has to be selected before the first kernel is
defined, and importing this file selects it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch

from minisam.lesson.settle import settle_where_kernels_run

settle_where_kernels_run(os.environ)

from minisam.lesson.check import check_answer, explain  # noqa: E402
from minisam.lesson.find import lesson  # noqa: E402

__all__ = ["check", "np", "plt", "torch"]


def check(number: int, function: Callable[..., Any], name: str | None = None) -> None:
    """Check an answer to an exercise of a lesson, and print what is correct and what is wrong.

    The exercise has the function's name, or `name`.
    """
    here = lesson(number)
    chosen = name or function.__name__
    if chosen not in here.exercises:
        print(f"lesson {number} has no exercise {chosen!r}; it has {', '.join(here.exercises)}")
        return
    report = check_answer(here.exercises[chosen], function, here.mistakes[chosen], here.solution)
    print("\n".join(explain(report)))
