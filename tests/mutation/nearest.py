"""Which tests could notice a change in a module."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATCHED = re.compile(r"minisam(\.\w+)+")


def nearest_tests(file: str) -> list[str]:
    """The test files for minisam/`file`: the one of its name and those of its folder that import or patch it.

    Where there are none, those of any folder that import it, and then those for the modules that do; then those of
    its folder with its name in their text, as of a command that they run; at last those that import anything of its
    package.  For a command, also the tests that all options arrive.
    """
    wanted, seen = {module_name(file)}, set()
    folder = ROOT / "tests" / Path(file).parent
    while wanted:
        found = [path for path in test_files() if imports(path) & wanted or path in map(test_of, wanted)]
        if found:
            found = [path for path in found if path.parent == folder] or found
            found += [path for path in folder.glob("test_*options_arrive.py") if path not in found]
            found.sort(key=lambda path: (path.name != f"test_{Path(file).name}", path))
            return [str(path.relative_to(ROOT)) for path in found]
        seen |= wanted
        sources = (ROOT / "minisam").rglob("*.py")
        wanted = {module_name(path) for path in sources if imports(path) & wanted} - seen
    word = re.compile(rf"\b{Path(file).stem}\b")
    named = [p for p in test_files() if p.parent == folder and word.search(p.read_text(encoding="utf-8"))]
    package = module_name(file)
    while not named and package != "minisam":
        named = [p for p in test_files() if any(f"{name}.".startswith(f"{package}.") for name in imports(p))]
        package = package.rpartition(".")[0]
    return [str(path.relative_to(ROOT)) for path in named]


def test_of(module: str) -> Path:
    """Where the tests of a module are, by its name."""
    *folders, name = module.split(".")[1:] or [module]
    return ROOT.joinpath("tests", *folders, f"test_{name}.py")


def module_name(file: str | Path) -> str:
    path = Path(file).relative_to(ROOT / "minisam") if Path(file).is_absolute() else Path(file)
    return ".".join(["minisam", *path.with_suffix("").parts]).removesuffix(".__init__")


@cache
def test_files() -> list[Path]:
    return sorted((ROOT / "tests").rglob("test_*.py"))


@cache
def imports(path: Path) -> frozenset[str]:
    """The modules of minisam that a file imports, by themselves or through the package that hands their names on.

    Also those that it names in a text, "minisam.cli.eval_sources.evaluate_world", as for a patch.
    """
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and PATCHED.fullmatch(node.value):
            found |= {node.value, node.value.rpartition(".")[0]}
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            for name in node.names:
                found |= {node.module, f"{node.module}.{name.name}", handed_on(node.module, name.name)}
    return frozenset(name for name in found if name.startswith("minisam"))


@cache
def handed_on(package: str, name: str) -> str:
    """The module that defines what `from package import name` gives."""
    path = ROOT.joinpath(*package.split("."), "__init__.py")
    if not path.is_file():
        return package
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and any((a.asname or a.name) == name for a in node.names):
            return node.module or package
    return package
