"""A binary mask as a prompt: from image pixels to the low-resolution logits that the network needs.

SAM was trained with its logits as mask prompts, not with zeros and ones. A binary mask therefore becomes 20·m − 10,
where m is the fraction of a low-resolution pixel that it covers.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from minisam.errors import PromptError
from minisam.model import Sam
from minisam.predict.resize_longest_side import ResizeLongestSide


def mask_to_logits(mask: NDArray[np.bool_], sam: Sam) -> NDArray[np.float32]:
    """A mask [H, W] of the whole image, not 0 inside -> logits [1, h, w] for `SamPredictor.predict(mask_input=…)`.

    Raises PromptError for an empty mask or a wrong shape.
    """
    mask = np.asarray(mask, bool)
    if mask.ndim != 2:
        raise PromptError(f"a mask prompt must have the shape (H, W), got {mask.shape}")
    if not mask.any():
        raise PromptError("the mask prompt is empty: it must have at least one pixel set")
    size = sam.image_encoder.img_size
    height, width = ResizeLongestSide.get_preprocess_shape(mask.shape[0], mask.shape[1], size)
    pixels = torch.from_numpy(mask.astype(np.float32))[None, None]
    scaled = F.interpolate(pixels, (height, width), mode="bilinear", antialias=True)
    padded = F.pad(scaled, (0, size - width, 0, size - height))
    coverage = F.adaptive_avg_pool2d(padded, sam.prompt_encoder.mask_input_size)
    return (20 * coverage[0] - 10).numpy()
