"""Which files are never trained on: one sixth, by a hash of the name.

    held out  <=>  sha256(name without its suffix) mod 6 = 0

The name is the path below the folder. The split therefore stays the same if files are added, scaled down or converted
to another format.
"""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath

PARTS = 6


def is_held_out(name: str) -> bool:
    """Whether the file `name`, a path below its folder with "/" between its parts, belongs to the held-out sixth."""
    stem = PurePosixPath(name).with_suffix("").as_posix()
    digest = hashlib.sha256(stem.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") % PARTS == 0
