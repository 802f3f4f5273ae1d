"""The kernel benchmark's encoder part, run without a GPU on a tiny network; the timer is a stand-in."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from minisam.bench import kernel_encoder, kernel_layers, kernels
from minisam.bench.agreement import TORCH, Agreement, complaint, worst
from minisam.bench.kernel_encoder import Encoders, measure_encoder
from minisam.bench.kernel_layers import measure_layers, results_of
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


@pytest.fixture(autouse=True)
def no_garbage_collection(monkeypatch):
    """With everything that a test run has loaded, a collection takes a second, and the benches make many."""
    monkeypatch.setattr(kernel_encoder.gc, "collect", lambda: 0)


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


FAULTS = {
    "zeros": lambda right: 0 * right,
    "1 % too large": lambda right: 1.01 * right,
    "transposed": lambda right: right.transpose(1, 2).contiguous(),
    "not a number": lambda right: right * torch.nan,
}


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def typed_encoders(request) -> Encoders:
    return Encoders(TINY, "cpu", getattr(torch, request.param))


@pytest.mark.parametrize("fault", FAULTS)
def test_our_encoder_is_not_timed_when_it_is_wrong(typed_encoders, monkeypatch, fault):
    ours = typed_encoders.ours
    result = EncoderResult("nano", 2, "bf16")
    contestants = {TORCH: ours, OURS: lambda x: FAULTS[fault](ours(x).transpose(1, 3)).transpose(1, 3)}
    monkeypatch.setattr(typed_encoders, "contestants", lambda compiled: contestants)
    measure_encoder(typed_encoders, result, False, Deadline(5), run_once)
    assert OURS not in result.images_per_second and TORCH in result.images_per_second
    assert result.failed[OURS].startswith("wrong: ")


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("fault", FAULTS)
def test_our_layers_are_not_timed_when_they_are_wrong(typed_encoders, monkeypatch, fault, direction):
    def with_fault(encoders, index):
        layer = encoders.ours.blocks[index].attn

        class Wrong(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return FAULTS[fault](x) if direction == "forward" else x.clone()

            @staticmethod
            def backward(ctx, grad):
                return FAULTS[fault](grad)

        yield TORCH, (layer, layer)
        yield OURS, (layer, lambda x: Wrong.apply(layer(x)))

    monkeypatch.setattr(kernel_layers, "layer_contestants", with_fault)
    results = Results("cpu", {}, "", "")
    measure_layers(typed_encoders, results, "nano", 2, run_once)
    for item in results.kernels:
        if item.direction == direction:
            assert item.failed[OURS].startswith("wrong: ") and OURS not in item.milliseconds
            assert TORCH in item.milliseconds


def test_weights_and_activations_have_real_sizes(encoders):
    """transformers' own initial weights are 1e-10: everything would agree with everything."""
    images = encoders.images(2)
    with torch.no_grad():
        embedding = encoders.ours(images)
        attended = encoders.ours.blocks[1].attn(encoders.ours.patch_embed(images))
    assert 0.3 < embedding.std() < 3 and 0.1 < attended.std() < 10
    for name, parameter in encoders.ours.named_parameters():
        assert parameter.abs().max() > 1e-3, name


def test_rounding_is_forgiven_and_a_factor_is_not():
    generator = torch.Generator().manual_seed(0)
    right = torch.randn(4000, generator=generator)
    noise = 0.01 * torch.randn(4000, generator=generator)
    torchs = Agreement.of(right + noise, right)
    assert complaint({TORCH: torchs, OURS: Agreement.of(right - 1.5 * noise, right)}) == ""
    assert "error" in complaint({TORCH: torchs, OURS: Agreement.of(right - 2.5 * noise, right)})
    assert "1.0100 times" in complaint({TORCH: torchs, OURS: Agreement.of(1.01 * right, right)})
    assert "wrong" in complaint({TORCH: torchs, OURS: Agreement.of(right, 0 * right)})
    assert complaint({OURS: torchs}) == complaint({TORCH: torchs}) == ""
    assert worst([torchs, Agreement(0.5, 0.9)]) == Agreement(0.5, pytest.approx(0.9))


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
        contestants = dict(kernel_layers.layer_contestants(encoders, index))
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


