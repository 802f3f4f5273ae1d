"""The gate's command: which Triton it imports, and what it says; the gate itself under each version is slow."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

spec = importlib.util.spec_from_file_location(
    "code_generation", Path(__file__).with_name("code_generation.py")
)
assert spec is not None and spec.loader is not None
code_generation = importlib.util.module_from_spec(spec)
spec.loader.exec_module(code_generation)


def make_triton(folder: Path, version: str, says: str) -> None:
    package = folder / f"triton-{version}" / "triton"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f"__version__ = {says!r}")


def test_the_version_of_the_folder_is_imported_and_compiles_into_its_own_cache(tmp_path):
    make_triton(tmp_path, "3.6.0", "3.6.0")
    there = code_generation.environment("3.6.0", code_generation.installed("3.6.0", tmp_path))
    assert code_generation.version_in(there) == "3.6.0"
    assert there["TRITON_CACHE_DIR"] == str(tmp_path / "compiled-by-3.6.0")


def test_another_version_in_the_folder_is_refused(tmp_path):
    make_triton(tmp_path, "3.6.0", "3.5.1")
    with pytest.raises(SystemExit, match=r"should hold Triton 3\.6\.0, but Triton 3\.5\.1 is imported"):
        code_generation.gate("3.6.0", tmp_path, [])


def test_one_failure_among_the_versions_is_a_failure(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["code_generation.py", "-k", "defaults"])
    given = []

    def gate(version, folder, arguments):
        given.append((version, arguments))
        return int(version == "3.9.0")

    monkeypatch.setattr(code_generation, "gate", gate)
    assert code_generation.main() == 1
    assert given == [("3.6.0", ["-k", "defaults"]), ("3.9.0", ["-k", "defaults"])]
    assert capsys.readouterr().out == "Triton 3.6.0: passed\nTriton 3.9.0: failed, pytest ended with 1\n"


@pytest.mark.slow
@pytest.mark.parametrize("version", code_generation.VERSIONS)
def test_the_gate_passes_under_every_version(version, tmp_path):
    assert code_generation.gate(version, tmp_path, []) == 0
