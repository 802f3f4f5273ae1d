"""The checks of segment-anything's `automatic_mask_generator`, `build_sam`, `utils.amg` and `utils.onnx`."""

from __future__ import annotations

import pickle
from copy import deepcopy
from functools import cache
from typing import Any

import numpy as np
import torch
from compatibility.checks import GRID, Pairs, Side, check, masks, pixels, raised
from compatibility.surface import predictors, sams
from parity.oracle import SMALL, random
from parity.test_predictor import photo

from minisam.build import build_sam

AMG, ONNX = "utils.amg", "utils.onnx"
PHOTO = photo()[::4, ::4].copy()
# A young network's masks are unsure and unstable; these thresholds pass about half of them.
LENIENT = {"points_per_side": 6, "pred_iou_thresh": 0.25, "stability_score_thresh": 0.05}
GENERATOR = "automatic_mask_generator.SamAutomaticMaskGenerator"


@check("utils.amg.MaskData")
def mask_data(ours: Side, theirs: Side) -> Pairs:
    def run(side: Side, keep: torch.Tensor) -> list[Any]:
        data = side(AMG).MaskData(a=torch.arange(4), b=np.arange(4.0), c=[10, 11, 12, 13])
        more = side(AMG).MaskData(a=torch.tensor([7]), b=np.array([7.0]), c=[17], d=["new"])
        data["e"] = torch.ones(4, 2)
        data.filter(keep)
        del data["e"]
        data.cat(more)
        data.to_numpy()
        return [(key, np.asarray(value).tolist(), type(value)) for key, value in data.items()]

    for keep in (
        torch.tensor([True, False, True, False]),
        torch.tensor([3, 0, 0]),
        torch.zeros(0, dtype=torch.long),
    ):
        yield run(ours, keep), run(theirs, keep)
    yield tuple(raised(lambda side=side: side(AMG).MaskData(a=3)) for side in (ours, theirs))
    yield tuple(
        raised(lambda side=side: side(AMG).MaskData().__setitem__("a", "text")) for side in (ours, theirs)
    )


@check("utils.amg.is_box_near_crop_edge")
def near_crop_edge(ours: Side, theirs: Side) -> Pairs:
    boxes = torch.randint(0, 90, (200, 4), generator=torch.Generator().manual_seed(0))
    for crop, whole in (([10, 20, 100, 120], [0, 0, 100, 200]), ([0, 0, 100, 200], [0, 0, 100, 200])):
        for some in (boxes, boxes.float()):
            yield tuple(side(AMG).is_box_near_crop_edge(some, crop, whole) for side in (ours, theirs))
            yield tuple(
                side(AMG).is_box_near_crop_edge(some, crop, whole, atol=3.0) for side in (ours, theirs)
            )


@check("utils.amg.box_xyxy_to_xywh")
def xywh(ours: Side, theirs: Side) -> Pairs:
    for box in ([1, 2, 5, 9], torch.tensor([1, 2, 5, 9]), np.array([1.5, 2, 5, 9]), torch.ones(4, 3)):
        yield tuple(side(AMG).box_xyxy_to_xywh(box) for side in (ours, theirs))


@check("utils.amg.batch_iterator")
def batches(ours: Side, theirs: Side) -> Pairs:
    for size in (1, 3, 7):
        yield tuple(
            list(side(AMG).batch_iterator(size, list(range(7)), "abcdefg")) for side in (ours, theirs)
        )
    yield tuple(
        raised(lambda side=side: list(side(AMG).batch_iterator(2, [1], []))) for side in (ours, theirs)
    )


@check(
    "utils.amg.mask_to_rle_pytorch",
    "utils.amg.rle_to_mask",
    "utils.amg.area_from_rle",
    "utils.amg.coco_encode_rle",
)
def run_lengths(ours: Side, theirs: Side) -> Pairs:
    for shape in ((5, 6, 9), (2, 1, 1), (3, 40, 1), (3, 1, 40)):
        drawn = masks(1, *shape)
        rles = theirs(AMG).mask_to_rle_pytorch(drawn)
        yield ours(AMG).mask_to_rle_pytorch(drawn), rles
        for rle, mask in zip(rles, drawn, strict=True):
            for name in ("rle_to_mask", "area_from_rle", "coco_encode_rle"):
                yield tuple(getattr(side(AMG), name)(rle) for side in (ours, theirs))
            assert np.array_equal(ours(AMG).rle_to_mask(rle), mask)


