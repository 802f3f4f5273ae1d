"""The scenes or images of a training run, drawn in a second process while the first one trains.

The batch of step t depends only on its arguments. It does not matter which process draws it, or whether batches drawn
ahead are used: a run with or without a second process gives identical results.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from typing import Any, Generic, TypeVar

from minisam.data.partworld import SceneBatch, render_scenes
from minisam.errors import MinisamError

AHEAD = 3
HELPER_ENDED = (
    "the process that draws ahead was ended by the system, perhaps because memory ran out; "
    "run the same command again to resume from the last save"
)
T = TypeVar("T")


class DrawnAhead(Generic[T]):
    """`drawn[step]` is `draw(**arguments(step))`; `in_background` draws the next steps' ahead of time."""

    def __init__(
        self, draw: Callable[..., T], arguments: Callable[[int], dict[str, Any]], in_background: bool
    ) -> None:
        self.draw = draw
        self.arguments = arguments
        self.pool: ProcessPoolExecutor | None = None
        self.coming: dict[int, Future[T]] = {}
        if in_background:
            self.pool = ProcessPoolExecutor(
                1, mp_context=get_context("spawn"), initializer=become_drawing_process
            )

    def __getitem__(self, step: int) -> T:
        if self.pool is None:
            return self.draw(**self.arguments(step))
        try:
            for later in range(step, step + AHEAD):
                if later not in self.coming:
                    self.coming[later] = self.pool.submit(self.draw, **self.arguments(later))
            return self.coming.pop(step).result()
        except BrokenProcessPool:
            raise MinisamError(HELPER_ENDED) from None

    def close(self) -> None:
        """End the second process; batches drawn ahead are discarded."""
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)
            self.pool = None


class SceneSource(DrawnAhead[SceneBatch]):
    """`source[step]` is `render_scenes(**arguments(step))`."""

    def __init__(self, arguments: Callable[[int], dict[str, Any]], in_background: bool) -> None:
        super().__init__(render_scenes, arguments, in_background)


def become_drawing_process() -> None:
    """Set up the second process: Ctrl-C, which reaches both, is left to the first, which ends this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    become_helper_process()


def become_helper_process() -> None:
    """Set up a second process: one thread, and it ends when the training process ends, for any reason."""
    import torch

    torch.set_num_threads(1)
    parent = parent_process()
    assert parent is not None

    def leave_with_parent() -> None:
        parent.join()
        os._exit(0)

    threading.Thread(target=leave_with_parent, daemon=True).start()
