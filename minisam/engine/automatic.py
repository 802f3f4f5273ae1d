"""Stage three: no annotator.  A grid of points, three masks for each, filters, non-maximum suppression.

This is the unchanged automatic mask generator (minisam/predict/everything/automatic_mask_generator.py). A point on a
part gives both the part and the whole, because the prompt is ambiguous.  No annotator checks the masks; the ground
truth is only used to record their quality in the data set.
"""

from __future__ import annotations

import torch

from minisam.engine.scenes import UnlabelledPicture
from minisam.engine.work import AUTOMATIC, CollectedMask, Work
from minisam.masks.iou import mask_iou
from minisam.predict import SamAutomaticMaskGenerator


def segment_everything(generator: SamAutomaticMaskGenerator, picture: UnlabelledPicture) -> Work:
    """All non-empty masks of an image, at no cost; `generator` returns binary masks."""
    collected = []
    for record in generator.generate(picture.image):
        if not record["area"]:
            continue
        mask = torch.from_numpy(record["segmentation"])
        x, y = record["point_coords"][0]
        true_iou = mask_iou(mask[None], picture.objects).max().item() if len(picture.objects) else 0.0
        collected.append(
            CollectedMask(
                mask,
                AUTOMATIC,
                0,
                0.0,
                true_iou,
                record["predicted_iou"],
                record["stability_score"],
                (x, y),
            )
        )
    return Work(collected)