@check("utils.amg.calculate_stability_score")
def stability(ours: Side, theirs: Side) -> Pairs:
    yield tuple(
        side(AMG).calculate_stability_score(random(1, 3, 2, 9, 8), 0.1, 0.5) for side in (ours, theirs)
    )


@check(
    "utils.amg.build_point_grid",
    "utils.amg.build_all_layer_point_grids",
    "utils.amg.generate_crop_boxes",
)
def grids_and_crops(ours: Side, theirs: Side) -> Pairs:
    for side_length in (1, 2, 32):
        yield tuple(side(AMG).build_point_grid(side_length) for side in (ours, theirs))
    yield tuple(side(AMG).build_all_layer_point_grids(32, 2, 2) for side in (ours, theirs))
    for size, layers in (((600, 800), 0), ((600, 800), 2), ((333, 75), 3)):
        yield tuple(side(AMG).generate_crop_boxes(size, layers, 512 / 1500) for side in (ours, theirs))


@check("utils.amg.uncrop_boxes_xyxy", "utils.amg.uncrop_points", "utils.amg.uncrop_masks")
def uncropping(ours: Side, theirs: Side) -> Pairs:
    crop = [3, 5, 12, 15]
    for boxes in (pixels(1, 4, 4), pixels(1, 2, 3, 4), torch.ones(2, 4, dtype=torch.long)):
        yield tuple(side(AMG).uncrop_boxes_xyxy(boxes, crop) for side in (ours, theirs))
        yield tuple(side(AMG).uncrop_points(boxes[..., :2], crop) for side in (ours, theirs))
    for drawn in (masks(1, 3, 10, 9), random(1, 3, 2, 10, 9)):
        yield tuple(side(AMG).uncrop_masks(drawn, crop, 20, 30) for side in (ours, theirs))
        yield tuple(side(AMG).uncrop_masks(drawn, [0, 0, 9, 10], 10, 9) for side in (ours, theirs))


@check("utils.amg.remove_small_regions")
def small_regions(ours: Side, theirs: Side) -> Pairs:
    for seed in range(4):
        mask = np.random.default_rng(seed).random((13, 17)) > (0.35, 0.65, 0.9, 0.1)[seed]
        for area in (1, 3, 8, 1000):
            for mode in ("holes", "islands"):
                yield tuple(side(AMG).remove_small_regions(mask, area, mode) for side in (ours, theirs))
    yield tuple(
        raised(lambda side=side: side(AMG).remove_small_regions(mask, 3, "both")) for side in (ours, theirs)
    )


@check("utils.amg.batched_mask_to_box")
def mask_boxes(ours: Side, theirs: Side) -> Pairs:
    for drawn in (masks(1, 4, 6, 9), masks(1, 4, 6, 9)[1], masks(2, 2, 3, 5, 4), torch.zeros(0, 5, 4).bool()):
        yield tuple(side(AMG).batched_mask_to_box(drawn) for side in (ours, theirs))


@check(
    "build_sam.build_sam",
    "build_sam.build_sam_vit_h",
    "build_sam.build_sam_vit_l",
    "build_sam.build_sam_vit_b",
)
def builders(ours: Side, theirs: Side) -> Pairs:
    with torch.device("meta"):
        for name in ("build_sam", "build_sam_vit_h", "build_sam_vit_l", "build_sam_vit_b"):
            built = [getattr(side("build_sam"), name)(checkpoint=None) for side in (ours, theirs)]
            yield tuple({key: tensor.shape for key, tensor in sam.state_dict().items()} for sam in built)
            yield tuple(sam.training for sam in built)
    registries = [side("build_sam").sam_model_registry for side in (ours, theirs)]
    assert registries[0].keys() >= registries[1].keys()
    for registry in registries:
        assert pickle.loads(pickle.dumps(registry)) == registry
    assert ours("build_sam").sam_model_registry["default"] is ours("build_sam").build_sam_vit_h


