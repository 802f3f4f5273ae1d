"""The average of several networks' weights, a model soup (Wortsman et al. 2022, section 2: uniform soup).

    w = (w_1 + … + w_n) / n

For ends of training runs that began with the same weights: often the average is better than each of them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch

from minisam.checkpoint.load import load_checkpoint
from minisam.checkpoint.save import savable
from minisam.errors import CheckpointError
from minisam.model import Sam


@torch.no_grad()
def average_checkpoints(paths: Sequence[str | os.PathLike[str]]) -> Sam:
    """One network, float32, from the checkpoints of n >= 1 networks with the same geometry and inputs.

    Raises CheckpointError if they differ, or as `load_checkpoint`.
    """
    first = load_checkpoint(paths[0])
    total, kind = first.state_dict(), savable(first)[1:]
    for path in paths[1:]:
        other = load_checkpoint(path)
        if savable(other)[1:] != kind:
            raise CheckpointError(
                f"{os.fspath(path)} is another kind of network than {os.fspath(paths[0])}; "
                "only weights of the same geometry, image size and pixel statistics can be averaged"
            )
        for name, tensor in other.state_dict().items():
            total[name] += tensor
    for tensor in total.values():
        tensor /= len(paths)
    return first
