"""What a network starts as: random weights, or those of a file.

A `Start` fills a network that has just been built, and says of which files: the hash of each, by the name that the
state of a run has for it.  Read once: whoever replaces such a file while the run goes on does not make it another run.
`minisam.pretrain.transfer.trunk_of` is one more.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from minisam.checkpoint import load_state_dict_into
from minisam.files import sha256_of
from minisam.model import Sam
from minisam.train.initialise import initialise_

Start: TypeAlias = Callable[[Sam], dict[str, str]]


def random_weights(sam: Sam) -> dict[str, str]:
    """Those of minisam/train/initialise.py."""
    initialise_(sam)
    return {}


def weights_of(path: Path | None) -> Start:
    """A checkpoint of the same network, or random weights for None.

    The start raises CheckpointError where the file is damaged or of another network.
    """
    if path is None:
        return random_weights

    def start(sam: Sam) -> dict[str, str]:
        load_state_dict_into(sam, path)
        return {"start_from": sha256_of(path)}

    return start
