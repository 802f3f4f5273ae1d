"""Our own file: everything comes back, and what could not be loaded again is not written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import nn
from torch.ao.quantization import quantize_dynamic
from torch.nn.utils.parametrizations import weight_norm

from minisam import files
from minisam.checkpoint import (
    load_checkpoint,
    load_state_dict,
    load_state_dict_into,
    read_metadata,
    save_checkpoint,
)
from minisam.checkpoint.inputs import check_inputs
from minisam.config import SamConfig, build_from_config
from minisam.errors import CheckpointError
from minisam.model import Sam

FOURIER = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"


def test_geometry_and_metadata_come_back(tmp_path: Path, micro_config: SamConfig):
    config = replace(micro_config, decoder_heads=2, global_attn_indexes=(0, 2))
    metadata = {"steps": 3, "miou": 0.5, "words": ["a", "é\n"], "nothing": None}
    save_checkpoint(build_from_config(config), tmp_path / "sam.safetensors", metadata)
    assert load_state_dict(tmp_path / "sam.safetensors")[1] == config
    assert read_metadata(tmp_path / "sam.safetensors") == metadata
    attention = load_checkpoint(
        tmp_path / "sam.safetensors"
    ).mask_decoder.transformer.final_attn_token_to_image
    assert attention.num_heads == 2


def test_a_network_of_global_blocks_alone_has_the_usual_window(tmp_path: Path, micro_config: SamConfig):
    config = replace(micro_config, global_attn_indexes=tuple(range(micro_config.encoder_depth)))
    save_checkpoint(build_from_config(config), tmp_path / "sam.safetensors")
    found = load_state_dict(tmp_path / "sam.safetensors")[1]
    assert found == replace(config, window_size=SamConfig.window_size)


def test_a_changed_input_size_is_saved_beside_the_geometry(
    tmp_path: Path, micro: Sam, micro_config: SamConfig
):
    path = tmp_path / "sam.safetensors"
    save_checkpoint(micro, path)
    before = path.read_bytes()
    micro.set_image_size(80)
    save_checkpoint(micro, path)
    state, config = load_state_dict(path)
    assert config == micro_config
    assert {key: tensor.shape for key, tensor in state.items()} == {
        key: tensor.shape for key, tensor in micro.state_dict().items()
    }
    other = build_from_config(micro_config)
    load_state_dict_into(other, path)
    image = torch.rand(3, 80, 80) * 255
    record = {"image": image, "original_size": (80, 80), "boxes": torch.tensor([[5.0, 5.0, 60.0, 70.0]])}
    wanted = micro([record], True)[0]["low_res_logits"]
    assert wanted.shape == (1, 3, 40, 40)
    for loaded in (load_checkpoint(path), other):
        assert loaded.image_encoder.img_size == 80
        assert loaded([record], True)[0]["low_res_logits"].equal(wanted)
    micro.set_image_size(40)
    save_checkpoint(micro, path)
    assert path.read_bytes() == before


def test_colours_and_threshold_come_back(tmp_path: Path, micro: Sam):
    path = tmp_path / "sam.safetensors"
    micro.pixel_mean.fill_(100.5)
    micro.pixel_std[1] = 3
    micro.mask_threshold, micro.image_format = 0.25, "BGR"
    save_checkpoint(micro, path)
    loaded = load_checkpoint(path)
    assert loaded.pixel_mean.equal(micro.pixel_mean) and loaded.pixel_std.equal(micro.pixel_std)
    assert (loaded.mask_threshold, loaded.image_format) == (0.25, "BGR")


def test_an_image_may_be_1024_tokens_wide(micro_config: SamConfig):
    assert check_inputs({"image_size": 8 * 1024}, micro_config) == {"image_size": 8 * 1024}


INPUTS = [
    [],
    {"image_size": 41},
    {"image_size": 44},
    {"pixel_mean": [1, 2, float("nan")]},
    {"image_size": -8},
    {"image_size": 8 * 2000},
    {"image_size": 80.0},
]
INPUTS += [{"pixel_std": [1, 0, 1]}, {"pixel_mean": [1, 2]}, {"mask_threshold": "0"}, {"image_format": "GRB"}]


@pytest.mark.parametrize("inputs", [*INPUTS, {"anything": 1}], ids=str)
def test_inputs_that_cannot_be(micro_config: SamConfig, inputs: object):
    with pytest.raises(CheckpointError, match="damaged minisam header"):
        check_inputs(inputs, micro_config)


class Wrapper(nn.Module):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * self.module(x)


class Lora(nn.Linear):
    def __init__(self, layer: nn.Linear) -> None:
        super().__init__(layer.in_features, layer.out_features)
        self.lora_a = nn.Parameter(torch.ones(2))


def patched(layer: nn.Module) -> nn.Module:
    vars(layer)["forward"] = lambda x: x
    return layer


QKV, UPSCALING, PATCHES = (
    "image_encoder.blocks.0.attn.qkv",
    "mask_decoder.output_upscaling.2",
    "image_encoder.patch_embed.proj",
)
REPLACED = [
    (QKV, Wrapper, f"{QKV} is Wrapper, expected Linear; merge"),
    (QKV, Lora, f"{QKV} is Lora, expected Linear"),
    (QKV, lambda layer: weight_norm(layer), "is ParametrizedLinear, expected Linear"),
    (QKV, patched, "Linear with its own forward"),
    ("image_encoder.blocks.1.mlp", Wrapper, "mlp is Wrapper, expected MLPBlock"),
    ("mask_decoder.transformer.final_attn_token_to_image", Wrapper, "save its state_dict"),
    (UPSCALING, lambda layer: nn.ReLU(), "is ReLU, expected GELU"),
    (PATCHES, Wrapper, "proj is Wrapper, expected Conv2d"),
    (PATCHES, lambda layer: nn.Sequential(layer), "no key image_encoder.patch_embed.proj.weight"),
]


@pytest.mark.parametrize(("name", "change", "words"), REPLACED)
def test_a_network_with_a_layer_replaced_is_refused(tmp_path: Path, micro: Sam, name, change, words):
    parent, _, attribute = name.rpartition(".")
    setattr(micro.get_submodule(parent), attribute, change(micro.get_submodule(name)))
    with pytest.raises(CheckpointError, match=words) as caught:
        save_checkpoint(micro, tmp_path / "sam.safetensors")
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


def test_wrapped_by_torch_it_is_saved_as_what_lies_inside(tmp_path: Path, micro: Sam):
    before = {key: tensor.clone() for key, tensor in micro.state_dict().items()}
    micro.image_encoder = torch.compile(micro.image_encoder, backend="eager")
    compiled = torch.compile(micro, backend="eager")
    save_checkpoint(nn.DataParallel(compiled), tmp_path / "sam.safetensors")  # pyright: ignore[reportArgumentType]
    loaded = load_checkpoint(tmp_path / "sam.safetensors").state_dict()
    assert all(tensor.equal(before[key]) for key, tensor in loaded.items())


def test_what_is_of_training_alone_is_not_missed(tmp_path: Path, micro_config: SamConfig):
    sam = build_from_config(micro_config, drop_path_rate=0.2, dropout=0.1)
    save_checkpoint(sam, tmp_path / "sam.safetensors")
    assert load_checkpoint(tmp_path / "sam.safetensors").mask_decoder.transformer.dropout.p == 0


@pytest.mark.parametrize("dtype", ["bfloat16", torch.float16, None])
def test_another_type_is_refused(tmp_path: Path, micro: Sam, dtype):
    with pytest.raises(CheckpointError, match=f"'float32' or 'float16', not .*{dtype}"):
        save_checkpoint(micro, tmp_path / "sam.safetensors", dtype=dtype)
    assert not list(tmp_path.iterdir())


def test_float16_halves_the_file_but_for_the_fourier_matrix(tmp_path: Path, micro: Sam):
    save_checkpoint(micro, tmp_path / "full.safetensors")
    save_checkpoint(micro, tmp_path / "half.safetensors", dtype="float16")
    with safe_open(tmp_path / "half.safetensors", framework="pt") as file:
        stored = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    assert {key for key, tensor in stored.items() if tensor.dtype == torch.float32} == {FOURIER}
    assert torch.equal(stored[FOURIER], micro.state_dict()[FOURIER])
    values = sum(tensor.numel() for tensor in micro.state_dict().values())
    saved = (tmp_path / "full.safetensors").stat().st_size - (tmp_path / "half.safetensors").stat().st_size
    assert abs(saved - 2 * values) < 1000


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 70000.0])
def test_what_could_not_be_loaded_is_not_written(tmp_path: Path, micro: Sam, value: float):
    path = tmp_path / "sam.safetensors"
    save_checkpoint(micro, path)
    before = path.read_bytes()
    with torch.no_grad():
        micro.mask_decoder.iou_token.weight[0, 3] = value
    with pytest.raises(
        CheckpointError, match=r"iou_token\.weight holds values that are not finite in float16"
    ):
        save_checkpoint(micro, path, dtype="float16")
    assert path.read_bytes() == before


def test_metadata_must_be_plain_and_short(tmp_path: Path, micro: Sam):
    for metadata in ([1], {"a": object()}, {"a": float("nan")}, {"a": "x" * 70_000}, {"a": {1, 2}}):
        with pytest.raises(CheckpointError, match="metadata"):
            save_checkpoint(micro, tmp_path / "sam.safetensors", metadata)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.pth", "a.pt", "a.PTH", "a.Pt"])
def test_a_torch_file_is_written_for_its_ending_in_any_case_and_has_the_tensors_alone(
    tmp_path: Path, micro: Sam, name
):
    save_checkpoint(micro, tmp_path / name)
    found = torch.load(tmp_path / name, weights_only=True)
    assert list(found) == list(micro.state_dict())
    for key, tensor in micro.state_dict().items():
        assert found[key].equal(tensor)
    with pytest.raises(CheckpointError, match=r"holds no metadata; use a name that ends in \.safetensors"):
        save_checkpoint(micro, tmp_path / f"b{name}", {"steps": 1})
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_other_files_have_no_metadata(tmp_path: Path, micro: Sam):
    torch.save(micro.state_dict(), tmp_path / "sam.pth")
    assert read_metadata(tmp_path / "sam.pth") == {}
    with pytest.raises(CheckpointError, match=r"nowhere: no such file"):
        read_metadata(tmp_path / "nowhere")


def test_header_is_plain_json(tmp_path: Path, micro: Sam):
    save_checkpoint(micro, tmp_path / "sam.safetensors", {"steps": 1})
    with safe_open(tmp_path / "sam.safetensors", framework="pt") as file:
        record = json.loads(file.metadata()["minisam"])
    assert record["config"]["global_attn_indexes"] == [1] and record["metadata"] == {"steps": 1}


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path: Path, micro: Sam, monkeypatch):
    path = tmp_path / "sam.safetensors"
    save_checkpoint(micro, path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with torch.no_grad():
        micro.mask_decoder.iou_token.weight += 1
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(micro, path)
    difference = micro.mask_decoder.iou_token.weight - load_checkpoint(path).mask_decoder.iou_token.weight
    assert torch.allclose(difference, torch.ones(()))
    assert list(tmp_path.iterdir()) == [path]


def change_norm(sam: Sam) -> None:
    sam.image_encoder.blocks[0].norm1.eps = 0.1


def change_activation(sam: Sam) -> None:
    sam.image_encoder.blocks[0].mlp.act = nn.GELU(approximate="tanh")


def change_first_layer(sam: Sam) -> None:
    sam.mask_decoder.transformer.layers[0].skip_first_layer_pe = False


def change_positions(sam: Sam) -> None:
    sam.image_encoder.blocks[0].attn.use_rel_pos = False


@pytest.mark.parametrize("change", [change_norm, change_activation, change_first_layer, change_positions])
def test_settings_that_no_weight_shows_are_not_lost_without_a_word(tmp_path: Path, micro: Sam, change):
    change(micro)
    with pytest.raises(CheckpointError, match=r"cannot be saved: .* where load_checkpoint would build"):
        save_checkpoint(micro, tmp_path / "sam.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("change", [{"mask_threshold": float("nan")}, {"image_format": "HSV"}])
def test_what_load_checkpoint_would_refuse_is_not_written(tmp_path: Path, micro: Sam, change):
    for name, value in change.items():
        setattr(micro, name, value)
    with pytest.raises(
        CheckpointError, match=f"cannot be saved: no network can be given {next(iter(change))}"
    ):
        save_checkpoint(micro, tmp_path / "sam.safetensors")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_half_precision_leaves_the_colours_as_they_were(tmp_path: Path, micro: Sam, dtype):
    mean, path = micro.pixel_mean.clone(), tmp_path / "sam.safetensors"
    save_checkpoint(micro.to(dtype), path)
    assert load_checkpoint(path).pixel_mean.equal(mean)


@pytest.mark.filterwarnings("ignore:torch.*deprecated")
def test_a_quantised_network_is_refused(tmp_path: Path, micro: Sam):
    quantised = quantize_dynamic(micro, {nn.Linear})
    with pytest.raises(CheckpointError, match="is not a tensor, as in a quantised network; save before"):
        save_checkpoint(quantised, tmp_path / "sam.safetensors")
    assert not list(tmp_path.iterdir())
