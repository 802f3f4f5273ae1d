"""The whole network on the kernels gives what it gives on PyTorch, in evaluation and in training."""

from __future__ import annotations

import copy
import importlib
import subprocess
import sys

import pytest
import torch
from strategies import normal

import minisam
from minisam import backend
from minisam.config import SamConfig, build_from_config
from minisam.errors import MinisamError
from minisam.model.attention import Attention
from minisam.model.fast.fused_two_way_transformer import fused_two_way_transformer, fusing_is_open
from minisam.model.fast.kernel_choice import kernel_for, torch_alone
from minisam.model.image_encoder import Block
from minisam.model.rel_pos_attention import RelPosAttention
from minisam.model.two_way_transformer import TwoWayTransformer
from minisam.model.window_attention import WindowAttention
from minisam.train.presets import Phase, Recipe
from minisam.train.sam_run import sam_run
from minisam_kernels.lab.error_rule import compare
from minisam_kernels.launch import INTERPRETED

pytestmark = [] if INTERPRETED else [pytest.mark.gpu]
DEVICE = "cpu" if INTERPRETED else "cuda"
# Windows that do not divide the grid; heads of 24, of 16 and, to be padded, of 8.
CONFIG = SamConfig(
    encoder_dim=48,
    encoder_depth=2,
    encoder_heads=2,
    global_attn_indexes=(1,),
    image_size=40,
    patch_size=8,
    window_size=3,
    prompt_dim=32,
    mask_in_chans=4,
    decoder_heads=2,
    decoder_mlp_dim=32,
    iou_head_hidden_dim=32,
)
ONE_STEP = Recipe(
    steps=1, phases=(Phase(0.0, 64, 1, 2, object_scale=2.0),), warmup=1, drop_path=0.0, dropout=0.0
)


@pytest.fixture
def used(monkeypatch):
    """The kernels that were requested and found."""
    found = []

    def recorded(operation, tensor, head_dim):
        kernel = original(operation, tensor, head_dim)
        found.extend([operation] if kernel is not None else [])
        return kernel

    original = backend.kernel
    monkeypatch.setattr(backend, "kernel", recorded)
    return found


def tiny_sam():
    torch.manual_seed(0)
    sam = build_from_config(CONFIG).to(DEVICE)
    for block in sam.image_encoder.blocks:
        torch.nn.init.trunc_normal_(block.attn.rel_pos_h, std=0.5)
        torch.nn.init.trunc_normal_(block.attn.rel_pos_w, std=0.5)
    return sam


def test_the_whole_network_gives_the_same(used):
    sam = tiny_sam()
    images = torch.tensor(normal(0, 2, 3, 40, 40), dtype=torch.float32, device=DEVICE)
    request = [
        {
            "image": 50 * image + 120,
            "original_size": (40, 40),
            "point_coords": torch.tensor([[[10.0, 20.0], [30.0, 5.0]]], device=DEVICE),
            "point_labels": torch.tensor([[1, 0]], device=DEVICE),
        }
        for image in images
    ]
    results = {}
    for name in ("torch", "triton"):
        with torch.no_grad(), minisam.use_backend(name):
            results[name] = sam(request, multimask_output=True)
    decoders = {"cross_attention", "token_to_image", "image_to_token"}
    assert {"rel_pos_attention", "window_attention"} | decoders == set(used)
    for expected, got in zip(results["torch"], results["triton"], strict=True):
        for key in ("iou_predictions", "low_res_logits"):
            torch.testing.assert_close(got[key], expected[key], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("prompts", "tokens", "heads"), [(1, 7, 2), (3, 5, 3)])
def test_the_transformer_on_absorbed_kernels_gives_what_the_plain_one_gives(prompts, tokens, heads, used):
    torch.manual_seed(0)
    width = 32 * heads
    plain = TwoWayTransformer(2, width, heads, mlp_dim=10).to(DEVICE).eval()
    for parameter in plain.parameters():
        parameter.data.add_(0.2 * torch.randn(parameter.shape).to(DEVICE))
    shapes = (prompts, width, 3, 5), (1, width, 3, 5), (prompts, tokens, width)
    inputs = [torch.tensor(normal(3, *shape), dtype=torch.float32, device=DEVICE) for shape in shapes]
    with torch.no_grad():
        torchs = plain(*inputs)
        expected = copy.deepcopy(plain).double()(*(x.double() for x in inputs))
        with minisam.use_backend("triton"):
            assert fusing_is_open(plain, inputs[2], inputs[1])
            used.clear()
            got = fused_two_way_transformer(plain, *inputs)
    assert used.count("token_to_image") == 3 and used.count("image_to_token") == 2
    for out, wanted, same_precision in zip(got, expected, torchs, strict=True):
        verdict = compare("output", out, wanted.cpu().numpy(), same_precision)
        assert verdict.ok, verdict.explain()


