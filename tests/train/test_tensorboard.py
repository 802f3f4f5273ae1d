"""`--log tensorboard`: the rows of metrics.csv as curves, continued without doubles after a kill."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from minisam.cli.main import main
from minisam.errors import MinisamError
from minisam.train.metrics import read_rows
from minisam.train.run import TrainingRun
from minisam.train.tensorboard import FOLDER, TensorBoard, summary_writer

pytest.importorskip("tensorboard", reason="pip install -e '.[test]' brings tensorboard")

from train.test_loop import Toy


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / FOLDER)).Reload()
    return {
        name: [(one.step, one.value) for one in events.Scalars(name)] for name in events.Tags()["scalars"]
    }


def columns(folder: Path, name: str) -> list[tuple[int, float]]:
    rows = read_rows(folder / "metrics.csv", 99)
    return [(int(row["step"]), pytest.approx(row[name], rel=1e-5)) for row in rows]  # type: ignore


class Measured(Toy):
    def validate(self) -> dict[str, float]:
        return {"iou": 0.25}


def test_curves_are_the_rows(tmp_path):
    TrainingRun(Measured(45), tmp_path, 30, "tensorboard").run(False)
    drawn = curves(tmp_path)
    assert drawn["train/number"] == columns(tmp_path, "number") and len(drawn["train/number"]) == 3
    assert drawn["train/lr"] == columns(tmp_path, "lr")
    assert drawn["validation/iou"] == [(30, 0.25), (45, 0.25)]
    assert "train/step" not in drawn


@pytest.mark.parametrize("stopped", [20, 40])
def test_a_resumed_run_continues(tmp_path, stopped):
    """The first process writes a row after its last save, and is killed before the state."""
    first = TrainingRun(Toy(45), tmp_path, 100, "tensorboard")
    first.open_log()
    for _ in range(stopped):
        first.train_step()
        if first.step % 20 == 0:
            first.write_down()
    first.save()
    assert first.board is not None
    first.board.add("train", [*first.rows, {**first.rows[-1], "step": stopped + 1.0, "number": 99.0}])
    first.board.close()
    TrainingRun(Toy(45), tmp_path, 100, "tensorboard").run(False)
    assert curves(tmp_path)["train/number"] == columns(tmp_path, "number")


def test_a_run_that_began_without_it_gets_all_its_rows(tmp_path):
    TrainingRun(Toy(45), tmp_path, 20).run(False)
    later = TrainingRun(Toy(45), tmp_path, 20, "tensorboard")
    later.resume()
    later.open_log()
    later.save()
    assert curves(tmp_path)["train/number"] == columns(tmp_path, "number")


def test_nothing_is_written_without_it(tmp_path):
    TrainingRun(Toy(3), tmp_path).run(False)
    assert not (tmp_path / FOLDER).exists()


def test_missing_numbers_are_left_out(tmp_path):
    board = TensorBoard(tmp_path, 0)
    board.add("train", [{"step": 1.0, "dice": float("nan"), "loss": 2.0}])
    board.close()
    assert curves(tmp_path) == {"train/loss": [(1, 2.0)]}


@pytest.mark.parametrize("command", ["train", "pretrain", "text clip", "text sam", "adapt DIR"])
def test_its_library_is_named_before_the_work(command, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MinisamError):
        summary_writer()
    assert main([*command.split(), "--log", "tensorboard"]) == 1
    assert capsys.readouterr().err == "minisam: --log tensorboard needs a library: pip install tensorboard\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["train --preset nano", "pretrain", "text clip"])
@pytest.mark.parametrize("log", [None, "tensorboard"])
def test_the_option_arrives_at_the_run(command, log, monkeypatch, tmp_path):
    class Reached(Exception):
        pass

    def stop(self, *arguments):
        raise Reached(self.log)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(TrainingRun, "run", stop)
    with pytest.raises(Reached) as reached:
        main([*command.split(), *(["--log", log] if log else [])])
    assert reached.value.args == (log,)
