"""What loads, what it becomes, and the one line for everything that is not a checkpoint."""

from __future__ import annotations

import gzip
import io
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from minisam.build import sam_model_registry
from minisam.checkpoint import load_checkpoint, load_state_dict, load_state_dict_into, save_checkpoint
from minisam.checkpoint.formats import read_tensors
from minisam.checkpoint.geometry import expected_shapes
from minisam.checkpoint.identify import identify, identify_fitting
from minisam.config import CONFIGS, SamConfig, build_from_config
from minisam.errors import CheckpointError
from minisam.model import Sam


def test_a_network_is_float32_under_another_default_type(tmp_path):
    save_checkpoint(build_from_config(CONFIGS["nano"]), tmp_path / "a.safetensors")
    torch.set_default_dtype(torch.float64)
    try:
        sam = load_checkpoint(tmp_path / "a.safetensors")
        assert sam.preprocess(torch.zeros(3, 8, 8)).dtype == torch.float32
    finally:
        torch.set_default_dtype(torch.float32)


def equal_weights(first: Sam, second: Sam, tolerance: float = 0.0) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return list(ours) == list(theirs) and all((ours[k] - theirs[k]).abs().max() <= tolerance for k in ours)


def error_of(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message and len(message) < len(str(path)) + 300
    assert caught.value.exit_code == 3
    return message.removeprefix(f"{path}: ")


def test_round_trip_of_every_format(tmp_path: Path, micro: Sam, micro_config: SamConfig, saver, request):
    saver(micro, tmp_path / "sam.file")
    loaded = load_checkpoint(tmp_path / "sam.file")
    half = "float16" in request.node.name
    assert equal_weights(micro, loaded, tolerance=1e-3 if half else 0.0)
    assert load_state_dict(tmp_path / "sam.file")[1] == micro_config
    assert not loaded.training and all(parameter.requires_grad for parameter in loaded.parameters())
    for tensor in [*loaded.parameters(), *loaded.buffers()]:
        assert tensor.dtype == torch.float32 and tensor.device.type == "cpu" and tensor.is_contiguous()
    if not half:
        image = torch.rand(1, 3, 40, 40)
        assert torch.equal(loaded.image_encoder(image), micro.image_encoder(image))
        assert torch.equal(loaded.preprocess(image), micro.preprocess(image))
        assert torch.equal(loaded.prompt_encoder.get_dense_pe(), micro.prompt_encoder.get_dense_pe())


def test_loading_draws_no_random_numbers_and_keeps_no_file(tmp_path: Path, micro: Sam):
    path = tmp_path / "sam.pth"
    torch.save(micro.state_dict(), path)
    before = torch.get_rng_state()
    loaded = load_checkpoint(path)
    assert torch.equal(before, torch.get_rng_state())
    path.write_bytes(bytes(path.stat().st_size))
    assert equal_weights(micro, loaded)


@pytest.mark.parametrize("name", CONFIGS)
def test_presets_are_told_from_shapes_alone(name: str):
    assert identify_fitting(expected_shapes(CONFIGS[name])) == CONFIGS[name]


def test_the_window_is_that_of_most_blocks_and_global_blocks_have_the_grids(micro_config: SamConfig):
    """Blocks of 5 x 5 tokens, as large as the grid, and windows of 3; one block claims a larger one."""
    config = replace(micro_config, encoder_depth=6, global_attn_indexes=(1, 3, 5))
    shapes = dict(expected_shapes(config))
    assert identify(shapes) == config
    mostly_global = replace(config, global_attn_indexes=(0, 1, 3, 5))
    assert identify(expected_shapes(mostly_global)) == mostly_global
    for index in (0, 1):
        shapes[f"image_encoder.blocks.{index}.attn.rel_pos_h"] = (2 * 7 - 1, 8)
    for index in (2, 3, 4):
        shapes[f"image_encoder.blocks.{index}.attn.rel_pos_h"] = (2 * 3 - 1, 8)
    assert identify(shapes).window_size == 3


def test_a_block_that_is_missing_is_not_made_up(micro_config: SamConfig):
    shapes = {
        key: shape
        for key, shape in expected_shapes(micro_config).items()
        if not key.startswith("image_encoder.blocks.1.")
    }
    with pytest.raises(CheckpointError, match=r"no key image_encoder\.blocks\.1\.attn\.rel_pos_h"):
        identify_fitting(shapes)


def test_far_from_every_network_nothing_is_compared(micro_config: SamConfig):
    """Twelve blocks as in vit_b, and hardly anything else of it."""
    shapes = {f"image_encoder.blocks.{index}.attn.rel_pos_h": (3, 8) for index in range(12)}
    with pytest.raises(CheckpointError, match=r"no key image_encoder\.pos_embed"):
        identify_fitting(shapes)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(tmp_path: Path, micro: Sam, dtype: torch.dtype):
    torch.save({key: tensor.to(dtype) for key, tensor in micro.state_dict().items()}, tmp_path / "sam.pth")
    loaded = load_checkpoint(tmp_path / "sam.pth")
    assert all(tensor.dtype == torch.float32 for tensor in loaded.state_dict().values())
    assert equal_weights(micro, loaded, tolerance=0.02)


def test_window_as_large_as_the_grid_keeps_its_kind(tmp_path: Path, micro_config: SamConfig):
    config = replace(micro_config, window_size=5, decoder_heads=2)
    save_checkpoint(build_from_config(config), tmp_path / "sam.safetensors")
    assert load_state_dict(tmp_path / "sam.safetensors")[1] == config


def test_into_an_existing_network(tmp_path: Path, micro: Sam, micro_config: SamConfig):
    torch.save(micro.state_dict(), tmp_path / "sam.pth")
    other = build_from_config(micro_config)
    load_state_dict_into(other, tmp_path / "sam.pth")
    assert equal_weights(micro, other)
    nano = build_from_config(CONFIGS["nano"])
    before = {key: tensor.clone() for key, tensor in nano.state_dict().items()}
    with pytest.raises(
        CheckpointError, match=r"sam\.pth: holds 3-block.*pos_embed is \[1, 5, 5, 16\], expected"
    ):
        load_state_dict_into(nano, tmp_path / "sam.pth")
    assert all(torch.equal(before[key], tensor) for key, tensor in nano.state_dict().items())
    torch.save(nano.state_dict(), tmp_path / "nano.pth")
    assert equal_weights(sam_model_registry["nano"](checkpoint=tmp_path / "nano.pth"), nano)
    with pytest.raises(CheckpointError, match="holds nano weights, which do not fit this network"):
        sam_model_registry["tiny"](checkpoint=tmp_path / "nano.pth")


def changed(sam: Sam, **changes: torch.Tensor | None) -> dict[str, torch.Tensor]:
    """The state dict with tensors replaced, or removed where None; `__` in a name stands for a dot."""
    state = dict(sam.state_dict())
    for name, tensor in changes.items():
        key = name.replace("__", ".")
        if tensor is None:
            del state[key]
        else:
            state[key] = tensor
    return state


ONES = torch.ones(3)


IOU_TOKEN = "mask_decoder__iou_token__weight"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({IOU_TOKEN: None}, r"with 1 key \(mask_decoder.iou_token.weight\) missing"),
        ({"image_encoder__pos_embed": None}, "no key image_encoder.pos_embed"),
        (
            {f"image_encoder__neck__{layer}__weight": None for layer in range(4)},
            r"4 keys \(image_encoder.neck.0.weight, image_encoder.neck.1.weight, .*, \.\.\.\) missing",
        ),
        (
            {"image_encoder__neck__1__bias": ONES, IOU_TOKEN: ONES},
            r"image_encoder.neck.1.bias has shape \[3\], expected \[16\], and 1 more differ",
        ),
        ({"optimizer__step": ONES}, r"1 key \(optimizer.step\) that the network does not have"),
        ({"image_encoder__blocks__0__attn__rel_pos_h": torch.ones(0, 8)}, r"rel_pos_h has shape \[0, 8\]"),
        ({"image_encoder__pos_embed": ONES}, r"image_encoder.pos_embed has shape \[3\]"),
        ({"image_encoder__pos_embed": torch.ones(1, 5, 5, 17)}, "encoder_heads divides encoder_dim"),
        ({IOU_TOKEN: torch.full((1, 16), torch.nan)}, r"mask_decoder\.iou_token\.weight holds NaN"),
        ({IOU_TOKEN: torch.full((1, 16), -torch.inf)}, "iou_token.weight holds NaN or inf"),
        ({IOU_TOKEN: torch.ones(1, 16, dtype=torch.int64)}, "int64, not a floating"),
        ({IOU_TOKEN: torch.ones(1, 16).to_sparse()}, "not a dense tensor"),
        ({IOU_TOKEN: torch.empty(1, 16, device="meta")}, "dense tensor with values|damaged"),
        ({IOU_TOKEN: torch.ones(1).expand(2**40, 16)}, "claims .* bytes"),
        ({"a\x1b[2J\nkey": ONES}, r"a\\x1b\[2J\\nkey"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*Sparse:UserWarning")
def test_odd_weights_are_named(tmp_path: Path, micro: Sam, changes: dict, words: str):
    torch.save(changed(micro, **changes), tmp_path / "sam.pth")
    with pytest.raises(CheckpointError, match=words):
        load_checkpoint(tmp_path / "sam.pth")
    error_of(tmp_path / "sam.pth")


@pytest.mark.parametrize(
    ("key", "shape", "words"),
    [
        (
            "prompt_encoder.no_mask_embed.weight",
            (1, 128),
            "no_mask_embed.weight has shape [1, 128], expected [1, 256]",
        ),
        (
            "image_encoder.pos_embed",
            (1, 64, 64, 512),
            "image_encoder.pos_embed has shape [1, 64, 64, 512], expected",
        ),
        ("image_encoder.pos_embed", None, "holds vit_b weights with 1 key (image_encoder.pos_embed) missing"),
        ("mask_decoder.iou_token.weight", (1, 7), "iou_token.weight has shape [1, 7], expected [1, 256]"),
    ],
)
def test_one_odd_tensor_in_vit_b_is_compared_with_vit_b(key: str, shape: tuple | None, words: str):
    shapes = dict(expected_shapes(CONFIGS["vit_b"]))
    del shapes[key]
    if shape:
        shapes[key] = shape
    with pytest.raises(CheckpointError) as caught:
        identify_fitting(shapes)
    assert "holds vit_b weights" in str(caught.value) and words in str(caught.value)


class Wrapped(nn.Module):
    """Registers a linear layer under a dotted name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        module: nn.Module = self
        for part in name.split("."):
            module.add_module(part, nn.Module())
            module = module.get_submodule(part)
        module.add_module("linear", nn.Linear(2, 2))


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("layer1.0", "a ResNet"),
        ("image_encoder.trunk.blocks.0", "a SAM 2 network"),
        ("mask_decoder.hf_token", "an HQ-SAM network"),
        ("image_encoder.patch_embed.seq", "a MobileSAM network"),
        ("blocks.0.attn", "a Vision Transformer"),
        ("module.image_encoder", "DataParallel"),
        ("features.3", "one of its keys is features.3.linear.bias"),
    ],
)
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_other_networks_are_called_by_name(tmp_path: Path, name: str, what: str, suffix: str):
    path = tmp_path / f"net.{suffix}"
    state = Wrapped(name).state_dict()
    torch.save(state, path) if suffix == "pth" else save_file(state, path)
    message = error_of(path)
    assert (
        message.startswith("is not a Segment Anything checkpoint: no key image_encoder.pos_embed")
        and what in message
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([torch.ones(2)], "holds a list, not a dictionary"),
        (torch.ones(2), "holds a Tensor, not a dictionary"),
        ({}, "holds a dict, not a dictionary of tensors"),
        ({"epoch": 3, "lr": 0.1}, "epoch is a int"),
        ({"model": {"a": torch.ones(2), "b": "text"}}, "b is a str"),
        ({"a": torch.ones(2), "average": {"b": torch.ones(2)}}, "average is a dict"),
        ({"net": {"a": torch.ones(2)}, "average": {"a": torch.ones(2)}}, "net is a dict"),
        ({3: torch.ones(2)}, "3 is a Tensor"),
        (3, "holds a int"),
    ],
)
def test_torch_files_of_other_things(tmp_path: Path, content: object, words: str):
    torch.save(content, tmp_path / "other.pth")
    assert words in error_of(tmp_path / "other.pth")


def test_files_that_are_no_weights_at_all(tmp_path: Path, micro: Sam):
    contents = {
        "empty": (b"", "is empty"),
        "text": (b"hello, this is some text", "neither a PyTorch nor a safetensors"),
        "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        "page": (b"<!DOCTYPE html><html><body>404</body></html>", "is a web page"),
        "page after a line": (b"\n  <html></html>", "is a web page"),
        "bucket": (b"<?xml version='1.0'?><Error/>", "is a web page"),
        "packed": (gzip.compress(b"weights"), "gzip"),
        "zip": (b"PK\x03\x04" + bytes(100), "truncated or damaged"),
        "a.safetensors": (b"{}", "truncated or damaged"),
    }
    for name, (content, words) in contents.items():
        (tmp_path / name).write_bytes(content)
        assert words in error_of(tmp_path / name)
    assert error_of(tmp_path / "nowhere") == "no such file"
    (tmp_path / "folder").mkdir()
    assert "is a folder" in error_of(tmp_path / "folder")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("pipe", "loop"):
        assert error_of(tmp_path / name) == "is not a file but a broken link, a pipe or a device"


@pytest.mark.parametrize("wrapper", ["model", "state_dict", "model_state_dict"])
def test_the_usual_names_of_a_state_among_other_tensors(tmp_path: Path, wrapper: str):
    content = {"ema": {"a": torch.zeros(2)}, wrapper: {"a": torch.ones(2)}, "step": torch.ones(1)}
    torch.save(content, tmp_path / "other.pth")
    assert read_tensors(tmp_path / "other.pth")[0]["a"].equal(torch.ones(2))


def test_numbers_are_followed_to_the_end_of_a_name(tmp_path: Path):
    path = tmp_path / "long.pth"
    torch.save({"k" * 100: 3, "a": torch.ones(2)}, path)
    assert error_of(path) == f"is not a state dict: {'k' * 80} is a int"


def test_torchscript_is_named(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "script.pt", "w") as archive:
        for name in ("script/data.pkl", "script/code/__torch__.py", "script/constants.pkl"):
            archive.writestr(name, b"")
    assert "TorchScript" in error_of(tmp_path / "script.pt")


@pytest.mark.parametrize("given", [None, 3, {}, io.BytesIO(b"x")])
def test_what_is_no_path_is_named(given):
    with pytest.raises(CheckpointError, match="must be the path of a file, got a"):
        load_checkpoint(given)


def test_a_path_may_be_bytes(tmp_path: Path, micro: Sam):
    save_checkpoint(micro, tmp_path / "sam.safetensors")
    load_checkpoint(os.fsencode(tmp_path / "sam.safetensors"))  # pyright: ignore[reportArgumentType]


def test_every_refusal_has_a_remedy(tmp_path: Path, micro: Sam):
    """An adapter left inside, a whole module, a number of NumPy's in a training state, tensors beside a network."""
    state, path = micro.state_dict(), tmp_path / "other.pth"
    contents = {
        "save the network with them merged": {
            key.replace("qkv.", "qkv.base_layer."): value for key, value in state.items()
        },
        "save the network's state_dict() alone": {"model": state, "loss": np.float64(1)},
        "save the network's whole state_dict()": {**state, "step": torch.ones(1)},
    }
    for remedy, content in contents.items():
        torch.save(content, path)
        assert remedy in error_of(path)
    torch.save(micro, path)
    assert "save the network's state_dict() alone" in error_of(path)