@pytest.mark.parametrize("quick", [True, False])
def test_the_most_important_parts_run_first(quick, monkeypatch):
    parts = []

    def seen(name, *places):
        def part(*arguments, **_):
            parts.append((name, *(arguments[place] for place in places)))

        return part

    models = {id(config): name for name, config in CONFIGS.items()}
    monkeypatch.setattr(kernels, "Encoders", lambda config, device, dtype: models[id(config)])
    monkeypatch.setattr(kernels, "measure_kernels", seen("kernels", 2))
    monkeypatch.setattr(
        kernels,
        "measure_encoder",
        lambda encoders, result, compiled, *_: parts.append(("encoder", encoders, result.batch, compiled)),
    )
    monkeypatch.setattr(kernels, "measure_layers", seen("layers", 0, 3))
    saved = []
    kernels.run(Results("cpu", {}, "", ""), lambda: saved.append(len(parts)), quick, Deadline(10))
    first = [("kernels", False), ("encoder", "vit_b", 8, False), ("layers", "vit_b", 8)]
    rest = [("encoder", "vit_b", 1, False), ("layers", "vit_b", 1)]
    rest += [("encoder", name, batch, False) for name in ("vit_h", "vit_l") for batch in (8, 1)]
    rest += [("kernels", True), *[("encoder", name, 8, True) for name in ("vit_b", "vit_h", "vit_l")]]
    assert parts == (first if quick else first + rest)
    assert saved == ([3] if quick else [3, 5, 6, 7, 8, 9, 11, 12, 13])


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


def test_results_are_those_of_the_last_image():
    torch.manual_seed(0)
    layer, tokens = torch.nn.Linear(4, 4), torch.randn(3, 2, 2, 4)
    with torch.no_grad():
        assert results_of(layer, layer, tokens, "forward")["output"].equal(layer(tokens[2:]))
    alone = results_of(layer, layer, tokens[2:], "backward")
    for name, gradient in results_of(layer, layer, tokens, "backward").items():
        torch.testing.assert_close(gradient, alone[name], msg=name)
    assert alone.keys() == {"tokens", "weight", "bias"}


SHAPES = {"softmax": (2, 5)}


@pytest.mark.parametrize(("factor", "code"), [(1.0, 0), (1.01, 4)])
def test_a_function_of_the_users_is_measured_beside_ours(monkeypatch, tmp_path, capsys, factor, code):
    from minisam_kernels.lab import bench

    def tiny(operation, dtype, head_dim, batch, heads):
        return {"x": torch.empty(SHAPES[operation], dtype=dtype, device="meta")}, {"scale": 1.0}

    def mine(x, scale):
        return factor * torch.softmax(scale * x, -1)

    monkeypatch.setattr(bench, "call_in_sam", tiny)
    monkeypatch.setattr(bench, "DTYPE", torch.float32)
    here = {"device": "cpu", "timer": run_once}
    out = tmp_path / "one.json"
    assert kernels.bench_one("softmax", mine, "mine.py:mine", out, 1.0, True, **here) == code
    results = Results.from_json(capsys.readouterr().out)
    assert results == Results.from_json(out.read_text())
    assert [(item.kernel, item.batch, item.direction) for item in results.kernels] == [
        ("softmax", 8, "forward"),
        ("softmax", 8, "backward"),
    ]
    for item in results.kernels:
        assert item.milliseconds.keys() == {OURS, "torch"} | ({"mine.py:mine"} if code == 0 else set())
        assert ("mine.py:mine" in item.failed) == (code == 4)
    lines = kernels.fractions_of_floor("softmax", mine, "mine.py:mine", "vit_b", 8, **here)
    what = "4000.0 µs on cpu" if code == 0 else "ArithmeticError: output: wrong"
    assert len(lines) == 2 and lines[0].startswith(f"mine.py:mine forward: {what}")
