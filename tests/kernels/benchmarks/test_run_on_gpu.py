"""The script for a GPU, run here with tiny sizes; its steps one by one, with faults."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
COPIED = ("minisam", "kernels", "tests", "pyproject.toml")
EVERY_STEP = ["environment", "tests", "tune", "kernels", "encoder", "generator", "training"]


def load_steps():
    spec = importlib.util.spec_from_file_location(
        "steps_on_gpu", ROOT / "kernels" / "benchmarks" / "steps.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


steps = load_steps()


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_a_failed_step_is_recorded_and_the_next_one_runs(tmp_path):
    every = [
        steps.Step("broken", 20, python("print('heading'); raise SystemExit('no device')")),
        steps.Step("silent", 20, python("raise SystemExit(3)")),
        steps.Step("slow", 0.5, python("import time; time.sleep(60)")),
        steps.Step("fine", 20, python("print('here')")),
    ]
    started = time.monotonic()
    steps.run_all(every, tmp_path, lambda text: None)
    assert time.monotonic() - started < 40
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["failed"] == ["broken", "silent", "slow"]
    errors = {one["name"]: one["error"] for one in summary["steps"]}
    assert errors == {
        "broken": "heading\nno device",
        "silent": "it failed and printed nothing",
        "slow": "took longer than 0.5 s",
        "fine": "",
    }
    assert [one["exit_code"] for one in summary["steps"]] == [1, 3, None, 0]
    assert (tmp_path / "fine.log").read_text() == "here\n"


def test_what_a_step_started_ends_with_it(tmp_path):
    child = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid)"
    assert steps.run(steps.Step("parent", 20, python(child)), tmp_path).error == ""
    pid = int((tmp_path / "parent.log").read_text())
    deadline = time.monotonic() + 5
    while running(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not running(pid)


def running(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_steps_for_a_gpu_fit_a_quarter_of_an_hour_and_more(tmp_path):
    every = list(steps.steps(tmp_path, False))
    assert [step.name for step in every if step.name != "generator_torch"] == EVERY_STEP
    assert dict((step.name, step.seconds) for step in every)["tests"] == 240
    assert sum(step.seconds for step in every) <= 25 * 60
    assert [step.name for step in steps.steps(tmp_path, True)] == EVERY_STEP


@pytest.mark.parametrize("content", ["file", "folder"])
def test_results_are_not_mixed_with_other_files(tmp_path, content):
    out = tmp_path / "out"
    if content == "folder":
        out.mkdir()
    place = out / "mine.txt" if content == "folder" else out
    place.write_text("mine")
    finished = subprocess.run(
        [str(ROOT / "kernels" / "benchmarks" / "run_on_gpu.sh"), str(out), "--quick"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHON": sys.executable},
    )
    assert finished.returncode == 2 and "is not an empty folder" in finished.stderr
    assert place.read_text() == "mine"


@pytest.mark.ci
def test_every_step_runs_here_without_a_repository_and_without_pycocotools(tmp_path):
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    absent = tmp_path / "absent"
    absent.mkdir()
    (absent / "pycocotools.py").write_text("raise ImportError('not installed')")
    out = tmp_path / "out"
    finished = subprocess.run(
        [str(tmp_path / "kernels" / "benchmarks" / "run_on_gpu.sh"), "out", "--quick"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHON": sys.executable, "PYTHONPATH": str(absent)},
    )
    summary = json.loads((out / "summary.json").read_text())
    assert [step["name"] for step in summary["steps"]] == EVERY_STEP
    assert summary["failed"] == [] and finished.returncode == 0, summary
    assert json.loads((out / "environment.json").read_text())["commit"] == "unknown"
    assert "4 passed" in f"{(out / 'tests.log').read_text()}"
    records = {
        name: json.loads((out / f"{name}.json").read_text()) for name in ("kernels", "encoder", "training")
    }
    timed = records["kernels"]["kernels"] + records["encoder"]["encoder"] + records["training"]
    assert len(timed) == 16 + 1 + 1 and all("minisam" not in one["failed"] for one in timed)
    assert (out / "kernels.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "generator.json").exists()
