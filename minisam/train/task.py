"""A task for the training loop: networks, optimisers, and the loss of a step.  The loop is minisam/train/run.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn, optim

from minisam.train.average import WeightAverage
from minisam.train.metrics import Metrics, Row


class Task:
    """A task must define the first group of attributes and methods; the others have empty defaults."""

    modules: Mapping[str, nn.Module]
    """The modules to train and save, by their names in the state file."""
    optimizers: Sequence[optim.Optimizer]
    metrics: tuple[str, ...]
    """The names of the metrics from `loss`; the first two are shown beside the progress bar."""
    steps: int
    clip_norm: float
    """The limit for the norm of all gradients together."""
    seed: int = 0
    device: str = "cpu"
    precision: str = "fp32"
    average: WeightAverage | None = None
    """The average of modules["model"]; updated after every step."""

    def batch_size(self, step: int) -> int:
        """The number of images of a step."""
        raise NotImplementedError

    def set_learning_rate(self, step: int) -> float:
        """Set the rates of all groups of the optimisers for a step; returns the one for the metrics."""
        raise NotImplementedError

    def loss(self, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        """The loss of a step and its other metrics; everything random comes from `generator`.

        With several processes, the loss and metrics are for this process's rows (`minisam.distributed.own_rows`): the
        sum over all processes must equal the value of one process for the whole batch, for the gradient of the loss
        and for each metric.
        """
        raise NotImplementedError

    def about(self) -> dict[str, object]:
        """The settings that determine the result; a run resumes only with the same ones."""
        return {}

    def validate(self) -> dict[str, float]:
        """Measured at every save, in all processes; the modules are in evaluation mode."""
        return {}

    def resumed(self, validations: Sequence[Row]) -> None:
        """Called after a run has resumed, with the measurements of its earlier part."""

    def save(self, folder: Path, step: int, rows: list[Row]) -> None:
        """Write figures or other output on the progress; called in the first process, at every save."""

    def finish(self, folder: Path) -> None:
        """Write the result of the run; called in the first process, after the last step."""

    def close(self) -> None:
        """End background processes."""
