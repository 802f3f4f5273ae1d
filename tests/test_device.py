import pytest

from minisam.cli.main import main
from minisam.device import check_device
from minisam.errors import MinisamError


def test_the_cpu_is_always_there():
    assert check_device("cpu") == "cpu"


def test_other_devices_are_named(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    with pytest.raises(MinisamError, match=r"no device 'cuda' on this machine; use cpu$"):
        check_device("cuda")


@pytest.mark.parametrize("command", [["train"], ["eval", "--model", "tiny"]])
def test_commands_say_so_in_one_line(command, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main([*command, "--device", "tpu"]) == 1
    assert capsys.readouterr().err.startswith("minisam: no device 'tpu'")
