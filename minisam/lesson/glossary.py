"""Links from a page's words to docs/glossary.md: the first use of each term, with its meaning as the link's title.

A row of the glossary may have several terms, "query, key, value"; each is linked once, in the singular or the plural.
Not linked are headings, code, formulas, what is a link already, and terms that are also everyday words.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from minisam.lesson.find import FOLDER

FILE = FOLDER.parent / "docs" / "glossary.md"
TARGET = "../../docs/glossary.md"
ROW = re.compile(r"^\| (?!term |---)(.+?) \| (.+?) \| (.+?) \|$")
EVERYDAY = {
    "image", "object", "mask", "whole", "part", "target", "prompt", "head", "score", "weight", "value", "key", "block",
    "update", "rank", "program", "grid", "crop", "reference", "forward", "backward", "merge", "unmerge", "click",
    "frozen", "foreground", "background", "图像", "物体", "掩码", "整体", "部件", "目标", "提示", "得分", "权重",
    "更新量", "网格", "裁剪", "前向", "反向", "合并", "点击", "前景", "背景", "冻结",
}  # fmt: skip
"""Not linked: the words of nearly every sentence here, and those that mean something else in most of them."""
OTHER_MEANING = {
    1: {"kernel", "stride", "步长"},
    2: {"tile"},
    7: {"kernel", "stride", "步长"},
    9: {"kernel", "stride", "步长"},
    13: {"offset"},
    21: {"mask token", "logit"},
    22: {"logit"},
}
"""By lesson: terms that mean something else there, such as the kernel of a convolution, and are not linked."""
KEPT = re.compile(
    r"^```.*?^```$|^<!--.*?-->$|^#.*?$|\$\$.*?\$\$|`[^`\n]+`|!?\[(?:[^\[\]]|\[[^\]]*\])*\]\([^()]+\)|\$[^$\n]+\$|<[^>\n]+>",
    re.MULTILINE | re.DOTALL,
)
"""Parts of a page in which nothing is linked."""


@dataclass(frozen=True)
class Entry:
    """A term, the anchor of its section in the glossary, and its meaning."""

    term: str
    section: str
    meaning: str


def entries(glossary: str, language: str = "en") -> dict[str, Entry]:
    """The glossary's terms in a language, in lower case, without everyday words."""
    found, section = {}, ""
    for line in glossary.splitlines():
        if line.startswith("## "):
            section = re.sub(r"[^\w\s-]", "", line[3:].lower()).replace(" ", "-")
        if row := ROW.match(line):
            english, chinese, meaning = row.groups()
            for term in re.split(r", |、| \(|（|[)）]", english if language == "en" else chinese):
                if len(term) > 1 and term.lower() not in EVERYDAY:
                    found[term.lower()] = Entry(term, section, meaning.replace('"', "'"))
    return found


def plural(term: str) -> str:
    """The plural of an English term: offsets, patches, queries."""
    if re.search(r"[^aeiou]y$", term):
        return f"{term[:-1]}ies"
    return term + ("es" if re.search(r"(s|x|ch|sh)$", term) else "s")


def with_glossary(page: str, language: str = "en", file: Path = FILE, without: Collection[str] = ()) -> str:
    """The page with its links; unchanged where the glossary is not there, as in an installed package.

    The terms in `without`, in lower case and the singular, are not linked.
    """
    if not file.is_file():
        return page
    terms = entries(file.read_text(encoding="utf-8"), language)
    terms = {term: entry for term, entry in terms.items() if term not in without}
    if language == "en":
        terms = {plural(term): entry for term, entry in terms.items()} | terms
    longest_first = "|".join(map(re.escape, sorted(terms, key=len, reverse=True)))
    pattern = rf"(?<![\w-])({longest_first})(?![\w-])" if language == "en" else f"({longest_first})"
    word, linked = re.compile(pattern, re.IGNORECASE), set()

    def link(match: re.Match[str]) -> str:
        entry = terms[match[1].lower()]
        if entry.term in linked:
            return match[0]
        linked.add(entry.term)
        return f'[{match[0]}]({TARGET}#{entry.section} "{entry.meaning}")'

    parts, start = [], 0
    for kept in KEPT.finditer(page):
        parts += [word.sub(link, page[start : kept.start()]), kept[0]]
        start = kept.end()
    return "".join([*parts, word.sub(link, page[start:])])