def test_where_absorbed_kernels_are_not_chosen():
    plain = TwoWayTransformer(1, 32, 2, mlp_dim=10).eval()
    few, many, pe = torch.zeros(1, 7, 32), torch.zeros(1, 17, 32), torch.zeros(1, 32, 3, 5)
    with torch.no_grad():
        assert not fusing_is_open(plain, few, pe)  # "auto" on a CPU
        with minisam.use_backend("triton"):
            assert fusing_is_open(plain, few, pe) and not fusing_is_open(plain, many, pe)
            assert not fusing_is_open(plain.train(), few, pe)
            assert not fusing_is_open(torch.nn.Identity(), few, pe)
            hook = plain.eval().layers[0].norm1.register_forward_hook(lambda *_: None)
            assert not fusing_is_open(plain, few, pe)
            hook.remove()
            with torch.enable_grad():
                assert not fusing_is_open(plain, few, pe)
    on_cuda = type("Tensor", (), {"device": torch.device("cuda"), "dtype": torch.float16})()
    with minisam.use_backend("auto"):
        assert kernel_for("token_to_image", on_cuda, 256) is None
    with minisam.use_backend("triton"):
        assert kernel_for("image_to_token", on_cuda, 256) is not None
        assert kernel_for("image_to_token", on_cuda, 264) is kernel_for("token_to_image", on_cuda, 20) is None


def test_a_training_step_gives_the_same_gradients(tmp_path, used):
    runs, rows = {}, {}
    for name in ("torch", "triton"):
        with minisam.use_backend(name):
            runs[name] = sam_run("nano", tmp_path / name, ONE_STEP, device=DEVICE)
            rows[name] = runs[name].train_step()
    assert {"rel_pos_attention", "window_attention", "cross_attention"} == set(used)
    assert rows["triton"][0].item() == pytest.approx(rows["torch"][0].item(), rel=1e-5)
    expected = dict(runs["torch"].task.sam.named_parameters())
    largest = max(x.grad.abs().max().item() for x in expected.values() if x.grad is not None)
    for name, parameter in runs["triton"].task.sam.named_parameters():
        wanted = expected[name].grad
        assert (wanted is None) == (parameter.grad is None), name
        if wanted is not None:
            torch.testing.assert_close(parameter.grad, wanted, rtol=1e-3, atol=1e-5 * largest, msg=name)


@pytest.mark.parametrize("window_size", [0, 3])
def test_an_encoder_block_compiles_into_one_graph(window_size):
    torch.manual_seed(0)
    block = Block(
        32, 2, use_rel_pos=True, rel_pos_zero_init=False, window_size=window_size, input_size=(4, 5)
    )
    block.to(DEVICE).train()
    x = torch.tensor(normal(1, 1, 4, 5, 32), dtype=torch.float32, device=DEVICE, requires_grad=True)
    expected = block(x)
    (wanted,) = torch.autograd.grad(expected.square().sum(), x)
    with minisam.use_backend("triton"):
        out = torch.compile(block, fullgraph=True, backend="aot_eager")(x)
        (grad,) = torch.autograd.grad(out.square().sum(), x)
    torch.compiler.reset()
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(grad, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("operation", "widths"),
    [
        ("token_to_image", range(16, 257, 8)),
        ("image_to_token", range(16, 257, 8)),
        ("window_attention", range(16, 129, 8)),
        ("rel_pos_attention", range(4, 129, 4)),
        ("cross_attention", range(4, 129, 4)),
    ],
)
def test_the_widths_that_have_a_kernel(operation, widths):
    with minisam.use_backend("triton"):
        found = [width for width in range(4, 300, 4) if kernel_for(operation, torch.zeros(1), width)]
    assert found == list(widths)


@pytest.mark.parametrize("head_dim", [8, 12, 20])
def test_heads_of_other_widths_are_padded(head_dim, used):
    torch.manual_seed(0)
    module = RelPosAttention(2 * head_dim, 2, input_size=(3, 4)).to(DEVICE)
    torch.nn.init.normal_(module.rel_pos_h)
    attention = Attention(2 * head_dim, 2).to(DEVICE)
    x = torch.tensor(normal(0, 1, 3, 4, 2 * head_dim), dtype=torch.float32, device=DEVICE)
    tokens = x.flatten(1, 2)
    expected = module(x), attention(tokens[:, :5], tokens, tokens)
    with minisam.use_backend("triton"):
        got = module(x), attention(tokens[:, :5], tokens, tokens)
    assert used == ["rel_pos_attention", "cross_attention"]
    for out, wanted in zip(got, expected, strict=True):
        torch.testing.assert_close(out, wanted, rtol=1e-4, atol=1e-5)


