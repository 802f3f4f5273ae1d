"""Two processes do what one does: weights within rounding, files to the byte, and a run that resumes either way."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from shared_work import TRAININGS, begin, do_all, run_engine, sam_training

from minisam import distributed
from minisam.data.partworld import render_scenes
from minisam.distributed import in_turn, own_device, own_items, own_rows
from minisam.errors import MinisamError


def start_two(arguments: list[str]) -> list[subprocess.Popen[str]]:
    """Two processes, as torchrun would start them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    shared["PYTHONPATH"] = os.pathsep.join(sys.path)
    return [
        subprocess.Popen(
            [sys.executable, *arguments],
            env={**os.environ, **shared, "RANK": rank, "LOCAL_RANK": rank},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    (folder / "images").mkdir()
    for number, pixels in enumerate(render_scenes(1, 3, 64).images):
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(folder / "images" / f"{number}.png")
    (folder / "one").mkdir()
    do_all(folder / "one", folder / "images")
    begin(folder / "begun by one")
    for process in start_two([str(Path(__file__).with_name("shared_work.py")), str(folder)]):
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    return folder


def weights_of(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    """Up to a root mean square of 5e-6, where a step of training is 1e-3.

    A key's bias adds the same to every logit of a query, which changes no attention: its gradient is rounding alone,
    which AdamW makes as long as any other.
    """
    for name, value in expected.items():
        difference = (found[name].float() - value.float()).flatten()
        if name.endswith(("qkv.bias", "in_proj_bias")):
            queries, _, values = difference.chunk(3)
            difference = torch.cat([queries, values])
        if not name.endswith("k_proj.bias"):
            assert difference.square().mean().sqrt() <= 5e-6, name


@pytest.mark.parametrize("name", TRAININGS)
def test_two_processes_train_the_weights_of_one(work: Path, name: str):
    assert_same(weights_of(work / "two" / f"{name}.pt"), weights_of(work / "one" / f"{name}.pt"))


def test_metrics_are_those_of_the_whole_batch(work: Path):
    for name in ("sam", "mae", "clip", "text"):
        one, two = (
            np.genfromtxt(work / by / name / "metrics.csv", delimiter=",", skip_header=1)
            for by in ("one", "two")
        )
        same = [place for place in range(len(one)) if place != 1]  # seconds are not
        np.testing.assert_allclose(two[same], one[same], rtol=1e-4, atol=1e-5, err_msg=name)


def test_a_run_resumes_with_more_processes_and_with_fewer(work: Path):
    expected = weights_of(work / "one" / "sam.pt")
    assert_same(sam_training(work / "begun by two").run(False).sam.state_dict(), expected)
    assert_same(weights_of(work / "resumed by two.pt"), expected)


@pytest.mark.parametrize("name", ["eval", "amg"])
def test_files_of_shared_images_are_the_same_bytes(work: Path, name: str):
    one, two = (
        {str(file.relative_to(work / by)): file.read_bytes() for file in (work / by / name).rglob("*.*")}
        for by in ("one", "two")
    )
    assert len(one) >= 3 and one == two


@pytest.mark.ci
def test_an_engine_collects_on_the_same_images(tmp_path: Path):
    run_engine(tmp_path / "one")
    for process in start_two([str(Path(__file__).with_name("shared_work.py")), str(tmp_path), "engine"]):
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    one, two = (sorted((tmp_path / by / "engine" / "data").rglob("*.json")) for by in ("one", "two"))
    assert [file.name for file in one] == [file.name for file in two] and len(one) >= 5
    assert (tmp_path / "two" / "engine" / "table.txt").exists()


def test_an_error_is_said_once_and_all_end():
    said = []
    for process in start_two(["-m", "minisam.cli.main", "train", "--from", "nowhere", "-o", "/dev/null/run"]):
        _, errors = process.communicate(timeout=120)
        assert process.returncode != 0
        said += [line for line in errors.splitlines() if line.startswith("minisam:")]
        assert "Traceback" not in errors
    assert len(said) == 1


def test_a_share_is_a_part_of_the_rows_and_of_a_list(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(distributed, "world_size", lambda: 3)
    shares, items = [], []
    for rank in range(3):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        shares += list(range(7))[own_rows(7)]
        items.append(own_items("abcdefgh"))
    assert shares == list(range(7)) and in_turn(items) == list("abcdefgh")
    with pytest.raises(MinisamError, match="cannot share a batch of 2; start fewer"):
        own_rows(2)


@pytest.mark.slow
def test_torchrun_starts_the_command(tmp_path: Path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    command += ["minisam.cli.main", "train", "--steps", "1", "--batch-size", "2", "-o", str(tmp_path / "run")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("trained 1 steps on 2 images") == 1


@pytest.mark.parametrize("processes", [1, 2, 3, 4])
@pytest.mark.parametrize("count", [4, 5, 7, 8])
def test_processes_share_all_rows_and_all_items_evenly(processes, count, monkeypatch):
    monkeypatch.setattr(distributed, "world_size", lambda: processes)
    rows, items = [], []
    for number in range(processes):
        monkeypatch.setattr(distributed, "rank", lambda number=number: number)
        rows.append(list(range(count))[distributed.own_rows(count)])
        items.append(distributed.own_items(range(count)))
    assert [row for own in rows for row in own] == list(range(count))
    assert max(map(len, rows)) - min(map(len, rows)) <= 1
    assert distributed.in_turn(items) == list(range(count))
    if processes > 1:
        with pytest.raises(MinisamError, match=f"{processes} processes cannot share a batch of 1"):
            distributed.own_rows(1)


def test_gradients_are_summed_and_what_no_process_uses_stays_without(monkeypatch):
    """An optimiser moves a parameter with a gradient of zeros, by weight decay, and leaves one without."""
    both, mine, theirs, unused = (torch.nn.Parameter(torch.zeros(2, 3)) for _ in range(4))
    both.grad, mine.grad = torch.full((2, 3), 1.0), torch.full((2, 3), 2.0)
    of_the_other = [1.0, 0.0, 1.0, 0.0, *[10.0] * 6, *[0.0] * 6, *[30.0] * 6, *[0.0] * 6]
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setattr(
        "torch.distributed.all_reduce", lambda message: message.add_(torch.tensor(of_the_other))
    )
    distributed.sum_gradients([both, mine, theirs, unused])
    for parameter, value in ((both, 11.0), (mine, 2.0), (theirs, 30.0)):
        assert parameter.grad is not None and parameter.grad.equal(torch.full((2, 3), value))
    assert unused.grad is None


def test_each_process_of_a_machine_has_a_gpu_of_its_own(monkeypatch):
    chosen = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert own_device("cuda") == "cuda"  # one process
    monkeypatch.setattr(distributed, "world_size", lambda: 3)
    for rank in "01":
        monkeypatch.setenv("LOCAL_RANK", rank)
        assert own_device("cuda") == f"cuda:{rank}" and own_device("cuda:7") == "cuda:7"
        assert own_device("cpu") == "cpu"
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(MinisamError, match="process 2 of this machine has no GPU; start 2"):
        own_device("cuda")
    assert chosen == [0, 1]
