"""The explanation for a learner: about the first failure, in words that fit the mistake."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from minisam.lesson.check import check_answer, explain
from minisam.lesson.diagnosis import symptom
from minisam.lesson.exercise import Attempt, Exercise, attempt
from minisam.lesson.find import lesson
from minisam.lesson.mistakes import Mistake
from minisam.lesson.source import run_file
from minisam_kernels.cases import Case


def outer(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[:, None] * b[None, :]


def outer_cases() -> list[Case]:
    rng = np.random.default_rng(0)
    sizes = {"small": (2, 2), "wide": (2, 5), "tall": (4, 3), "one": (1, 1)}
    return [
        Case("outer", name, {"a": rng.standard_normal(n), "b": rng.standard_normal(m)})
        for name, (n, m) in sizes.items()
    ]


OUTER = Exercise("outer", "an outer product", outer_cases, outer, ("Give a and b an axis each.",))


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda a, b: a, "The input a comes back unchanged"),
        (lambda a, b: outer(a, b).T, "axes are exchanged"),
        (lambda a, b: 3 * outer(a, b), "Every value is 3 times"),
        (lambda a, b: -3 * outer(a, b), "Every value is -3 times"),
        (lambda a, b: outer(a, b) + 2, "off by 2"),
        (lambda a, b: outer(a, b) - 2, "off by -2"),
        (lambda a, b: outer(a, b)[:, ::-1], "in wrong places"),
        (lambda a, b: np.full((len(a), len(b)), 7, np.float32), "Every value is 7"),
        (lambda a, b: outer(a, b) / 0 * 0, "not finite"),
        (lambda a, b: outer(a, b) ** 2, "Give a and b an axis each."),
        (lambda a, b: outer(a, b) + np.zeros((7, 7, 7)), "Two shapes do not fit together"),
        (lambda a, b: outer(a, b)[None], "has 3 axes and should have 2"),
    ],
)
def test_marks_that_every_result_bears(function, says):
    report = check_answer(OUTER, function)
    assert report.failure is not None and says in report.failure.hint


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda a, b: None, "it returns nothing"),
        (lambda a, b: outer(a, b).tolist(), "it returns a list, not a NumPy array"),
        (lambda a, b: outer(a, b).astype(np.float64), "float64 for float32"),
        (lambda a, b: a @ b, "it returns a float32"),
        (lambda a: a, "it stops with TypeError"),
        (lambda a, b: outer(a, np.multiply(b, 2, out=b) / 2), "it changes its input b"),
        (lambda a, b: outer(a, b)[:1], "the shape is [1, 2], expected [2, 2]"),
    ],
)
def test_results_that_are_none(function, says):
    report = check_answer(OUTER, function)
    assert report.failure is not None and says in report.failure.what


def test_the_first_failure_is_the_first_wrong_value_of_the_first_wrong_case():
    def function(a, b):
        right = outer(a, b)
        if right.shape == (4, 3):
            right[1, 2] += 1
            right[3, 0] += 5
        return right

    report = check_answer(OUTER, function)
    assert report.passed == ("small", "wide") and report.total == 4
    failure = report.failure
    assert failure is not None and failure.case == "tall"
    assert failure.index == (1, 2) and failure.shape == (4, 3)
    assert failure.got == pytest.approx(failure.expected + 1)
    printed = "\n".join(explain(report))
    assert "right   small, wide" in printed and "[1, 2]: expected" in printed and "2 of 12 values" in printed


def test_a_mistake_is_named_only_if_it_gives_the_same_numbers_on_all_cases():
    chapter = lesson(2)
    exercise, mistakes = chapter.exercises["softmax"], chapter.mistakes["softmax"]

    def function(x):  # no maximum, and no sum
        return np.exp(x)

    report = check_answer(exercise, function, mistakes, chapter.solution)
    assert report.failure is not None and report.failure.index == (0, 0)

    def also_wrong_in_wide_rows(x):
        y = np.exp(x - x.max(axis=0, keepdims=True))
        y = y / y.sum(axis=0, keepdims=True)
        return y if x.shape[1] < 1000 else 2 * y

    report = check_answer(exercise, also_wrong_in_wide_rows, mistakes, chapter.solution)
    assert report.failure is not None
    assert report.failure.hint == f"Not one of the usual mistakes. {exercise.hints[0]}"


def test_right_numbers_of_another_type_are_not_taken_for_a_mistake_that_shows_later():
    solution = "def outer(a, b):\n    return a[:, None] * b[None, :]\n"
    later = Mistake("wrong where a is long", {"return a": "return a[:, None] if len(a) > 2 else a"})
    report = check_answer(OUTER, lambda a, b: outer(a, b).astype(np.float64), [later], solution)
    assert report.failure is not None and "The numbers are right, their type is not" in report.failure.hint


def test_nothing_is_made_up_about_a_result_without_marks():
    case = outer_cases()[2]
    noise = np.random.default_rng(1).standard_normal((4, 3))
    assert symptom(Attempt(noise), outer(*case.inputs.values()), case) == ""


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_nothing_is_made_up_about_a_single_number(shape):
    case = outer_cases()[2]
    got, wanted = np.full(shape, 3, np.float32), np.full(shape, 2, np.float32)
    assert symptom(Attempt(got), wanted, case) == ""


def test_a_mistake_is_not_told_where_an_earlier_answer_was_right():
    solution = "def outer(a, b):\n    return a[:, None] * b[None, :]\n"
    doubled = Mistake("twice too much, everywhere", {"return a": "return 2 * a"})
    for right_before, told in ((True, False), (False, True)):

        def function(a, b, right_before=right_before):
            return outer(a, b) * (1 if right_before and len(b) == 2 else 2)

        report = check_answer(OUTER, function, [doubled], solution)
        assert report.failure is not None and report.passed == (("small",) if right_before else ())
        assert ("everywhere" in report.failure.hint) == told


def test_an_input_with_nan_has_not_changed():
    inputs = {"a": np.array([np.nan, 1.0]), "b": np.ones(2)}
    result = attempt(OUTER, lambda a, b: np.zeros((2, 2), np.float32), Case("outer", "nan", inputs))
    assert result.value is not None and not result.error


def test_a_kernel_has_to_be_launched():
    exercise = lesson(14).exercises["softmax_rows"]
    report = check_answer(exercise, lambda x, scale: torch.softmax(scale * x, -1))
    if torch.cuda.is_available():
        pytest.skip("launches are counted in the interpreter alone; a machine without a GPU un-skips this")
    assert report.failure is not None and "launches no kernel" in report.failure.what


def test_a_launched_kernel_needs_a_body():
    chapter = lesson(14)
    kernel = run_file(chapter.folder / "exercise.py").softmax_kernel

    def function(x, scale):
        kernel[(len(x),)](x, x, scale, x.shape[1], BLOCK=1)
        return torch.empty_like(x)

    if torch.cuda.is_available():
        pytest.skip("accesses are watched in the interpreter alone; a machine without a GPU un-skips this")
    report = check_answer(chapter.exercises["softmax_rows"], function)
    assert report.failure is not None and "body is still to be written" in report.failure.hint


def test_the_same_stray_access_is_known_again_wherever_memory_lies():
    first, again, other = (
        Attempt(None, f"it touches memory: {kind} of program (0, 0, 0): {stray} of 64 lanes out of bounds")
        for kind, stray in (("load", 12), ("load", 9), ("store", 12))
    )
    assert first.same_as(again) and not first.same_as(other)


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda a, b: a if len(a) == len(b) else outer(a, b)[1:], "^The result has 1 axes and should have 2"),
        (lambda a, b: outer(a, b)[:1], "Axis 0 has 1 entry here and should have 2"),
        (
            lambda a, b: np.concatenate([outer(a, b)] * 2, axis=1),
            "Axis 1 has 4 entries here and should have 2",
        ),
    ],
)
def test_what_is_said_of_one_case_holds_in_all(function, says):
    report = check_answer(OUTER, function)
    assert report.failure is not None and re.search(says, report.failure.hint)


def wide_first(exercise: Exercise) -> Exercise:
    return replace(exercise, cases=lambda: [case for case in outer_cases() if case.name == "wide"])


def test_exchanged_axes_of_other_sizes_are_told_only_if_all_cases_have_them():
    report = check_answer(wide_first(OUTER), lambda a, b: outer(b, a))
    assert report.failure is not None and report.failure.hint.startswith(
        "The sizes are right, their order is not"
    )
    report = check_answer(OUTER, lambda a, b: outer(b, a) if len(b) == 5 else outer(a, b)[:3, :2])
    assert report.failure is not None and report.failure.case == "wide"
    assert report.failure.hint.startswith("Axis 0 has 5 entries here and should have 2")


def test_the_hint_of_the_case_comes_before_the_number_of_entries():
    hinted = replace(OUTER, case_hints={"small": "Two numbers times two numbers."})
    report = check_answer(hinted, lambda a, b: outer(a, b)[:1])
    assert report.failure is not None and report.failure.hint.endswith(
        "mistakes. Two numbers times two numbers."
    )


def test_an_input_that_an_answer_does_not_need_on_a_case_has_no_gradient_there():
    """Padding's number, where nothing is padded."""

    def padded(x, number):
        return x if len(x) % 2 == 0 else torch.cat([x, number])

    def cases() -> list[Case]:
        return [Case("pad", str(n), {"x": np.arange(n) + 0.5, "number": np.ones(1)}) for n in (2, 3)]

    def reference(x, number):
        return np.concatenate([x, number[: len(x) % 2]])

    task = Exercise("pad", "", cases, reference, ("",), "torch", differentiable=("x", "number"))
    assert check_answer(task, padded).ok
    cut = check_answer(task, lambda x, number: padded(x, number.detach()))
    assert cut.passed == ("2",) and cut.failure is not None
    assert cut.failure.what == "the values are right, but it has no gradient for number"
