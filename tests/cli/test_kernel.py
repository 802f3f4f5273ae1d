"""`minisam kernel`: each tool's output and exit codes, and one-line errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from minisam.cli import kernel
from minisam.cli.main import main
from minisam_kernels.cases import cases
from minisam_kernels.lab.catalog import OPERATIONS
from minisam_kernels.lab.gpus import GPUS
from minisam_kernels.lab.machine_code import TARGETS
from minisam_kernels.lab.work import BYTES
from minisam_kernels.lab.work_in_sam import MODELS, directions_of, work_of

RIGHT = "import torch\ndef mine(x, scale):\n    return torch.softmax(scale * x, -1)\n"
FLOORS = sum(len(directions_of(operation)) for operation in OPERATIONS)
WRONG = "import torch\ndef mine(x, scale):\n    return torch.softmax(x, -1)\n"


def test_the_choices_are_those_of_the_lab():
    assert kernel.KERNELS == OPERATIONS
    assert tuple(TARGETS) == kernel.ARCHS
    assert set(kernel.DTYPES) == set(BYTES)
    assert tuple(MODELS) == kernel.MODELS
    assert tuple(GPUS) == kernel.GPUS


def test_a_right_function_exits_0(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(RIGHT)
    words = ["kernel", "check", f"{tmp_path}/mine.py:mine", "--like", "softmax", "--case", "wider"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("correct: 2 checks of softmax in fp32, fp16")
    assert printed.endswith("\nno kernel was launched\n")


def test_a_wrong_function_exits_4_and_says_where(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(WRONG)
    words = ["kernel", "check", f"{tmp_path}/mine.py:mine", "--like", "softmax", "--dtype", "fp32"]
    assert main(words) == 4
    printed = capsys.readouterr().out
    assert printed.startswith("wrong: case 'prime' in fp32: output: wrong, the first at [0, 0]: got ")
    assert main([*words, "--json"]) == 4
    report = json.loads(capsys.readouterr().out)
    assert report["failure"]["case"] == "prime" and report["right"] == 2


def test_a_file_that_cannot_be_loaded_exits_3(tmp_path, capsys):
    assert main(["kernel", "check", f"{tmp_path}/none.py:mine", "--like", "softmax"]) == 3
    assert capsys.readouterr().err == f"minisam: there is no file {tmp_path}/none.py\n"


HOSTILE = """
import os, sys
import torch

def talks(x, scale):
    print("on my way")
    os.write(1, b"further on\\n")
    return torch.softmax(scale * x, -1)

def leaves(x, scale):
    print("good bye")
    sys.exit(0)

def softmax(x):
    return torch.softmax(x, -1)
