"""Segment everything: a grid of clicks, and filters for their masks (SAM section B).

    for the image and each of its crops
        encode; three masks for every click -> filters -> run lengths
        non-maximum suppression of the boxes, by predicted IoU
    suppression between crops, smaller crops first -> small holes and islands -> suppression again

Arguments, the order of the steps and the keys of the records are segment-anything's.  The keyword arguments after
`output_mode` are additions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from minisam.data.images import check_image_array
from minisam.errors import GeneratorError
from minisam.masks.nms import box_nms
from minisam.model import Sam
from minisam.predict.everything.candidates import Candidates, join, no_candidates
from minisam.predict.everything.clean_masks import clean_masks
from minisam.predict.everything.click_rounds import Round, decode_in_rounds
from minisam.predict.everything.crops import CropBox, generate_crop_boxes
from minisam.predict.everything.generator_arguments import ARGUMENTS, check_numbers, grids_of
from minisam.predict.everything.generator_steps import GeneratorSteps, from_mask_data
from minisam.predict.everything.kernel_masks import clicks_filtered_together
from minisam.predict.everything.low_resolution_masks import LowResolutionMasks
from minisam.predict.everything.mask_filters import MaskFilters
from minisam.predict.everything.mask_records import records
from minisam.predict.everything.memory import MemoryEstimate, estimate_memory
from minisam.predict.everything.point_grids import inside_region
from minisam.predict.predictor import SamPredictor

OUTPUT_MODES = ("binary_mask", "uncompressed_rle", "coco_rle")


class View(NamedTuple):
    """An image or a crop of it, its position in the image, and the clicks on it [N, 2] in pixels of the crop."""

    pixels: NDArray[np.uint8]
    crop: CropBox
    points: NDArray[np.float64]


class SamAutomaticMaskGenerator(GeneratorSteps):
    """`generate(image)` returns one record for every mask that is found."""

    def __init__(
        self,
        model: Sam,
        points_per_side: int | None = 32,
        points_per_batch: int = 64,
        pred_iou_thresh: float = 0.88,
        stability_score_thresh: float = 0.95,
        stability_score_offset: float = 1.0,
        box_nms_thresh: float = 0.7,
        crop_n_layers: int = 0,
        crop_nms_thresh: float = 0.7,
        crop_overlap_ratio: float = 512 / 1500,
        crop_n_points_downscale_factor: int = 1,
        point_grids: list[NDArray] | None = None,
        min_mask_region_area: int = 0,
        output_mode: str = "binary_mask",
        *,
        multimask_output: bool = True,
        max_area_fraction: float | None = None,
        keep_largest_region: bool = True,
        progress: bool | None = None,
    ) -> None:
        """Either `points_per_side` or `point_grids`, points in 0 … 1 for each layer of crops; default: 32 per side.

        `multimask_output=False` uses mask 0, the single mask for unambiguous prompts, for each click.
        `max_area_fraction` drops masks that cover that share of the image or more.  `keep_largest_region=False` drops
        a mask all of whose regions are smaller than `min_mask_region_area`.  `progress` shows a bar (None: in a
        terminal).

        Raises GeneratorError for arguments that contradict each other or are out of their range.
        """
        if output_mode not in OUTPUT_MODES:
            raise GeneratorError(f"output_mode must be one of {', '.join(OUTPUT_MODES)}, got {output_mode!r}")
        given = {name: value for name, value in locals().items() if name in ARGUMENTS}
        check_numbers(given)
        points_per_batch, crop_n_layers = int(points_per_batch), int(crop_n_layers)
        point_grids = grids_of(points_per_side, point_grids, crop_n_layers, crop_n_points_downscale_factor)
        self.predictor = SamPredictor(model)
        self.point_grids = point_grids
        self.points_per_batch = points_per_batch
        self.pred_iou_thresh = pred_iou_thresh
        self.stability_score_thresh = stability_score_thresh
        self.stability_score_offset = stability_score_offset
        self.box_nms_thresh = box_nms_thresh
        self.crop_n_layers = crop_n_layers
        self.crop_nms_thresh = crop_nms_thresh
        self.crop_overlap_ratio = crop_overlap_ratio
        self.crop_n_points_downscale_factor = crop_n_points_downscale_factor
        self.min_mask_region_area = min_mask_region_area
        self.output_mode = output_mode
        self.multimask_output = multimask_output
        self.max_area_fraction = max_area_fraction
        self.keep_largest_region = keep_largest_region
        self.progress = progress

    def generate(
        self, image: NDArray[np.uint8], region: NDArray[np.bool_] | None = None
    ) -> list[dict[str, Any]]:
        """The masks of an image [H, W, 3] uint8 RGB; with `region` [H, W], only from clicks on its set pixels.

        Each record has `segmentation` (a mask [H, W], or a run-length encoding), `area` in pixels, `bbox`
        (x, y, width, height), `predicted_iou`, `point_coords` [[x, y]], `stability_score`, and `crop_box`, like
        `bbox`.  A box ends in the last pixel of its mask: its width is one less than COCO's.

        Raises ImageError for an invalid image, GeneratorError for a region of another size.
        """
        if self.steps_are_replaced():
            if region is not None:
                raise GeneratorError("a generator with a replaced step does not support region: omit it")
            return self._generate_by_steps(check_image_array(image))
        return next(self._generate([image], region))

    def generate_batch(
        self, images: Iterable[NDArray[np.uint8]], encoded_together: int = 1
    ) -> Iterator[list[dict[str, Any]]]:
        """`generate` for several images; only the masks of one image are in memory at a time.

        `encoded_together` images or crops go through the encoder in one call: on a GPU this takes less time, and on
        every device more memory.  The sums have another order, and a pixel close to a threshold may change.
        """
        if not isinstance(encoded_together, int) or encoded_together < 1:
            raise GeneratorError(f"encoded_together must be at least 1, got {encoded_together!r}")
        if self.steps_are_replaced():
            yield from map(self.generate, images)
            return
        remaining = iter(images)
        while group := list(islice(remaining, encoded_together)):
            yield from self._generate(group, None, encoded_together)

    def estimate_memory(self, size: tuple[int, int]) -> MemoryEstimate:
        """The memory that `generate` needs for an image of `size` (H, W), in bytes."""
        return estimate_memory(self.predictor.model, size, self.points_per_batch, self.output_mode)

    def _generate(
        self, images: list[NDArray[np.uint8]], region: NDArray[np.bool_] | None, encoded_together: int = 1
    ) -> Iterator[list[dict[str, Any]]]:
        """The records of each image in turn."""
        plans = [self._plan(check_image_array(image), region) for image in images]
        encoded = self._encode([view for plan in plans for view in plan], encoded_together)
        for image, views in zip(images, plans, strict=True):
            size = (image.shape[0], image.shape[1])
            candidates = self._find(views, encoded, size)
            if self.min_mask_region_area > 0:
                candidates = clean_masks(
                    candidates,
                    size,
                    self.min_mask_region_area,
                    max(self.box_nms_thresh, self.crop_nms_thresh),
                    self.keep_largest_region,
                )
            yield records(candidates, size, self.output_mode)

    def _generate_by_steps(self, image: NDArray[np.uint8]) -> list[dict[str, Any]]:
        """`generate` with the methods of GeneratorSteps, or their replacements."""
        data = self._generate_masks(image)
        if self.min_mask_region_area > 0:
            option = {} if self.keep_largest_region else {"keep_largest": False}
            data = self.postprocess_small_regions(
                data, self.min_mask_region_area, max(self.box_nms_thresh, self.crop_nms_thresh), **option
            )
        return records(from_mask_data(data), (image.shape[0], image.shape[1]), self.output_mode)

    def _plan(self, image: NDArray[np.uint8], region: NDArray[np.bool_] | None) -> list[View]:
        """The image and its crops, without crops that have no click."""
        size = (image.shape[0], image.shape[1])
        region = None if region is None else np.asarray(region, bool)
        if region is not None and region.shape != size:
            raise GeneratorError(f"the region must be {list(size)} like the image, got {list(region.shape)}")
        views = []
        boxes, layers = generate_crop_boxes(size, self.crop_n_layers, self.crop_overlap_ratio)
        for (x0, y0, x1, y1), layer in zip(boxes, layers, strict=True):
            points = np.asarray(self.point_grids[layer], np.float64) * (x1 - x0, y1 - y0)
            if region is not None:
                points = points[inside_region(points + np.array([x0, y0]), region)]
            if len(points):
                views.append(View(image[y0:y1, x0:x1], (x0, y0, x1, y1), points))
        return views

    def _encode(self, views: list[View], together: int) -> Iterator[None]:
        """Each step sets the next view as the predictor's image; several at a time are encoded in one call."""
        for start in range(0, len(views), together):
            yield from self.predictor.set_images_in_turn(
                [view.pixels for view in views[start : start + together]]
            )

    def _find(self, views: list[View], encoded: Iterator[None], size: tuple[int, int]) -> Candidates:
        """The masks of all crops of an image of `size` (H, W), without duplicates."""
        silent = None if self.progress is None else not self.progress
        clicks = sum(len(view.points) for view in views)
        parts = []
        with tqdm(total=clicks, desc="clicks", delay=2, disable=silent, leave=False) as bar:
            for view in views:
                next(encoded)
                parts.append(self._find_in_view(view, size, bar))
        candidates = join(parts) if parts else no_candidates()
        if self.crop_n_layers == 0:
            return candidates
        lengths = candidates.crop_boxes[:, 2:] - candidates.crop_boxes[:, :2]
        smaller_first = 1 / lengths.prod(axis=1).astype(np.float32)
        return candidates.take(box_nms(candidates.boxes, smaller_first, self.crop_nms_thresh))

    def _find_in_view(self, view: View, size: tuple[int, int], bar: tqdm) -> Candidates:
        """The masks of the current view, without duplicates."""
        parts = []
        for decoded in decode_in_rounds(
            self.predictor, view.points, self.points_per_batch, self.multimask_output
        ):
            parts += self._filter(decoded, view.crop, size)
            bar.update(len(decoded.points))
        self.predictor.reset_image()
        candidates = join(parts)
        kept = box_nms(candidates.boxes, candidates.iou_predictions, self.box_nms_thresh)
        return candidates.take(kept)

    def _filter(self, decoded: Round, crop: CropBox, size: tuple[int, int]) -> Iterator[Candidates]:
        """The masks that pass, for some clicks at a time; the first step that waits for the device."""
        filters = MaskFilters(self.pred_iou_thresh, self.stability_score_thresh, self.max_area_fraction)
        predictor, offset = self.predictor, self.stability_score_offset
        t = predictor.model.mask_threshold
        place = predictor.model, predictor.input_size, predictor.original_size
        points, low_res = decoded.points, decoded.low_res.detach()
        iou_predictions = decoded.iou_predictions.cpu()
        step = clicks_filtered_together(low_res, predictor.original_size, self.points_per_batch)
        for start in range(0, len(points), step):
            own = slice(start, start + step)
            masks = LowResolutionMasks(low_res[own], *place, (t - offset, t, t + offset))
            yield filters.apply(masks, iou_predictions[own], points[own], crop, size)
