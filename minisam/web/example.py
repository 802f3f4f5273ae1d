"""A drawn scene to click on before there is a photo: a bird in front of a branch, with its parts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SEED, SIZE, SCALE = 19, 768, 1.2


def example_scene() -> NDArray[np.uint8]:
    """[768, 768, 3]; the same on every machine, up to rounding."""
    from minisam.data.partworld import render_scenes

    scene = render_scenes(seed=SEED, batch_size=1, image_size=SIZE, object_scale=SCALE)
    return scene.images[0].permute(1, 2, 0).contiguous().numpy()
