"""The training loop, one for every network: compute the loss of a task's next batch, step, record the metrics.

    lr of the step -> loss -> gradients -> sum over processes -> clip -> optimiser step -> average of the weights

Everything random in step t depends only on (seed, t). A run therefore resumes from the weights, the optimisers and t.
They are written together, atomically, every `save_every` steps: a run can be killed at any moment, and resumes with
identical results.  Under torchrun, each process computes the loss of its share of every batch
(minisam/distributed.py). The weights are those of one process up to rounding, and a run may also resume with another
number of processes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from tqdm import tqdm

from minisam import distributed
from minisam.errors import CheckpointError, MinisamError
from minisam.locks import made_and_claimed
from minisam.seeds import hash_seed
from minisam.train.metrics import EVERY, PROGRESS, Row, mean_row, read_rows, write_rows
from minisam.train.optimizer import parameters_of
from minisam.train.state import read_state, write_state
from minisam.train.task import Task
from minisam.train.tensorboard import TensorBoard

T = TypeVar("T", bound=Task)


@dataclass
class TrainingRun(Generic[T]):
    """One run of a task.  Its folder has metrics.csv, validation.csv, state.pt, and the task's files."""

    task: T
    folder: Path | None = None
    """None saves nothing, for trainings of a minute."""
    save_every: int = 200
    log: str | None = None
    """Where metrics go besides metrics.csv: None, or "tensorboard" (minisam/train/tensorboard.py)."""

    def __post_init__(self) -> None:
        kind = torch.device(self.task.device).type
        self.parameters = parameters_of(self.task.optimizers)
        self.scaler = torch.amp.GradScaler(kind, enabled=self.task.precision == "fp16")  # pyright: ignore
        self.step, self.images, self.seconds, self.lr = 0, 0, 0.0, 0.0
        self.rows: list[Row] = []
        self.validations: list[Row] = []
        self.since_last_row: list[Tensor] = []
        self.board: TensorBoard | None = None

    def run(self, progress_bar: bool | None = None) -> T:
        """Resume from the folder, train to the last step, and return the task, its modules in evaluation mode.

        `progress_bar` None shows one on a terminal only.  Raises MinisamError if another run is using the folder,
        CheckpointError if its state is damaged or belongs to a run with other settings or of another version.
        """
        task, hidden = self.task, None if progress_bar is None else not progress_bar
        with closing(task), self.folder_for_itself():
            distributed.copy_from_first(
                value for m in task.modules.values() for value in m.state_dict().values()
            )
            self.resume()
            self.open_log()
            with tqdm(
                total=task.steps, initial=self.step, disable=hidden if distributed.is_first() else True
            ) as bar:
                while self.step < task.steps:
                    self.train_step()
                    bar.update()
                    if self.step % EVERY == 0 or self.step == task.steps:
                        bar.set_postfix_str(self.write_down())
                    if self.step % self.save_every == 0 or self.step == task.steps:
                        self.save()
            if not self.validations:  # a finished run of an earlier version, whose file is lost
                self.measure()
            self.set_training(False)
            if self.board is not None:
                self.board.close()
            if self.folder is not None and distributed.is_first():
                self.write_validations(self.folder)
                task.finish(self.folder)
            distributed.wait_for_all()
        return task

    def train_step(self) -> Tensor:
        """One optimiser step; returns the task's metrics of it."""
        started, task = time.perf_counter(), self.task
        torch.manual_seed(hash_seed(task.seed, self.step) + 1 + distributed.rank())
        generator = torch.Generator(task.device).manual_seed(hash_seed(task.seed, self.step))
        self.lr = task.set_learning_rate(self.step)
        loss, metrics = task.loss(self.step, generator)
        for optimizer in task.optimizers:
            optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        distributed.sum_gradients(self.parameters)
        for optimizer in task.optimizers:
            self.scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(self.parameters, task.clip_norm)
        for optimizer in task.optimizers:
            self.scaler.step(optimizer)
        self.scaler.update()
        self.images += task.batch_size(self.step)
        self.step += 1
        if task.average is not None:
            task.average.update(task.modules["model"], self.step)
        measured = [torch.as_tensor(metrics[name], device=loss.device) for name in task.metrics]
        self.since_last_row.append(torch.stack([value.detach().float() for value in measured]))
        self.seconds += time.perf_counter() - started
        return self.since_last_row[-1]

    def write_down(self) -> str:
        """Make a row of the steps since the last one; returns the text beside the progress bar."""
        values = distributed.summed(torch.stack(self.since_last_row))
        self.since_last_row = []
        progress = zip(PROGRESS, (self.step, self.seconds, self.images, self.lr), strict=True)
        row = {name: float(value) for name, value in progress} | mean_row(values, self.task.metrics)
        self.rows.append(row)
        shown = " ".join(f"{name} {row[name]:.3f}" for name in self.task.metrics[:2])
        return f"{shown} {self.images / self.seconds:.1f} img/s"

    def save(self) -> None:
        """Write metrics, figures and state, each atomically; the state last, because it determines the valid rows."""
        self.measure()
        task, folder = self.task, self.folder
        since_last_row = [distributed.summed(values) for values in self.since_last_row]
        if folder is None or not distributed.is_first():
            return
        write_rows(folder / "metrics.csv", self.rows, (*PROGRESS, *task.metrics))
        if self.board is not None:
            self.board.add("train", self.rows)
            self.board.add("validation", self.validations)
        task.save(folder, self.step, self.rows)
        self.write_validations(folder)
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "images": self.images,
            "validations": self.validations,  # a file has six digits of them
            **{name: module.state_dict() for name, module in task.modules.items()},
            "optimizers": [optimizer.state_dict() for optimizer in task.optimizers],
            "scaler": self.scaler.state_dict(),
            "since_last_row": since_last_row,
            **({"average": task.average.values} if task.average is not None else {}),
        }
        write_state(folder / "state.pt", task.about(), state)

    def resume(self) -> None:
        """Load the state in the folder, if there is one."""
        if self.folder is None:
            return
        state = read_state(self.folder / "state.pt", self.task.about(), self.task.device)
        if len(set(distributed.gathered(None if state is None else state["step"]))) > 1:
            raise MinisamError(
                f"{self.folder} is not the same for all processes; put it on a disk that they share"
            )
        if state is None:
            return
        try:
            self.take_over(state)
        except (KeyError, RuntimeError, ValueError) as error:
            raise CheckpointError(
                f"{self.folder / 'state.pt'} does not fit this version of minisam; "
                f"finish the run with the version that began it, or choose another --out ({error})"
            ) from error
        self.rows = read_rows(self.folder / "metrics.csv", self.step)
        if "validations" in state:
            self.validations = state["validations"]
        else:
            self.validations = read_rows(self.folder / "validation.csv", self.step)
        self.task.resumed(self.validations)

    def take_over(self, state: dict[str, Any]) -> None:
        """Restore everything that `save` stored, of a finished run without its optimisers.

        States of earlier versions have less.
        """
        task = self.task
        for name, module in task.modules.items():
            module.load_state_dict(state[name])
        if state["step"] < task.steps:
            saved = state["optimizers"] if "optimizers" in state else [state["optimizer"]]
            for optimizer, values in zip(task.optimizers, saved, strict=True):
                optimizer.load_state_dict(values)
        self.scaler.load_state_dict(state.get("scaler", {}))
        if task.average is not None:
            task.average.load(state["average"])
        self.step, self.seconds = state["step"], state["seconds"]
        self.images = sum(task.batch_size(step) for step in range(self.step))
        share = 1.0 if distributed.is_first() else 0.0
        self.since_last_row = [share * values for values in state.get("since_last_row", [])]

    def measure(self) -> None:
        """Append the task's current measurement, if any, to the validations."""
        self.set_training(False)
        with torch.no_grad():
            found = self.task.validate()
        self.set_training(True)
        if found:
            self.validations.append({"step": float(self.step), **found})

    def write_validations(self, folder: Path) -> None:
        if self.validations:
            write_rows(folder / "validation.csv", self.validations, list(self.validations[-1]))

    def set_training(self, training: bool) -> None:
        for module in self.task.modules.values():
            module.train(training)

    def open_log(self) -> None:
        if self.log is not None and self.folder is not None and distributed.is_first():
            self.board = TensorBoard(self.folder, self.step)

    @contextmanager
    def folder_for_itself(self) -> Iterator[None]:
        """The folder, made and locked by the first process.  One that was made for nothing is removed again."""
        if self.folder is None or not distributed.is_first():
            yield
            return
        with made_and_claimed(self.folder):
            yield
