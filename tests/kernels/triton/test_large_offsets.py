"""Tensors with more than 2³¹ numbers: their last image has the bits that it has alone."""

from __future__ import annotations

import pytest
from far_programs import CHECKS

from minisam_kernels.lab.catalog import module_of
from minisam_kernels.launch import INTERPRETED

pytestmark = pytest.mark.skipif(
    not INTERPRETED, reason="needs the interpreter, which runs a few of many programs"
)


@pytest.mark.parametrize("operation", [pytest.param(name, marks=pytest.mark.ci) for name in CHECKS])
def test_the_last_image_has_the_bits_that_it_has_alone(operation):
    CHECKS[operation](module_of(operation))
