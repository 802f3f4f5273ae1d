"""Translated lessons: the text in another language, the code cells and their output from the lesson itself.

lessons/NN_<name>/lesson.zh-CN.md has one block for each block of text in lesson.py, in the same order:

    <!-- source 1a2b3c4d -->    the first 8 digits of the SHA-256 of the English text
    the translation of that text

The two lists of digits are compared as in a diff.  A block of text whose digits are in both lists is translated.  Where
text was changed, the old translation is stale; where text was added, one is missing; where it was removed, one is
orphaned.  A page shows the English text in place of a stale or missing translation.  README.zh-CN.md has the same
marks for each section of README.md.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest

MARK = re.compile(r"^<!-- source ([0-9a-f]{8}) -->\n", re.MULTILINE)
FENCE_OR_HEADING = re.compile(r"^```.*?^```$|^(?=#{1,3} )", re.MULTILINE | re.DOTALL)
RESULTS = re.compile(r"(<!-- results: \S+ -->\n).*?(?=<!-- /results -->)", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A translated block; `source` has the digits of its English text, `line` its first line, from 1."""

    source: str
    text: str
    line: int


@dataclass(frozen=True)
class Pair:
    """English text and its translation, of which one may be lacking; state: translated, stale, missing, orphaned."""

    state: str
    english: str | None
    block: Block | None

    @property
    def text(self) -> str | None:
        """What a reader is shown: the translation, the English text if there is none, None for an orphan."""
        return self.block.text if self.state == "translated" and self.block else self.english


def digits(english: str) -> str:
    """The first 8 digits of the SHA-256. Quoted results are left out: a test compares them with their files."""
    return hashlib.sha256(RESULTS.sub(r"\1", english).encode()).hexdigest()[:8]


def blocks(translated: str) -> list[Block]:
    """The blocks of a translation. Text before the first mark belongs to none."""
    marks = list(MARK.finditer(translated))
    ends = [*(mark.start() for mark in marks[1:]), len(translated)]
    return [
        Block(mark[1], translated[mark.end() : end].strip("\n"), translated[: mark.end()].count("\n") + 1)
        for mark, end in zip(marks, ends, strict=True)
    ]


def sections(page: str) -> list[str]:
    """A Markdown page, divided before each heading of level 1 to 3 outside of code."""
    starts = [found.start() for found in FENCE_OR_HEADING.finditer(page) if not found[0]]
    starts = [0, *(start for start in starts if start)]
    parts = [page[start:end] for start, end in zip(starts, [*starts[1:], len(page)], strict=True)]
    return [part.strip("\n") for part in parts]


def pairs(english: Sequence[str], translated: Sequence[Block]) -> list[Pair]:
    """Each English text with its translation, in the order of the English."""
    wanted, have = [digits(text) for text in english], [block.source for block in translated]
    found = []
    for kind, a, b, c, d in SequenceMatcher(None, wanted, have, autojunk=False).get_opcodes():
        for text, block in zip_longest(english[a:b], translated[c:d]):
            state = "translated" if kind == "equal" else "stale"
            if text is None or block is None:
                state = "orphaned" if text is None else "missing"
            found.append(Pair(state, text, block))
    return found


def report(found: Sequence[Pair], file: str) -> list[str]:
    """One message for each pair that is not translated: where, what, and how to correct it."""
    lines, messages = 1, []
    for pair in found:
        lines = pair.block.line if pair.block else lines
        if pair.state == "orphaned":
            messages.append(f"{file}, line {lines}: orphaned: its English text was removed; remove it")
        elif pair.state != "translated" and pair.english is not None:
            task = "translate again" if pair.state == "stale" else "add after this line the translation of"
            mark = f"<!-- source {digits(pair.english)} -->"
            messages.append(
                f"{file}, line {lines}: {pair.state}; {task}, with the mark {mark}:\n{pair.english}"
            )
    return messages
