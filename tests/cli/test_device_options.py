"""--device and --backend: the same records whichever code computes them, and one line where something is missing."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode

from minisam import backend
from minisam.bench.twins import randomise
from minisam.checkpoint import save_checkpoint
from minisam.cli import device_options, segment
from minisam.cli.device_options import chosen_device
from minisam.cli.main import main
from minisam.config import CONFIGS, build_from_config
from minisam.data.sa1b import read_record
from minisam.errors import MinisamError
from minisam.masks.rle import decode_rle
from minisam.model import Sam
from minisam.model.fast.kernel_choice import kernel_for
from minisam_kernels.launch import INTERPRETED

SMALL = replace(
    CONFIGS["nano"],
    encoder_dim=32,
    encoder_depth=2,
    encoder_heads=2,
    global_attn_indexes=(1,),
    image_size=32,
    window_size=3,
    prompt_dim=32,
    decoder_heads=2,
    decoder_mlp_dim=32,
    iou_head_hidden_dim=32,
)
KERNELS = {"token_to_image", "image_to_token", "rel_pos_attention", "window_attention", "cross_attention"}
MASK_KERNELS = {"mask_statistics", "mask_bits"}
CLICKS = ["--points-per-side", "1", "--pred-iou-thresh", "0", "--stability-score-thresh", "0"]
COMMANDS = {"amg": [*CLICKS, "--box-nms-thresh", "1"], "segment": ["--point", "10,10"]}


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    sam = build_from_config(SMALL)
    randomise(sam, seed=0)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_checkpoint(sam, path, metadata={})
    return path


@pytest.fixture
def photo(tmp_path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 26, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


class Kernels(TorchDispatchMode):
    """The names of our kernels that are called."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.name().startswith("minisam::"):
            self.names.add(func.name().removeprefix("minisam::").split(".")[0])
        return func(*args, **(kwargs or {}))


needs_interpreter = pytest.mark.skipif(
    not INTERPRETED, reason="kernels are compiled and take no CPU tensors; un-skip: run without a GPU"
)


@needs_interpreter
def test_records_do_not_depend_on_the_backend(weights, photo, tmp_path):
    records = {}
    for name in ("torch", "triton"):
        arguments = ["amg", str(photo), "-o", str(tmp_path / name), "--checkpoint", str(weights)]
        with Kernels() as seen:
            assert main([*arguments, *COMMANDS["amg"], "--backend", name]) == 0
        assert seen.names == (KERNELS | MASK_KERNELS if name == "triton" else set())
        assert kernel_for("mask_bits", torch.zeros(1), 8) is None  # as it was before
        records[name] = read_record(tmp_path / name / "photo.json")
    ours, wanted = records["triton"], records["torch"]
    assert ours["image"] == wanted["image"] and ours["generator"] == wanted["generator"]  # type: ignore
    assert len(ours["annotations"]) == len(wanted["annotations"]) == 3
    for one, other in zip(ours["annotations"], wanted["annotations"], strict=True):
        assert one["point_coords"] == other["point_coords"]  # type: ignore
        for score in ("predicted_iou", "stability_score"):
            assert one[score] == pytest.approx(other[score], abs=1e-3)  # type: ignore
        masks = [decode_rle(record["segmentation"]) for record in (one, other)]  # type: ignore
        assert masks[0].any() and (masks[0] != masks[1]).mean() < 1e-3


@needs_interpreter
def test_a_prompt_by_kernels(weights, photo):
    with Kernels() as seen:
        arguments = ["segment", str(photo), "--point", "10,10", "--checkpoint", str(weights)]
        assert main([*arguments, "--backend", "triton"]) == 0
    assert seen.names == KERNELS


@pytest.mark.parametrize("command", COMMANDS)
def test_the_network_is_brought_to_the_device(command, weights, photo, monkeypatch):
    moved = []
    monkeypatch.setattr("minisam.device.check_device", lambda name: name)
    monkeypatch.setattr(Sam, "to", lambda self, device: moved.append(device) or self)
    arguments = [command, str(photo), *COMMANDS[command], "--checkpoint", str(weights)]
    assert main([*arguments, "--device", "cuda:7"]) == 0
    assert main(arguments) == 0
    assert moved == ["cuda:7", "cpu"]


def test_the_token_of_a_text_is_brought_there_too(photo, monkeypatch):
    sam, moved = build_from_config(SMALL), []

    class Token:
        def to(self, device: str) -> torch.Tensor:
            moved.append(device)
            return torch.zeros(1, 1, SMALL.prompt_dim)

    monkeypatch.setattr(segment, "describe", lambda thing, checkpoint: (sam, Token()))
    assert main(["segment", str(photo), "--text", "red wheel"]) == 0
    assert moved == ["cpu"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_device_that_is_not_there(command, weights, photo, capsys):
    arguments = [command, str(photo), *COMMANDS[command], "--checkpoint", str(weights)]
    assert main([*arguments, "--device", "tpu"]) == 2
    assert capsys.readouterr().err.startswith("minisam: no device 'tpu' on this machine; use cpu")
    assert [file.name for file in photo.parent.iterdir()] == ["photo.png"]


def choose(device: str, name: str) -> str:
    with chosen_device(argparse.Namespace(device=device, backend=name, threads=None)) as chosen:
        return chosen


def test_a_backend_that_cannot_run_there(monkeypatch):
    monkeypatch.setattr("minisam_kernels.launch.INTERPRETED", False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        MinisamError, match="the triton backend needs a CUDA device; use 'torch', or set TRITON"
    ):
        choose("cpu", "triton")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    before = kernel_for("mask_bits", torch.zeros(1), 8)
    with pytest.raises(MinisamError, match="the triton backend has no kernels for 'cpu': add --device cuda"):
        choose("cpu", "triton")
    assert kernel_for("mask_bits", torch.zeros(1), 8) == before
    assert choose("cuda:1", "triton") == "cuda:1" and choose("cpu", "torch") == choose("cpu", "auto") == "cpu"
    with chosen_device(argparse.Namespace(device="cpu", backend="auto", threads=None)):
        assert kernel_for("mask_bits", torch.zeros(1), 8) is None
    monkeypatch.setattr("minisam_kernels.launch.INTERPRETED", True)
    assert choose("cpu", "triton") == "cpu"
    with pytest.raises(MinisamError, match="no kernels for 'cuda'"):
        choose("cuda", "triton")
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    assert choose("mps", "auto") == "mps"
    with pytest.raises(MinisamError, match="no kernels for 'mps'"):
        choose("mps", "triton")


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["torch", "triton"])
def test_records_on_a_gpu(name, weights, photo, tmp_path):
    arguments = ["amg", str(photo), "--checkpoint", str(weights), *COMMANDS["amg"]]
    assert main([*arguments, "-o", str(tmp_path / "cpu")]) == 0
    assert main([*arguments, "-o", str(tmp_path / "gpu"), "--device", "cuda", "--backend", name]) == 0
    ours, wanted = (read_record(tmp_path / place / "photo.json") for place in ("gpu", "cpu"))
    assert ours["generator"] == wanted["generator"]  # type: ignore
    assert len(ours["annotations"]) == len(wanted["annotations"]) == 3


def test_backends_are_those_that_there_are():
    assert device_options.BACKENDS == backend.BACKENDS
