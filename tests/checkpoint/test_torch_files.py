"""A file of torch.save whose bytes have changed is refused, and so is one that claims more than it holds."""

from __future__ import annotations

import codecs
import pickle
import time
import tracemalloc
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.serialization import MAGIC_NUMBER

from minisam.checkpoint import load_checkpoint
from minisam.checkpoint.pickles import check_pickle
from minisam.checkpoint.torch_files import check_entries, load_torch_file
from minisam.errors import CheckpointError
from minisam.model import Sam
from minisam.train.state import read_state, write_state


def load(path: Path) -> Any:
    return load_torch_file(str(path), path.stat().st_size)


def data_of(path: Path, name: str) -> int:
    """Where the bytes of an entry begin."""
    with zipfile.ZipFile(path) as archive:
        entry = next(entry for entry in archive.infolist() if entry.filename.endswith(name))
        with archive.open(entry) as opened:
            return opened._orig_compress_start  # pyright: ignore


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_tensors_are_on_the_device_that_is_asked_for(tmp_path: Path, device: str, is_zip: bool):
    path = tmp_path / "a.pth"
    torch.save({"a": torch.arange(3.0)}, path, _use_new_zipfile_serialization=is_zip)
    found = load_torch_file(str(path), path.stat().st_size, device)["a"]
    assert found.device.type == device and found.shape == (3,)


def test_a_state_is_read_onto_the_device_that_is_asked_for(tmp_path: Path):
    path = tmp_path / "state.pt"
    write_state(path, {"seed": 0}, {"step": 3, "model": {"weight": torch.ones(3)}})
    for device in ("cpu", "meta"):
        state = read_state(path, {"seed": 0}, device)
        assert state is not None and state["model"]["weight"].device.type == device


@pytest.mark.parametrize("entry", ["/data/0", "/data/7", "/data.pkl", "/byteorder"])
def test_one_changed_byte_in_a_checkpoint_is_refused(tmp_path: Path, micro: Sam, entry: str):
    path = tmp_path / "sam.pth"
    torch.save(micro.state_dict(), path)
    changed = bytearray(path.read_bytes())
    changed[data_of(path, entry) + 2] ^= 1
    path.write_bytes(changed)
    with pytest.raises(CheckpointError, match=r"sam\.pth: is damaged: .* \(CRC-32\); get the file again"):
        load_checkpoint(path)


def test_one_changed_byte_in_a_state_is_refused(tmp_path: Path):
    path, about = tmp_path / "state.pt", {"seed": 0}
    write_state(path, about, {"model": {"weight": torch.ones(64)}, "step": 3})
    assert read_state(path, about, "cpu") is not None
    changed = bytearray(path.read_bytes())
    changed[data_of(path, "/data/0") + 2] ^= 1
    path.write_bytes(changed)
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_state(path, about, "cpu")


def test_a_file_saved_without_sums_loads(tmp_path: Path):
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"a": torch.ones(3)}, tmp_path / "a.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    assert load(tmp_path / "a.pt")["a"].equal(torch.ones(3))


