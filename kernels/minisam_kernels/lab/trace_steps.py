"""A launch step by step: for each load and store of each program, a figure of the cells that it accesses.

    blue     read now                     orange   written now
    pale     read or written earlier by the same program
    grey     accessed before by other programs

A tensor [..., D] is drawn as rows of D cells, as in trace_figure.py; one with a single row, such as the log-sum-exp of
one head, as a column.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from minisam_kernels.lab.trace import Program, Step, TracedLaunch

NEVER, OTHERS, EARLIER, READ, WRITTEN = range(5)
COLOURS = ListedColormap(["white", "0.85", "#b9d7f0", "#1f77b4", "#ff7f0e"])
Cells = dict[str, np.ndarray]
"""For each tensor that the launch accesses, the state of each element."""


def trace_steps(
    launch: TracedLaunch, programs: int | None = None, together: bool = False
) -> dict[str, Cells]:
    """For each step its description, such as "4: program 1 reads k", and the state of every element during it.

    programs: only the first so many. together: all loads of a program that follow each other are one step, and so
    are all its stores.
    """
    names = [tensor.name for tensor in launch.tensors if tensor.reads or tensor.writes]
    sizes = {tensor.name: int(np.prod(tensor.shape)) for tensor in launch.tensors}
    state = {name: np.full(sizes[name], NEVER) for name in names}
    running, found = None, {}
    for number, group in enumerate(_grouped(launch.steps, together), 1):
        program = group[0].program
        if program != running:
            if running is not None and programs is not None and _index(launch, program) >= programs:
                break
            running = program
            state = {name: np.where(cells == NEVER, NEVER, OTHERS) for name, cells in state.items()}
        shown = {name: cells.copy() for name, cells in state.items()}
        for step in group:
            shown[step.tensor][step.cells] = READ if step.kind == "load" else WRITTEN
            state[step.tensor][step.cells] = EARLIER
        verb = "reads" if group[0].kind == "load" else "writes"
        what = ", ".join(dict.fromkeys(step.tensor for step in group))
        found[f"{number}: program {_index(launch, program)} {verb} {what}"] = shown
    return found


def draw_step(launch: TracedLaunch, cells: Cells) -> Figure:
    """One step: a panel for each tensor."""
    shapes = {tensor.name: tensor.shape for tensor in launch.tensors}
    figure, panels = plt.subplots(
        1, len(cells), figsize=(1.5 * len(cells) + 0.4, 2.9), squeeze=False, layout="constrained"
    )
    for axes, (name, state) in zip(panels[0], cells.items(), strict=True):
        shape = shapes[name]
        grid = state.reshape(-1, shape[-1])
        if len(grid) == 1 < len(shape):  # one number for each row of the others
            grid = grid.T
        axes.imshow(grid, cmap=COLOURS, vmin=NEVER, vmax=WRITTEN, aspect="auto", interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.set_title(f"{name}\n[{' × '.join(map(str, shape))}]", fontsize=8)
    return figure


def _grouped(steps: Sequence[Step], together: bool) -> Iterator[list[Step]]:
    if not together:
        yield from ([step] for step in steps)
        return
    for _, group in groupby(steps, key=lambda step: (step.program, step.kind)):
        yield list(group)


def _index(launch: TracedLaunch, program: Program) -> int:
    """The program's number in the order in which the interpreter runs them."""
    return list(dict.fromkeys(step.program for step in launch.steps)).index(program)
