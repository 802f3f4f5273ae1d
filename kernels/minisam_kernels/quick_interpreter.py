"""Triton's interpreter, with less to do for each launch and each call of a helper: kernels run up to twice as fast.

For a kernel, the interpreter replaces every builtin of triton.language by one that computes with NumPy. To find the
builtins it sorts and examines all names of the package, at every launch and at every call of a jitted function,
`tl.sum` and `tl.max` among them. Here they are looked for once, and a helper that a launch calls finds them replaced
already. What is replaced stays the same, and a launch still puts everything back at its end.
"""

from __future__ import annotations

import inspect
from typing import Any

import triton.language as tl
from triton.runtime import interpreter

TRITONS = getattr(interpreter, "_patch_builtin", None)
TRITONS_LANGUAGE = getattr(interpreter, "_patch_lang", None)
FOUND: dict[Any, list[tuple[str, Any]]] = {}
REPLACED: list[tuple[list[Any], Any]] = []
"""Modules of the language that the running launch has replaced, with what puts them back; [] between launches."""


def quicken_interpreter() -> None:
    """Look for the builtins, while none is replaced. Has no effect where this version of Triton does it otherwise."""
    if (
        TRITONS is None
        or TRITONS.__module__ != interpreter.__name__
        or not hasattr(interpreter, "_patch_attr")
    ):
        return
    for package in (tl, tl.core, tl.tensor, tl.math):
        FOUND[package] = builtins_of(package)
    interpreter._patch_builtin = replace_builtins
    if getattr(TRITONS_LANGUAGE, "__module__", "") == interpreter.__name__:
        interpreter._patch_lang = replace_language


def replace_builtins(package: Any, *rest: Any) -> None:
    """Replace those builtins of a module or class that are not replaced already, as they are in a helper's call."""
    if package not in FOUND:
        FOUND[package] = builtins_of(package)
    for name, member in FOUND[package]:
        if getattr(package, name, None) is member:
            interpreter._patch_attr(package, name, member, *rest)


class Replacement:
    """Puts everything back at the end of a launch; that of a helper puts nothing back."""

    def __init__(self, of_launch: bool) -> None:
        self.of_launch = of_launch

    def restore(self) -> None:
        while self.of_launch and REPLACED:
            _, scope = REPLACED.pop()
            scope.restore()


def replace_language(function: Any) -> Replacement:
    """Replace the language for a launch, and for a helper what the launch has not replaced."""
    assert TRITONS_LANGUAGE is not None
    modules = [value for value in function.__globals__.values() if value is tl or value is tl.core]
    replaced = [module for of_one, _ in REPLACED for module in of_one]
    if REPLACED and all(module in replaced for module in modules):
        return Replacement(of_launch=False)
    of_launch = not REPLACED
    REPLACED.append((modules, TRITONS_LANGUAGE(function)))
    return Replacement(of_launch)


def builtins_of(package: Any) -> list[tuple[str, Any]]:
    """A module's or a class's functions that are marked as builtins of the language."""
    return [(name, member) for name, member in inspect.getmembers(package) if tl.core.is_builtin(member)]
