"""Pickles that run code when they are read: refused in every wrapping, and none of them runs.

Each payload makes a canary file.  The first test shows that plain `pickle` does fall for it, so that a
missing canary means something.
"""

from __future__ import annotations

import builtins
import operator
import os
import pickle
import runpy
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from minisam.checkpoint import load_checkpoint
from minisam.checkpoint.pickles import Named, Scan
from minisam.errors import CheckpointError


class Call:
    """Pickles to a call of `function` with `arguments`."""

    def __init__(self, function: Callable, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple:
        return self.call


class Setstate:
    """Pickles to a harmless string whose state is then set by a dangerous function."""

    def __init__(self, function: Callable, argument: str) -> None:
        self.function, self.argument = function, argument

    def __reduce__(self) -> tuple:
        return (str, (self.argument,), {}, None, None, self.function)


def make_file(canary: str) -> str:
    return f"open({canary!r}, 'w').close()"


PAYLOADS: dict[str, Callable[[str], object]] = {
    "os.system": lambda canary: Call(os.system, f"touch {canary}"),
    "os.mkdir": lambda canary: Call(os.mkdir, canary),
    "builtins.eval": lambda canary: Call(eval, make_file(canary)),
    "builtins.exec": lambda canary: Call(exec, make_file(canary)),
    "builtins.open": lambda canary: Call(open, canary, "w"),
    "operator.methodcaller": lambda canary: Call(operator.methodcaller("mkdir"), Path(canary)),
    "subprocess.run": lambda canary: Call(subprocess.run, ["touch", canary]),
    "shutil.copy": lambda canary: Call(shutil.copy, sys.executable, canary),
    "runpy": lambda canary: Call(runpy._run_code, make_file(canary), {}),
    "pickle in a pickle": lambda canary: Call(pickle.loads, pickle.dumps(Call(os.mkdir, canary))),
    "nested in lists": lambda canary: [[{"a": [Call(os.mkdir, canary)]}]],
    "dictionary value": lambda canary: {"image_encoder.pos_embed": Call(os.mkdir, canary)},
    "dictionary in a wrapper": lambda canary: {"model": {"image_encoder.pos_embed": Call(os.mkdir, canary)}},
    "state setter": lambda canary: Setstate(exec, make_file(canary)),
}


def bare(payload: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(payload, protocol=2))


def torch_zip(payload: object, path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(payload, protocol=2))
        archive.writestr("archive/byteorder", "little")
        archive.writestr("archive/version", "3\n")


def torch_save(payload: object, path: Path) -> None:
    torch.save({"image_encoder.pos_embed": torch.ones(1, 2, 2, 2), "payload": payload}, path)


def torch_legacy(payload: object, path: Path) -> None:
    torch.save(payload, path, _use_new_zipfile_serialization=False)


WRAPPINGS = {"bare": bare, "torch zip": torch_zip, "torch.save": torch_save, "torch legacy": torch_legacy}


@pytest.mark.parametrize("kind", PAYLOADS)
def test_plain_pickle_falls_for_it(tmp_path: Path, kind: str):
    canary = tmp_path / "canary"
    data = pickle.dumps(PAYLOADS[kind](str(canary)), protocol=2)
    assert not canary.exists()
    loaded = pickle.loads(data)
    if hasattr(loaded, "close"):
        loaded.close()
    assert canary.exists()


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("kind", PAYLOADS)
def test_no_payload_runs(tmp_path: Path, kind: str, wrapping: str):
    canary = tmp_path / "canary"
    for suffix in ("pth", "safetensors"):
        path = tmp_path / f"sam.{suffix}"
        WRAPPINGS[wrapping](PAYLOADS[kind](str(canary)), path)
        assert not canary.exists()
        with pytest.raises(CheckpointError) as caught:
            load_checkpoint(path)
        assert "\n" not in str(caught.value)
        assert not canary.exists()
        if suffix == "pth":
            assert "holds a pickle of more than tensors" in str(caught.value)


def test_the_refused_function_is_named(tmp_path: Path):
    bare(Call(os.system, "true"), tmp_path / "sam.pth")
    with pytest.raises(CheckpointError, match=rf"\({os.system.__module__}\.system\); none of it was run"):
        load_checkpoint(tmp_path / "sam.pth")


def test_there_is_no_second_try_without_the_guard(tmp_path: Path, monkeypatch):
    seen = []
    real = torch.load
    monkeypatch.setattr(
        torch, "load", lambda *args, **options: (seen.append(options), real(*args, **options))[1]
    )
    bare(Call(builtins.print, "boo"), tmp_path / "sam.pth")
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path / "sam.pth")
    assert [options["weights_only"] for options in seen] == [True]


def test_a_storage_is_counted_once_at_its_largest():
    scan = Scan(size=100)

    def claim(key: str, numbers: int) -> int:
        scan.storage(("storage", Named("torch.FloatStorage"), key, "cpu", numbers))
        return scan.claimed

    assert [claim("0", 60), claim("0", 10), claim("0", 60), claim("1", 30), claim("0", 70)] == [
        60,
        60,
        60,
        90,
        100,
    ]
    with pytest.raises(CheckpointError, match="it claims 101 numbers in 100 bytes"):
        claim("1", 31)
