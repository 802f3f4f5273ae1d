"""docs/compatibility.md is what the tables say, and the tests that it names exist."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from compatibility.clients import CLIENTS
from compatibility.page import PAGE, cell, module_of, page

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_tables_say():
    assert PAGE.read_text(encoding="utf-8") == page(), "run python tests/compatibility/page.py"


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_the_test_of_a_program_exists(client):
    path, _, name = client.test.partition("::")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_module_and_cell():
    assert module_of("utils.amg.MaskData.filter") == "utils.amg"
    assert module_of("predictor.SamPredictor.predict") == "predictor"
    assert cell("a | b") == "a \\| b"