"""


@pytest.mark.parametrize(
    ("name", "code", "what"),
    [
        ("talks", 0, None),
        ("leaves", 4, "ends the program (SystemExit: exit code 0)"),
        ("softmax", 4, "stops with TypeError: it takes (x), but is called with (x, scale)"),
    ],
)
def test_whatever_the_code_does_the_verdict_is_one_document(name, code, what, tmp_path, capfd):
    (tmp_path / "mine.py").write_text(HOSTILE)
    words = ["kernel", "check", f"{tmp_path}/mine.py:{name}", "--like", "softmax", "--case", "one number"]
    assert main([*words, "--json"]) == code
    failure = json.loads(capfd.readouterr().out)["failure"]
    assert (failure and failure["what"]) == what


@pytest.mark.skipif(torch.cuda.is_available(), reason="what is refused where there is no GPU")
@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--dtype bf16", "bf16 cannot be checked here"),
        ("--case zzz", "softmax has no case with 'zzz' in its name; its cases are: one number; one column"),
    ],
)
def test_what_cannot_be_checked_exits_2_in_one_line(words, says, tmp_path, capsys):
    (tmp_path / "mine.py").write_text(RIGHT)
    place = f"{tmp_path}/mine.py:mine"
    assert main(["kernel", "check", place, "--like", "softmax", *words.split()]) == 2
    error = capsys.readouterr().err
    assert says in error and len(error.strip().splitlines()) == 1


def test_the_help_has_the_signature_of_every_operation(capsys):
    for operation, arguments in kernel.ARGUMENTS.items():
        case = cases(operation)[0]
        assert arguments.split(", ") == [*case.inputs, *case.constants]
    with pytest.raises(SystemExit):
        main(["kernel", "check", "--help"])
    assert "softmax(x, scale)" in " ".join(capsys.readouterr().out.split())


def test_inspect_prints_a_row_for_each_kernel_of_each_launch(capsys):
    words = [
        "kernel",
        "inspect",
        "softmax",
        "--launch",
        "narrow",
        "--launch",
        "medium",
        "--arch",
        "sm_80",
        "--dtype",
        "fp16",
    ]
    assert main(words) == 0
    title, head, *rows = capsys.readouterr().out.strip().splitlines()
    assert "softmax, fp16" in title and "registers" in head and "stack B" in head
    assert [row.split()[:2] for row in rows] == [
        [launch, kernel]
        for launch in ("narrow", "medium")
        for kernel in ("softmax_kernel", "softmax_backward_kernel")
    ]


def test_inspect_as_json_has_the_numbers_of_the_code(capsys):
    words = [
        "kernel",
        "inspect",
        "softmax",
        "--launch",
        "narrow",
        "--arch",
        "sm_80",
        "--dtype",
        "fp16",
        "--json",
    ]
    assert main(words) == 0
    record = json.loads(capsys.readouterr().out)
    assert len(record) == 2 and record[0]["code"]["stack_bytes"] == 0


def test_inspect_names_a_launch_that_is_not_there(capsys):
    assert main(["kernel", "inspect", "softmax", "--launch", "narrow", "--launch", "fastest"]) == 2
    error = capsys.readouterr().err
    assert "no launch 'fastest'; use one of narrow" in error
    assert len(error.strip().splitlines()) == 1


def test_roofline_shows_its_working_and_draws(tmp_path, capsys):
    out = tmp_path / "roof.png"
    assert main(f"kernel roofline rel_pos_attention --gpu H200 --batch 1 -o {out}".split()) == 0
    printed = capsys.readouterr().out
    assert "2 · 2 · 1 · 12 · 4096 · 4096 · 64 = 51.54 GFLOP" in printed and str(out) in printed
    assert width_of(out) > 800
    assert main(["kernel", "roofline", "--gpu", "A100", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["gpu"] == "A100" and len(record["floors"]) == FLOORS
    assert main(["kernel", "roofline"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == FLOORS + 2


def test_roofline_predicts_and_says_that_it_did_not_measure(capsys):
    assert main(["kernel", "roofline", "softmax", "--predict", "--batch", "1"]) == 0
    printed = capsys.readouterr().out
    assert "softmax_backward_kernel: 49152 programs of 16 warps" in printed
    assert printed.strip().endswith("times the floor; not measured")
    assert main(["kernel", "roofline", "softmax", "--predict", "--batch", "1", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["measured"] is False and record["batch"] == 1
    assert all(one["predicted_seconds"] >= one["floor_seconds"] for one in record["floors"])
    assert main(["kernel", "roofline", "softmax", "--predict", "--gpu", "T4"]) == 2
    assert "use H200, H100, A100" in capsys.readouterr().err
    assert main(["kernel", "roofline", *OWN, "--predict"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def width_of(picture) -> int:
    with Image.open(picture) as image:
        return image.size[0]


@pytest.mark.parametrize("backward", [[], ["--backward"]])
def test_trace_draws_a_picture(backward, tmp_path, capsys):
    out = tmp_path / "trace.png"
    assert main(["kernel", "trace", "softmax", "-o", str(out), *backward]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    assert width_of(out) > 300


@pytest.mark.skipif(torch.cuda.is_available(), reason="what is said where there is no CUDA device")
def test_bench_without_a_gpu_says_so_in_one_line(capsys):
    assert main(["kernel", "bench"]) == 1
    assert (
        capsys.readouterr().err == "minisam: the benchmark needs a CUDA device, and this machine has none\n"
    )


KERNEL = Path(__file__).parents[1] / "kernels" / "lab" / "learners" / "uncompilable.py"
OWN = [f"{KERNEL}:right", "--like", "attention"]


def test_trace_takes_a_function_of_the_users(tmp_path, capsys):
    out = tmp_path / "trace.png"
    assert main(["kernel", "trace", *OWN, "-o", str(out)]) == 0
    assert width_of(out) > 300 and capsys.readouterr().out == f"{out}\n"


@pytest.mark.ci
def test_inspect_takes_a_function_of_the_users(capsys):
    assert main(["kernel", "inspect", *OWN, "--dtype", "fp16", "--head-dim", "16"]) == 0
    title, _, *rows = capsys.readouterr().out.splitlines()
    assert title == f"{OWN[0]}, fp16, head dim 16, sm_90, forward and backward"
    assert [row.split()[:2] for row in rows] == [["default", "attention_kernel"]]


@pytest.mark.skipif(torch.cuda.is_available(), reason="what is said where there is no CUDA device")
def test_roofline_takes_a_function_of_the_users(capsys):
    assert main(["kernel", "roofline", *OWN]) == 0
    printed = capsys.readouterr().out
    assert "attention, bf16, on H100" in printed
    assert printed.endswith(f"{OWN[0]}: not measured, because this machine has no CUDA device\n")


@pytest.mark.parametrize("tool", ["inspect", "trace", "bench", "roofline"])
@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["mine.py:f"], 2, "add --like and the operation that mine.py:f computes"),
        (["softmax", "--like", "softmax"], 2, "--like is for a function of your own"),
        (["none.py:f", "--like", "softmax"], 3, "there is no file none.py"),
    ],
)
def test_a_function_is_named_as_for_check(tool, words, code, says, capsys):
    assert main(["kernel", tool, *words]) == code
    assert capsys.readouterr().err.startswith(f"minisam: {says}")


def test_without_triton_the_lab_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(kernel.importlib.util, "find_spec", lambda name: None)
    assert main(["kernel", "roofline"]) == 1
    assert "pip install triton" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["kernel", "kernel inspect flash", "kernel check a.py:f"])
def test_usage_errors_exit_2(words):
    with pytest.raises(SystemExit) as stopped:
        main(words.split())
    assert stopped.value.code == 2


def test_a_roofline_has_every_direction_that_multiplies(tmp_path, monkeypatch, capsys):
    from minisam_kernels.lab import roofline_figure

    drawn = []
    monkeypatch.setattr(
        roofline_figure, "save_roofline_figure", lambda file, gpu, points: drawn.extend(points)
    )
    out = tmp_path / "a.png"
    assert main(["kernel", "roofline", "-o", str(out)]) == 0
    assert capsys.readouterr().out.endswith(f"{out}\n")
    every = [(name, direction) for name in kernel.KERNELS for direction in directions_of(name)]
    multiplies = [
        f"{name} {direction}"
        for name, direction in every
        if work_of(name, "vit_b", 8, "bf16", direction == "backward").total("products")
    ]
    assert [point.label for point in drawn] == multiplies and len(multiplies) < len(every)
