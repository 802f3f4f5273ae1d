"""The quicker search replaces the builtins that Triton's own replaces, and leaves the language as it was."""

import pytest
import triton.language as tl
from triton.runtime import interpreter

from minisam_kernels.launch import INTERPRETED
from minisam_kernels.quick_interpreter import TRITONS, builtins_of, replace_builtins

pytestmark = pytest.mark.skipif(not INTERPRETED, reason="the interpreter is not used: there is a CUDA device")
PACKAGES = [tl, tl.core, tl.tensor, tl.math]


@pytest.fixture
def scope():
    scope = interpreter._LangPatchScope()
    yield scope
    scope.restore()


def test_it_is_used():
    assert interpreter._patch_builtin is replace_builtins is not TRITONS


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_the_same_builtins_are_replaced(package, monkeypatch, scope):
    found = []
    monkeypatch.setattr(interpreter, "_patch_attr", lambda *arguments: found.append(arguments[:3]))
    TRITONS(package, interpreter.interpreter_builder, scope)
    wanted = found.copy()
    found.clear()
    replace_builtins(package, interpreter.interpreter_builder, scope)
    assert found == wanted and len(found) > 5


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_what_is_replaced_is_left_and_comes_back(package, scope):
    before = builtins_of(package)
    replace_builtins(package, interpreter.interpreter_builder, scope)
    changes = len(scope._changes)
    assert changes == len(before) and not builtins_of(package)
    replace_builtins(package, interpreter.interpreter_builder, scope)
    assert len(scope._changes) == changes
    scope.restore()
    assert builtins_of(package) == before
