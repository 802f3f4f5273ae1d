"""The file that a training run resumes from: its state, and the settings that the state belongs to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from minisam.checkpoint.torch_files import load_torch_file
from minisam.errors import CheckpointError
from minisam.files import write_atomically


def write_state(path: Path, about: Mapping[str, object], state: Mapping[str, Any]) -> None:
    """Write `state`, tensors and numbers, with the settings `about` it, completely or not at all."""
    write_atomically(path, lambda file: torch.save({"about": json.dumps(about), **state}, file))


def read_state(path: Path, about: Mapping[str, object], device: str) -> dict[str, Any] | None:
    """The state from a file of `write_state`, on `device`, or None if there is no file.

    Raises CheckpointError if the file is damaged or belongs to a run with other settings.
    """
    if not path.exists():
        return None
    try:
        state = load_torch_file(str(path), path.stat().st_size, device)
        settings = json.loads(state.pop("about"))
    except Exception as error:
        raise CheckpointError(f"{path} cannot be read; delete it to train from the start") from error
    if settings != json.loads(json.dumps(about)):
        raise CheckpointError(f"{path} is from a run with other settings; choose another --out or delete it")
    return state
