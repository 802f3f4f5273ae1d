"""A folder belongs to one run while that run lives, and is free after kill -9."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from minisam import locks
from minisam.engine.run import EngineRun
from minisam.engine.settings import ENGINES
from minisam.errors import MinisamError
from minisam.locks import claimed
from minisam.pretrain.mae_task import mae_run
from minisam.pretrain.recipes import PRETRAINING
from minisam.text.clip_task import ClipRecipe, ClipTask
from minisam.train.presets import RECIPES
from minisam.train.run import TrainingRun
from minisam.train.sam_run import sam_run

HOLD = "import sys, time; from pathlib import Path; from minisam.locks import claimed\n"
HOLD += "with claimed(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"


def test_the_second_run_is_refused_and_the_folder_free_after_the_first(tmp_path: Path):
    with claimed(tmp_path):
        with pytest.raises(MinisamError, match="another run is using this folder"), claimed(tmp_path):
            pass
        (tmp_path / "other").mkdir()
        with claimed(tmp_path / "other"):
            pass
    with pytest.raises(KeyError), claimed(tmp_path):
        raise KeyError
    with claimed(tmp_path):
        pass
    assert os.listdir(tmp_path) == ["other"], "a lock leaves no file"


def test_a_killed_run_holds_nothing(tmp_path: Path):
    environment = {**os.environ, "PYTHONPATH": str(Path(locks.__file__).parents[1])}
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        with pytest.raises(MinisamError), claimed(tmp_path):
            pass
        process.send_signal(signal.SIGKILL)
    with claimed(tmp_path):
        pass


def test_where_the_file_system_has_no_locks_a_run_goes_on(tmp_path: Path, monkeypatch):
    def unsupported(descriptor: int) -> bool:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(locks, "lock", unsupported)
    with claimed(tmp_path), claimed(tmp_path):
        pass


RUNS = {
    "train": lambda folder: sam_run("nano", folder, RECIPES["nano"]),
    "pretrain": lambda folder: mae_run("nano", folder, PRETRAINING["nano"]),
    "text": lambda folder: TrainingRun(ClipTask(ClipRecipe()), folder),
    "engine": lambda folder: EngineRun(folder, ENGINES["nano"]),
}


@pytest.mark.parametrize("kind", RUNS)
def test_every_kind_of_run_wants_its_folder_for_itself(tmp_path: Path, kind: str):
    run = RUNS[kind](tmp_path)
    with claimed(tmp_path), pytest.raises(MinisamError, match="another run is using"):
        run.run()
    assert os.listdir(tmp_path) == []
