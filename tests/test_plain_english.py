"""Words that newcomers stumble over must not occur in prose and messages; each failure names a replacement.

In Markdown pages, paragraphs and tables are checked; in lessons the cells with text; in other Python files docstrings,
comments, and strings of three words or more, which are the texts of errors, prints and command-line help.  Code in
`backticks` or in blocks is not checked.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import pytest

from minisam.lesson.cells import cells

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "kernels/*.md", "lessons/*.md")
    for path in ROOT.glob(pattern)
)
LESSONS = sorted(ROOT.glob("lessons/*/lesson.py"))
FOLDERS = [
    "kernels/minisam_kernels",
    *sorted(
        f"minisam/{path.name}" for path in (ROOT / "minisam").iterdir() if (path / "__init__.py").is_file()
    ),
    "minisam",
    "tests",
]

NUMBER = (
    r"(?:\d+(?:[.,]\d+)*|one|two|three|four|eight|bits?|bytes|clicks|images|masks|numbers|pixels|weights)"
)
UNIT = r"(?:cell|click|head|image|line|mask|pixel|prompt|query|round|row|second|side|step|token|world)"
WORDS = {
    r"anew": "again",
    r"(?:any|some|no)body(?:'s)?|whoever": "the user, the caller, no code",
    r"whatever": "any, for any",
    r"one's own|of (?:its|their|one's) own": "its own X, your X, a separate X",
    r"pictures?": "image; figure for a drawing",
    r"things?": "object; else the field's word for it",
    r"mend(?:s|ed|ing)?": "fix",
    r"spill(?:s|ed)? over": "false positive",
    r"told": "value, output, called with",
    r"asks|asked|asking": "attends to, requests, needs",
    r"go(?:es|ing)? on": "continue, resume",
    r"tak(?:e|es|en|ing) up": "load, resume",
    r"hand(?:s|ed|ing)? on": "pass, return, re-export",
    r"brings? along|brought along": "includes",
    r"next to (?:nothing|none|no)": "very little, almost none",
    r"(?:has|have) not(?=[.,;:)])": "lacks, does not have",
    r"leaves? \S+ away": "omit",
    r"for ever": "endlessly",
    r"thousand million": "billion",
    r"weights that ship": "included weights",
    r"held to": "compared with, tested against",
    r"listens? to": "has a hook on",
    rf"{NUMBER}(?: (?!as|at|by|for|from|has|in|is|of|on|or|outside|to|where|with|and)\w+)? a {UNIT}": "per",
}
ALLOWED = {f"tests/kernels/triton/mutants/{name}.py": {"asked"} for name in ("attention", "cross_attention")}
"""File: words that are allowed there, in lower case; these quote kernels in which `asked` is a name."""
PATTERN = re.compile(
    r"(?<![\w/-])(?:" + "|".join(f"({word})" for word in WORDS).replace(" ", r"(?: +|\n *)") + r")(?![\w-])",
    re.IGNORECASE,
)


def prose_of_page(text: str) -> Iterator[tuple[int, str]]:
    """The number of the first line, and a Markdown page without its blocks of code, comments and link targets."""
    text = re.sub(r"^```.*?^```$|^<!--.*?-->$", blank, text, flags=re.MULTILINE | re.DOTALL)
    yield 1, re.sub(r"\]\([^)]*\)", blank, text)


def prose_of_module(source: str) -> Iterator[tuple[int, str]]:
    """Docstrings, comments, and strings of three words or more, each with the number of its first line."""
    tree = ast.parse(source)
    docstrings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
        if node in docstrings or len(text.split()) >= 3:
            yield node.lineno, text
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def blank(match: re.Match[str]) -> str:
    """As many lines as before, empty but for a dot, which no phrase of the list reaches across."""
    return "." + "\n" * match.group().count("\n")


def found(prose: Iterable[tuple[int, str]], allowed: Collection[str] = ()) -> list[str]:
    """One line for each word: where it is, and what to write."""
    report = []
    for first, text in prose:
        text = re.sub(r"`[^`]*`", blank, text)
        for match in PATTERN.finditer(text):
            if match.group().lower() not in allowed:
                line = first + text[: match.start()].count("\n")
                replacement = list(WORDS.values())[(match.lastindex or 1) - 1]
                report.append(f"line {line}: {match.group()!r}; write: {replacement}")
    return report


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_pages(path):
    name = str(path.relative_to(ROOT))
    assert not found(prose_of_page(path.read_text(encoding="utf-8")), ALLOWED.get(name, ()))


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.parent.name)
def test_text_of_lessons(path):
    parts = [cell for cell in cells(path.read_text(encoding="utf-8")) if cell.kind == "markdown"]
    assert parts and not found((cell.line + 1, cell.source) for cell in parts)


@pytest.mark.parametrize("folder", FOLDERS)
def test_modules(folder):
    report = []
    for path in (ROOT / folder).glob("*.py" if folder == "minisam" else "**/*.py"):
        name = str(path.relative_to(ROOT))
        if path == Path(__file__):
            continue
        words = found(prose_of_module(path.read_text(encoding="utf-8")), ALLOWED.get(name, ()))
        report += [f"{name}, {word}" for word in words]
    assert not report, "\n".join(report)


@pytest.mark.parametrize("planted", ["anew", "a picture", "Nobody", "one mask a click", "a room of its own"])
def test_a_planted_word_is_found(planted):
    for source in (
        f'"""Says {planted}."""\n',
        f'"""Says it, and\n{planted.replace(" ", chr(10))} comes later."""\n',
        f"x = 1  # {planted}\n",
        f'def f():\n    raise ValueError(f"it says {{1}} {planted} here and there")\n',
        f"parser.add_argument('-x', help='now {planted} again')\n",
    ):
        assert len(found(prose_of_module(source))) == 1, source
    assert found(prose_of_page(f"Some text\nsays {planted}.\n"))[0].startswith("line 2: ")


def test_code_is_not_prose():
    assert not found(prose_of_module("thing = told['picture']\n"))
    assert not found(
        prose_of_module('"""`thing` and `picture` are names; a spill of registers is a spill."""\n')
    )
    assert not found(prose_of_page("```sh\nminisam thing\n```\n[a figure](docs/picture.png) of `told`\n"))