@cache
def nano() -> Any:
    return build_sam("nano")


def generators(ours: Side, theirs: Side, **settings: Any) -> list[Any]:
    """A generator on each side for the same network and predictor, so that not even rounding differs."""
    settings = {**LENIENT, **settings}
    pair = [
        side("automatic_mask_generator").SamAutomaticMaskGenerator(nano(), **settings)
        for side in (ours, theirs)
    ]
    pair[1].predictor = ours("predictor").SamPredictor(nano())
    return pair


@check(GENERATOR, f"{GENERATOR}.generate")
def generate(ours: Side, theirs: Side) -> Pairs:
    for mode in ("binary_mask", "uncompressed_rle", "coco_rle"):
        found = [one.generate(PHOTO) for one in generators(ours, theirs, output_mode=mode)]
        assert found[1]
        yield found[0], found[1]
    cleaned = [
        one.generate(PHOTO) for one in generators(ours, theirs, min_mask_region_area=40, crop_n_layers=1)
    ]
    yield cleaned[0], cleaned[1]


@check(
    f"{GENERATOR}._generate_masks",
    f"{GENERATOR}._process_crop",
    f"{GENERATOR}._process_batch",
    f"{GENERATOR}.postprocess_small_regions",
)
def generator_steps(ours: Side, theirs: Side) -> Pairs:
    size, crop = PHOTO.shape[:2], [8, 4, 100, 120]
    pair = generators(ours, theirs, crop_n_layers=1, points_per_batch=7)
    found = [one._generate_masks(PHOTO) for one in pair]
    assert len(found[1]["rles"]) > 3
    yield tuple(dict(deepcopy(data).items()) for data in found)  # the original cleans in place
    cleaned = [one.postprocess_small_regions(data, 40, 0.6) for one, data in zip(pair, found, strict=True)]
    yield tuple(dict(data.items()) for data in cleaned)
    yield tuple(dict(one._process_crop(PHOTO, crop, 1, size).items()) for one in pair)
    for one in pair:
        one.predictor.set_image(PHOTO[4:120, 8:100])
    points = np.array([[3.0, 4.0], [20.0, 30.0], [80.0, 100.0]])
    yield tuple(dict(one._process_batch(points, (116, 92), crop, size).items()) for one in pair)


@check("utils.onnx.SamOnnxModel")
def onnx_model(ours: Side, theirs: Side) -> Pairs:
    points, labels = pixels(1, 1, 4, 2), torch.tensor([[1.0, 0.0, 2.0, 3.0]])
    features = predictors()[1].features
    low_res, size = random(2, 1, 1, 4 * GRID, 4 * GRID, scale=4.0), torch.tensor([48.0, 72.0])
    for options in ((True,), (False,), (True, True), (False, False, True), (True, True, True)):
        pair = [
            side(ONNX).SamOnnxModel(sam, *options) for side, sam in zip((ours, theirs), sams(), strict=True)
        ]
        for count in (2, 4):
            for has_mask in (0.0, 1.0):
                inputs = (
                    features,
                    points[:, -count:],
                    labels[:, -count:],
                    low_res,
                    torch.tensor([has_mask]),
                    size,
                )
                yield tuple(model(*inputs) for model in pair)
    yield tuple(model._embed_points(points, labels) for model in pair)
    yield tuple(model._embed_masks(low_res, torch.tensor([1.0])) for model in pair)
    for sides in ((48.0, 72.0), (999.0, 37.0)):
        yield tuple(model.resize_longest_image_size(torch.tensor(sides), SMALL.image_size) for model in pair)
    yield tuple(model.select_masks(random(3, 2, 4, 5, 5), random(4, 2, 4), 2) for model in pair)
