"""Translated lessons: translated, stale, missing and orphaned blocks, and the page and notebook made of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from minisam.cli.main import main
from minisam.errors import MinisamError
from minisam.lesson import translated_lesson
from minisam.lesson.build import build
from minisam.lesson.find import FOLDER, Lesson, lesson, lessons
from minisam.lesson.translated_lesson import (
    PAGES,
    is_translated,
    lesson_pairs,
    open_translated,
    page_in,
    to_translate,
)
from minisam.lesson.translation import blocks, digits, pairs, report, sections

ROOT = FOLDER.parent
CHINESE = [one for one in lessons() if is_translated(one, "zh-CN")]
TEXT = """# %% [markdown]
# # Lesson 1 · A line
#
# See [the library](../../minisam/model/sam.py).

# %%
import matplotlib.pyplot as plt
links = {"a": print}
links["a"]("two")
plt.figure(figsize=(1, 1))
plt.plot([0, 1]);

# %% [markdown]
# The end.
"""


def translation_of(*blocks: tuple[str, str]) -> str:
    return "\n".join(f"<!-- source {digits(english)} -->\n{own}\n" for english, own in blocks)


def states(english: list[str], translated: str) -> list[tuple[str, str | None]]:
    return [(pair.state, pair.text) for pair in pairs(english, blocks(translated))]


def test_blocks_are_found_with_their_lines():
    first, second = blocks("before\n" + translation_of(("a", "甲\n\n乙"), ("b", "丙")))
    assert (first.text, first.line, first.source) == ("甲\n\n乙", 3, digits("a"))
    assert (second.text, second.line, second.source) == ("丙", 8, digits("b"))


@pytest.mark.parametrize(
    ("english", "expected"),
    [
        (["a", "b", "c"], [("translated", "甲"), ("translated", "乙"), ("translated", "丙")]),
        (["a", "new", "c"], [("translated", "甲"), ("stale", "new"), ("translated", "丙")]),
        (
            ["a", "new", "b", "c"],
            [("translated", "甲"), ("missing", "new"), ("translated", "乙"), ("translated", "丙")],
        ),
        (["a", "c"], [("translated", "甲"), ("orphaned", None), ("translated", "丙")]),
        (["new", "more"], [("stale", "new"), ("stale", "more"), ("orphaned", None)]),
        ([], [("orphaned", None)] * 3),
    ],
)  # fmt: skip
def test_a_changed_text_is_stale_an_added_one_missing_and_a_removed_one_orphaned(english, expected):
    assert states(english, translation_of(("a", "甲"), ("b", "乙"), ("c", "丙"))) == expected


def test_a_report_names_the_line_the_state_and_the_new_mark():
    found = pairs(["a", "new", "d"], blocks(translation_of(("a", "甲"), ("b", "乙"), ("c", "丙"))))
    stale, also_stale = report(found, "page.zh-CN.md")
    assert stale.startswith("page.zh-CN.md, line 5: stale") and stale.endswith("\nnew")
    assert f"<!-- source {digits('new')} -->" in stale and f"{digits('d')} -->:\nd" in also_stale
    (orphaned,) = report(
        pairs(["a", "c"], blocks(translation_of(("a", "甲"), ("b", "乙"), ("c", "丙")))), "x"
    )
    assert orphaned == "x, line 5: orphaned: its English text was removed; remove it"
    (missing,) = report(pairs(["a", "b"], blocks(translation_of(("a", "甲")))), "x")
    assert missing.startswith("x, line 2: missing") and missing.endswith("\nb")
    assert report(pairs(["a"], blocks(translation_of(("a", "甲")))), "x") == []


def test_a_page_is_divided_at_its_headings_outside_of_code():
    page = "# Title\n\ntext\n\n## First\n```sh\n# not a heading\n```\n\n### Below\n\n#### deep\n## Second\n"
    assert [part.splitlines()[0] for part in sections(page)] == [
        "# Title",
        "## First",
        "### Below",
        "## Second",
    ]
    assert "\n".join(sections(page)).count("#") == page.count("#")


def test_quoted_results_may_change_without_a_new_translation():
    quoted = "text\n<!-- results: a.txt -->\n{}\n<!-- /results -->\nmore"
    assert digits(quoted.format(1)) == digits(quoted.format(2)) != digits(quoted.format(1) + "!")


def test_all_translations_are_up_to_date():
    assert to_translate("zh-CN") == [], "`minisam lesson stale` prints what to translate"
    assert [one.number for one in CHINESE][:11] == list(range(11))


def english_and_chinese() -> list[tuple[str, str, str]]:
    found = []
    for one in CHINESE:
        for number, pair in enumerate(lesson_pairs(one, "zh-CN")):
            if pair.state == "translated" and pair.english:
                found.append((f"lesson {one.number}, block {number}", pair.english, pair.text or ""))
    for name in PAGES:
        english, own = ROOT / name, (ROOT / name).with_suffix(".zh-CN.md")
        for number, pair in enumerate(pairs(sections(english.read_text()), blocks(own.read_text()))):
            if pair.state == "translated" and pair.english:
                found.append((f"{name}, section {number}", pair.english, pair.text or ""))
    return found


KEPT = {"formula": r"\$\$.*?\$\$", "link": r"\]\(([^)#]+)\)", "code": r"`[^`]+`"}


def kept(text: str) -> set[str]:
    """Formulas without words, targets of links and code in the text, which stay as they are in a translation."""
    text = re.sub(
        r"^```.*?^```$|<!-- lessons.*?/lessons -->|^\|.*?\|$", "", text, flags=re.MULTILINE | re.DOTALL
    )
    found = [one for pattern in KEPT.values() for one in re.findall(pattern, text, re.DOTALL)]
    found = [one for one in found if not one.startswith("#")]  # sections, whose names are translated
    return {re.sub(r"\\text\{[^}]*\}|\s|\.zh-CN", "", one) for one in found}


def test_code_formulas_and_links_of_a_translation_are_those_of_its_source():
    for place, english, chinese in english_and_chinese():
        assert kept(english) <= kept(chinese), (place, kept(english) - kept(chinese))
    assert kept("`a\nb` $$x$$ [c](d.md)") == {"`ab`", "$$x$$", "d.md"}


AVOID = {
    r"遮罩|蒙版|掩膜": "掩码",
    r"补丁": "图块",
    r"令牌|词元": "token",
    r"骨干": "图像编码器",
    r"交并比(?![*（])": "IoU",
    r"视窗": "窗口",
    r"核函数": "内核",
    r"分数": "得分",
    r"[一-鿿][,;:!?.]": "full-width punctuation after a Chinese character",
    r"[一-鿿][A-Za-z0-9]|[A-Za-z0-9%][一-鿿]": "a space between Chinese and Latin characters",
}
PAGES_IN_CHINESE = [
    ROOT / "README.zh-CN.md",
    FOLDER / "README.zh-CN.md",
    *FOLDER.glob("*/lesson.zh-CN.md"),
    *FOLDER.glob("*/quiz.zh-CN.json"),
]


@pytest.mark.parametrize("page", PAGES_IN_CHINESE, ids=lambda page: page.parent.name)
def test_one_term_for_each_concept(page):
    text = re.sub(r"^```.*?^```$|`[^`\n]+`|\$\$.*?\$\$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    found = [(match.group(), write) for word, write in AVOID.items() for match in re.finditer(word, text)]
    assert found == []


@pytest.fixture
def small(tmp_path) -> Lesson:
    folder = tmp_path / "lessons" / "01_line"
    (folder / "figures").mkdir(parents=True)
    (folder / "lesson.py").write_text(TEXT, encoding="utf-8")
    (folder / "solution.py").write_text("def f():\n    return 1\n")
    build(Lesson(folder))
    heading = "# Lesson 1 · A line\n\nSee [the library](../../minisam/model/sam.py)."
    chinese = translation_of((heading, "# 第 1 课\n\n[库](../../minisam/model/sam.py)"), ("Old end.", "旧"))
    (folder / "lesson.zh-CN.md").write_text(chinese, encoding="utf-8")
    return Lesson(folder)


def test_a_translated_page_has_the_lessons_code_and_outputs_and_english_where_it_is_stale(small):
    page = page_in(small, "zh-CN")
    assert page.startswith("# 第 1 课\n\n[库](../../minisam/model/sam.py)\n\n```python\nimport matplotlib")
    assert 'links["a"]("two")' in page and "```text\ntwo\n```\n\n![图 1](figures/1.png)\n\nThe end." in page
    assert "旧" not in page and "<summary>参考答案</summary>" in page


def test_opening_writes_page_and_notebook_once_with_links_to_the_lesson(small, tmp_path):
    out = tmp_path / "mine"
    out.mkdir()
    assert set(open_translated(small, "zh-CN", out).values()) == {True}
    page, stored = out / "lesson_01.zh-CN.md", out / "lesson_01.zh-CN.ipynb"
    target = re.findall(r"\]\(([^)]*)\)", page.read_text(encoding="utf-8"))
    assert target[0] == "../lessons/01_line/../../minisam/model/sam.py" and (out / target[-1]).is_file()
    notebook = json.loads(stored.read_bytes())
    original = json.loads((small.folder / "lesson.ipynb").read_bytes())
    assert "".join(notebook["cells"][1]["source"]).startswith("# 第 1 课\n\n[库](../lessons/01_line/../../")
    assert [notebook["cells"][2], notebook["metadata"]] == [original["cells"][2], original["metadata"]]
    page.write_text("mine")
    assert set(open_translated(small, "zh-CN", out).values()) == {False} and page.read_text() == "mine"


def test_a_notebook_of_other_cells_is_refused(small):
    (small.folder / "lesson.py").write_text(TEXT + "\n# %%\n1\n", encoding="utf-8")
    with pytest.raises(MinisamError, match="first run `minisam lesson build 1`"):
        page_in(Lesson(small.folder), "zh-CN")


@pytest.mark.parametrize("chosen", CHINESE, ids=lambda one: one.folder.name)
def test_a_translated_page_has_every_code_cell_and_figure_of_the_english_one(chosen):
    english, page = (chosen.folder / "README.md").read_text(), page_in(chosen, "zh-CN")
    for pattern in (r"^```.*?^```$", r"\]\((figures/[^)]*)\)", r"^\$\$$|\$\$"):
        found = [re.findall(pattern, text, re.MULTILINE | re.DOTALL) for text in (page, english)]
        assert found[0] == found[1]


def test_the_command_opens_in_chinese_and_says_what_is_not_translated(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["lesson", "open", "1", "--language", "zh-CN"]) == 0
    assert (Path("lesson_01.zh-CN.md").is_file(), Path("lesson_01.py").is_file()) == (True, True)
    assert "unchanged" not in capsys.readouterr().out
    assert main(["lesson", "open", "1", "--language", "zh-CN"]) == 0
    assert "lesson_01.zh-CN.ipynb, which is unchanged" in capsys.readouterr().out
    assert main(["lesson", "open", "14", "--language", "zh-CN"]) == 2
    assert "lesson 14 is not translated into zh-CN; these are: 0, 1," in capsys.readouterr().err


def test_the_command_for_translators_exits_4_if_there_is_work(monkeypatch, capsys):
    assert main(["lesson", "stale", "1"]) == 0
    assert capsys.readouterr().out == "all translations into zh-CN are up to date\n"
    monkeypatch.setattr(translated_lesson, "lesson_pairs", lambda *_: pairs(["new"], []))
    assert main(["lesson", "stale", "1"]) == 4
    printed = capsys.readouterr().out
    assert "lessons/01_patch_embed/lesson.zh-CN.md, line 1: missing" in printed and "\nnew" in printed
    assert to_translate("zh-CN", lesson(1)) == [printed.rstrip("\n")]
