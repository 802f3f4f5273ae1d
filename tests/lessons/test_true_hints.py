"""Wrong answers that are in no catalogue: none of them is explained by a misunderstanding that it does not have."""

from __future__ import annotations

import copy
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import _disable_current_modes

from minisam.lesson.check import Report, check_answer
from minisam.lesson.exercise import Exercise
from minisam.lesson.find import lesson
from minisam.lesson.mistakes import Mistake
from minisam.lesson.source import function_in, run_text
from minisam_kernels.cases import Case
from minisam_kernels.lab.answers.absent import has_triton

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
    ("function", "told"),
    [
        (lambda x: 2 * x**2, "Every value is 2 times"),
        (lambda x: (2 if len(x) == 1 else 3) * x**2, ""),
        (lambda x: x**2 + 1, "Every value is off by 1"),
        (lambda x: x**2 + (1 if len(x) < 90 else 2), ""),
        (lambda x: x.flip(1) ** 2, "in wrong places"),
        (lambda x: x.flip(1) ** 2 if len(x) < 90 else x**3, ""),
        (lambda x: x**2 + 1e-4 * x**2, "nearly right"),
        (lambda x: x**2 + (1e-4 if len(x) < 90 else 1) * x**2, ""),
    ],
)
def test_what_is_said_of_every_value_holds_in_every_case(function, told):
    """A factor of one case may be chance, as in two numbers of which both are four times too large."""
    failure = check_answer(exercise(), function).failure
    assert failure is not None
    assert told in failure.hint if told else failure.hint == f"{USUAL}. x times x."


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda x: (x**2).double(), "float64 becomes float64"),
        (lambda x: x > 0, "a comparison gives booleans"),
    ],
)
def test_another_type_is_explained_by_what_gives_it(function, says):
    def cases() -> list[Case]:
        return [Case("positive", "ones and zeros", {"x": np.array([[0.0, 1, 1], [1, 0, 0]])})]

    zeros_and_ones = Exercise("positive", "", cases, lambda x: (x > 0) * 1.0, ("Compare with 0.",), "torch")
    failure = check_answer(zeros_and_ones, function).failure
    assert failure is not None and says in failure.hint


def elsewhere(x: torch.Tensor) -> torch.Tensor:
    """The square, computed by another thread."""
    found: list[torch.Tensor] = []
    thread = threading.Thread(target=lambda: found.append(x * x))
    thread.start()
    thread.join()
    return found[0]


def unseen(x: torch.Tensor) -> torch.Tensor:
    with _disable_current_modes():
        return x * x


@pytest.mark.parametrize(
    "function",
    [
        elsewhere,
        unseen,
        lambda x: torch.tensor([[value * value for value in row] for row in x.tolist()]),
        lambda x: torch.from_numpy(x.numpy() ** 2),
    ],
    ids=["another thread", "without modes", "numbers of Python", "NumPy"],
)
def test_where_a_way_is_excluded_the_result_has_to_come_from_torchs_operations(function):
    failure = check_answer(exercise(banned=("conv",)), function).failure
    assert failure is not None and "not computed from x by torch's operations" in failure.what
    assert "another thread are not seen" in failure.hint
    assert check_answer(exercise(), function).ok


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda x, y, w: (x @ w) @ (2 * y).T, ""),
        (lambda x, y, w: x @ (w @ (2 * y).T), "it multiplies y by weights.w, which the task excludes"),
        (lambda x, y, w: x @ (y[:, None] * w * 2).sum(2).T, "it multiplies y by weights.w"),
        (lambda x, y, w: x @ (2 * torch.cat([y, x]) @ w.T)[:5].T, "it multiplies x + y by weights.w"),
    ],
)
def test_what_must_not_be_projected_is_followed_through_the_function(function, says):
    def cases() -> list[Case]:
        normal = np.random.default_rng(0).standard_normal
        inputs = {"x": normal((2, 3)), "y": normal((5, 3)), "weights.w": normal((3, 3))}
        return [Case("scores", "random", inputs)]

    def reference(x, y, weights):
        return 2 * x @ weights["w"] @ y.T

    scores = Exercise("scores", "", cases, reference, ("(x w) y",), "torch", unprojected=("y",))
    failure = check_answer(scores, lambda x, y, weights: function(x, y, weights["w"])).failure
    assert (failure is None) == (says == "")
    assert failure is None or says in failure.what


def test_a_task_in_numpy_is_not_done_by_torch():
    def square(x):
        return torch.from_numpy(x).square().numpy()

    numpy = Exercise("square", "a square", square_cases, lambda x: x**2, ("x times x.",))
    failure = check_answer(numpy, square).failure
    assert failure is not None and "it computes with torch (pow)" in failure.what
    assert failure.hint == "The task is in NumPy: write down what torch's function does."
    assert check_answer(replace(numpy, takes_torch=True), square).ok


def test_a_module_that_other_answers_may_call_is_closed_to_this_one():
    from minisam.train import losses

    chosen = lesson(11)
    failure = check_answer(chosen.exercises["dice_loss"], losses.dice_loss).failure
    assert failure is not None and "uses minisam.train.losses.dice_loss" in failure.what
    assert check_answer(replace(chosen.exercises["dice_loss"], without=()), losses.dice_loss).ok


@pytest.mark.skipif(not has_triton(), reason="kernels need Linux with Triton")
@pytest.mark.parametrize("way", ["padded and cropped", "padded by F.pad"])
def test_a_kernel_that_needs_no_copies_gets_none(way):
    chosen = lesson(17)
    right = function_in(run_text(chosen.solution, "solution"), "window_attention")

    def answer(qkv, qkv_bias, num_heads, window_size):
        _, H, W, _ = qkv.shape
        below, beside = -H % window_size, -W % window_size
        if way == "padded by F.pad":
            padded = torch.nn.functional.pad(qkv, (0, 0, 0, beside, 0, below))
        else:
            padded = qkv.new_empty(len(qkv), H + below, W + beside, qkv.shape[3])
            padded[:] = qkv_bias
            padded[:, :H, :W] = qkv
        return right(padded, qkv_bias, num_heads, window_size)[:, :H, :W]

    failure = check_answer(chosen.exercises["window_attention"], answer).failure
    used = "constant_pad_nd" if way == "padded by F.pad" else "copy_ into a part"
    assert failure is not None and "which the task excludes" in failure.what and used in failure.what


def in_a_thread(function):
    """The result of a function that another thread runs."""
    results = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join()
    return results[0]


@pytest.mark.parametrize("way", ["called", "a copy's forward", "in a thread", "unwatched"])
def test_the_network_that_is_given_for_its_parts_is_not_called_as_a_whole(way, monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda _: None)

    def whole(image, points, labels, sam, height, width):
        record = {"image": image, "original_size": (height, width), "point_coords": points[None]}
        records = [{**record, "point_labels": labels[None]}]
        if way == "unwatched":
            sys.setprofile(None)
        if way == "in a thread":
            return in_a_thread(lambda: sam(records, multimask_output=True))
        sam = copy.deepcopy(sam) if way == "a copy's forward" else sam
        (result,) = type(sam).forward(sam, records, True) if way == "a copy's forward" else sam(records, True)
        return result["low_res_logits"]

    failure = check_answer(lesson(10).exercises["segment"], whole).failure
    assert failure is not None
    if way == "in a thread":
        assert "IndexError" in failure.what
    else:
        used = "calls sys.setprofile" if way == "unwatched" else "uses minisam.model.sam.Sam.forward"
        assert used in failure.what and failure.hint.startswith("Write down the computation itself")


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
