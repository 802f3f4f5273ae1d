"""The text of a file, and of a notebook what its functions need."""

from __future__ import annotations

import ast
import json

import pytest

from minisam_kernels.lab.answers.source import SourceError, compiled, needed, read_source

CELLS = [
    "%matplotlib inline\n!pip install nothing\nimport numpy as np\nfiles = !ls",
    "%%bash\nrm -rf nothing\nif then",
    "%%time\nFACTOR = 2\nunused = 1 / 0",
    "def twice(x):\n    raise NotImplementedError",
    "table = {}\ntable['a'] = FACTOR",
    "assert twice(1) == 2\nprint('never')",
    "def twice(x):\n    return helper(x) * table['a']\n\ndef helper(x):\n    return np.asarray(x)\n\ntwice?",
    "remainder = (5\n             % 3)",
]


def notebook(cells: list[str], *, as_lines: bool = False) -> str:
    sources = [text.splitlines(keepends=True) if as_lines else text for text in cells]
    code = [{"cell_type": "code", "source": source, "outputs": []} for source in sources]
    return json.dumps({"cells": [{"cell_type": "markdown", "source": "# no code ("}, *code], "nbformat": 4})


def run(path, names: list[str]) -> dict:
    text = read_source(path)
    module: dict = {}
    exec(compiled(text, str(path), names), module)
    return module


@pytest.mark.parametrize("as_lines", [False, True])
def test_of_a_notebook_what_a_function_needs_is_run(as_lines, tmp_path):
    (tmp_path / "mine.ipynb").write_text(notebook(CELLS, as_lines=as_lines))
    module = run(tmp_path / "mine.ipynb", ["twice"])
    assert module["twice"](4) == 8
    assert "unused" not in module and "files" not in module
    assert run(tmp_path / "mine.ipynb", ["remainder"])["remainder"] == 2


def test_lines_keep_their_numbers(tmp_path):
    (tmp_path / "mine.ipynb").write_text(notebook(CELLS))
    text = read_source(tmp_path / "mine.ipynb")
    function = run(tmp_path / "mine.ipynb", ["helper"])["helper"]
    assert text.splitlines()[function.__code__.co_firstlineno - 1] == "def helper(x):"


def test_what_is_needed_of_needed_things_is_needed():
    tree = ast.parse(
        "import a as b\nx = b.y\nfrom z import *\nclass C:\n    k = x\nq = 3\ndef f(): return C()\n"
    )
    assert [statement.lineno for statement in needed(tree.body, ["f"])] == [1, 2, 3, 4, 7]


def test_a_functions_own_names_are_not_the_modules():
    tree = ast.parse("k = 1 / 0\nx = 3\ndef f(q):\n    k = q\n    return [k * x for x in q]\nx += 1\n")
    assert [statement.lineno for statement in needed(tree.body, ["f"])] == [3]
    assert [statement.lineno for statement in needed(tree.body, ["x"])] == [2, 6]


def test_a_python_file_is_run_whole_in_its_own_encoding(tmp_path):
    (tmp_path / "mine.py").write_bytes("# coding: latin-1\nname = 'é'\n".encode("latin-1"))
    assert run(tmp_path / "mine.py", [])["name"] == "é"
    (tmp_path / "bom.py").write_bytes(b"\xef\xbb\xbfx = 1\r\n")
    assert run(tmp_path / "bom.py", [])["x"] == 1


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("none.py", None, "there is no file"),
        (".", None, "is a folder"),
        ("a.py", b"def f(:\n", "line 1: SyntaxError"),
        ("a.py", b"x = '\0'\n", "null bytes"),
        ("a.py", b"\xff\xfe\x00x", "cannot read .*; save it as UTF-8"),
        ("a.py", b"# coding: nothing\n", "cannot read .*; save it as UTF-8"),
        ("a.py", "# 中文".encode("gbk"), "cannot read .*; save it as UTF-8"),
        ("a.py", b"(" * 300 + b")" * 300, "too many nested"),
        ("a.ipynb", b"x = 1\n", "not a notebook"),
        ("a.ipynb", b"{}", "not a notebook"),
        ("a.ipynb", b'{"cells": 3}', "not a notebook"),
        ("a.ipynb", b'{"cells": [{"cell_type": "code", "source": [1]}]}', "not a notebook"),
        ("a.ipynb", notebook(["x = 1", "def f(:"]).encode(), "code cell 2, line 1: SyntaxError"),
    ],
)
def test_what_is_no_python_is_said_in_one_line(name, data, says, tmp_path):
    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(SourceError, match=says) as caught:
        compiled(read_source(path), str(path), ["f"])
    assert len(str(caught.value).splitlines()) == 1
