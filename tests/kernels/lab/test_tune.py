"""`minisam kernel tune`: a wrong launch never wins, tables are read and refused, and kernels use them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from minisam.cli.kernel_tune import TUNABLE
from minisam_kernels import tuned_launches
from minisam_kernels.cases import make_case
from minisam_kernels.lab import bench
from minisam_kernels.lab.gpus import GPUS
from minisam_kernels.lab.inspection import compiler
from minisam_kernels.lab.trace import PICTURED
from minisam_kernels.lab.tune import CANDIDATES, KERNEL_NAMES, table_rows, tried_by_compiler, tried_on_device
from minisam_kernels.launch import INTERPRETED, Launch
from minisam_kernels.tuned_launches import TUNED, TableError, launch_of, path_of, read_table, table_of

DEVICE = "NVIDIA H100 80GB HBM3"
ROW = {"kernel": "window_attention", "head_dim": 64, "dtype": "bf16"}
SIZES = {"block_m": 32, "block_k": 32, "num_warps": 4, "num_stages": 1}
TABLE = {"device": DEVICE, "launches": [{**ROW, **SIZES, "milliseconds": 0.1}]}


def written(tmp_path: Path, document: object) -> Path:
    path = path_of(DEVICE, tmp_path)
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_the_same_kernels_everywhere():
    assert tuple(TUNED) == TUNABLE and KERNEL_NAMES.keys() == TUNED.keys()


def test_every_hand_picked_launch_of_16_bit_types_is_a_candidate():
    from minisam_kernels import rel_pos_attention as forward
    from minisam_kernels import rel_pos_attention_backward as backward
    from minisam_kernels import window_attention, window_attention_backward

    tables = (forward.LAUNCHES, backward.QUERY_LAUNCHES, backward.KEY_LAUNCHES, window_attention.LAUNCHES)
    tables += (
        forward.WIDE_HEADS,
        backward.WIDE_QUERY_LAUNCHES,
        window_attention_backward.LAUNCHES,
        window_attention_backward.WIDE_HEADS,
    )
    assert {table[name] for table in tables for name in ("half", "hopper")} <= set(CANDIDATES)


def test_a_table_is_read_for_its_head_dim_and_type(tmp_path):
    written(tmp_path, TABLE)
    assert table_of(DEVICE, tmp_path) == {("window_attention", 64, "bf16"): Launch(32, 32, 4, 1)}
    assert table_of("NVIDIA H200", tmp_path) == {}


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ("{", "is not a table of launches"),
        ([], "is not a table of launches"),
        ({"device": DEVICE}, "is not a table of launches ('launches')"),
        ({**TABLE, "device": "NVIDIA A100"}, "was measured on NVIDIA A100, and this is NVIDIA H100"),
        (
            {**TABLE, "launches": [{**ROW, **SIZES, "kernel": "softmax"}]},
            "has launches of 'softmax', which is none of",
        ),
        ({**TABLE, "launches": [{**ROW, **SIZES, "block_m": 48}]}, "(block_m is 48)"),
        ({**TABLE, "launches": [{**ROW, **SIZES, "num_warps": "4"}]}, "(num_warps is '4')"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_in_one_line(tmp_path, document, why):
    path = written(tmp_path, document)
    with pytest.raises(TableError) as raised:
        read_table(path, DEVICE)
    message = str(raised.value)
    assert why in message and str(path) in message and "minisam kernel tune" in message
    assert len(message.splitlines()) == 1


class OnDevice:
    """What launch_of looks at of a tensor on a GPU."""

    is_cuda, dtype, device = True, torch.bfloat16, "cuda:0"


def test_the_default_launch_is_replaced_and_a_named_one_is_not(tmp_path, monkeypatch):
    written(tmp_path, TABLE)
    monkeypatch.setattr(tuned_launches, "FOLDER", tmp_path)
    monkeypatch.setattr(tuned_launches, "launch_on", lambda tensor: "hopper")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: DEVICE)
    picked, tuned = Launch(128, 32, 8, 2), Launch(32, 32, 4, 1)
    assert launch_of("window_attention", picked, "hopper", 64, OnDevice()) == tuned
    assert launch_of("window_attention", picked, "half", 64, OnDevice()) == picked
    assert launch_of("window_attention", picked, "hopper", 80, OnDevice()) == picked
    assert launch_of("rel_pos_attention", picked, "hopper", 64, OnDevice()) == picked
    assert launch_of("window_attention", picked, "hopper", 64, torch.empty(1)) == picked


@pytest.mark.skipif(not INTERPRETED, reason="runs the kernels in Triton's interpreter")
@pytest.mark.parametrize("kernel", TUNED)
def test_a_right_launch_wins_over_a_faster_wrong_one(kernel):
    operation = TUNED[kernel][0]
    case = make_case(operation, "tune", PICTURED[operation])
    shapes = {name: tensor.to("meta") for name, tensor in case.tensors(torch.float32).items()}
    call = bench.make_call(operation, shapes, case.constants, "cpu", torch.float32)
    right, bad, broken = Launch(16, 16, 4, 1), Launch(32, 16, 4, 1), Launch(64, 16, 4, 1)
    tried = []

    def function(**inputs):
        launch = tuned_launches._tried[kernel]
        tried.append(launch)
        if launch == broken:
            raise RuntimeError("out of resources\nand more")
        out = bench.function_of(operation)(**inputs)
        return out * 1.02 if launch == bad else out

    def timer(run):
        run()
        return 1.0

    every = [bad, broken, right]
    trials = tried_on_device(kernel, every, call, function, timer, bench.Deadline(5))
    assert trials[0].launch == right and trials[0].milliseconds == 1.0
    assert {trial.launch: trial.milliseconds for trial in trials[1:]} == {bad: None, broken: None}
    assert "out of resources" in [trial.why_not for trial in trials]
    assert not tuned_launches._tried and set(tried) == set(every)
    (row,) = table_rows({kernel: trials, "none": trials[1:]}, 64, "bf16")
    assert row["kernel"] == kernel and row["block_m"] == 16
    assert tried_on_device(kernel, every, call, function, timer, bench.Deadline(-1)) == []


@pytest.mark.ci
def test_the_compiler_leaves_out_what_spills_and_ranks_the_rest():
    fits, spills = Launch(64, 64, 4, 2), Launch(256, 64, 4, 2)
    with compiler() as worker:
        trials = tried_by_compiler(worker, GPUS["H100"], "window_attention", [spills, fits], 64, "bf16")
    assert [trial.launch for trial in trials] == [fits, spills]
    assert trials[0].milliseconds and trials[0].registers and not trials[0].why_not
    assert trials[1].milliseconds is None and trials[1].why_not


def tune(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "minisam.cli.main", "kernel", "tune", *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.ci
def test_without_a_gpu_it_says_that_it_predicts_and_writes_nothing(tmp_path):
    found = tune("window_attention", "--candidates", "1")
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith(
        "window_attention: predicted from the code compiled for H100, not measured\n"
    )
    assert "registers" in found.stdout and "instructions a turn" in found.stdout
    for words, why in (
        (("softmax",), "invalid choice: 'softmax'"),
        (("window_attention", "--gpu", "T4"), "whose L2 rate is not known here"),
        (("-o", str(tmp_path / "t.json")), "no CUDA device to measure them on"),
    ):
        refused = tune(*words)
        assert refused.returncode == 2 and why in refused.stderr
    assert not list(tmp_path.iterdir())
