"""Stage three: no annotator.  A grid of points, three masks for each, filters, non-maximum suppression.

The automatic mask generator as it is (minisam/predict/everything/automatic_mask_generator.py); a point on a part
gives the part and the whole, for the model knows that it cannot know.  Nobody looks at the masks; the truth is
consulted only to say, in the data set, how good they are.
"""

from __future__ import annotations

import torch

from minisam.engine.scenes import UnlabelledPicture
from minisam.engine.work import AUTOMATIC, CollectedMask, Work
from minisam.masks.iou import mask_iou
from minisam.predict import SamAutomaticMaskGenerator


def segment_everything(generator: SamAutomaticMaskGenerator, picture: UnlabelledPicture) -> Work:
    """All masks of a picture that have a pixel, at no cost; `generator` gives binary masks."""
    collected = []
    for record in generator.generate(picture.image):
        if not record["area"]:
            continue
        mask = torch.from_numpy(record["segmentation"])
        x, y = record["point_coords"][0]
        true_iou = mask_iou(mask[None], picture.things).max().item() if len(picture.things) else 0.0
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
