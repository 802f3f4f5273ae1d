"""The check passes what is right and names the first error in all others."""

from __future__ import annotations

import pytest
import torch
import triton
import triton.language as tl

from minisam_kernels import dense
from minisam_kernels.lab.check import check_function, default_dtypes, explain
from minisam_kernels.lab.users_file import LoadError, load_function
from minisam_kernels.launch import INTERPRETED
from minisam_kernels.mask_cases import COUNTING

SMALL = "prime"  # part of the name of one case of softmax and of its adversarial ones


def failure_of(function, dtype="fp32") -> str:
    report = check_function(function, "softmax", (dtype,), SMALL)
    assert report.failure is not None
    return "\n".join(explain(report))


@pytest.mark.parametrize("operation", dense.OPERATIONS)
def test_torch_is_right_with_gradients(operation):
    report = check_function(dense.OPERATIONS[operation], operation, ("fp32",))
    assert report.failure is None and report.right == report.total >= 8
    assert report.with_gradients == (operation not in COUNTING)
    looked_at = "every gradient" if report.with_gradients else "it has no gradient"
    assert "correct: " in next(explain(report)) and looked_at in next(explain(report))


def one_pixel_more(*arguments):
    statistics = dense.mask_statistics(*arguments)
    statistics[-1, 1] += 1
    return statistics


def areas_as_floats(*arguments):
    return dense.mask_statistics(*arguments).float()


def no_count_at_all(*arguments):
    return torch.empty_like(dense.mask_statistics(*arguments))


def no_box(*arguments):
    return dense.mask_statistics(*arguments)[:, :4]


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (one_pixel_more, "output: wrong in 1 of 8 numbers, the first at [0, 1]: got 2, wanted 1"),
        (areas_as_floats, "returned torch.float32 on cpu, wanted torch.int32 on cpu"),
        (no_count_at_all, "output: no value was ever written, the first at [0, 0]"),
        (no_box, "output: has shape [1, 4], wanted [1, 8]"),
    ],
)
def test_a_count_is_right_or_wrong(function, says):
    report = check_function(function, "mask_statistics", ("fp32",))
    assert report.failure is not None and says in report.failure.explain()


def test_half_precision_is_checked_by_default():
    report = check_function(dense.softmax, "softmax", only="wider")
    assert report.failure is None and set(default_dtypes()) >= {"fp32", "fp16"} == {"fp32", "fp16"}


def zeros(x, scale):
    return torch.zeros_like(x)


def no_scale(x, scale):
    return torch.softmax(x, -1)


def no_maximum(x, scale):
    exponentials = torch.exp(scale * x)
    return exponentials / exponentials.sum(-1, keepdim=True)


def wrong_axis(x, scale):
    return torch.softmax(scale * x, 0)


def one_wrong_number(x, scale):
    out = torch.softmax(scale * x, -1)
    out = out.clone()
    out[2, 3] += 0.25
    return out


def transposed(x, scale):
    return torch.softmax(scale * x, -1).T.contiguous()


def a_little_off_everywhere(x, scale):
    return torch.softmax(scale * x, -1) * 1.01


def other_type(x, scale):
    return torch.softmax(scale * x, -1).double()


def nothing(x, scale):
    return None


def writes_to_its_input(x, scale):
    x.data.clamp_(-1, 1)
    return torch.softmax(scale * x, -1)


def moves_on_every_run(x, scale):
    return torch.softmax(scale * x, -1) * (1 + 1e-7 * torch.rand(()))


def never_writes(x, scale):
    return x.new_empty(x.shape)


