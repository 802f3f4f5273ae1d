"""What a training run is handed: networks, optimisers, and the loss of a step.  The loop is minisam/train/run.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn, optim

from minisam.train.average import WeightAverage
from minisam.train.metrics import Metrics, Row


class Task:
    """Something to train.  A task says the first group of attributes and methods; the others have an empty answer."""

    modules: Mapping[str, nn.Module]
    """What is saved, and in training mode while it trains; by its name in the state file."""
    optimizers: Sequence[optim.Optimizer]
    metrics: tuple[str, ...]
    """The names of what `loss` measures; the first two are shown beside the progress bar."""
    steps: int
    clip_norm: float
    """The most that the norm of all gradients together may be."""
    seed: int = 0
    device: str = "cpu"
    precision: str = "fp32"
    average: WeightAverage | None = None
    """Of modules["model"]; updated after every step."""

    def batch_size(self, step: int) -> int:
        """Images of a step."""
        raise NotImplementedError

    def set_learning_rate(self, step: int) -> float:
        """Set the rates of all groups of the optimisers for a step; returns the one that is written down."""
        raise NotImplementedError

    def loss(self, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        """The loss of a step, and what else it measures; all that is random in it comes from `generator`.

        With several processes, those of this process's rows (`minisam.distributed.own_rows`): the sum over all
        processes is what one process has for the whole batch, for the gradient of the loss and for each metric.
        """
        raise NotImplementedError

    def about(self) -> dict[str, object]:
        """The settings that decide the result; a run resumes only under the same ones."""
        return {}

    def validate(self) -> dict[str, float]:
        """Measured at every save, in all processes; the modules are in evaluation mode."""
        return {}

    def save(self, folder: Path, step: int, rows: list[Row]) -> None:
        """Write figures, or what else shows how far the run is; by the first process, at every save."""

    def finish(self, folder: Path) -> None:
        """Write what the run was for; by the first process, after the last step."""

    def close(self) -> None:
        """End what runs in the background."""
