"""Our own file: everything comes back, and what could not be loaded again is not written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from minisam import files
from minisam.build import SamConfig, build_from_config
from minisam.checkpoint import load_checkpoint, load_state_dict, read_metadata, save_checkpoint
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


def test_changed_input_size_is_not_saved(tmp_path: Path, micro: Sam, micro_config: SamConfig):
    micro.set_image_size(80)
    save_checkpoint(micro, tmp_path / "sam.safetensors")
    assert load_state_dict(tmp_path / "sam.safetensors")[1] == micro_config


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
    for metadata in ({"a": object()}, {"a": float("nan")}, {"a": "x" * 70_000}, {"a": {1, 2}}):
        with pytest.raises(CheckpointError, match="metadata"):
            save_checkpoint(micro, tmp_path / "sam.safetensors", metadata)
    assert list(tmp_path.iterdir()) == []


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
