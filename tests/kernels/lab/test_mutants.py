from __future__ import annotations

import pytest

from minisam_kernels.lab.mutants import KERNELS, Mutant, load, survivors

HARMLESS = Mutant("other range", "launch", "range(16, 129, 8)", "range(16, 129, 16)")


def test_a_mutant_is_a_copy_with_one_edit_and_the_original_stays(tmp_path):
    from minisam_kernels import launch

    mutated = load("launch", HARMLESS, tmp_path)
    assert 24 in launch.HEAD_DIMS and 24 not in mutated.HEAD_DIMS
    assert mutated.__name__ != launch.__name__
    assert load("launch", None, tmp_path).HEAD_DIMS == launch.HEAD_DIMS


@pytest.mark.parametrize("old", ["HEAD_DIMS", "not in this file"])
def test_a_text_that_is_not_there_once_is_refused(old, tmp_path):
    with pytest.raises(ValueError, match="not once"):
        load("launch", Mutant("bad", "launch", old, "x"), tmp_path)


def test_the_mutants_that_a_check_does_not_notice_are_named(tmp_path):
    deadly = Mutant("no head dims", "launch", "range(16, 129, 8)", "range(0)")

    def check(module):
        assert 16 in module.HEAD_DIMS

    assert survivors("launch", [HARMLESS, deadly], tmp_path, check) == ["other range"]
    assert "range(16, 129, 8)" in (KERNELS / "launch.py").read_text(encoding="utf-8")
