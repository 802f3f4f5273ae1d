"""What the two trainings of this folder share: steps, metrics, and a state to go on from, bit for bit, after a kill.

Everything random in step t comes from (seed, t) alone, as in minisam/train/trainer.py.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn, optim
from tqdm import tqdm

from minisam.locks import claimed
from minisam.train.metrics import mean_of, read_rows, write_rows
from minisam.train.optimizer import parameters_of
from minisam.train.state import read_state, write_state


class ResumableRun(ABC):
    """A run in a folder: metrics.csv, validation.csv, state.pt, and what `finish` writes at the end."""

    columns: ClassVar[tuple[str, ...]]
    """Metrics of a step, without the step and the seconds."""
    modules: nn.ModuleDict
    optimizers: list[optim.Optimizer]

    def __init__(self, folder: Path, steps: int, save_every: int) -> None:
        self.folder, self.steps, self.save_every = folder, steps, save_every
        self.step, self.seconds = 0, 0.0
        self.validations: list[dict[str, float]] = []

    @abstractmethod
    def train_step(self) -> dict[str, float]:
        """Step number `self.step`; returns its metrics, of `columns`."""

    @abstractmethod
    def validate(self) -> dict[str, float]:
        """What is measured at every save, on scenes that training never sees."""

    @abstractmethod
    def finish(self) -> None:
        """Write what the run was for."""

    @abstractmethod
    def about(self) -> dict[str, object]:
        """The settings that decide the result."""

    def run(self, progress_bar: bool | None = None) -> None:
        """Go on to the last step; `progress_bar` None shows one on a terminal only.

        Raises MinisamError where another run is at work in the folder.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with claimed(self.folder):
            self.train(progress_bar)

    def train(self, progress_bar: bool | None) -> None:
        """Take up what is in the folder, go on to the last step, and write what the run was for."""
        self.resume()
        rows = read_rows(self.folder / "metrics.csv", self.step)
        hidden = None if progress_bar is None else not progress_bar
        with tqdm(total=self.steps, initial=self.step, disable=hidden) as bar:
            while self.step < self.steps:
                rows.append(self.timed_step())
                bar.update()
                if self.step % 20 == 0:
                    recent = (f"{name} {mean_of(rows[-20:], name):.3f}" for name in self.columns[:2])
                    bar.set_postfix_str(" ".join(recent))
                if self.step % self.save_every == 0 or self.step == self.steps:
                    self.save(rows)
        self.modules.eval()
        if not self.validations:  # a finished run whose file is lost
            self.measure()
            self.write_validations()
        self.finish()

    def timed_step(self) -> dict[str, float]:
        started = time.perf_counter()
        metrics = self.train_step()
        self.step += 1
        self.seconds += time.perf_counter() - started
        return {"step": float(self.step), "seconds": self.seconds, **metrics}

    def descend(self, loss: torch.Tensor, clip_norm: float) -> None:
        """One step of all optimisers."""
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters_of(self.optimizers), clip_norm)
        for optimizer in self.optimizers:
            optimizer.step()

    def save(self, rows: list[dict[str, float]]) -> None:
        """Write metrics and state, each atomically; the state last, for it says which rows count."""
        write_rows(self.folder / "metrics.csv", rows, ("step", "seconds", *self.columns))
        self.modules.eval()
        self.measure()
        self.modules.train()
        self.write_validations()
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "modules": self.modules.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }
        write_state(self.folder / "state.pt", self.about(), state)

    def measure(self) -> None:
        with torch.inference_mode():
            self.validations.append({"step": float(self.step), **self.validate()})

    def write_validations(self) -> None:
        write_rows(self.folder / "validation.csv", self.validations, list(self.validations[0]))

    def resume(self) -> None:
        """Take up the state in the folder, if there is one.

        Raises CheckpointError where it is damaged or belongs to a run with other settings.
        """
        state: dict[str, Any] | None = read_state(self.folder / "state.pt", self.about(), "cpu")
        if state is None:
            return
        self.modules.load_state_dict(state["modules"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step, self.seconds = state["step"], state["seconds"]
        rows = read_rows(self.folder / "validation.csv", self.step)
        self.validations = [row for row in rows if row["step"] <= self.step]


def warm_then_cosine(step: int, steps: int, warmup: int) -> float:
    """The rate's factor: a straight line up, half a cosine down."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
