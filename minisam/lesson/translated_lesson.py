"""A lesson in another language, as a page and as a notebook: nothing is run, the outputs are those of lesson.ipynb."""

from __future__ import annotations

import os
import re
from pathlib import Path

from minisam.errors import CommandError
from minisam.files import write_atomically
from minisam.lesson.build import notebook, readme
from minisam.lesson.cells import Cell, cells
from minisam.lesson.find import FOLDER, Lesson, lessons
from minisam.lesson.glossary import TARGET
from minisam.lesson.run import Ran
from minisam.lesson.stored import stored_run
from minisam.lesson.translated_quiz import quiz_to_translate
from minisam.lesson.translation import Pair, blocks, pairs, report, sections

LANGUAGES = {
    "zh-CN": {
        "<summary>Solutions<": "<summary>参考答案<",
        "<summary>Code<": "<summary>代码<",
        "<summary>Hint<": "<summary>提示<",
        "![Figure ": "![图 ",
    }
}
"""For each language, what `readme` adds to a page's text."""
LINK = re.compile(r"(\]\()(?![a-z]+:|[#/])")
PAGES = ("README.md", "lessons/README.md")
"""Translated pages outside of the lessons, which lie beside the English ones."""


def translation_file(lesson: Lesson, language: str) -> Path:
    return lesson.folder / f"lesson.{language}.md"


def is_translated(lesson: Lesson, language: str) -> bool:
    return translation_file(lesson, language).is_file()


def lesson_pairs(lesson: Lesson, language: str) -> list[Pair]:
    """Each block of the lesson's text with its translation. Raises CommandError if the lesson has none."""
    file = translation_file(lesson, language)
    if not file.is_file():
        have = ", ".join(str(one.number) for one in lessons() if is_translated(one, language)) or "none"
        raise CommandError(f"lesson {lesson.number} is not translated into {language}; these are: {have}")
    english = [cell.source for cell in cells(lesson.text) if cell.kind == "markdown"]
    return pairs(english, blocks(file.read_text(encoding="utf-8")))


def translated(lesson: Lesson, language: str, to_lesson: str = "") -> list[Ran]:
    """The lesson's cells in order, with text in the language, and code and outputs as they are.

    `to_lesson`, such as "../lessons/01_patch_embed/", is put before relative links.
    """
    found = (pair.text for pair in lesson_pairs(lesson, language))
    texts = iter([LINK.sub(rf"\1{to_lesson}", text) for text in found if text is not None])
    return [
        Ran(Cell(item.cell.kind, next(texts), item.cell.line)) if item.cell.kind == "markdown" else item
        for item in stored_run(lesson)
    ]


def page_in(lesson: Lesson, language: str, to_lesson: str = "") -> str:
    """The page: by itself for the lesson's folder, with `to_lesson` for another one."""
    page = readme(lesson, translated(lesson, language, to_lesson), language).split("\n\n", 1)[1]
    for english, own in LANGUAGES[language].items():
        page = page.replace(english, own)
    return page.replace("](figures/", f"]({to_lesson}figures/").replace(
        f"]({TARGET}", f"]({to_lesson}{TARGET}"
    )


def open_translated(lesson: Lesson, language: str, folder: Path) -> dict[Path, bool]:
    """Write lesson_NN.<language>.md and .ipynb into the folder; for each, whether it is new. Existing files stay."""
    to_lesson = Path(os.path.relpath(lesson.folder, folder)).as_posix() + "/"
    texts = {
        "md": page_in(lesson, language, to_lesson),
        "ipynb": notebook(lesson, translated(lesson, language, to_lesson), language),
    }
    found = {}
    for ending, text in texts.items():
        path = folder / f"lesson_{lesson.number:02}.{language}.{ending}"
        found[path] = not path.exists()
        if found[path]:
            write_atomically(path, lambda file, text=text: file.write(text.encode()))
    return found


def to_translate(language: str, chosen: Lesson | None = None) -> list[str]:
    """What translators have to do: a message for each block and question of a lesson, or of all translated ones."""
    messages = []
    for lesson in [chosen] if chosen else lessons():
        if chosen or is_translated(lesson, language):
            file = translation_file(lesson, language).relative_to(FOLDER.parent)
            messages += report(lesson_pairs(lesson, language), file.as_posix())
            messages += quiz_to_translate(lesson, language)
    pages = [FOLDER.parent / name for name in PAGES]
    for english in [] if chosen else [page for page in pages if page.is_file()]:
        own = english.with_suffix(f".{language}.md")
        found = pairs(sections(english.read_text(encoding="utf-8")), blocks(own.read_text(encoding="utf-8")))
        messages += report(found, own.relative_to(FOLDER.parent).as_posix())
    return messages
