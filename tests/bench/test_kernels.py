"""The kernel benchmark's encoder part, run without a GPU on a tiny network; the timer is a stand-in."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from minisam.bench import kernel_encoder, kernels
from minisam.bench.kernel_encoder import TORCH, Encoders, measure_encoder, measure_layers
from minisam.config import CONFIGS
from minisam_kernels.lab.bench import Deadline
from minisam_kernels.lab.results import OURS, EncoderResult, KernelResult, Results

pytest.importorskip("transformers", reason="pip install -e '.[test]' brings transformers")

TINY = replace(
    CONFIGS["nano"],
    encoder_dim=32,
    encoder_heads=1,
    encoder_depth=2,
    global_attn_indexes=(1,),
    window_size=5,
)


@pytest.fixture(scope="module")
def encoders() -> Encoders:
    return Encoders(TINY, "cpu", torch.float32)


def run_once(call) -> float:
    call()
    return 4.0


def test_all_contestants_give_the_same_embedding(encoders):
    result = EncoderResult("nano", 2, "fp32")
    measure_encoder(encoders, result, False, Deadline(5), run_once)
    assert result.failed == {}
    assert set(result.images_per_second) == {OURS, TORCH, "transformers, eager", "transformers, sdpa"}
    assert all(speed == 500.0 for speed in result.images_per_second.values())
    assert max(result.relative_error.values()) < 1e-5


def test_our_encoder_is_not_timed_when_it_is_wrong(encoders, monkeypatch):
    result = EncoderResult("nano", 2, "fp32")
    wrong = {TORCH: encoders.ours, OURS: lambda x: 2 * encoders.ours(x)}
    monkeypatch.setattr(encoders, "contestants", lambda compiled: wrong)
    measure_encoder(encoders, result, False, Deadline(5), run_once)
    assert OURS not in result.images_per_second and TORCH in result.images_per_second
    assert result.failed[OURS].startswith("wrong: error ")


@pytest.mark.ci
def test_layers_are_timed_in_both_directions(encoders):
    results = Results("cpu", {}, "", "")
    measure_layers(encoders, results, "nano", 1, run_once)
    assert [(item.kernel, item.direction) for item in results.kernels] == [
        (f"{kernel} layer", direction)
        for kernel in ("rel_pos_attention", "window_attention")
        for direction in ("forward", "backward")
    ]
    for item in results.kernels:
        assert item.failed == {} and len(item.milliseconds) == 4


def test_transformers_layers_compute_what_ours_do(encoders):
    tokens = torch.randn(2, 8, 8, TINY.encoder_dim, generator=torch.Generator().manual_seed(3))
    for index in range(TINY.encoder_depth):
        contestants = dict(kernel_encoder.layer_contestants(encoders, index))
        with torch.no_grad():
            outputs = {name: attend(tokens) for name, (_, attend) in contestants.items()}
        for out in outputs.values():
            torch.testing.assert_close(out, outputs[TORCH])


def test_nothing_is_started_when_the_time_is_up(encoders, monkeypatch):
    result = EncoderResult("nano", 1, "fp32")
    measure_encoder(encoders, result, False, Deadline(-1), run_once)
    assert result.images_per_second == {} and result.failed == {}
    saved = []
    results = Results("cpu", {}, "", "")
    kernels.run(results, lambda: saved.append(True), False, Deadline(-1))
    assert results.kernels == [] and results.encoder == [] and saved == []


def test_the_commit_is_named():
    assert kernels.commit() == "unknown" or len(kernels.commit().rstrip("+")) == 40


def fill_with(monkeypatch, tmp_path, failed: dict[str, str], error: type[Exception] | None = None):
    """`bench` on a device that is not there, whose run measures one kernel and then, perhaps, breaks."""

    def run(results, save, quick, deadline):
        item = KernelResult("attention", "vit_b", 8, "bf16", "forward", {OURS: 1.0, "torch": 2.0}, {}, failed)
        results.kernels.append(item)
        save()
        if error is not None:
            raise error("the GPU is gone")

    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Some GPU")
    monkeypatch.setattr(kernels, "run", run)
    return kernels.bench(tmp_path / "some-gpu.json", False, 1.0, False)


def test_a_run_leaves_its_record_its_figure_and_a_report(monkeypatch, tmp_path, capsys):
    assert fill_with(monkeypatch, tmp_path, {}) == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == ["some-gpu.json", "some-gpu.png"]
    printed = capsys.readouterr().out
    assert "Some GPU" in printed and "2.00 ×" in printed and "1000.0 µs" in printed


def test_a_run_that_breaks_leaves_what_it_had(monkeypatch, tmp_path, capsys):
    with pytest.raises(RuntimeError, match="the GPU is gone"):
        fill_with(monkeypatch, tmp_path, {}, RuntimeError)
    assert (tmp_path / "some-gpu.json").exists() and "2.00 ×" in capsys.readouterr().out


def test_a_wrong_result_of_ours_is_exit_code_4(monkeypatch, tmp_path, capsys):
    assert fill_with(monkeypatch, tmp_path, {OURS: "ArithmeticError: wrong"}) == kernels.WRONG
    assert "failed: ArithmeticError: wrong" in capsys.readouterr().out
