"""`minisam convert`: every format into every other, without a changed weight, and nothing overwritten."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest
import torch
from small_networks import outputs, small_sam

from minisam.adapt.files import save_adapter
from minisam.adapt.methods import Method, adapt
from minisam.adapt.peft_files import save_for_peft
from minisam.checkpoint import load_checkpoint, save_checkpoint
from minisam.checkpoint.huggingface_folder import save_for_transformers
from minisam.cli.main import main
from minisam.config import SamConfig, build_from_config

PLAIN = SamConfig(16, 2, 2, (1,), image_size=32, patch_size=8, window_size=3, prompt_dim=32, mask_in_chans=4,
                  decoder_mlp_dim=16, iou_head_hidden_dim=8)  # fmt: skip
"""Eight heads in the decoder, as published: a .pth file says all about it."""
WRITERS = {
    "ours.safetensors": save_checkpoint,
    "official.pth": lambda sam, path: torch.save(sam.state_dict(), path),
    "folder": save_for_transformers,
}


def convert(*words: object) -> int:
    return main(["convert", *map(str, words)])


def same(sam, other) -> bool:
    one, two = sam.state_dict(), other.state_dict()
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


@pytest.fixture
def sam():
    torch.manual_seed(0)
    return build_from_config(PLAIN)


@pytest.mark.parametrize("out", ["new.safetensors", "new.pth", "new.PT", "new", "deep/new"])
@pytest.mark.parametrize("given", WRITERS)
def test_all_directions(given, out, sam, tmp_path, capsys):
    WRITERS[given](sam, tmp_path / given)
    assert convert(tmp_path / given, tmp_path / out) == 0
    said = capsys.readouterr()
    assert not said.err and said.out.count("\n") == 1 and "no place" not in said.out
    assert same(load_checkpoint(tmp_path / out), sam)
    assert zipfile.is_zipfile(tmp_path / out) == out.lower().endswith((".pth", ".pt"))


def test_a_torch_file_loads_into_the_original_names(sam, tmp_path):
    save_checkpoint(sam, tmp_path / "a.safetensors")
    convert(tmp_path / "a.safetensors", tmp_path / "a.pth")
    build_from_config(PLAIN).load_state_dict(torch.load(tmp_path / "a.pth", weights_only=True), strict=True)


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "model.", "module._orig_mod.model.sam."])
def test_prefixes_of_wrappers_are_removed(prefix, sam, tmp_path):
    state = {prefix + key: tensor for key, tensor in sam.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3, "global_step": 70}, tmp_path / "a.ckpt")
    assert convert(tmp_path / "a.ckpt", tmp_path / "a.pth") == 0
    assert same(load_checkpoint(tmp_path / "a.pth"), sam)


def test_a_decoder_goes_into_its_base(sam, tmp_path, capsys):
    save_checkpoint(sam, tmp_path / "base.safetensors")
    torch.manual_seed(1)
    other = build_from_config(PLAIN)
    torch.save(other.mask_decoder.state_dict(), tmp_path / "decoder.pth")
    base = ["--base", tmp_path / "base.safetensors"]
    assert convert(tmp_path / "decoder.pth", tmp_path / "whole.pth", *base) == 0
    assert "tensors from" in capsys.readouterr().out
    whole = load_checkpoint(tmp_path / "whole.pth")
    assert same(whole.mask_decoder, other.mask_decoder) and same(whole.image_encoder, sam.image_encoder)
    assert convert(tmp_path / "decoder.pth", tmp_path / "other.pth") == 3
    assert "--base" in capsys.readouterr().err


@pytest.mark.parametrize("writer", [save_adapter, save_for_peft])
def test_an_adapter_is_merged_into_its_base(writer, tmp_path, capsys):
    adapted = adapt(small_sam(), Method("lora"))
    with torch.no_grad():
        for parameter in adapted.sam.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape))
    save_checkpoint(small_sam(), tmp_path / "base.safetensors")
    path = tmp_path / ("lora.safetensors" if writer is save_adapter else "lora")
    writer(adapted, path)
    assert convert(path, tmp_path / "new.safetensors") == 2
    assert "--base" in capsys.readouterr().err
    assert convert(path, tmp_path / "new.safetensors", "--base", tmp_path / "base.safetensors") == 0
    with torch.no_grad():
        merged = outputs(load_checkpoint(tmp_path / "new.safetensors"))
        for one, other in zip(outputs(adapted.sam), merged, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_what_a_format_cannot_hold_is_said(tmp_path, capsys):
    sam = small_sam()
    sam.set_image_size(96)
    sam.pixel_mean.fill_(100.0)
    sam.mask_threshold = 0.5
    save_checkpoint(sam, tmp_path / "a.safetensors")
    heard = {}
    for out in ("a.pth", "folder", "b.safetensors", "c.SafeTensors"):
        convert(tmp_path / "a.safetensors", tmp_path / out)
        heard[out] = capsys.readouterr().out
    for word in (
        "image_size 96",
        "pixel_mean [100.0, 100.0, 100.0]",
        "mask_threshold 0.5",
        "decoder_heads 2",
    ):
        assert word in heard["a.pth"] and word not in heard["b.safetensors"] + heard["c.SafeTensors"]
    assert "image_size 96" in heard["folder"] and "mask_threshold 0.5" in heard["folder"]
    assert "pixel_mean" not in heard["folder"] and "decoder_heads" not in heard["folder"]


@pytest.mark.parametrize(
    ("out", "code", "says"),
    [
        ("a.safetensors", 2, "exists and is not replaced"),
        ("full", 2, "exists and is not replaced"),
        ("a.onnx", 2, "use a name that ends in .safetensors, .pth, .pt"),
        ("nodir/a.pth", 2, "there is no folder"),
        ("a.safetensors/x", 2, "is no folder"),
    ],
)
def test_nothing_is_overwritten(out, code, says, sam, tmp_path, capsys):
    save_checkpoint(sam, tmp_path / "a.safetensors")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "photo.txt").write_text("mine")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert convert(tmp_path / "a.safetensors", tmp_path / out) == code
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and says in error
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


@pytest.mark.skipif(os.name != "posix", reason="needs a pipe: run it on Linux")
def test_a_pipe_is_neither_read_nor_replaced(sam, tmp_path, capsys):
    pipe, base = tmp_path / "model.safetensors", tmp_path / "base.safetensors"
    os.mkfifo(pipe)
    save_checkpoint(sam, base)
    for words in ([str(pipe), "out.pth"], [str(pipe), "out.pth", "--base", str(base)]):
        assert main(["convert", *words]) == 3
        assert "not a file but a broken link, a pipe or a device" in capsys.readouterr().err
    assert main(["convert", str(base), "out.pth", "--average", str(pipe)]) == 3
    assert main(["train", "-o", str(tmp_path)]) == 2  # its result would have this name
    assert "is not replaced" in capsys.readouterr().err


def test_an_empty_folder_is_filled(sam, tmp_path):
    save_checkpoint(sam, tmp_path / "a.safetensors")
    (tmp_path / "empty").mkdir()
    assert convert(tmp_path / "a.safetensors", tmp_path / "empty") == 0
    assert {path.name for path in Path(tmp_path / "empty").iterdir()} == {
        "model.safetensors", "config.json", "preprocessor_config.json",
    }  # fmt: skip


@pytest.mark.parametrize("out", ["b.safetensors", "b.pth"])
def test_another_image_size_changes_no_weight(out, sam, tmp_path, capsys):
    save_checkpoint(sam, tmp_path / "a.safetensors")
    assert convert(tmp_path / "a.safetensors", tmp_path / out, "--image-size", 48) == 0
    loaded, has_place = load_checkpoint(tmp_path / out), out.endswith(".safetensors")
    assert same(loaded, sam) and loaded.image_encoder.img_size == (48 if has_place else 32)
    assert ("no place for image_size 48" in capsys.readouterr().out) != has_place


@pytest.mark.parametrize("size", ["20", "8200", "0"])
def test_an_image_size_that_no_network_can_have_writes_nothing(size, sam, tmp_path, capsys):
    save_checkpoint(sam, tmp_path / "a.safetensors")
    try:
        code = convert(tmp_path / "a.safetensors", tmp_path / "b.safetensors", "--image-size", size)
    except SystemExit as stopped:
        code = stopped.code
    assert code == 2 and "--image-size" in capsys.readouterr().err
    assert not (tmp_path / "b.safetensors").exists()
