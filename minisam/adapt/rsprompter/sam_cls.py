"""SAM-cls, the simplest baseline: segment everything, then classify each mask with a small network.

    candidate   a mask of the generator with predicted IoU >= 0.5, stability >= 0.6, box NMS 0.5, at least 16 pixels
    crop        the image in twice the mask's box, everything outside the mask blurred by 7 × 7, resized to 48 × 48
    label       in training: the class of the object with the highest IoU, if that is above 0.2, else background
    score       the probability of the most likely class other than background

The paper's code applies softmax twice, and leaves out every image with fewer than 100 candidates; this does neither.

n candidates   C classes
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from minisam.adapt.rsprompter.feature_aggregator import conv_norm_relu
from minisam.adapt.rsprompter.instances import Instances
from minisam.model import Sam
from minisam.predict.everything.automatic_mask_generator import SamAutomaticMaskGenerator

POINTS_PER_SIDE, PREDICTED_IOU, STABILITY, BOX_NMS, LEAST_PIXELS = 16, 0.5, 0.6, 0.5, 16
CROP_SIDE, BLUR, ENLARGED = 48, 7, 2.0
LEAST_IOU = 0.2


class CropClassifier(nn.Module):
    """Crops [n, 3, 48, 48], 0 … 255 -> logits [n, C + 1], background last."""

    def __init__(self, classes: int, width: int = 32) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for depth in range(4):
            layers += [*conv_norm_relu(channels, width * 2**depth, 3, "group"), nn.MaxPool2d(2)]
            channels = width * 2**depth
        self.body = nn.Sequential(*layers)
        self.logits = nn.Linear(channels, classes + 1)

    def forward(self, crops: Tensor) -> Tensor:
        return self.logits(self.body(crops / 127.5 - 1).mean(dim=(2, 3)))


class Candidates:
    """The masks of an image, [n, H, W] bool, with their boxes [n, 4] (x0, y0, x1, y1) and crops."""

    def __init__(self, sam: Sam, image: NDArray[np.uint8]) -> None:
        generator = SamAutomaticMaskGenerator(
            sam,
            points_per_side=POINTS_PER_SIDE,
            pred_iou_thresh=PREDICTED_IOU,
            stability_score_thresh=STABILITY,
            box_nms_thresh=BOX_NMS,
            min_mask_region_area=LEAST_PIXELS,
        )
        records = generator.generate(image)
        self.masks = np.array([one["segmentation"] for one in records], bool).reshape(-1, *image.shape[:2])
        corners = [(x, y, x + width, y + height) for x, y, width, height in (one["bbox"] for one in records)]
        self.boxes = torch.tensor(corners, dtype=torch.float32).reshape(-1, 4)
        crops = [crop(image, mask, box) for mask, box in zip(self.masks, corners, strict=True)]
        self.crops = torch.from_numpy(np.array(crops, np.uint8).reshape(-1, CROP_SIDE, CROP_SIDE, 3))

    def labels(self, targets: NDArray[np.bool_], target_labels: Sequence[int], background: int) -> Tensor:
        """The label of each candidate [n], from the true masks [m, H, W] and their labels."""
        if not len(targets) or not len(self.masks):
            return torch.full((len(self.masks),), background)
        first, second = (m.reshape(len(m), -1).astype(np.float32) for m in (self.masks, targets))
        shared = first @ second.T
        iou = shared / np.maximum(first.sum(axis=1)[:, None] + second.sum(axis=1) - shared, 1)
        best = torch.from_numpy(iou.argmax(axis=1))
        found = torch.from_numpy(iou.max(axis=1) > LEAST_IOU)
        return torch.where(found, torch.tensor(target_labels)[best], background)


def crop(image: NDArray[np.uint8], mask: NDArray[np.bool_], box: tuple[float, ...]) -> NDArray[np.uint8]:
    """The image in twice the box, sharp inside the mask and blurred outside, [48, 48, 3]; grey beyond the image."""
    pixels = torch.from_numpy(image).permute(2, 0, 1).float()[None]
    padded = F.pad(pixels, (BLUR // 2,) * 4, mode="replicate")
    blurred = F.avg_pool2d(padded, BLUR, stride=1)[0].permute(1, 2, 0).numpy()
    shown = np.where(mask[..., None], image, blurred).round().astype(np.uint8)
    x0, y0, x1, y1 = box
    side = ENLARGED * max(x1 - x0, y1 - y0, 1)
    left, top = (x0 + x1 - side) / 2, (y0 + y1 - side) / 2
    window = (round(left), round(top), round(left + side), round(top + side))
    canvas = Image.new("RGB", (window[2] - window[0], window[3] - window[1]), (127, 127, 127))
    canvas.paste(Image.fromarray(shown), (-window[0], -window[1]))
    return np.asarray(canvas.resize((CROP_SIDE, CROP_SIDE), Image.Resampling.BILINEAR))


def train_classifier(
    crops: Tensor,
    labels: Tensor,
    classes: int,
    seed: int,
    steps: int = 600,
    batch_size: int = 64,
    lr: float = 1e-3,
) -> CropClassifier:
    """A classifier of crops [n, 48, 48, 3] uint8 with labels [n], in evaluation mode; mirrored at random."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = CropClassifier(classes).train()
        optimizer = torch.optim.AdamW(network.parameters(), lr=lr, weight_decay=0.05)
        for step in range(steps):
            chosen = torch.randint(len(crops), (batch_size,))
            pixels = crops[chosen].permute(0, 3, 1, 2).float()
            mirrored = torch.where(torch.rand(batch_size, 1, 1, 1) < 0.5, pixels, pixels.flip(3))
            for group in optimizer.param_groups:
                group["lr"] = lr * (1 - step / steps)
            optimizer.zero_grad()
            F.cross_entropy(network(mirrored), labels[chosen]).backward()
            optimizer.step()
    return network.eval()


@torch.inference_mode()
def classified(network: CropClassifier, found: Candidates) -> Instances:
    """The candidates as objects, best first."""
    if not len(found.crops):
        none = torch.zeros(0)
        return Instances(found.boxes, none.long(), none, torch.from_numpy(found.masks))
    probabilities = network(found.crops.permute(0, 3, 1, 2).float()).softmax(dim=1)[:, :-1]
    scores, labels = probabilities.max(dim=1)
    order = scores.argsort(descending=True, stable=True)
    return Instances(found.boxes[order], labels[order], scores[order], torch.from_numpy(found.masks)[order])
