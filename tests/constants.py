"""The constants of every module of minisam and the default arguments of its functions, as in `constants.json`.

    python tests/constants.py     writes the file again, where a number is meant to change

Sizes, limits, weights of losses and rates are in no equation that a test could compute them from: they are the paper's,
or were chosen. Results in docs/ and files of users come of them. Texts for people are left out.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
from collections.abc import Iterator
from dataclasses import asdict, is_dataclass, replace
from pathlib import Path
from typing import Any

from minisam.data.partworld.worlds import World

FILE = Path(__file__).with_suffix(".json")
PACKAGE = Path(__file__).parents[1] / "minisam"
RECIPES = ("config.py", "engine/settings.py", "pretrain/recipes.py", "train/presets.py")
"""`recipes.json` has the constants of these."""


def constants() -> dict[str, dict[str, Any]]:
    """By file in minisam/, and there by name, or for an argument by function(argument)."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.name not in ("__init__.py", "__main__.py"):
            own = dict(of_module(path))
            found |= {path.relative_to(PACKAGE).as_posix(): own} if own else {}
    return found


def of_module(path: Path) -> Iterator[tuple[str, Any]]:
    module = importlib.import_module(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts))
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            names = () if path.relative_to(PACKAGE).as_posix() in RECIPES else assigned(node)
            for name in names:
                yield from plain_value(name, getattr(module, name, ...))
        elif isinstance(node, ast.FunctionDef | ast.ClassDef) and hasattr(module, node.name):
            yield from of_function(node.name, getattr(module, node.name))
            if isinstance(node, ast.ClassDef):
                yield from inside_class(node, getattr(module, node.name))


def inside_class(node: ast.ClassDef, found: type) -> Iterator[tuple[str, Any]]:
    for inner in node.body:
        if isinstance(inner, ast.FunctionDef) and inner.name != "__init__":
            yield from of_function(f"{node.name}.{inner.name}", getattr(found, inner.name))
        elif isinstance(inner, ast.Assign | ast.AnnAssign) and not is_dataclass(found):
            for name in assigned(inner):
                yield from plain_value(f"{node.name}.{name}", getattr(found, name, ...))


def assigned(node: ast.Assign | ast.AnnAssign) -> Iterator[str]:
    """The names that a statement gives values to."""
    for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
        yield from (one.id for one in ast.walk(target) if isinstance(one, ast.Name))


def of_function(name: str, function: Any) -> Iterator[tuple[str, Any]]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return
    for parameter in parameters:
        if parameter.default is not parameter.empty:
            yield from plain_value(f"{name}({parameter.name})", parameter.default)


def plain_value(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The value as JSON holds it, if it is made of numbers, names and None."""
    try:
        yield name, as_json(value)
    except TypeError:
        return


def as_json(value: Any) -> Any:
    if isinstance(value, World):
        value = replace(value, templates=tuple(template.name for template in value.templates))
    if is_dataclass(value) and not isinstance(value, type):
        return as_json(asdict(value))
    if isinstance(value, dict):
        return {str(key): as_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(one) for one in value]
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    if (isinstance(value, str) and value.count(" ") > 2) or not isinstance(value, str | int | float | None):
        raise TypeError
    return value.replace(str(PACKAGE), "minisam") if isinstance(value, str) else value


if __name__ == "__main__":
    lines = [f"{json.dumps(file)}: {json.dumps(own)}" for file, own in constants().items()]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
