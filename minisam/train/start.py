"""The start of a network: random weights, or those of a file.

A `Start` initialises a new network, and returns the hash of each file that it used, by its name in the run's state.
The files are read once: replacing one during a run does not change the run. `minisam.pretrain.transfer.trunk_of` is
another `Start`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from minisam.checkpoint import load_checkpoint, load_state_dict_into
from minisam.checkpoint.geometry import config_of, shapes_of
from minisam.checkpoint.identify import identify
from minisam.errors import CheckpointError
from minisam.files import sha256_of
from minisam.model import Sam
from minisam.train.grow import grow
from minisam.train.initialise import initialise_

Start: TypeAlias = Callable[[Sam], dict[str, str]]


def random_weights(sam: Sam) -> dict[str, str]:
    """The random weights of minisam/train/initialise.py."""
    initialise_(sam)
    return {}


def weights_of(path: Path | None) -> Start:
    """A checkpoint of the same network, or of a smaller one that grows into it (grow.py); random weights for None.

    The start raises CheckpointError if the file is damaged or of another network.
    """
    if path is None:
        return random_weights

    def start(sam: Sam) -> dict[str, str]:
        smaller = load_checkpoint(path)
        if shapes_of(smaller) == shapes_of(sam):
            load_state_dict_into(sam, path)
        else:
            config = config_of(sam, identify(shapes_of(sam)))
            try:
                sam.load_state_dict(grow(smaller, config).state_dict())
            except CheckpointError as error:
                raise CheckpointError(f"{path}: holds the weights of another network; {error}") from None
        return {"start_from": sha256_of(path)}

    return start
