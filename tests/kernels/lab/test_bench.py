"""The benchmark's code, run without a GPU on tiny shapes: the timer is a stand-in, everything else is as it is."""

from __future__ import annotations

import io
import json

import pytest
import torch
from PIL import Image

from minisam_kernels import dense
from minisam_kernels.cases import make_case
from minisam_kernels.lab import bench
from minisam_kernels.lab.bench_report import report, save_bench_figure
from minisam_kernels.lab.results import (
    OURS,
    EncoderResult,
    KernelResult,
    Results,
    committed_results,
    path_for,
)
from minisam_kernels.lab.work_in_sam import directions_of
from minisam_kernels.mask_cases import COUNTING

SIZES = {
    "softmax": (3, 7),
    "rel_pos_attention": (2, 2, 3, 5, 16),
    "window_attention": (2, 5, 7, 2, 16, 3),
    "token_to_image": (2, 7, 13, 16),
    "image_to_token": (2, 2, 2, 3, 13, 16),
    "mask_statistics": (2, 8, 6, 19, 31),
    "mask_bits": (2, 8, 6, 19, 31),
}
DIRECTIONS = [(operation, direction) for operation in SIZES for direction in directions_of(operation)]


def tiny_call(operation: str, dtype: torch.dtype = torch.float32) -> bench.Call:
    case = make_case(operation, "tiny", SIZES[operation])
    shapes = {name: tensor.to("meta") for name, tensor in case.tensors(dtype).items()}
    return bench.make_call(operation, shapes, case.constants, "cpu", dtype)


def run_once(call) -> float:
    call()
    return 2.0


def new_result(direction: str, kernel: str = "rel_pos_attention") -> KernelResult:
    return KernelResult(kernel, "vit_b", 2, "fp32", direction)


def new_results(*kernels: KernelResult) -> Results:
    return Results("NVIDIA H100 80GB HBM3", {"torch": "2"}, "0123456789abcdef", "2026-01-01", list(kernels))


@pytest.mark.parametrize(("operation", "direction"), DIRECTIONS)
def test_what_is_right_is_timed_and_its_error_is_small(operation, direction):
    call, result = tiny_call(operation), new_result(direction, operation)
    bench.measure(call, OURS, dense.OPERATIONS[operation], result, run_once)
    assert result.failed == {} and result.milliseconds == {OURS: 2.0}
    if operation in COUNTING:
        assert result.relative_error[OURS] == 0
    else:
        assert 0 < result.relative_error[OURS] < 1e-5


def test_a_wrong_count_is_not_timed():
    def one_more(**arguments):
        return dense.mask_statistics(**arguments) + torch.eye(2, 8, dtype=torch.int32)

    result = new_result("forward", "mask_statistics")
    bench.measure(tiny_call("mask_statistics"), OURS, one_more, result, run_once)
    assert result.failed == {OURS: "ArithmeticError: output: 2 numbers differ"} and not result.milliseconds


@pytest.mark.parametrize("direction", bench.DIRECTIONS)
def test_ours_is_not_timed_when_it_is_wrong(direction):
    def forgets_the_columns(q, k, v, rel_h, rel_w, scale):
        return dense.rel_pos_attention(q, k, v, rel_h, 0 * rel_w, scale)

    call, result = tiny_call("rel_pos_attention"), new_result(direction)
    bench.measure(call, OURS, forgets_the_columns, result, run_once)
    assert result.milliseconds == {} and "wrong, the first at" in result.failed[OURS]
    bench.measure(call, "a peer", forgets_the_columns, result, run_once)
    assert result.milliseconds == {"a peer": 2.0} and result.relative_error["a peer"] > 0.1


def test_a_peer_that_raises_is_a_line_in_the_record():
    def fails(**tensors):
        raise RuntimeError("No available kernel.\n  Aborting execution.")

    result = new_result("forward")
    bench.measure(tiny_call("rel_pos_attention"), "a peer", fails, result, run_once)
    assert result.failed == {"a peer": "RuntimeError: Aborting execution."}
    assert any("failed: RuntimeError" in line for line in report(new_results(result)))


def test_backward_is_timed_without_its_forward():
    counted = []

    def counting(q, k, v, rel_h, rel_w, scale):
        counted.append(torch.is_grad_enabled())
        return dense.rel_pos_attention(q, k, v, rel_h, rel_w, scale)

    def run_thrice(call):
        for _ in range(3):
            call()
        return 1.0

    bench.time_direction(tiny_call("rel_pos_attention"), counting, "backward", run_thrice)
    assert counted == [True]
    bench.time_direction(tiny_call("rel_pos_attention"), counting, "forward", run_thrice)
    assert counted == [True, False, False, False]


