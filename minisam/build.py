"""The networks by name, with random weights, those of a file, or the trained ones that ship."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from minisam.config import CONFIGS, build_from_config
from minisam.errors import CheckpointError
from minisam.model import Sam

WEIGHTS = Path(__file__).parent / "weights"
Checkpoint: TypeAlias = str | os.PathLike[str] | None


def _build(name: str, checkpoint: Checkpoint) -> Sam:
    """A Sam of `CONFIGS`, with random weights or those of a checkpoint file.

    Raises CheckpointError for a damaged file, and for one that holds a network of another geometry.
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
    """The network of the paper in the middle; weights are random, or a file's."""
    return _build("vit_l", checkpoint)


def build_sam_vit_b(checkpoint: Checkpoint = None) -> Sam:
    """The smallest network of the paper; weights are random, or a file's."""
    return _build("vit_b", checkpoint)


def build_sam_small(checkpoint: Checkpoint = None) -> Sam:
    """SAM scaled down by two; weights are random, or a file's."""
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


def build_sam(name: str | os.PathLike[str] = "tiny", checkpoint: Checkpoint = None) -> Sam:
    """The network `tiny` or `nano` with the trained weights that ship with minisam; or the network of a file.

    A file comes as `checkpoint=path`, or in place of the name, as in segment-anything; the network is the one
    that the file holds.  Raises CheckpointError for a damaged file, and for other names: their weights are not
    ours to ship; load them with `minisam.load_checkpoint(path)`.
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
            f"no weights named {name!r} ship with minisam (there are: {shipped}); use load_checkpoint(path)"
        )
    return load_checkpoint(path)


def is_path(name: object) -> bool:
    """Whether `name` means a file rather than a network: a path, a name with a folder or an ending, a file here."""
    if not isinstance(name, str):
        return isinstance(name, os.PathLike)
    path = Path(name)
    return name not in CONFIGS and (path.name != name or path.suffix != "" or path.is_file())
