"""Links from a lesson's page to the glossary: the first use of a term, and nothing in code, headings or formulas."""

from __future__ import annotations

import re

import pytest

from minisam.lesson.build import page, readme
from minisam.lesson.find import lesson, lessons
from minisam.lesson.glossary import EVERYDAY, FILE, OTHER_MEANING, entries, with_glossary
from minisam.lesson.stored import stored_run

GLOSSARY = """# Glossary

## The network, in short

| term | 中文 | meaning |
|---|---|---|
| image encoder | 图像编码器 | the "eye" |
| image embedding | 图像嵌入 | its output |
| query, key, value | 查询、键、值 | what attends |
| intersection over union (IoU) | 交并比 | shared by either |
"""
ANCHOR = "../../docs/glossary.md#the-network-in-short"


@pytest.fixture
def file(tmp_path):
    (tmp_path / "glossary.md").write_text(GLOSSARY)
    return tmp_path / "glossary.md"


def test_the_first_use_is_linked_with_its_meaning(file):
    page = with_glossary("The Image encoders and the image encoder; an IoU.", file=file)
    first, second = f"[Image encoders]({ANCHOR} \"the 'eye'\")", f'[IoU]({ANCHOR} "shared by either")'
    assert page == f"The {first} and the image encoder; an {second}."


@pytest.mark.parametrize(
    ("term", "many"),
    [
        ("offset", "offsets"),
        ("patch", "patches"),
        ("query", "queries"),
        ("Dice loss", "Dice losses"),
        ("relay", "relays"),
    ],
)
def test_a_plural_is_linked_as_the_singular_and_only_once(term, many, tmp_path):
    file = tmp_path / "glossary.md"
    file.write_text(
        f"## The network, in short\n\n| term | 中文 | meaning |\n|---|---|---|\n| {term} | 词 | some |\n"
    )
    assert (
        with_glossary(f"Two {many}, one {term}.", file=file) == f'Two [{many}]({ANCHOR} "some"), one {term}.'
    )
    assert with_glossary(f"A {term}like.", file=file) == f"A {term}like."


@pytest.mark.parametrize(
    "text",
    [
        "# The image encoder",
        "`image encoder`",
        "```python\nimage encoder\n```",
        "$$image encoder$$",
        "[the image encoder](other.md)",
        "<!-- image encoder -->",
        "an image encoder-free one",
        "a key and its value",
    ],
)
def test_headings_code_formulas_links_and_everyday_words_stay(text, file):
    assert with_glossary(text, file=file) == text


def test_terms_that_mean_something_else_on_a_page_are_not_linked(file):
    text = "Image encoders and the IoU"
    assert with_glossary(text, file=file, without={"image encoder"}).startswith(
        "Image encoders and the [IoU]"
    )
    every = {
        term for language in ("en", "zh-CN") for term in entries(FILE.read_text(encoding="utf-8"), language)
    }
    assert set().union(*OTHER_MEANING.values()) <= every
    seventh = readme(lesson(7), stored_run(lesson(7)))
    assert "kernel size 2, stride 2" in seventh and "[kernel" not in seventh


def test_a_chinese_page_is_linked_by_the_chinese_terms(file):
    assert with_glossary("图像编码器给出图像嵌入", "zh-CN", file).count(ANCHOR) == 2


def test_without_a_glossary_nothing_is_linked(tmp_path):
    assert with_glossary("the image encoder", file=tmp_path / "none.md") == "the image encoder"


def test_every_section_of_the_glossary_that_is_linked_exists_and_every_everyday_word_is_one_of_its_terms():
    text = FILE.read_text(encoding="utf-8")
    sections = {re.sub(r"[^\w\s-]", "", line[3:].lower()).replace(" ", "-") for line in text.splitlines()}
    assert {entry.section for entry in entries(text).values()} <= sections
    assert all(word in text.lower() for word in EVERYDAY)


@pytest.mark.parametrize("number", [one.number for one in lessons()])
def test_each_term_is_linked_once_on_a_page_and_the_words_stay_as_they_are(number):
    bare = page(lesson(number), stored_run(lesson(number)))
    linked = with_glossary(bare)
    link = re.compile(r'\[([^\]]+)\]\(\.\./\.\./docs/glossary\.md#[\w-]+ "[^"]+"\)')
    words = [word.lower() for word in link.findall(linked)]
    assert len(words) >= 3 and len(set(words)) == len(words)
    assert link.sub(r"\1", linked) == bare