def test_inputs_have_the_encoders_layout():
    qkv = torch.empty(2, 15, 3, 2, 16, device="meta").permute(2, 0, 3, 1, 4)
    shapes = dict(zip("qkv", qkv.unbind(0), strict=True))
    shapes |= {
        "rel_h": torch.empty(2, 2, 15, 3, device="meta"),
        "rel_w": torch.empty(2, 2, 15, 5, device="meta"),
    }
    call = bench.make_call("rel_pos_attention", shapes, {"scale": 0.25}, "cpu", torch.float32)
    assert call.inputs["k"].stride() == (15 * 96, 16, 96, 1)
    assert call.grad_out.shape == (2, 2, 15, 16)
    assert not torch.equal(call.inputs["q"], call.inputs["k"])


def test_the_plan_is_run_saved_after_each_shape_and_stopped_in_time(monkeypatch):
    monkeypatch.setattr(bench, "call_in_sam", lambda operation, *rest: tiny_shapes(operation))
    monkeypatch.setattr(bench, "DTYPE", torch.float32)
    monkeypatch.setattr(bench, "function_of", lambda operation: dense.OPERATIONS[operation])
    results, saved = new_results(), []
    plan = (("rel_pos_attention", "vit_b", 8), ("window_attention", "vit_b", 8))
    arguments = {"save": lambda: saved.append(len(results.kernels)), "device": "cpu", "timer": run_once}
    bench.measure_kernels(results, plan, False, bench.Deadline(5), **arguments)
    assert saved == [1, 2, 3, 4]
    for item in results.kernels:
        assert OURS in item.milliseconds and item.floor_milliseconds
        assert item.fraction_of_floor == pytest.approx(item.floor_milliseconds / 2.0)
        assert not any("compiled" in name for name in [*item.milliseconds, *item.failed])
    bench.measure_kernels(results, plan, False, bench.Deadline(-1), **arguments)
    assert saved == [1, 2, 3, 4]


def tiny_shapes(operation):
    case = make_case(operation, "tiny", SIZES[operation])
    return {n: torch.empty(a.shape, device="meta") for n, a in case.inputs.items()}, case.constants


def full_results() -> Results:
    kernel = KernelResult("rel_pos_attention", "vit_b", 8, "bf16", "forward", floor_milliseconds=0.5)
    kernel.milliseconds = {OURS: 1.0, "SDPA math, dense bias": 4.0, "SDPA flash, no bias": 0.9}
    kernel.relative_error = {OURS: 1e-3}
    kernel.failed = {"SDPA cuDNN, dense bias": "RuntimeError: no plan"}
    encoder = EncoderResult("vit_b", 8, "bf16", {OURS: 400.0, "transformers, sdpa": 100.0})
    results = new_results(kernel)
    results.encoder.append(encoder)
    return results


def test_the_record_keeps_everything_and_adds_what_follows_from_it(tmp_path):
    results = full_results()
    path = path_for(results.device, tmp_path)
    assert path.name == "nvidia-h100-80gb-hbm3.json"
    results.save(path)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    record = json.loads(path.read_text())
    assert record["kernels"][0]["ratios"] == {"SDPA math, dense bias": 4.0, "SDPA flash, no bias": 0.9}
    assert record["kernels"][0]["fraction_of_floor"] == 0.5
    assert record["encoder"][0]["ratios"] == {"transformers, sdpa": 4.0}
    assert committed_results(tmp_path) == [results]
    assert committed_results(tmp_path / "nowhere") == []


def test_a_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "device.json"
    full_results().save(path)
    before = path.read_bytes()
    monkeypatch.setattr(Results, "to_json", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        full_results().save(path)
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == [path.name]


def test_the_report_and_the_figure_show_ours_beside_the_others():
    text = "\n".join(report(full_results()))
    assert "4.00 ×" in text and "ours reaches 0.50 of it" in text and "400.0 images/s" in text
    assert "SDPA cuDNN, dense bias" in text and "failed: RuntimeError: no plan" in text
    file = io.BytesIO()
    save_bench_figure(file, full_results())
    assert min(Image.open(file).size) > 300
    with pytest.raises(ValueError, match="nothing to draw"):
        save_bench_figure(io.BytesIO(), new_results())
