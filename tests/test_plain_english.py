"""Words that newcomers stumble over must not occur in prose and messages; each failure names a replacement.

In Markdown pages, paragraphs and tables are checked; in Python files docstrings, comments, and strings of three words
or more, which are the texts of errors, prints and command-line help.  Code in `backticks` or in blocks is not checked.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# lessons/ follows with the course: add its pages and modules here then.
PAGES = sorted(path for pattern in ("*.md", "docs/**/*.md", "kernels/*.md") for path in ROOT.glob(pattern))
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
PATTERN = re.compile(rf"(?<![\w/-])(?:{'|'.join(f'({word})' for word in WORDS)})(?![\w-])", re.IGNORECASE)


def prose_of_page(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a Markdown page with their numbers, without blocks of code and comments."""
    fenced = False
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced and not line.startswith("<!--"):
            yield number, re.sub(r"\]\([^)]*\)", "]", line)


def prose_of_module(source: str) -> Iterator[tuple[int, str]]:
    """Docstrings, comments, and strings of three words or more, line by line with their numbers."""
    tree = ast.parse(source)
    docstrings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
        if node in docstrings or len(text.split()) >= 3:
            yield from enumerate(text.splitlines(), start=node.lineno)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def found(lines: Iterator[tuple[int, str]], allowed: Collection[str] = ()) -> list[str]:
    """One line for each word: where it is, and what to write."""
    report = []
    for number, line in lines:
        for match in PATTERN.finditer(re.sub(r"`[^`]*`", "", line)):
            if match.group().lower() not in allowed:
                replacement = list(WORDS.values())[match.lastindex - 1]
                report.append(f"line {number}: {match.group()!r}; write: {replacement}")
    return report


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_pages(path):
    name = str(path.relative_to(ROOT))
    assert not found(prose_of_page(path.read_text(encoding="utf-8")), ALLOWED.get(name, ()))


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
    message = f'def f():\n    raise ValueError(f"it says {{1}} {planted} here and there")\n'
    for source in (
        f'"""Says {planted}."""\n',
        f"x = 1  # {planted}\n",
        message,
        f"help('now {planted} again')\n",
    ):
        assert len(found(prose_of_module(source))) == 1, source
    assert len(found(prose_of_page(f"Some text\nsays {planted}.\n"))) == 1


def test_code_is_not_prose():
    assert not found(prose_of_module("thing = told['picture']\n"))
    assert not found(
        prose_of_module('"""`thing` and `picture` are names; a spill of registers is a spill."""\n')
    )
    assert not found(prose_of_page("```sh\nminisam thing\n```\n[a figure](docs/picture.png) of `told`\n"))
