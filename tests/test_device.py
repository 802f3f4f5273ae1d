from types import SimpleNamespace

import pytest
import torch

from minisam.cli.main import main
from minisam.device import bring_to, check_device
from minisam.errors import MinisamError


def test_the_cpu_is_always_there():
    assert check_device("cpu") == "cpu"


def test_other_devices_are_named(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    with pytest.raises(MinisamError, match=r"no device 'cuda' on this machine; use cpu$"):
        check_device("cuda")


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:1", "xpu", "xpu:0", "mps"])
def test_a_device_that_is_there_is_used_by_each_process_as_its_own(name, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.xpu.is_available", lambda: True)
    monkeypatch.setattr("torch.xpu.device_count", lambda: 1)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    monkeypatch.setattr("minisam.device.own_device", lambda name: f"own {name}")
    assert check_device(name) == f"own {name}"
    with pytest.raises(MinisamError, match=r"use cpu or cuda or cuda:0 or cuda:1 or xpu or xpu:0 or mps$"):
        check_device("cuda:2")


@pytest.mark.parametrize("command", [["train"], ["eval", "--model", "tiny"]])
def test_commands_say_so_in_one_line(command, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main([*command, "--device", "tpu"]) == 2
    assert capsys.readouterr().err.startswith("minisam: no device 'tpu'")


@pytest.mark.parametrize(
    ("kind", "given", "wanted"),
    [
        ("mps", torch.float64, torch.float32),
        ("xpu", torch.float64, torch.float32),
        ("cpu", torch.float64, torch.float64),
        ("cuda", torch.float64, torch.float64),
        *(("mps", dtype, dtype) for dtype in (torch.float32, torch.float16, torch.int64, torch.bool)),
    ],
)
def test_float64_alone_changes_and_only_on_devices_that_lack_it(kind, given, wanted):
    device = torch.device(kind)
    tensor = SimpleNamespace(dtype=given, to=lambda *where: where)
    assert bring_to(tensor, device) == (device, wanted)  # pyright: ignore[reportArgumentType]
