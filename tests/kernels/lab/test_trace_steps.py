"""A launch step by step: each access is a step, and the states of the elements follow the programs."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

pytest.importorskip("triton", reason="on Linux, pip install triton un-skips this")
import triton
import triton.language as tl

from minisam_kernels.lab.trace import traced_launches
from minisam_kernels.lab.trace_steps import (
    COLOURS,
    EARLIER,
    NEVER,
    OTHERS,
    READ,
    WRITTEN,
    draw_step,
    trace_steps,
)

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU's programs cannot be watched")


@triton.jit
def neighbours_kernel(x_ptr, y_ptr, N, BLOCK: tl.constexpr):
    """One program owns BLOCK sums of a number and the next one."""
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    here = tl.load(x_ptr + place, mask=place < N, other=0.0)
    following = tl.load(x_ptr + place + 1, mask=place + 1 < N, other=0.0)
    tl.store(y_ptr + place, here + following, mask=place < N)


@pytest.fixture(scope="module")
def launch():
    x = torch.arange(10.0)
    with traced_launches() as launches:
        neighbours_kernel[(3,)](x, torch.empty(10), 10, BLOCK=4)
    return launches[0]


def test_each_access_is_a_step_with_the_states_of_all_elements(launch):
    steps = trace_steps(launch)
    expected = [
        f"program {program} {what}" for program in range(3) for what in ("reads x", "reads x", "writes y")
    ]
    assert list(steps) == [f"{number}: {step}" for number, step in enumerate(expected, 1)]
    first, second, third, fourth = [step["x"].tolist() for step in list(steps.values())[:4]]
    assert first == [READ] * 4 + [NEVER] * 6
    assert second == [EARLIER] + [READ] * 4 + [NEVER] * 5
    assert third == [EARLIER] * 5 + [NEVER] * 5
    assert fourth == [OTHERS] * 4 + [READ] * 4 + [NEVER] * 2
    written = list(steps.values())[5]["y"].tolist()
    assert written == [OTHERS] * 4 + [WRITTEN] * 4 + [NEVER] * 2
    assert list(steps.values())[-1]["y"].tolist() == [OTHERS] * 8 + [WRITTEN] * 2


def test_loads_and_stores_of_a_program_together_and_the_first_programs_only(launch):
    together = trace_steps(launch, together=True)
    assert list(together)[:2] == ["1: program 0 reads x", "2: program 0 writes y"] and len(together) == 6
    assert next(iter(together.values()))["x"].tolist() == [READ] * 5 + [NEVER] * 5
    assert len(trace_steps(launch, programs=2)) == 6 and len(trace_steps(launch, programs=3)) == 9


def test_a_figure_has_a_panel_for_each_tensor_in_the_colours_of_the_states(launch):
    figure = draw_step(launch, trace_steps(launch)["4: program 1 reads x"])
    assert [axes.get_title() for axes in figure.axes] == ["x\n[10]", "y\n[10]"]
    (image,) = figure.axes[0].images
    painted = image.to_rgba(image.get_array())[0, :, :3]
    assert np.allclose(painted[4], COLOURS(READ)[:3]) and np.allclose(painted[9], 1)
    assert np.allclose(painted[0], COLOURS(OTHERS)[:3])
    plt.close(figure)
