"""The automatic mask generator in segment-anything's steps, for code that calls or replaces one of them.

    _generate_masks:  for the image and each crop  _process_crop,  suppression between crops
    _process_crop:    encode;  for some clicks at a time  _process_batch,  suppression within the crop
    _process_batch:   three masks for every click -> filters -> run lengths
    postprocess_small_regions:  small holes and islands

They pass a `MaskData` of iou_preds [N], points [N, 2], stability_score [N], boxes [N, 4], rles and crop_boxes [N, 4].
`generate` uses these steps if one has been replaced, and otherwise computes the same masks in fewer steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from minisam.masks.nms import box_nms
from minisam.masks.runs import Borders, borders_to_rle
from minisam.predict.everything.candidates import Candidates, join
from minisam.predict.everything.clean_masks import clean_masks
from minisam.predict.everything.click_rounds import Round, decode_in_rounds
from minisam.predict.everything.crops import CropBox, generate_crop_boxes
from minisam.predict.everything.mask_data import MaskData, batch_iterator
from minisam.predict.predictor import SamPredictor

STEPS = ("_generate_masks", "_process_crop", "_process_batch", "postprocess_small_regions")


class GeneratorSteps:
    """The base class of SamAutomaticMaskGenerator, which defines the fields."""

    predictor: SamPredictor
    point_grids: list[NDArray]
    points_per_batch: int
    box_nms_thresh: float
    crop_n_layers: int
    crop_nms_thresh: float
    crop_overlap_ratio: float
    multimask_output: bool

    def _filter(self, decoded: Round, crop: CropBox, size: tuple[int, int]) -> Iterator[Candidates]:
        raise NotImplementedError

    def steps_are_replaced(self) -> bool:
        """Whether a subclass or an assignment has replaced a step."""
        own = (getattr(self, name) for name in STEPS)
        return any(
            getattr(step, "__func__", step) is not getattr(GeneratorSteps, name)
            for name, step in zip(STEPS, own, strict=True)
        )

    def _generate_masks(self, image: NDArray[np.uint8]) -> MaskData:
        """The masks of an image [H, W, 3] uint8, as arrays."""
        size = (image.shape[0], image.shape[1])
        crops, layers = generate_crop_boxes(size, self.crop_n_layers, self.crop_overlap_ratio)
        data = MaskData()
        for crop, layer in zip(crops, layers, strict=True):
            data.cat(self._process_crop(image, list(crop), layer, size))
        if len(crops) > 1:
            lengths = data["crop_boxes"][:, 2:] - data["crop_boxes"][:, :2]
            smaller_first = 1 / lengths.prod(dim=1).float()
            data.filter(suppressed(data["boxes"], smaller_first, self.crop_nms_thresh))
        data.to_numpy()
        return data

    def _process_crop(
        self,
        image: NDArray[np.uint8],
        crop_box: Sequence[int],
        crop_layer_idx: int,
        orig_size: tuple[int, ...],
    ) -> MaskData:
        """The masks of the clicks on one crop (x0, y0, x1, y1), in pixels of the image."""
        x0, y0, x1, y1 = crop_box
        self.predictor.set_image(image[y0:y1, x0:x1])
        points = np.asarray(self.point_grids[crop_layer_idx], np.float64) * (x1 - x0, y1 - y0)
        data = MaskData()
        for (some,) in batch_iterator(self.points_per_batch, points):
            data.cat(self._process_batch(some, (y1 - y0, x1 - x0), crop_box, orig_size))
        self.predictor.reset_image()

        data.filter(suppressed(data["boxes"], data["iou_preds"], self.box_nms_thresh))
        data["boxes"] = data["boxes"] + torch.tensor([x0, y0, x0, y0], device=data["boxes"].device)
        data["points"] = data["points"] + torch.tensor([x0, y0], device=data["points"].device)
        data["crop_boxes"] = torch.tensor([list(crop_box)] * len(data["rles"])).reshape(-1, 4)
        return data

    def _process_batch(
        self,
        points: NDArray[np.float64],
        im_size: tuple[int, ...],
        crop_box: Sequence[int],
        orig_size: tuple[int, ...],
    ) -> MaskData:
        """The masks of clicks [N, 2] that pass the filters; boxes and points in pixels of the current crop.

        `im_size` is the crop's (H, W) and `orig_size` the image's, for the run lengths.
        """
        x0, y0, x1, y1 = crop_box
        size = (orig_size[0], orig_size[1])
        rounds = decode_in_rounds(self.predictor, points, self.points_per_batch, self.multimask_output)
        found = join([part for decoded in rounds for part in self._filter(decoded, (x0, y0, x1, y1), size)])
        return MaskData(
            iou_preds=torch.from_numpy(found.iou_predictions),
            points=torch.from_numpy(found.points - (x0, y0)),
            stability_score=torch.from_numpy(found.stability_scores),
            boxes=torch.from_numpy(found.boxes - (x0, y0, x0, y0)),
            rles=[borders_to_rle(mask, size) for mask in found.borders],
        )

    @staticmethod
    def postprocess_small_regions(
        mask_data: MaskData, min_area: int, nms_thresh: float, keep_largest: bool = True
    ) -> MaskData:
        """Fill holes and remove islands of fewer pixels, then drop new duplicates; changes `mask_data`."""
        if not mask_data["rles"]:
            return mask_data
        height, width = mask_data["rles"][0]["size"]
        borders = [rle_borders(rle) for rle in mask_data["rles"]]
        boxes = np.asarray(mask_data["boxes"], np.int64)
        numbers = np.zeros(len(borders), np.float32)
        places = np.tile(np.arange(len(borders), dtype=np.float64)[:, None], 2)  # where the points belong
        masks = Candidates(borders, boxes, boxes, numbers, numbers, places)
        cleaned = clean_masks(masks, (height, width), min_area, nms_thresh, keep_largest)
        mask_data.filter(torch.from_numpy(cleaned.points[:, 0].astype(np.int64)))
        of_type = mask_data["boxes"]
        mask_data["boxes"] = torch.from_numpy(cleaned.boxes) if isinstance(of_type, Tensor) else cleaned.boxes
        mask_data["rles"] = [borders_to_rle(mask, (height, width)) for mask in cleaned.borders]
        return mask_data


def suppressed(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """The indices of the boxes that `box_nms` keeps."""
    return torch.from_numpy(box_nms(boxes.cpu().numpy(), scores.float().cpu().numpy(), iou_threshold))


def from_mask_data(data: MaskData) -> Candidates:
    """The masks of a `MaskData`, whether its columns are tensors or arrays."""
    return Candidates(
        borders=[rle_borders(rle) for rle in data["rles"]],
        boxes=np.asarray(data["boxes"], np.int64).reshape(-1, 4),
        crop_boxes=np.asarray(data["crop_boxes"], np.int64).reshape(-1, 4),
        iou_predictions=np.asarray(data["iou_preds"], np.float32),
        stability_scores=np.asarray(data["stability_score"], np.float32),
        points=np.asarray(data["points"], np.float64).reshape(-1, 2),
    )


def rle_borders(rle: dict[str, Any]) -> Borders:
    """An encoding with counts in a list -> the borders of its runs."""
    ends = np.cumsum(np.asarray(rle["counts"], np.int64))
    return ends[: len(ends) // 2 * 2]
