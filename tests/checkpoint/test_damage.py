"""Damaged and hostile files: cut at any byte, flipped bits, and headers that lie."""

from __future__ import annotations

import json
import struct
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from minisam.checkpoint import load_checkpoint, load_state_dict, save_checkpoint
from minisam.checkpoint.formats import read_tensors
from minisam.checkpoint.geometry import (
    check_geometry,
    config_from_json,
    config_to_json,
    expected_shapes,
    name_of,
)
from minisam.config import CONFIGS
from minisam.errors import CheckpointError
from minisam.model import Sam


def refused(path: Path, words: str | None = None) -> None:
    started = time.process_time()
    with pytest.raises(CheckpointError, match=words) as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert time.process_time() - started < 5


def test_truncated_at_many_bytes(tmp_path: Path, micro: Sam, saver):
    saver(micro, tmp_path / "sam.file")
    data = (tmp_path / "sam.file").read_bytes()
    rng = np.random.default_rng(0)
    lengths = {*range(20), *rng.integers(20, len(data), 60).tolist(), len(data) - 1}
    for length in sorted(lengths):
        (tmp_path / "cut").write_bytes(data[:length])
        refused(tmp_path / "cut")


def flip_bits(micro: Sam, folder: Path, saver, flips: int) -> dict[str, int]:
    """Flip one bit at a time, half of them in the first and last 8 kB, where the structure is."""
    saver(micro, folder / "sam.file")
    saved, _ = load_state_dict(folder / "sam.file")
    data = bytearray((folder / "sam.file").read_bytes())
    rng = np.random.default_rng(0)
    outcomes = {"same": 0, "other": 0, "refused": 0}
    for number in range(flips):
        edge = min(8192, len(data))
        place = int(rng.integers(len(data))) if number % 2 else int(rng.integers(-edge, edge))
        bit = 1 << int(rng.integers(8))
        data[place] ^= bit
        (folder / "sam.file").write_bytes(data)
        data[place] ^= bit
        try:
            state_dict, config = load_state_dict(folder / "sam.file")
        except CheckpointError as error:
            assert "\n" not in str(error)
            outcomes["refused"] += 1
            continue
        same = all(tensor.equal(saved[key]) for key, tensor in state_dict.items())
        outcomes["same" if same else "other"] += 1
        assert {key: tuple(tensor.shape) for key, tensor in state_dict.items()} == expected_shapes(config)
        assert all(tensor.isfinite().all() for tensor in state_dict.values())
    return outcomes


def check_flips(outcomes: dict[str, int], saver) -> None:
    """Only PyTorch's old format has no sums; there nothing says that a weight is another."""
    assert outcomes["refused"] and (outcomes["other"] > 0) == (saver.__name__ == "save_legacy")


def test_flipped_bits(tmp_path: Path, micro: Sam, saver):
    check_flips(flip_bits(micro, tmp_path, saver, 60), saver)


@pytest.mark.slow
def test_many_flipped_bits(tmp_path: Path, micro: Sam, saver):
    check_flips(flip_bits(micro, tmp_path, saver, 4000), saver)


def write_safetensors(path: Path, header: str | dict, data: bytes = b"", length: int | None = None) -> None:
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)


def entry(start: int, end: int, shape: list[int], dtype: str = "F32") -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


@pytest.mark.parametrize(
    ("header", "data", "words"),
    [
        ({"a": entry(0, 8, [2]), "b": entry(4, 12, [2])}, bytes(12), "damaged"),
        ({"a": entry(0, 8, [2])}, bytes(12), "damaged"),
        ({"a": entry(0, 8, [3])}, bytes(8), "damaged"),
        ({"a": entry(0, 8, [-2])}, bytes(8), "damaged"),
        ({"a": entry(0, 2**62, [2**60])}, bytes(8), "damaged"),
        ({"a": entry(0, 0, [2**62, 2**62])}, b"", "damaged"),
        ({"a": entry(0, 8, [2], "F33")}, bytes(8), "damaged"),
        ({"a": entry(0, 8, [1], "I64")}, bytes(8), "int64, not a floating type"),
        ({"a": {}}, b"", "damaged"),
        ({"__metadata__": {"minisam": "{}"}}, b"", "damaged minisam header"),
        ({}, b"", "no key image_encoder.pos_embed; it is empty"),
        ('{"a": ' * 3000, b"", "damaged"),
        ('{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},' * 2, bytes(4), "damaged"),
        ("{" + chr(0xD7FF) * 10, b"", "damaged"),
        ({f"key {i}": entry(0, 0, [0]) for i in range(10_001)}, b"", "10001 tensors, more than any"),
    ],
)
def test_header_that_lies(tmp_path: Path, header: str | dict, data: bytes, words: str):
    write_safetensors(tmp_path / "sam.safetensors", header, data)
    refused(tmp_path / "sam.safetensors", words)


@pytest.mark.parametrize("length", [0, 1, 7, 5 * 2**20, 2**40, 2**63, 2**64 - 1])
def test_header_length_that_lies(tmp_path: Path, length: int):
    write_safetensors(tmp_path / "sam.safetensors", {"a": entry(0, 8, [2])}, bytes(8), length)
    refused(tmp_path / "sam.safetensors", "damaged")


def test_header_that_ends_behind_the_file(tmp_path: Path):
    path = tmp_path / "sam.safetensors"
    write_safetensors(path, {"a": entry(0, 8, [2])}, bytes(8))
    data = path.read_bytes()
    path.write_bytes(struct.pack("<Q", len(data) - 7) + data[8:])
    refused(path, "its header alone claims")


