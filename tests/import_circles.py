"""Which files, and which folders, of minisam import each other in a circle: `python tests/import_circles.py`.

An import counts wherever it stands, in a function or under TYPE_CHECKING too: both only hide a circle.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent
Graph = Mapping[str, set[str]]


def imports_of(path: Path) -> set[str]:
    """The dotted names of minisam's modules that a Python file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found |= {existing(f"{node.module}.{alias.name}") or node.module for alias in node.names}
    return {name for name in found if name.split(".")[0] == "minisam"}


def existing(name: str) -> str | None:
    """`name` if it is a module or a package of minisam."""
    path = ROOT.joinpath(*name.split("."))
    return name if path.with_suffix(".py").is_file() or (path / "__init__.py").is_file() else None


def files() -> dict[str, set[str]]:
    """Each module of minisam -> the modules that it imports."""
    graph = {}
    for path in (ROOT / "minisam").rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        graph[name] = imports_of(path) - {name}
    return graph


def folders() -> dict[str, set[str]]:
    """Each folder of minisam -> the folders that its files import; a file beside the folders counts as one."""
    graph: dict[str, set[str]] = {}
    for name, imported in files().items():
        folder = folder_of(name)
        graph.setdefault(folder, set()).update({folder_of(other) for other in imported} - {folder})
    return graph


def folder_of(name: str) -> str:
    return ".".join(name.split(".")[:2])


def circles(graph: Graph) -> list[list[str]]:
    """The sets of nodes that reach each other."""
    reached = {node: reachable(graph, graph[node]) for node in graph}
    together = {
        tuple(sorted({other for other in reached[node] if node in reached.get(other, ())}))
        for node in graph
        if node in reached[node]
    }
    return [list(circle) for circle in sorted(together)]


def reachable(graph: Graph, start: Iterable[str]) -> set[str]:
    found, pending = set(), list(start)
    while pending:
        node = pending.pop()
        if node not in found:
            found.add(node)
            pending += graph.get(node, ())
    return found


if __name__ == "__main__":
    for kind, graph in (("files", files()), ("folders", folders())):
        for circle in circles(graph):
            print(f"{kind}: {' <-> '.join(circle)}")
