"""The site: every page and image is collected, every link leads somewhere; MkDocs builds it without a warning."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
NEEDED = ("material", "mkdocstrings", "jieba", "mathjax")


@pytest.fixture(scope="module")
def collect() -> ModuleType:
    spec = spec_from_file_location("collect", ROOT / "docs" / "site" / "collect.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pages_and_images_of_all_folders_are_collected(collect):
    pages, pictures = collect.pages(), collect.pictures()
    assert {"README.md", "README.zh-CN.md", "docs/click.md", "docs/experiments/README.md"} <= set(pages)
    assert {"kernels/README.md", "lessons/README.md", "lessons/01_patch_embed/README.md"} <= set(pages)
    assert {
        "docs/demo.jpg",
        "docs/click.webp",
        "lessons/map.png",
        "lessons/01_patch_embed/figures/1.png",
    } <= set(pictures)
    assert not [page for page in pages if page.startswith("docs/site")]


def test_every_page_has_one_place_in_the_navigation_parts_of_the_course_in_order(collect):
    def leaves(node) -> list[str]:
        if isinstance(node, str):
            return [node]
        return [
            leaf for child in (node.values() if isinstance(node, dict) else node) for leaf in leaves(child)
        ]

    parts = {title: leaves(part) for part in collect.navigation() for title, part in part.items()}
    found = [page for part in parts.values() for page in part]
    assert sorted(found) == sorted([*collect.pages(), *collect.api_pages()])
    numbers = [int(page.split("/")[1][:2]) for page in parts["Course"][1:]]
    assert numbers == [*range(21), 27, *range(21, 27)]  # part by part: 27 belongs to the kernels
    assert len(parts["中文"]) == 2 + 11


def test_the_api_has_every_public_file_once(collect):
    named = re.findall(r"^::: (\S+)$", "\n".join(collect.api_pages().values()), re.MULTILINE)
    named = [name for name in named if not name.startswith("options")]
    files = [
        collect.dotted(path.relative_to(ROOT).as_posix().removesuffix(".py").removesuffix("/__init__"))
        for top in collect.PACKAGES
        for path in (ROOT / top).rglob("*.py")
        if path.name == "__init__.py" or not path.name.startswith("_")
    ]
    assert sorted(named) == sorted(files)
    assert "members: false" in collect.api_pages()["api/minisam.model.md"].split(":::")[1]


@pytest.mark.parametrize(
    ("target", "with_address", "without"),
    [
        ("other.md", "[a](other.md)", "[a](other.md)"),
        ("https://a.org/b.py", "[a](https://a.org/b.py)", "[a](https://a.org/b.py)"),
        ("#part", "[a](#part)", "[a](#part)"),
        ("../minisam/model/sam.py", "[a][minisam.model.sam]", "[a][minisam.model.sam]"),
        ("../kernels/minisam_kernels/cases.py", "[a][minisam_kernels.cases]", "[a][minisam_kernels.cases]"),
        ("../minisam/model", "[a](../api/minisam.model.md)", "[a](../api/minisam.model.md)"),
        ("experiments", "[a](experiments/README.md)", "[a](experiments/README.md)"),
        ("../pyproject.toml", "[a](https://h/blob/main/pyproject.toml)", "a"),
        ("../tests", "[a](https://h/tree/main/tests)", "a"),
    ],
)
def test_links_lead_to_pages_api_pages_or_the_repository(collect, target, with_address, without):
    for address, expected in (("https://h", with_address), ("", without)):
        on_site = {"docs/other.md", "api/minisam.model.md"}.__contains__
        text = collect.with_links(f"[a]({target})", "docs/x.md", on_site, address)
        assert text == expected
    code = f"`[a]({target})` \n```\n[a]({target})\n```"
    assert collect.with_links(code, "docs/x.md", lambda path: False, "https://h") == code


def test_a_link_that_leads_nowhere_is_an_error(collect):
    with pytest.raises(FileNotFoundError, match=r"docs/x.md: nowhere.py leads nowhere"):
        collect.with_links("[a](nowhere.py)", "docs/x.md", lambda path: False, "")


def test_a_lesson_links_to_its_other_language_below_its_title(collect):
    page, english = "lessons/01_line/README.md", "[Colab](c)\n\n# Lesson 1\n\ntext\n"
    both, one = (lambda path: True), (lambda path: False)
    line = "# Lesson 1\n\nEnglish · [简体中文](lesson.zh-CN.md) · [Colab](c)\n\n\ntext\n"
    assert collect.lesson_links(english, page, both) == line
    assert collect.lesson_links(english, page, one) == "# Lesson 1\n\n[Colab](c)\n\n\ntext\n"
    chinese = collect.lesson_links("# 第 1 课\n\n文\n", "lessons/01_line/lesson.zh-CN.md", both)
    assert chinese == "# 第 1 课\n\n[English](README.md) · 简体中文\n\n\n文\n"
    assert collect.lesson_links("# Other\n", "docs/x.md", both) == "# Other\n"


def test_pages_are_read_as_github_reads_them(collect):
    text = "<!-- for\nauthors -->\n\n| a |\n<!-- /table -->\nB\n<details><summary>C</summary>\n"
    read = '\n\n| a |\n\nB\n<details markdown="1"><summary>C</summary>\n'
    assert collect.for_python_markdown(text) == read


def test_a_figure_with_a_slider_takes_the_place_of_its_image(collect):
    html = "".join(f'<p><img alt="Figure {n}" src="../figures/{n}.png" /></p>\n' for n in range(1, 6))
    shown = collect.with_sliders(html, "lessons/13_everything/README.md")
    assert shown.count('<figure class="minisam-frames"') == 2
    assert re.findall(r"figures/(\d).png", shown) == ["1", "4", "5"]
    assert collect.with_sliders(html, "docs/x.md") == html
    assert collect.with_sliders(html, "lessons/01_patch_embed/README.md") == html


def test_only_pages_with_formulas_load_mathjax(collect):
    assert collect.with_math("<p>x</p>", "m.js") == "<p>x</p>"
    html = collect.with_math('<div class="arithmatex">x</div>', "m.js")
    assert html.startswith('<div class="arithmatex">x</div>') and '<script async src="m.js">' in html


def test_search_knows_the_glossarys_short_words(collect):
    words = collect.chinese_words()
    assert (
        {"掩码", "提示", "图块", "交并比"} <= set(words) and "中文" not in words and "掩码解码器" not in words
    )


def test_an_address_that_is_a_placeholder_is_none(collect, monkeypatch):
    monkeypatch.setattr(collect, "REPOSITORY", "OWNER/minisam")
    assert collect.repository_address() == ""
    monkeypatch.setattr(collect, "REPOSITORY", "a/b")
    assert collect.repository_address() == "https://github.com/a/b"


@pytest.mark.ci
@pytest.mark.skipif(
    not all(map(find_spec, NEEDED)), reason="runs where pip install -e '.[docs]' was done, as in CI's job"
)
def test_the_site_is_built_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr
    lesson = (tmp_path / "lessons" / "04_relative_positions" / "index.html").read_text(encoding="utf-8")
    assert 'src="../../assets/mathjax.js"' in lesson and (tmp_path / "assets" / "mathjax.js").is_file()
    assert 'src="figures/1.png"' in lesson and "api/minisam.model/#minisam.model.rel_pos_attention" in lesson
    assert "<summary>Solutions</summary>" in lesson and "```" not in lesson
    chinese = tmp_path / "lessons" / "04_relative_positions" / "lesson.zh-CN" / "index.html"
    assert '<html lang="zh-CN"' in chinese.read_text(encoding="utf-8")
    index = json.loads((tmp_path / "search" / "search_index.json").read_text(encoding="utf-8"))
    assert any("掩码\u200b解码器" in entry["text"] for entry in index["docs"])
