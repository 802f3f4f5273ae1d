"""Small wrong edits of a source file, found in its syntax tree; each changes one line.

comparison   < and <=, > and >=, == and !=, in and not in        arithmetic   + and -, * and /, & and |
logic        and and or, a `not` or `~` or sign removed          constants    n + 1, x / 2, True and False
axes         dim=1 and dim=0, dim=-1 and dim=-2                  order        a pair (a, b) turned round
calls        clamp, detach, dropout … removed, min and max …     keywords     antialias, generator … removed
slices       a bound moved by one                                guards       an `if` that raises never does
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

SWAPS = {
    "<": "<=",
    "<=": "<",
    ">": ">=",
    ">=": ">",
    "==": "!=",
    "!=": "==",
    "in": "not in",
    "not in": "in",
    "is": "is not",
    "is not": "is",
    "+": "-",
    "-": "+",
    "*": "/",
    "/": "*",
    "//": "%",
    "%": "//",
    "**": "*",
    "&": "|",
    "|": "&",
    "^": "|",
    "and": "or",
    "or": "and",
}
OPERATORS = {
    **{ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="},
    **{ast.In: "in", ast.NotIn: "not in", ast.Is: "is", ast.IsNot: "is not"},
    **{ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%"},
    **{ast.Pow: "**", ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.And: "and", ast.Or: "or"},
}
NAMES = {
    **{"min": "max", "max": "min", "argmin": "argmax", "argmax": "argmin", "minimum": "maximum"},
    **{"maximum": "minimum", "any": "all", "all": "any", "floor": "ceil", "ceil": "floor"},
    **{"sum": "mean", "mean": "sum", "zeros": "ones", "zeros_like": "ones_like"},
}
METHODS = [
    "clamp",
    "clip",
    "detach",
    "abs",
    "round",
    "sigmoid",
    "float",
    "copy",
    "sqrt",
    "exp",
    "log",
    "flip",
]
WRAPPERS = [
    "dropout",
    "abs",
    "sorted",
    "reversed",
    "round",
    "floor",
    "ceil",
    "sigmoid",
    "softmax",
    "ascontiguousarray",
]
KEYWORDS = [
    "antialias",
    "generator",
    "stable",
    "replacement",
    "align_corners",
    "dropout",
    "bias",
    "eps",
    "weights",
]
AXES = {"0": "1", "1": "0", "2": "1", "-1": "-2", "-2": "-1"}
SHAPES = ["dim", "axis", "dims", "keepdim", "keepdims", "strict", "frozen", "ndmin"]
"""Keywords whose values are edited as axes or not at all: another value stops the program at once or is the same."""


@dataclass(frozen=True)
class Mutant:
    """In minisam/`file`, in `function`, the line `before` becomes `after`, both without indentation."""

    file: str
    function: str
    before: str
    after: str

    def line(self, source: str) -> int:
        """The number of the line, from 1. Raises ValueError unless it is there exactly once in the function."""
        lines = source.split("\n")
        first, last = span(source, self.function)
        at = [n for n in range(first, last) if lines[n].strip() == self.before]
        if len(at) != 1:
            raise ValueError(
                f"{self.file}, {self.function}: {self.before!r} is there {len(at)} times, not once"
            )
        return at[0] + 1

    def apply(self, source: str) -> str:
        """The source with the edit. Raises ValueError as `line` does."""
        lines, at = source.split("\n"), self.line(source) - 1
        lines[at] = lines[at].replace(self.before, self.after)
        return "\n".join(lines)


def span(source: str, function: str) -> tuple[int, int]:
    """The lines of a function or class by its dotted name, of the whole file for ""."""
    found = ast.parse(source)
    first, last = 0, source.count("\n") + 1
    for name in filter(None, function.split(".")):
        inside = [node for node in found.body if getattr(node, "name", None) == name]
        if not inside:
            raise ValueError(f"there is no {function}")
        found = inside[-1]
        first, last = found.lineno - 1, found.end_lineno
    return first, last


def mutants_of(file: str, source: str) -> list[Mutant]:
    """Every mutant of a file whose line is unmistakable and which compiles."""
    lines, found = source.split("\n"), []
    for function, line, start, end, new in edits(ast.parse(source), "", source):
        old = lines[line - 1].encode()
        after = (old[:start] + new.encode() + old[end:]).decode().strip()
        mutant = Mutant(file, function, lines[line - 1].strip(), after)
        try:
            ast.parse(mutant.apply(source))
        except (ValueError, SyntaxError):
            continue
        if mutant not in found and mutant.before != after:
            found.append(mutant)
    return found


def edits(node: ast.AST, function: str, source: str) -> Iterator[tuple[str, int, int, int, str]]:
    """(function, line, first byte, last byte, new text) for all edits below a node."""
    if isinstance(node, ast.Raise | ast.JoinedStr | ast.Import | ast.ImportFrom):
        return
    if isinstance(node, ast.keyword) and node.arg in SHAPES:
        return
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        function = f"{function}.{node.name}".strip(".")
    if getattr(node, "lineno", 0):
        for first, last, new in changes(node, source):
            if first[0] == last[0]:
                yield function, first[0], first[1], last[1], new
    for field, child in ast.iter_fields(node):
        if field in ("annotation", "returns"):
            continue
        for inner in child if isinstance(child, list) else [child]:
            if isinstance(inner, ast.AST):
                yield from edits(inner, function, source)


def changes(node: ast.AST, source: str) -> Iterator[tuple[tuple[int, int], tuple[int, int], str]]:
    """(first place, last place, new text) for the edits of this node itself."""

    def text(inner: ast.AST) -> str:
        return ast.get_source_segment(source, inner) or ""

    match node:
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            yield from between(left, right, OPERATORS[type(op)], source)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            yield from between(left, right, OPERATORS[type(op)], source)
        case ast.BoolOp(op=op, values=[left, right, *_]):
            yield from between(left, right, OPERATORS[type(op)], source)
        case ast.AugAssign(target=target, op=ast.Add() | ast.Sub() as op, value=value):
            yield from between(target, value, OPERATORS[type(op)], source)
        case ast.UnaryOp(op=ast.Not() | ast.Invert() | ast.USub(), operand=operand):
            yield start(node), start(operand), ""
        case ast.Constant(value=bool()):
            yield start(node), end(node), str(not node.value)
        case ast.Constant(value=int()):
            yield start(node), end(node), str(node.value + 1)
        case ast.Constant(value=float()):
            yield start(node), end(node), str(node.value / 2)
        case ast.Tuple(elts=[a, b], ctx=ast.Load()) if text(a) != text(b):
            yield start(a), end(b), f"{text(b)}, {text(a)}"
        case ast.Slice(lower=lower, upper=upper):
            for bound in (lower, upper):
                if bound is not None and not isinstance(bound, ast.Constant):
                    yield start(bound), end(bound), f"{text(bound)} + 1"
        case ast.If(test=test, body=[ast.Raise() | ast.Continue() | ast.Return(), *_]):
            yield start(test), end(test), "False"
        case ast.Call():
            yield from call(node, text)


def call(node: ast.Call, text) -> Iterator[tuple[tuple[int, int], tuple[int, int], str]]:
    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
    if name in NAMES:
        yield (end(node.func)[0], end(node.func)[1] - len(name)), end(node.func), NAMES[name]
    if isinstance(node.func, ast.Attribute) and name in METHODS:
        yield end(node.func.value), end(node), ""
    if len(node.args) >= 1 and name in WRAPPERS:
        yield start(node), end(node), text(node.args[0])
    for keyword in node.keywords:
        value = text(keyword.value)
        if keyword.arg in KEYWORDS and f", {keyword.arg}={value}" in text(node):
            yield (keyword.lineno, keyword.col_offset - 2), end(keyword), ""
        if keyword.arg in ("dim", "axis") and value in AXES:
            yield start(keyword.value), end(keyword.value), AXES[value]


def between(left: ast.AST, right: ast.AST, operator: str, source: str):
    """The edit of an operator that stands between two nodes of one line."""
    line = source.split("\n")[end(left)[0] - 1].encode()
    at = line.find(operator.encode(), end(left)[1])
    if end(left)[0] == start(right)[0] and at < start(right)[1]:
        yield (end(left)[0], at), (end(left)[0], at + len(operator)), SWAPS[operator]


def start(node) -> tuple[int, int]:
    return node.lineno, node.col_offset


def end(node) -> tuple[int, int]:
    return node.end_lineno, node.end_col_offset
