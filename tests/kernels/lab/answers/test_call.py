"""What comes of one call, in this process."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from minisam_kernels.lab.answers.call import call_here
from minisam_kernels.lab.answers.outcome import Call, arguments
from minisam_kernels.lab.answers.words import one_line

X = np.arange(6, dtype=np.float32).reshape(2, 3)


def in_numpy(function):
    return call_here(function, Call({"x": X}, {"k": 2}))


def in_torch(function, **options):
    return call_here(function, Call({"x": X}, {"k": 2}, "torch", **options))


def test_a_value_its_kind_and_the_inputs_afterwards():
    outcome = in_numpy(lambda x, k: np.add(x, k, out=x))
    assert not outcome.error and outcome.kind == "ndarray" and outcome.dtype == "float32"
    assert np.array_equal(outcome.value, X + 2) and np.array_equal(outcome.inputs["x"], X + 2)
    assert X[0, 0] == 0
    assert in_numpy(lambda x, k: None).kind == "NoneType"
    assert in_numpy(lambda x, k: 3).is_number


class Liar(np.ndarray):
    def __array_ufunc__(self, *arguments, **options):
        return 0

    def __eq__(self, other):
        return True


class LyingTensor(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, arguments=(), options=None):
        return True


def test_a_subclass_is_read_as_the_numbers_it_holds():
    outcome = in_numpy(lambda x, k: x.view(Liar))
    assert type(outcome.value) is np.ndarray and np.array_equal(outcome.value, X)
    outcome = in_torch(lambda x, k: x.clone().as_subclass(LyingTensor), twice=True)
    assert type(outcome.value) is np.ndarray and np.array_equal(outcome.value, X)
    assert np.array_equal(outcome.again, X)


def raises(error):
    def function(x, k):
        raise error

    return function


class Wordless(Exception):
    def __str__(self):
        raise ValueError


@pytest.mark.parametrize("call", [in_numpy, in_torch])
@pytest.mark.parametrize(
    ("function", "says"),
    [
        (raises(ValueError("one\ntwo")), "stops with ValueError: two"),
        (raises(SystemExit(0)), "ends the program (SystemExit: exit code 0)"),
        (raises(type("Quiet", (SystemExit,), {})()), "ends the program (Quiet: exit code 0)"),
        (raises(Wordless()), "stops with Wordless: no message"),
        (lambda x: x, "stops with TypeError: it takes (x), but is called with (x, k)"),
    ],
)
def test_why_there_is_no_value_is_one_line(call, function, says):
    outcome = call(function)
    assert outcome.error == says and outcome.value is None and not outcome.not_written


def test_a_stub_is_not_written():
    assert in_numpy(raises(NotImplementedError())).not_written
    assert in_torch(raises(NotImplementedError())).not_written


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda x, k: x.to("meta"), "returns a tensor that cannot be read"),
        (lambda x, k: x.to_sparse(), "returns a tensor that cannot be read"),
    ],
)
def test_a_tensor_without_numbers_is_no_value(function, says):
    outcome = in_torch(function)
    assert says in outcome.error and outcome.value is None and not outcome.not_written


def test_an_array_of_objects_is_no_value():
    outcome = in_numpy(lambda x, k: x.astype(object))
    assert outcome.error == "returns an array of object, not of numbers" and outcome.value is None


def test_gradients_and_a_second_run():
    outcome = in_torch(lambda x, k: k * x, gradient=X, twice=True)
    assert outcome.differentiable and np.array_equal(outcome.gradients["x"], 2 * X)
    assert np.array_equal(outcome.again, 2 * X)
    outcome = in_torch(lambda x, k: x.detach() + torch.ones(3, requires_grad=True), gradient=X)
    assert outcome.differentiable and not outcome.gradients
    assert not in_torch(lambda x, k: (k * x).sum(0), gradient=X).gradient_error


def test_bfloat16_is_handed_over_and_named():
    outcome = in_torch(lambda x, k: x / 3, dtype="bfloat16")
    assert outcome.dtype == "torch.bfloat16" and outcome.value.dtype == np.float32


def test_names_with_a_dot_become_one_argument():
    assert arguments({"x": 1, "weights.a": 2, "weights.b.c": 3}) == {"x": 1, "weights": {"a": 2, "b.c": 3}}


@pytest.mark.skipif(torch.cuda.is_available(), reason="what is said where there is no GPU")
@pytest.mark.parametrize(
    ("message", "says"),
    [
        ("0 active drivers ([]). There should only be one.", "there is no GPU here: leave out lines"),
        ("Torch not compiled with CUDA enabled", 'leave out device="cuda"'),
    ],
)
def test_what_a_missing_gpu_means_for_the_code(message, says):
    assert says in one_line(RuntimeError(message))


def test_a_long_message_is_cut():
    assert len(one_line(ValueError("x" * 10_000))) < 400
