"""The state of a run: what went wrong with it is said as it was, and the one before it stays."""

from __future__ import annotations

import errno
import resource
import signal
from pathlib import Path

import pytest
import torch

from minisam.train.state import read_state, write_state

ABOUT = {"seed": 0}


def test_a_full_disk_is_called_so_and_the_state_before_stays(tmp_path: Path):
    path = tmp_path / "state.pt"
    write_state(path, ABOUT, {"step": 1, "model": torch.ones(9)})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, before[1]))
    try:
        with pytest.raises(OSError) as caught:
            write_state(path, ABOUT, {"step": 2, "model": torch.ones(400_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert caught.value.errno == errno.EFBIG and caught.value.filename == str(path)
    state = read_state(path, ABOUT, "cpu")
    assert state is not None and state["step"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["state.pt"]