def test_all_that_a_state_needs_loads(tmp_path: Path):
    layer = torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.ones(2)).sum().backward()
    optimizer.step()
    state = {
        "model": layer.state_dict(),
        "parameters": list(layer.parameters()),
        "optimizer": optimizer.state_dict(),
        "empty": [OrderedDict(), {}, [], (), torch.Size([2, 3]), torch.device("cpu")],
        "plain": ["ü", 1, -5, 300, 2**40, -(2**80), 0.5, None, True, (1, (2, 3, 4, 5))],
        "views": torch.arange(6.0).reshape(2, 3).T,
        "types": [torch.ones(2, dtype=dtype) for dtype in (torch.bool, torch.int64, torch.bfloat16)],
        "milestones": Counter([3, 3, 5]),
    }
    torch.save(state, tmp_path / "new.pt")
    torch.save(state, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    for name in ("new.pt", "old.pt"):
        found = load(tmp_path / name)
        assert found["plain"] == state["plain"] and found["empty"] == state["empty"]
        assert found["views"].equal(state["views"]) and found["milestones"] == state["milestones"]
        assert found["optimizer"]["state"][0]["exp_avg"].equal(optimizer.state_dict()["state"][0]["exp_avg"])


class Call:
    def __init__(self, function: Callable, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple:
        return self.call


class Storage:
    """Pickles to a storage of so many numbers."""

    def __init__(self, numbers: int, key: str = "0") -> None:
        self.numbers, self.key = numbers, key


class Pickler(pickle.Pickler):
    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, Storage):
            return ("storage", torch.FloatStorage, obj.key, "cpu", obj.numbers)
        return None


GREEDY = {
    "bytearray": Call(bytearray, 2_000_000_000),
    "storage class": Call(torch.FloatStorage, 500_000_000),
    "tensor class": Call(torch.Tensor, 500_000_000),
    "set": Call(set, [1, 2]),
    "counter of text": Call(Counter, "text"),
    "dictionary from pairs": Call(OrderedDict, [("a", 1)]),
    "codec": Call(codecs.encode, "text", "latin1"),
    "large storage": Storage(2_000_000_000),
}


def follow(content: object, size: int) -> object:
    """What `check_pickle` says of a pickle in a file of so many bytes."""
    stream = BytesIO()
    Pickler(stream, protocol=2).dump(content)
    return check_pickle(BytesIO(stream.getvalue()), size)


def test_a_storage_counts_once_and_as_often_as_it_is_longest():
    follow([Storage(8)], 8)
    follow([Storage(8), Storage(3), Storage(8)], 8)
    for storages in ([Storage(9)], [Storage(3), Storage(9)], [Storage(8), Storage(1), Storage(1, "1")]):
        with pytest.raises(CheckpointError, match="it claims 9 numbers in 8 bytes"):
            follow(storages, 8)


def test_many_views_of_one_tensor_load(tmp_path: Path):
    numbers = torch.arange(1000.0)
    torch.save({str(place): numbers[place:] for place in range(20)}, tmp_path / "a.pt")
    assert load(tmp_path / "a.pt")["19"][0] == 19


def entry_of(size: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo("archive/data.pkl")
    entry.file_size = size
    return entry


def test_an_archive_is_no_larger_than_its_file_and_its_pickle_than_four_megabytes():
    check_entries([entry_of(10)], 10)
    with pytest.raises(CheckpointError, match="claim more bytes than it has"):
        check_entries([entry_of(11)], 10)
    check_entries([entry_of(4 * 2**20)], 10**9)
    with pytest.raises(CheckpointError, match="has a pickle of 4194305 bytes"):
        check_entries([entry_of(4 * 2**20 + 1)], 10**9)


@pytest.mark.parametrize("before", [(), (1001,), (1001, {}), (1001, {}, {"a": 1})])
def test_every_pickle_of_an_old_file_is_checked(tmp_path: Path, before: tuple):
    """Magic number, version, system, content, keys: each may be the greedy one."""
    pickles = [MAGIC_NUMBER, *before, GREEDY["bytearray"]]
    (tmp_path / "sam.pth").write_bytes(b"".join(pickle.dumps(one, protocol=2) for one in pickles))
    assert_refused_at_once(tmp_path / "sam.pth")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kind", GREEDY)
def test_what_would_take_memory_is_refused_before_it_does(tmp_path: Path, kind: str, zipped: bool):
    write(tmp_path / "sam.pth", {"a": GREEDY[kind]}, zipped)
    assert_refused_at_once(tmp_path / "sam.pth")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_key_whose_hash_never_ends_is_refused(tmp_path: Path, zipped: bool):
    """{doubled tuples: 1}, by the opcodes: t = (), then 60 times t = (t, t), memoised."""
    nested = b")" + b"".join(b"q\x00h\x00\x86" for _ in range(60))
    content = b"\x80\x02}" + nested + b"K\x01s."
    write_bytes(tmp_path / "sam.pth", content, zipped)
    assert_refused_at_once(tmp_path / "sam.pth")
    write_bytes(tmp_path / "sam.pth", b"\x80\x02}(" + nested + b"K\x01u.", zipped)
    assert_refused_at_once(tmp_path / "sam.pth")


def write(path: Path, content: object, zipped: bool) -> None:
    stream = BytesIO()
    Pickler(stream, protocol=2).dump(content)
    write_bytes(path, stream.getvalue(), zipped)


def write_bytes(path: Path, pickled: bytes, zipped: bool) -> None:
    if not zipped:
        path.write_bytes(pickled)
        return
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/byteorder", "little")
        archive.writestr("archive/data/0", b"\0" * 8)
        archive.writestr("archive/version", "3\n")


def assert_refused_at_once(path: Path) -> None:
    started = time.perf_counter()
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=r"holds a pickle of more than tensors|claims") as caught:
            load_checkpoint(path)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value) and time.perf_counter() - started < 10


def test_two_entries_of_one_name(tmp_path: Path, micro: Sam):
    path = tmp_path / "sam.pth"
    torch.save(micro.state_dict(), path)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("sam/data/0", b"\0" * 8)
    with pytest.raises(CheckpointError, match="two of its zip entries have the same name"):
        load_checkpoint(path)
