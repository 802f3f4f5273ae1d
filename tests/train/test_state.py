"""The state of a run: what is written comes back, to the run with the same settings alone."""

from __future__ import annotations

import pytest
import torch

from minisam.errors import CheckpointError
from minisam.train.state import read_state, write_state

ABOUT = {"seed": 1, "phases": (0.0, 0.5), "from": None}


def test_what_was_written_comes_back(tmp_path):
    path = tmp_path / "state.pt"
    assert read_state(path, ABOUT, "cpu") is None
    write_state(path, ABOUT, {"step": 3, "model": {"w": torch.tensor([0.1, 2.0])}})
    state = read_state(path, {**ABOUT, "phases": [0.0, 0.5]}, "cpu")  # a tuple becomes a list in the file
    assert state is not None and state["step"] == 3 and state["model"]["w"].equal(torch.tensor([0.1, 2.0]))


@pytest.mark.parametrize("change", [{"seed": 2}, {"more": 1}, {"phases": (0.0,)}, {"from": "x"}])
def test_other_settings_are_refused(tmp_path, change):
    write_state(tmp_path / "state.pt", ABOUT, {"step": 3})
    with pytest.raises(CheckpointError, match="other settings"):
        read_state(tmp_path / "state.pt", {**ABOUT, **change}, "cpu")


@pytest.mark.parametrize("content", [b"", b"nothing", b"PK\x03\x04"])
def test_a_damaged_file_is_refused(tmp_path, content):
    (tmp_path / "state.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match="delete it"):
        read_state(tmp_path / "state.pt", ABOUT, "cpu")
