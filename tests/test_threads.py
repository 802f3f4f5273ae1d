"""A block's number of CPU threads does not outlive it."""

import pytest
import torch

from minisam.threads import cpu_threads


def test_threads_are_as_before_even_after_a_failure():
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), cpu_threads(before + 1):
        assert torch.get_num_threads() == before + 1
        1 / 0  # noqa: B018
    assert torch.get_num_threads() == before
