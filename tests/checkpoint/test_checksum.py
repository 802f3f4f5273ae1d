"""A bit that changes in one of our files does not load; files without a sum, from other programs, do."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest
import safetensors.torch
import torch
from safetensors import safe_open

from minisam.checkpoint import load_checkpoint, save_checkpoint
from minisam.checkpoint.checksum import SUM_KEY, check_sum, checksum, to_safetensors
from minisam.checkpoint.formats import read_tensors
from minisam.detect.detector import DetectorRecipe, ObjectDetector
from minisam.errors import CheckpointError
from minisam.model import Sam
from minisam.text.files import read_bundle, write_bundle

TENSORS = {"b": torch.tensor([1.0, 2.0]), "a": torch.zeros(2, 1, dtype=torch.float16), "c": torch.tensor(3.0)}
SAID = {"minisam": "words"}


def test_the_sum_by_hand():
    content = b"[('minisam', 'words')]"
    content += b"a torch.float16 [2, 1]" + bytes(4)
    content += b"b torch.float32 [2]" + bytes([0, 0, 128, 63, 0, 0, 0, 64])
    content += b"c torch.float32 []" + bytes([0, 0, 64, 64])
    assert checksum(TENSORS, SAID | {"format": "pt", SUM_KEY: "?"}) == f"{zlib.crc32(content):08x}"


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        (TENSORS | {"b": torch.tensor([1.0, 2.5])}, SAID),
        (TENSORS | {"a": torch.zeros(1, 2, dtype=torch.float16)}, SAID),
        (TENSORS | {"a": torch.zeros(2, 1, dtype=torch.bfloat16)}, SAID),
        ({"d" if name == "c" else name: tensor for name, tensor in TENSORS.items()}, SAID),
        ({name: tensor for name, tensor in TENSORS.items() if name != "c"}, SAID),
        (TENSORS, {"minisam": "other words"}),
        (TENSORS, {}),
    ],
)
def test_whatever_differs_changes_the_sum(tensors, said):
    with pytest.raises(CheckpointError, match="is damaged: its content has changed since it was saved"):
        check_sum(tensors, said | {SUM_KEY: checksum(TENSORS, SAID)})
    check_sum(tensors, said | {SUM_KEY: checksum(tensors, said)})
    check_sum(tensors, said)


def damaged(path: Path) -> None:
    """One bit of the last tensor's last number."""
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)


def test_every_file_of_ours_has_one(tmp_path: Path, micro: Sam):
    save_checkpoint(micro, tmp_path / "sam.safetensors", {"steps": 1}, "float16")
    write_bundle(tmp_path / "text.safetensors", TENSORS, {"words": []})
    detector = ObjectDetector(4, 32, DetectorRecipe())
    detector.save(tmp_path / "detector.safetensors")
    readers = {"sam": load_checkpoint, "text": read_bundle, "detector": detector.load}
    for name, read in readers.items():
        path = tmp_path / f"{name}.safetensors"
        with safe_open(path, framework="pt") as file:
            assert len(file.metadata()[SUM_KEY]) == 8
        read(path)
        damaged(path)
        with pytest.raises(CheckpointError, match=rf"{name}\.safetensors: .*has changed since it was saved"):
            read(path)


def test_another_number_of_heads_in_the_header_is_noticed(tmp_path: Path, micro: Sam):
    path = tmp_path / "sam.safetensors"
    save_checkpoint(micro, path)
    path.write_bytes(path.read_bytes().replace(b'decoder_heads\\": 8', b'decoder_heads\\": 4'))
    with pytest.raises(CheckpointError, match="has changed since it was saved"):
        load_checkpoint(path)


def test_files_without_a_sum_load_and_what_others_add_is_theirs(tmp_path: Path, micro: Sam):
    path = tmp_path / "sam.safetensors"
    save_checkpoint(micro, path)
    tensors, said = read_tensors(path)
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    wanted = load_checkpoint(path).state_dict()
    without = {key: text for key, text in said.items() if key != SUM_KEY}
    for metadata in (None, without, said | {"format": "pt"}):
        safetensors.torch.save_file(tensors, path, metadata)
        assert all(t.equal(wanted[key]) for key, t in load_checkpoint(path).state_dict().items())


def test_the_same_tensors_are_the_same_bytes():
    said = {f"minisam {letter}": letter for letter in "abcdefgh"}
    written = to_safetensors(TENSORS, said)
    assert written == to_safetensors(dict(reversed(TENSORS.items())), said)
    assert int.from_bytes(written[:8], "little") % 8 == 0
    assert safetensors.torch.load(written).keys() == TENSORS.keys()