def test_as_many_tensors_as_there_may_be(tmp_path: Path):
    path = tmp_path / "sam.safetensors"
    write_safetensors(path, {f"key {i}": entry(0, 0, [0]) for i in range(10_000)})
    assert len(read_tensors(path)[0]) == 10_000


def test_tensors_may_share_their_numbers_but_not_claim_more_than_twice_the_file(tmp_path: Path):
    path, weight = tmp_path / "sam.pth", torch.zeros(4000)
    torch.save({"a": weight, "tied to it": weight}, path)
    assert len(read_tensors(path)[0]) == 2
    torch.save({"a": weight.expand(3, -1)}, path)
    with pytest.raises(CheckpointError, match="claims 48000 bytes of weights"):
        read_tensors(path)


def test_header_that_is_really_huge(tmp_path: Path):
    write_safetensors(tmp_path / "sam.safetensors", "{" + " " * 5 * 2**20 + "}")
    refused(tmp_path / "sam.safetensors", "header of 524.* bytes")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"encoder_depth": 10**9}, "encoder_depth is '1000000000'"),
        ({"encoder_depth": 129}, "at most 128 blocks"),
        ({"encoder_dim": 0}, "encoder_dim is '0'"),
        ({"encoder_dim": 16.0}, "encoder_dim is '16.0'"),
        ({"encoder_dim": True}, "encoder_dim is 'True'"),
        ({"encoder_dim": "__import__('os')"}, "encoder_dim is"),
        ({"encoder_heads": 3}, "encoder_heads divides"),
        ({"image_size": 41}, "patch_size divides"),
        ({"image_size": 65536, "patch_size": 8}, "1024 tokens per side"),
        ({"prompt_dim": 12}, "8 divides prompt_dim"),
        ({"decoder_heads": 3}, "decoder_heads divides"),
        ({"decoder_heads": 16}, "decoder_heads divides"),
        ({"mask_in_chans": 6}, "4 divides"),
        ({"global_attn_indexes": [7]}, "name blocks"),
        ({"global_attn_indexes": [3]}, "name blocks"),
        ({"global_attn_indexes": [-1]}, "global_attn_indexes"),
        ({"global_attn_indexes": ["1"]}, "global_attn_indexes"),
        ({"global_attn_indexes": 1}, "damaged minisam header"),
        ({"window_size": 5}, r"rel_pos_h has shape \[5, 8\], expected \[9, 8\]"),
        ({"encoder_dim": 24}, "has shape"),
        ({"encoder_depth": 2}, "keys .* that the network does not have"),
        ({"encoder_depth": 4}, "missing"),
        ({"unheard_of": 4}, "damaged minisam header"),
    ],
)
def test_geometry_that_lies(tmp_path: Path, micro: Sam, micro_config, change: dict, words: str):
    save_checkpoint(micro, tmp_path / "sam.safetensors")
    data = (tmp_path / "sam.safetensors").read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    record = json.loads(config_to_json(micro_config, {}))
    record["config"].update(change)
    header["__metadata__"] = {"minisam": json.dumps(record)}
    write_safetensors(tmp_path / "sam.safetensors", header, data[8 + length :])
    refused(tmp_path / "sam.safetensors", words)


@pytest.mark.parametrize("text", ["", "[]", "3", "null", '{"config": 3}', "[" * 50_000, " " * 70_000 + "{}"])
def test_geometry_that_is_not_one(tmp_path: Path, text: str):
    write_safetensors(tmp_path / "sam.safetensors", {"__metadata__": {"minisam": text}})
    refused(tmp_path / "sam.safetensors", "damaged minisam header")


def test_zip_bomb(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "sam.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
        archive.writestr("archive/data/0", bytes(50_000_000))
    refused(tmp_path / "sam.pth", "its zip entries are compressed")


def test_zip_that_is_something_else(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "sam.pth", "w") as archive:
        archive.writestr("photo.jpg", b"not weights")
    refused(tmp_path / "sam.pth", "zip archive, but not one of PyTorch's")


def test_a_geometry_may_just_reach_its_limits(micro_config):
    largest = replace(
        micro_config, encoder_depth=128, decoder_depth=128, encoder_dim=65_536, image_size=1024 * 8
    )
    check_geometry(largest)
    for change in ({"decoder_depth": 129}, {"encoder_dim": 65_538}, {"image_size": 1025 * 8}):
        with pytest.raises(CheckpointError, match="impossible geometry"):
            check_geometry(replace(largest, **change))


def test_a_network_has_its_name_whatever_the_heads_of_its_decoder():
    assert name_of(replace(CONFIGS["tiny"], decoder_heads=8)) == "tiny"
    assert name_of(replace(CONFIGS["vit_b"], encoder_depth=5)) == "5-block, 768-wide, 1024-pixel"


def test_metadata_of_64_thousand_characters_and_no_more(micro_config):
    rest = len(config_to_json(micro_config, {"a": ""}))
    text = config_to_json(micro_config, {"a": "x" * (65_536 - rest)})
    assert config_from_json(text)[0] == micro_config
    with pytest.raises(CheckpointError, match="65537 characters, more than 65536"):
        config_to_json(micro_config, {"a": "x" * (65_537 - rest)})
    with pytest.raises(CheckpointError, match="damaged minisam header"):
        config_from_json(text.replace("x", "xx", 1))


def test_thousands_of_blocks(tmp_path: Path):
    names = [f"image_encoder.blocks.{i}.attn.rel_pos_h" for i in range(9000)]
    torch.save(dict.fromkeys(names, torch.ones(3, 8)), tmp_path / "sam.pth")
    refused(tmp_path / "sam.pth", "no key image_encoder.pos_embed|claims")
