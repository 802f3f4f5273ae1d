"""The quicker search replaces the builtins that Triton's own replaces, and leaves a language as it was."""

import importlib.util
import sys
from types import FunctionType, ModuleType

import pytest
import torch
import triton
import triton.language as tl
from triton.runtime import interpreter

from minisam_kernels import quick_interpreter
from minisam_kernels.launch import INTERPRETED
from minisam_kernels.quick_interpreter import builtins_of, replace_builtins
from minisam_kernels.softmax import softmax

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
    for name in ("_patch_builtin", "_patch_lang"):
        assert getattr(interpreter, name).__module__ == "minisam_kernels.quick_interpreter"


def test_a_launch_replaces_the_language_once_and_puts_it_back(monkeypatch):
    before = {package: builtins_of(package) for package in (tl, tl.core, tl.math, tl.tensor)}
    replaced = []
    tritons = quick_interpreter.TRITONS_LANGUAGE
    monkeypatch.setattr(
        quick_interpreter, "TRITONS_LANGUAGE", lambda function: replaced.append(function) or tritons(function)
    )
    x = torch.randn(3, 40)
    for _ in range(2):
        torch.testing.assert_close(softmax(x), torch.softmax(x, -1))
    names = [function.__name__ for function in replaced]  # the kernel has tl, its first helper tl.core
    assert names == 2 * ["_softmax_kernel", "max"] and not quick_interpreter.REPLACED
    assert before == {package: builtins_of(package) for package in before}


def test_a_launch_that_fails_puts_the_language_back():
    before = builtins_of(tl)
    with pytest.raises(interpreter.InterpreterError):
        failing_kernel[(1,)](torch.zeros(1))
    assert builtins_of(tl) == before and not quick_interpreter.REPLACED


def test_a_helper_of_another_module_gets_its_language_replaced():
    elsewhere = ModuleType("elsewhere")
    elsewhere.core = tl.core
    helper = FunctionType((lambda: None).__code__, vars(elsewhere))
    launch = quick_interpreter.replace_language(failing_kernel.fn)
    try:
        assert not builtins_of(tl)
        quick_interpreter.replace_language(helper).restore()
        assert not builtins_of(tl.core)
    finally:
        launch.restore()
    assert builtins_of(tl) and builtins_of(tl.core)


@triton.jit
def failing_kernel(x_ptr):
    tl.load(x_ptr + tl.arange(0, 3))


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
