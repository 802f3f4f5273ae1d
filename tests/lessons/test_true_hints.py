"""Wrong answers that are in no catalogue: none of them is explained by a misunderstanding that it does not have."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from minisam.lesson.check import Report, check_answer
from minisam.lesson.exercise import Exercise
from minisam.lesson.find import lesson
from minisam.lesson.mistakes import Mistake
from minisam_kernels.cases import Case

USUAL = "Not one of the usual mistakes"
EXACT = "nearly right, and not as exact as float32"
PADDED = "np.pad(normalised, ((0, 0), (0, below), (0, right)))"
EXP, BACK = "exponentials = np.exp(x - row_max)", ".astype(np.float32)"
SCORES = "scale * q @ k.transpose(-2, -1)"
WRONG = {
    "image_encoder, torch's eps": (5, "image_encoder", {'layer[f"{name}.bias"], 1e-6)': 'layer[f"{name}.bias"])'}),
    "two_way_block, SAM's other eps": (8, "two_way_block", {"eps=1e-5": "eps=1e-3"}),
    "padding with ones": (
        1,
        "prepare",
        {"((0, 0), (0, below), (0, right)))": "((0, 0), (0, below), (0, right)), constant_values=1)"},
    ),
    "padding with the mean of all": (1, "prepare", {PADDED: PADDED.replace(")))", ")), mode='mean')")}),
    "softmax in float16": (2, "softmax", {EXP: EXP.replace("x - row_max", "np.float16(x - row_max)") + BACK}),
    "softmax in float16 from the start": (
        2,
        "softmax",
        {"row_max = x.max": "x = np.float16(x)\n    row_max = x.max", EXP: EXP + BACK},
    ),
    "both bugs gone, another guard": (24, "ods_and_ois", {"np.maximum(predicted, 1)": "(predicted + 1)"}),
    "the size of a logit": (0, "mask_iou", {"logits > 0, truth": "np.abs(logits) > 0, truth"}),
    "the size of a logit, above 1": (0, "mask_iou", {"logits > 0, truth": "np.abs(logits) > 1, truth"}),
    "a threshold of 0.1": (0, "mask_iou", {"logits > 0, truth": "logits > 0.1, truth"}),
    "scores times 0.99": (2, "attention", {SCORES: f"0.99 * {SCORES}"}),
    "dice with two halves": (11, "dice_loss", {"(total + 1)": "(total + 1.05)"}),
    "gamma of 1": (11, "focal_loss", {"** gamma": "** (gamma / 2 + 0.5)"}),
    "noise of nine percent": (12, "noisy_boxes", {"0.1 * noise": "0.09 * noise"}),
    "boxes with a border": (13, "box_iou", {"(last - first).prod": "(last - first + 0.5).prod"}),
    "a coarse cell": (7, "mask_to_logits", {"20 * share[None] - 10": "19 * share[None] - 9"}),
}  # fmt: skip


def report_of(number: int, name: str, edits: dict[str, str]) -> tuple[Report, list[str]]:
    """The report, and the explanations of the exercise's catalogue."""
    chosen = lesson(number)
    function = Mistake("", edits).function(chosen.solution, name)
    mistakes = chosen.mistakes[name]
    report = check_answer(chosen.exercises[name], function, mistakes, chosen.solution)
    return report, [mistake.says for mistake in mistakes]


@pytest.mark.parametrize("wrong", WRONG)
def test_no_catalogued_mistake_is_named_for_another_one(wrong):
    report, catalogue = report_of(*WRONG[wrong])
    assert report.failure is not None
    hint = report.failure.hint
    assert hint not in catalogue
    assert "times what it should be" not in hint and "axes are exchanged" not in hint
    assert hint.startswith(USUAL) or EXACT in hint


def test_an_input_changed_in_place_is_explained_as_that():
    report, _ = report_of(2, "softmax", {EXP: "x -= row_max\n    exponentials = np.exp(x)"})
    assert report.failure is not None and "changes its input x" in report.failure.what
    assert "write into it" in report.failure.hint


def test_the_hint_is_that_of_the_failed_case():
    clamped = {"return chosen[:, None]": "return chosen[:, None].clamp(-50, 50)"}
    report, _ = report_of(12, "feedback", clamped)
    assert report.failure is not None and report.failure.case == "logits up to 100"
    assert (
        report.failure.hint == f"{USUAL}. {lesson(12).exercises['feedback'].case_hints['logits up to 100']}"
    )


def square_cases() -> list[Case]:
    rng = np.random.default_rng(0)
    return [Case("square", f"{size} rows", {"x": rng.standard_normal((size, 3))}) for size in (1, 4, 90)]


def exercise(**options) -> Exercise:
    return Exercise("square", "a square", square_cases, lambda x: x**2, ("x times x.",), "torch", **options)


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda x: x**2, ""),
        (lambda x: x.detach() ** 2, "it has no gradient for x"),
        (lambda x: x.detach() * x, "not the gradient for x"),
        (lambda x: torch.tensor(x.tolist()) ** 2, "it has no gradient for x"),
        (lambda x: torch.from_numpy(x.numpy() ** 2), "requires grad"),
        (lambda x: x**3, "values are wrong"),
    ],
)
def test_gradients_are_compared(function, says):
    failure = check_answer(exercise(differentiable=("x",)), function).failure
    assert (failure is None) == (says == "")
    assert failure is None or says in failure.what


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda x: x * x, ""),
        (
            lambda x: torch.nn.functional.conv2d(x[None, None], torch.ones(1, 1, 1, 1))[0, 0] ** 2,
            "convolution",
        ),
        (lambda x: torch.stack([row * row for row in x]), "as a loop does"),
    ],
)
def test_what_the_task_excludes_is_seen(function, says):
    failure = check_answer(exercise(banned=("conv",), most_operations=60), function).failure
    assert (failure is None) == (says == "")
    assert failure is None or (says in failure.what and "another way" in failure.hint)
