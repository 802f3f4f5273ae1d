"""`minisam doctor` finds what is planted, names the remedy, and says so in its exit code."""

from __future__ import annotations

import importlib.util
import json
import types
from pathlib import Path

import pytest

from minisam.checkpoint import save_checkpoint
from minisam.cli import doctor
from minisam.cli.main import main
from minisam.config import CONFIGS, build_from_config

HEALTHY = {
    "torch": "2.13.0+cpu",
    "triton": "3.9.0",
    "numpy": "2.4.6",
    "pillow": "12.2.0",
    "safetensors": "0.8.0",
    "matplotlib": "3.10.1",
    "tqdm": "4.67",
}


@pytest.fixture
def versions(monkeypatch, tmp_path: Path) -> dict[str, str | None]:
    """The installed versions as the doctor sees them, to be changed; and one shipped network."""
    found: dict[str, str | None] = dict(HEALTHY)
    monkeypatch.setattr(doctor, "installed_version", lambda package: found[package])
    monkeypatch.setattr(doctor, "WEIGHTS", tmp_path)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(doctor.platform, "system", lambda: "Linux")
    save_checkpoint(build_from_config(CONFIGS["nano"]), tmp_path / "nano.safetensors")
    return found


def remedies() -> dict[str, str]:
    return {finding.name: finding.remedy for finding in doctor.examine() if finding.remedy}


def test_a_healthy_machine_exits_0(versions, capsys):
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert "No problems found." in printed and "2.13.0+cpu" in printed and "weights nano" in printed
    assert "->" not in printed


def test_json_holds_every_finding(versions, capsys):
    versions["torch"] = "2.10.0"
    assert main(["doctor", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False
    findings = {finding["name"]: finding for finding in report["findings"]}
    assert findings.keys() >= {
        "python",
        "platform",
        *HEALTHY,
        "cores",
        "devices",
        "kernels run",
        "weights nano",
    }
    assert findings["torch"] == {
        "name": "torch",
        "value": "2.10.0",
        "remedy": 'pip install "torch>=2.11,<2.14"',
    }
    assert findings["numpy"]["remedy"] == ""


@pytest.mark.parametrize(
    ("package", "version", "remedy"),
    [
        ("torch", "2.10.9", 'pip install "torch>=2.11,<2.14"'),
        ("torch", "2.14", 'pip install "torch>=2.11,<2.14"'),
        ("torch", "2.14.0", 'pip install "torch>=2.11,<2.14"'),
        ("torch", "2.14.0.dev20260101", 'pip install "torch>=2.11,<2.14"'),
        ("torch", "2.13.1+cu130", ""),
        ("torch", "2.11", ""),
        ("numpy", "1.26.4", 'pip install "numpy>=2"'),
        ("triton", "3.5.1", 'pip install "triton>=3.6"'),
        ("triton", None, 'pip install "triton>=3.6"'),
        ("pillow", "12.1.1", 'pip install "pillow>=12.2"'),
        ("tqdm", None, 'pip install "tqdm>=4.66"'),
    ],
)
def test_versions_outside_the_range(versions, package: str, version: str | None, remedy: str):
    versions[package] = version
    assert remedies() == ({package: remedy} if remedy else {})


def test_ranges_are_those_of_the_project():
    text = (doctor.PROJECT / "pyproject.toml").read_text()
    for package, (lowest, beyond) in doctor.RANGES.items():
        wanted = f"{package}>={'.'.join(map(str, lowest))}" + (
            f",<{'.'.join(map(str, beyond))}" if beyond else ""
        )
        assert f'"{wanted}"' in text or f'"{wanted};' in text


@pytest.mark.parametrize(
    ("triton", "numpy", "bad"),
    [("3.6.0", "2.4.0", True), ("3.6.1", "2.5", True), ("3.6.0", "2.3.9", False), ("3.7.0", "2.4.6", False)],
)
@pytest.mark.parametrize("interpret", ["1", "0"])
def test_interpreter_that_fails_with_this_numpy(versions, monkeypatch, triton, numpy, bad, interpret):
    versions.update(triton=triton, numpy=numpy)
    monkeypatch.setenv("TRITON_INTERPRET", interpret)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    found = remedies()
    assert found.keys() == ({"kernels run"} if bad else set())
    if bad:
        assert 'pip install "numpy<2.4"' in found["kernels run"]


def test_which_way_kernels_run(versions, monkeypatch):
    def answer() -> str:
        return next(finding.value for finding in doctor.examine() if finding.name == "kernels run")

    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert "need TRITON_INTERPRET=1" in answer()
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert "in Triton's interpreter" in answer()
    monkeypatch.delenv("TRITON_INTERPRET")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert "compiled" in answer()
    versions["triton"] = None
    assert "triton is missing" in answer()


def test_the_cores_of_the_machine_and_those_that_torch_uses(versions, monkeypatch):
    monkeypatch.setattr(doctor.os, "cpu_count", lambda: 7)
    monkeypatch.setattr("torch.get_num_threads", lambda: 3)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda index: f"GPU {index}")
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    values = {finding.name: finding.value for finding in doctor.examine()}
    assert (values["cores"], values["devices"]) == ("7, of which torch uses 3", "cpu, GPU 0, GPU 1, mps")


def test_a_package_called_kernels_in_our_tree(versions, monkeypatch):
    real = importlib.util.find_spec

    def plant(origin: str | None) -> None:
        spec = types.SimpleNamespace(origin=origin)
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name: spec if name == "kernels" else real(name)
        )

    ours = str(doctor.PROJECT / "kernels" / "__init__.py")
    plant(ours)
    assert remedies() == {
        "package `kernels`": f"remove {ours}: kernels/ is a folder, and must not be a package"
    }
    plant(None)
    assert remedies() == {}
    plant("/usr/lib/python3/site-packages/kernels/__init__.py")
    assert remedies() == {}


def test_missing_and_damaged_weights(versions, tmp_path: Path, capsys):
    (tmp_path / "tiny.safetensors").write_bytes(b"damaged")
    assert main(["doctor"]) == 1
    printed = capsys.readouterr().out
    assert "! weights tiny" in printed and "truncated or damaged" in printed and "1 to fix" in printed
    for file in tmp_path.iterdir():
        file.unlink()
    assert remedies().keys() == {"weights"}


def test_a_check_that_fails_is_a_finding(versions, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1 / 0)
    assert remedies().keys() == {"devices"}


def test_this_machine_is_examined_without_a_failure():
    findings = doctor.examine()
    assert len(findings) >= 12
    assert all("Error" not in finding.value for finding in findings if "weights" not in finding.name)
