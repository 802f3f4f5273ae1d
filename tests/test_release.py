"""What a release says of itself agrees: version, date, pages for a package index, and what the distributions hold."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import minisam

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "package.md").read_text(encoding="utf-8")


def test_version_and_date():
    version = re.escape(minisam.__version__)
    changelog, citation = (
        (ROOT / name).read_text(encoding="utf-8") for name in ("CHANGELOG.md", "CITATION.cff")
    )
    dated = re.search(rf"^## {version} - (\d{{4}}-\d\d-\d\d)$", changelog, flags=re.MULTILINE)
    assert dated, "the changelog has no section for this version"
    assert re.search(rf"^version: {version}$", citation, flags=re.MULTILINE)
    assert f'date-released: "{dated[1]}"' in citation


def test_the_page_on_an_index_has_no_relative_links():
    assert not re.findall(r"\]\((?!https://)", PAGE) and "<img" not in PAGE


def test_the_page_on_an_index_names_commands_and_extras_that_exist():
    from minisam.cli.main import COMMANDS

    assert set(re.findall(r"^minisam (\w+)", PAGE, flags=re.MULTILINE)) <= set(COMMANDS)
    extras = set(re.findall(r"minisam\[(\w+)\]", PAGE))
    assert extras and all(f"\n{extra} = [" in (ROOT / "pyproject.toml").read_text() for extra in extras)


def test_its_python_lines_run(tmp_path, monkeypatch):
    from PIL import Image

    program = re.search(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    assert program
    Image.new("RGB", (500, 400), (90, 120, 30)).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(program[1], names)
    assert names["masks"].shape == (3, 400, 500)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib is in Python 3.11 and newer")
def test_the_metadata_names_what_ci_tests():
    import tomllib
    import yaml

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    matrix = jobs["everywhere"]["strategy"]["matrix"]
    named = [one.split(" :: ")[-1] for one in project["classifiers"] if re.search(r":: 3\.\d+$", one)]
    assert matrix["python"] == named and project["requires-python"] == f">={named[0]}"
    assert {name.split("-")[0] for name in matrix["os"]} == {"ubuntu", "macos", "windows"}
    assert project["dynamic"] == ["version"]