def leaves_half_unwritten(x, scale):
    out = torch.empty_like(x)
    out[:, : x.shape[1] // 2] = torch.softmax(scale * x, -1)[:, : x.shape[1] // 2]
    return out.detach()


def stops(x, scale):
    raise RuntimeError("first line\nthe reason")


def detached_gradient(x, scale):
    return torch.softmax(scale * x.detach(), -1) + torch.zeros_like(x, requires_grad=True)


class WrongGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, scale):
        ctx.save_for_backward(y := torch.softmax(scale * x, -1))
        return y

    @staticmethod
    def backward(ctx, grad):
        (y,) = ctx.saved_tensors
        return y * (grad - (grad * y).sum(-1, keepdim=True)), None


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (zeros, "output: wrong, the first at [0, 0]: got 0, wanted 0."),
        (never_writes, "output: no value was ever written, the first at [0, 0]"),
        (no_scale, "output: wrong"),
        (wrong_axis, "output: wrong"),
        (one_wrong_number, "at [2, 3]: got "),
        (transposed, "output: has shape [13, 7], wanted [7, 13]"),
        (a_little_off_everywhere, "RMS"),
        (other_type, "returned torch.float64 on cpu, wanted torch.float32 on cpu"),
        (nothing, "returned NoneType, wanted a tensor"),
        (writes_to_its_input, "input x was written to"),
        (moves_on_every_run, "a second run gives other bits"),
        (leaves_half_unwritten, "output: 49 of 91 values were never written, the first at [0, 6]"),
        (stops, "stops with RuntimeError: the reason"),
        (detached_gradient, "gradient of x: there is none"),
        (WrongGradient.apply, "gradient of x: wrong, the first at ["),
    ],
)
def test_what_is_wrong_is_named(function, says):
    text = failure_of(function)
    assert says in text
    assert text.startswith("wrong: case '") and len(text.splitlines()) == 2


def test_half_precision_finds_an_exponential_that_overflows():
    assert "not finite" in failure_of(no_maximum, "fp16")


@triton.jit
def _copy_kernel(x_ptr, out_ptr, N, BLOCK: tl.constexpr):
    """One program owns everything, and forgets the mask of its load."""
    place = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + place)
    tl.store(out_ptr + place, x, mask=place < N)


def reads_beyond_the_end(x, scale):
    out = torch.empty_like(x, requires_grad=False)
    y = torch.softmax(scale * x.detach(), -1)
    _copy_kernel[(1,)](y, out, y.numel(), BLOCK=triton.next_power_of_2(y.numel()))
    return out


@pytest.mark.skipif(
    not INTERPRETED, reason="masked lanes can be watched in the interpreter: TRITON_INTERPRET=1"
)
def test_a_stray_read_whose_lanes_are_never_stored_is_found():
    assert "load of program (0, 0, 0): 37 of 128 lanes out of bounds" in failure_of(reads_beyond_the_end)


def test_a_filter_that_fits_no_case_says_so():
    with pytest.raises(ValueError, match="no case with 'nonsense'"):
        check_function(dense.softmax, "softmax", only="nonsense")


def test_a_function_is_loaded_from_its_file(tmp_path):
    (tmp_path / "helper.py").write_text("FACTOR = 2\n")
    file = tmp_path / "mine.py"
    file.write_text("from helper import FACTOR\ndef twice(x):\n    return FACTOR * x\n")
    assert load_function(f"{file}:twice")(3) == 6


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        (None, "mine.py:f", "there is no file"),
        ("f = 1", "mine.py", "write FILE.py:function"),
        ("f = 1", "mine.py:f", "has no function 'f'; it has none"),
        ("def g(): pass", "mine.py:f", "it has g"),
        ("def f(:", "mine.py:f", "SyntaxError"),
        ("import nowhere_to_be_found", "mine.py:f", "ModuleNotFoundError: No module named"),
        ("raise SystemExit('enough')", "mine.py:f", "SystemExit: enough"),
        ("f = 1", "mine.txt:f", "must end in .py"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path, text, place, says):
    if text is not None:
        (tmp_path / place.split(":")[0]).write_text(text)
    with pytest.raises(LoadError, match=says.replace("(", r"\(")) as caught:
        load_function(str(tmp_path / place))
    assert len(str(caught.value).splitlines()) == 1
