"""The loop by itself, on a task of two weights: rows, saves, clipping, and the state of an earlier version."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from minisam.errors import CheckpointError
from minisam.train.metrics import read_rows
from minisam.train.run import TrainingRun
from minisam.train.task import Task


class Toy(Task):
    """Moves two weights; measures the number of the step, and its square from step 10 on."""

    metrics = ("number", "square")
    clip_norm = 0.5

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.model, self.head = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
        nn.init.ones_(self.model.weight)
        nn.init.ones_(self.head.weight)
        self.modules = {"model": self.model, "head": self.head}
        self.optimizers = [torch.optim.SGD([part.weight], lr=0.1) for part in (self.model, self.head)]
        self.saved_at: list[int] = []

    def batch_size(self, step: int) -> int:
        return 2

    def set_learning_rate(self, step: int) -> float:
        return 0.1

    def loss(self, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor | float]]:
        noise = torch.rand((), generator=generator) + torch.rand(())
        loss = 3 * self.model.weight.sum() + 4 * self.head.weight.sum() * (1 + 0 * noise)
        return loss, {"number": torch.tensor(float(step)), "square": step**2 if step >= 10 else math.nan}

    def about(self) -> dict[str, object]:
        return {"steps": self.steps}

    def save(self, folder: Path, step: int, rows: list[dict[str, float]]) -> None:
        self.saved_at.append(step)


def rows_of(folder: Path) -> list[tuple[float, ...]]:
    return [
        tuple(row[name] for name in ("step", "images", "number", "square")) for row in read_rows(folder, 99)
    ]


def test_a_row_is_the_mean_of_twenty_steps_and_the_last_one_of_the_rest(tmp_path: Path):
    task = TrainingRun(Toy(45), tmp_path, save_every=30).run(False)
    squares = [
        sum(n * n for n in steps) / len(steps) for steps in (range(10, 20), range(20, 40), range(40, 45))
    ]
    assert rows_of(tmp_path / "metrics.csv") == [
        (20, 40, 9.5, pytest.approx(squares[0])),
        (40, 80, 29.5, pytest.approx(squares[1])),
        (45, 90, 42, pytest.approx(squares[2])),
    ]
    assert task.saved_at == [30, 45] and not task.model.training


@pytest.mark.parametrize("stopped", [7, 20, 33])
def test_a_run_that_stops_between_two_rows_ends_with_the_same_rows(tmp_path: Path, stopped: int):
    TrainingRun(Toy(45), tmp_path / "whole").run(False)
    first = TrainingRun(Toy(45), tmp_path / "parts", save_every=stopped)
    (tmp_path / "parts").mkdir()
    for step in range(1, stopped + 1):
        first.train_step()
        if step % 20 == 0:
            first.write_down()
    first.save()
    resumed = TrainingRun(Toy(45), tmp_path / "parts").run(False)
    assert rows_of(tmp_path / "parts" / "metrics.csv") == rows_of(tmp_path / "whole" / "metrics.csv")
    assert resumed.model.weight.item() == pytest.approx(1 - 45 * 0.1 * 0.5 * 3 / 5, rel=1e-4)


def test_all_that_the_optimisers_hold_is_clipped_together():
    run = TrainingRun(Toy(1))
    run.train_step()
    gradients = [weight.grad.item() for weight in run.parameters]  # pyright: ignore[reportOptionalMemberAccess]
    assert gradients == pytest.approx([0.5 * 3 / 5, 0.5 * 4 / 5], rel=1e-5)


def test_a_state_of_an_earlier_version_is_resumed(tmp_path: Path):
    """One optimiser by itself, and neither a scaler nor the steps since the last row."""
    run = TrainingRun(Toy(25), tmp_path)
    run.train_step()
    run.task.optimizers = run.task.optimizers[:1]
    state = {
        "step": 21,
        "seconds": 3.0,
        "model": run.task.model.state_dict(),
        "head": run.task.head.state_dict(),
        "optimizer": run.task.optimizers[0].state_dict(),
    }
    run.take_over(state)
    assert (run.step, run.images, run.seconds, run.since_last_row) == (21, 42, 3.0, [])


def test_a_state_with_other_groups_of_parameters_is_refused_in_a_sentence(tmp_path: Path):
    """As after an update of minisam that gives other parameters weight decay.  A finished run can be read."""

    def of_another_version() -> Toy:
        task = Toy(2)
        for optimizer in task.optimizers:
            optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(2))]})
        return task

    begun, finished = tmp_path / "begun", tmp_path / "finished"
    begun.mkdir()
    run = TrainingRun(Toy(2), begun)
    run.train_step()
    run.save()
    before = (begun / "state.pt").read_bytes()
    with pytest.raises(
        CheckpointError, match=r"state.pt does not fit this version of minisam; .*another --out"
    ):
        TrainingRun(of_another_version(), begun).run(False)
    assert (begun / "state.pt").read_bytes() == before
    trained = TrainingRun(Toy(2), finished).run(False).model.state_dict()
    for name, value in TrainingRun(of_another_version(), finished).run(False).model.state_dict().items():
        assert value.equal(trained[name]), name


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    task = TrainingRun(Toy(3)).run(False)
    assert list(tmp_path.iterdir()) == [] and task.saved_at == []


class Scaler:
    """In place of GradScaler in float16: gradients a thousand times as large, until they are unscaled."""

    def scale(self, loss: Tensor) -> Tensor:
        return 1000 * loss

    def unscale_(self, optimizer: torch.optim.Optimizer) -> None:
        for group in optimizer.param_groups:
            for weight in group["params"]:
                weight.grad /= 1000

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        optimizer.step()

    def update(self) -> None:
        self.updated = True


def test_gradients_are_unscaled_before_they_are_clipped():
    run, scaler = TrainingRun(Toy(1)), Scaler()
    run.task.clip_norm, run.scaler = 100.0, scaler  # pyright: ignore[reportAttributeAccessIssue]
    run.train_step()
    assert run.task.model.weight.item() == pytest.approx(1 - 0.1 * 3) and scaler.updated
    assert run.task.head.weight.item() == pytest.approx(1 - 0.1 * 4)


def test_a_resumed_run_scales_its_losses_as_before(tmp_path: Path):
    """A scale that float16 needed is not to be found again by steps that are lost."""

    class Half(Toy):
        precision = "fp16"

    first = TrainingRun(Half(9), tmp_path)
    first.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**20, growth_interval=3)
    for _ in range(4):
        first.train_step()
    assert first.scaler.get_scale() == 2.0**21
    first.save()
    second = TrainingRun(Half(9), tmp_path)
    second.resume()
    assert second.step == 4 and second.scaler.state_dict() == first.scaler.state_dict()
    assert not TrainingRun(Toy(9)).scaler.is_enabled() and second.scaler.is_enabled()
