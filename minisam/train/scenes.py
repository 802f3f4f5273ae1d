"""The scenes of a training run, drawn in a second process while the first one trains.

What step t sees follows from its arguments alone, so it does not matter which process draws it, nor whether a
scene that was drawn ahead is ever used: a run with or without a helper process is the same, bit for bit.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from typing import Any

from minisam.data.partworld import SceneBatch, render_scenes

AHEAD = 3


class SceneSource:
    """`source[step]` is `render_scenes(**arguments(step))`; `in_background` draws the next steps' ahead of time."""

    def __init__(self, arguments: Callable[[int], dict[str, Any]], in_background: bool) -> None:
        self.arguments = arguments
        self.pool: ProcessPoolExecutor | None = None
        self.coming: dict[int, Future[SceneBatch]] = {}
        if in_background:
            self.pool = ProcessPoolExecutor(
                1, mp_context=get_context("spawn"), initializer=become_helper_process
            )

    def __getitem__(self, step: int) -> SceneBatch:
        if self.pool is None:
            return render_scenes(**self.arguments(step))
        for later in range(step, step + AHEAD):
            if later not in self.coming:
                self.coming[later] = self.pool.submit(render_scenes, **self.arguments(later))
        return self.coming.pop(step).result()

    def close(self) -> None:
        """End the second process; scenes drawn ahead are thrown away."""
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)
            self.pool = None


def become_helper_process() -> None:
    """One thread, and gone when the process that trains is gone, however that ended."""
    import torch

    torch.set_num_threads(1)
    parent = parent_process()
    assert parent is not None

    def leave_with_parent() -> None:
        parent.join()
        os._exit(0)

    threading.Thread(target=leave_with_parent, daemon=True).start()
