"""The networks by name, with random weights, the weights of a file, or the included trained ones."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from minisam.config import CONFIGS, build_from_config
from minisam.errors import CheckpointError
from minisam.included import DEFAULT_MODEL
from minisam.model import Sam

WEIGHTS = Path(__file__).parent / "weights"
Checkpoint: TypeAlias = str | os.PathLike[str] | None


def _build(name: str, checkpoint: Checkpoint) -> Sam:
    """A Sam of `CONFIGS`, with random weights or those of a checkpoint file.

    Raises CheckpointError for a damaged file, and for a network of another geometry.
    """
    sam = build_from_config(CONFIGS[name])
    if checkpoint is not None:
        from minisam.checkpoint import load_state_dict_into

        load_state_dict_into(sam, checkpoint)
    return sam


def build_sam_vit_h(checkpoint: Checkpoint = None) -> Sam:
    """The largest network of the paper; weights are random, or a file's."""
    return _build("vit_h", checkpoint)


def build_sam_vit_l(checkpoint: Checkpoint = None) -> Sam:
    """The paper's network of medium size; weights are random, or a file's."""
    return _build("vit_l", checkpoint)


def build_sam_vit_b(checkpoint: Checkpoint = None) -> Sam:
    """The smallest network of the paper; weights are random, or a file's."""
    return _build("vit_b", checkpoint)


def build_sam_small(checkpoint: Checkpoint = None) -> Sam:
    """SAM scaled down by two; weights are random, or a file's (`build_sam("small")` has the trained ones)."""
    return _build("small", checkpoint)


def build_sam_tiny(checkpoint: Checkpoint = None) -> Sam:
    """SAM scaled down by four; weights are random, or a file's (`build_sam("tiny")` has the trained ones)."""
    return _build("tiny", checkpoint)


def build_sam_nano(checkpoint: Checkpoint = None) -> Sam:
    """SAM scaled down by sixteen; weights are random, or a file's (`build_sam("nano")` has the trained ones)."""
    return _build("nano", checkpoint)


sam_model_registry: dict[str, Callable[..., Sam]] = {
    "default": build_sam_vit_h,
    "vit_h": build_sam_vit_h,
    "vit_l": build_sam_vit_l,
    "vit_b": build_sam_vit_b,
    "small": build_sam_small,
    "tiny": build_sam_tiny,
    "nano": build_sam_nano,
}


def build_published_sam(checkpoint: Checkpoint = None) -> Sam:
    """segment-anything's `build_sam`: vit_h with random weights, or the network of a checkpoint file.

    Raises CheckpointError for a damaged file.
    """
    from minisam.checkpoint import load_checkpoint

    return build_sam_vit_h() if checkpoint is None else load_checkpoint(checkpoint)


def build_sam(name: str | os.PathLike[str] = DEFAULT_MODEL, checkpoint: Checkpoint = None) -> Sam:
    """The network `small`, `tiny` or `nano` with the trained weights included in minisam, or the network of a file.

    A file is passed as `checkpoint=path`, or in place of the name as in segment-anything; its weights determine the
    network.  Raises CheckpointError for a damaged file, and for other names, whose weights are not included: load
    them with `minisam.load_checkpoint(path)`.
    """
    from minisam.checkpoint import load_checkpoint

    if checkpoint is None and is_path(name):
        checkpoint = name
    if checkpoint is not None:
        return load_checkpoint(checkpoint)
    path = WEIGHTS / f"{name}.safetensors"
    if not path.exists():
        shipped = ", ".join(sorted(file.stem for file in WEIGHTS.glob("*.safetensors")))
        raise CheckpointError(
            f"minisam includes no weights named {name!r} (there are: {shipped}); use load_checkpoint(path)"
        )
    return load_checkpoint(path)


def is_path(name: object) -> bool:
    """Whether `name` is a file, not a network: a path, a name with a folder or an extension, or an existing file."""
    if not isinstance(name, str):
        return isinstance(name, os.PathLike)
    path = Path(name)
    return name not in CONFIGS and (path.name != name or path.suffix != "" or path.is_file())
