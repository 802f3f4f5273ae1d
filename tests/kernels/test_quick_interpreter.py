"""The quicker search replaces the builtins that Triton's own replaces, and leaves a language as it was."""

import importlib.util
import sys
from types import ModuleType

import pytest
import triton.language as tl
from triton.runtime import interpreter

from minisam_kernels.launch import INTERPRETED
from minisam_kernels.quick_interpreter import builtins_of, replace_builtins

pytestmark = pytest.mark.skipif(not INTERPRETED, reason="the interpreter is not used: there is a CUDA device")


@pytest.fixture
def language():
    """Two builtins, and what is none."""
    module = ModuleType("language")
    module.double = tl.core.builtin(lambda x, _semantic=None: 2 * x)
    module.halve = tl.core.builtin(lambda x, _semantic=None: x / 2)
    module.plain, module.number = lambda x: x, 3
    return module


@pytest.fixture
def scope():
    return interpreter._LangPatchScope()


@pytest.fixture
def own(monkeypatch):
    """Triton's interpreter, imported once more."""
    spec = importlib.util.spec_from_file_location("triton.runtime.once_more", interpreter.__file__)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_it_is_used():
    assert interpreter._patch_builtin.__module__ == "minisam_kernels.quick_interpreter"


def test_the_same_builtins_are_replaced(language, scope, own, monkeypatch):
    def builtins_replaced(module, search):
        found = []
        monkeypatch.setattr(module, "_patch_attr", lambda *arguments: found.append(arguments[:3]))
        search(language, interpreter.interpreter_builder, scope)
        return found

    wanted = [(language, "double", language.double), (language, "halve", language.halve)]
    assert builtins_replaced(interpreter, replace_builtins) == wanted
    assert builtins_replaced(own, own._patch_builtin) == wanted


def test_what_is_replaced_is_left_and_comes_back(language, scope):
    before = builtins_of(language)
    replace_builtins(language, interpreter.interpreter_builder, scope)
    assert language.double(4) == 8 and not builtins_of(language)
    replaced = language.double
    replace_builtins(language, interpreter.interpreter_builder, scope)
    assert language.double is replaced
    scope.restore()
    assert builtins_of(language) == before and len(before) == 2