def test_what_has_no_kernel_is_left_to_torch(used):
    x = torch.tensor(normal(0, 1, 3, 4, 272), dtype=torch.float32, device=DEVICE)
    dropping = Attention(32, 2, dropout=0.5).to(DEVICE).train()
    without_positions = WindowAttention(32, 2, use_rel_pos=False, window_size=2).to(DEVICE)
    narrow_windows = WindowAttention(24, 2, window_size=2).to(DEVICE)
    with minisam.use_backend("triton"):
        assert RelPosAttention(272, 2, input_size=(3, 4)).to(DEVICE)(x).shape == x.shape
        assert dropping(*[x[0, ..., :32]] * 3).shape == (3, 4, 32)
        assert without_positions(x[..., :32]).shape == (1, 3, 4, 32)
        assert narrow_windows(x[..., :24]).shape == (1, 3, 4, 24)
        assert not used
        dropping.eval()(*[x[0, ..., :32]] * 3)
    assert used == ["cross_attention"]


@pytest.mark.parametrize(
    "module", [RelPosAttention(32, 2, input_size=(3, 4)), WindowAttention(32, 2, window_size=2)]
)
def test_autocast_reaches_the_kernels_in_one_type(module, used):
    dtype = torch.float16
    x = torch.tensor(normal(0, 1, 3, 4, 32), dtype=torch.float32, device=DEVICE)
    module = module.to(DEVICE)
    expected = module(x)
    with torch.autocast(DEVICE, dtype), minisam.use_backend("triton"):
        out = module(x)
    assert out.dtype == dtype and len(used) == 1
    torch.testing.assert_close(out.float(), expected, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("padding", [0, 8])
def test_the_position_bias_has_the_type_of_the_queries(padding, monkeypatch):
    seen = []

    def kernel(q, k, v, rel_h, rel_w, scale):
        seen.append((q.shape[-1], rel_h.dtype, rel_w.dtype, scale))
        return v

    module = importlib.import_module("minisam_kernels.rel_pos_attention")
    monkeypatch.setattr(module, "rel_pos_attention", kernel)
    q, bias = torch.zeros(1, 1, 4, 16, dtype=torch.float16), torch.zeros(1, 1, 4, 2)
    assert backend.rel_pos(q, q, q, bias, bias, 0.5, padding).shape == q.shape
    assert seen == [(16 + padding, torch.float16, torch.float16, 0.5)]


def test_auto_takes_kernels_on_a_cuda_device_alone():
    for device, dtype, wanted in (
        ("cpu", torch.float32, False),
        ("cuda", torch.float32, True),
        ("cuda", torch.bfloat16, True),
        ("cuda", torch.float64, False),
    ):
        tensor = torch.empty(0, dtype=dtype, device="meta")
        stand_in = type("Tensor", (), {"device": torch.device(device), "dtype": tensor.dtype})()
        with minisam.use_backend("auto"):
            assert (kernel_for("rel_pos_attention", stand_in, 64) is not None) == wanted
        with minisam.use_backend("torch"):
            assert kernel_for("rel_pos_attention", stand_in, 64) is None


def test_a_choice_lasts_as_long_as_its_context():
    stand_in = torch.empty(0)

    def chosen():
        return kernel_for("cross_attention", stand_in, 16) is not None

    assert not chosen()
    with minisam.use_backend("triton"):
        assert chosen()
        with pytest.raises(KeyError), minisam.use_backend("torch"):
            assert not chosen()
            raise KeyError
        assert chosen()
    assert not chosen()
    minisam.use_backend("triton")
    assert chosen()
    minisam.use_backend("auto")
    assert not chosen()


def test_bad_names_and_missing_triton_are_named(monkeypatch):
    with pytest.raises(MinisamError, match="no backend 'cuda'; use auto, torch, triton"):
        minisam.use_backend("cuda")
    monkeypatch.setattr(backend, "has_triton", lambda: False)
    with pytest.raises(MinisamError, match="needs the package triton"):
        minisam.use_backend("triton")
    with minisam.use_backend("auto"):
        assert backend.choose_kernels_by(torch_alone) is torch_alone


def test_triton_without_a_device_is_refused_in_one_line():
    program = "import minisam\ntry: minisam.use_backend('triton')\nexcept minisam.MinisamError as e: print(e)"
    environment = {"PATH": "", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert (
        done.returncode == 0 and "needs a CUDA device; use 'torch', or set TRITON_INTERPRET=1" in done.stdout
    )


def test_importing_minisam_imports_no_kernel():
    program = "import sys, minisam; print([m for m in sys.modules if m.split('.')[0] in ('triton', 'minisam_kernels')])"
    environment = {"PATH": "", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
