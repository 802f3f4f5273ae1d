"""Code that predicts: notebooks, scripts and programs around SamPredictor and SamAutomaticMaskGenerator."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from compatibility.alias import segment_anything  # noqa: F401
from compatibility.amg_checks import LENIENT, PHOTO
from compatibility.surface import IMAGE, ours, sams, theirs
from parity.oracle import assert_same
from torch import nn

from minisam import build_sam, save_checkpoint
from minisam.build import build_published_sam, build_sam_tiny
from minisam.errors import CheckpointError
from minisam.masks.nms import box_nms


@pytest.fixture(scope="module")
def nano():
    return build_sam("nano")


@pytest.mark.usefixtures("segment_anything")
@pytest.mark.parametrize("mode", ["binary_mask", "coco_rle"])
def test_amg_script(nano, mode):
    from segment_anything import SamAutomaticMaskGenerator, sam_model_registry

    assert set(sam_model_registry) >= {"default", "vit_l", "vit_h", "vit_b"}
    generator = SamAutomaticMaskGenerator(nano.to(device="cpu"), output_mode=mode, **LENIENT)
    records = generator.generate(PHOTO)
    assert records
    for record in records:
        keys = "segmentation area bbox predicted_iou point_coords stability_score crop_box"
        assert list(record) == keys.split()
        row = [record["area"], *record["bbox"], *record["point_coords"][0], record["predicted_iou"]]
        assert all(isinstance(value, int | float) for value in row)
    if mode == "coco_rle":
        assert isinstance(records[0]["segmentation"]["counts"], str)
    else:
        assert (records[0]["segmentation"] * 255).shape == PHOTO.shape[:2]


@pytest.mark.usefixtures("segment_anything")
def test_predictor_notebook(nano):
    from segment_anything import SamPredictor
    from segment_anything.utils.transforms import ResizeLongestSide

    predictor = SamPredictor(nano)
    predictor.set_image(PHOTO)
    point, label = np.array([[60, 75]]), np.array([1])
    masks, scores, logits = predictor.predict(point_coords=point, point_labels=label, multimask_output=True)
    assert masks.shape == (3, *PHOTO.shape[:2])
    best = logits[np.argmax(scores), :, :]
    masks, _, _ = predictor.predict(
        point_coords=np.array([[60, 75], [20, 20]]),
        point_labels=np.array([1, 0]),
        mask_input=best[None, :, :],
        multimask_output=False,
    )
    assert masks.shape == (1, *PHOTO.shape[:2])
    box = np.array([30, 20, 100, 130])
    masks, _, _ = predictor.predict(
        point_coords=None, point_labels=None, box=box[None, :], multimask_output=False
    )
    assert masks.shape == (1, *PHOTO.shape[:2])

    boxes = torch.tensor([[30, 20, 100, 130], [5, 5, 60, 60]], device=predictor.device)
    scaled = predictor.transform.apply_boxes_torch(boxes, PHOTO.shape[:2])
    masks, _, _ = predictor.predict_torch(
        point_coords=None, point_labels=None, boxes=scaled, multimask_output=False
    )
    assert masks.shape == (2, 1, *PHOTO.shape[:2])

    resize = ResizeLongestSide(nano.image_encoder.img_size)

    def prepared(image):
        return torch.as_tensor(resize.apply_image(image), device=nano.device).permute(2, 0, 1).contiguous()

    records = [
        {
            "image": prepared(image),
            "boxes": resize.apply_boxes_torch(torch.tensor([[5, 5, 40, 40]]), image.shape[:2]),
            "original_size": image.shape[:2],
        }
        for image in (PHOTO, IMAGE)
    ]
    results = nano(records, multimask_output=False)
    assert [result["masks"].shape[-2:] for result in results] == [PHOTO.shape[:2], IMAGE.shape[:2]]
    assert results[0].keys() == {"masks", "iou_predictions", "low_res_logits"}


def test_grounded_sam(tmp_path, nano):
    """A detector's boxes are (centre, size) in shares of the image; one that fills it sticks out by rounding."""
    save_checkpoint(nano, tmp_path / "sam.safetensors")
    for build in (build_published_sam, build_sam):
        predictor = ours("predictor").SamPredictor(
            build(checkpoint=str(tmp_path / "sam.safetensors")).to("cpu")
        )
        predictor.set_image(PHOTO)
        height, width = PHOTO.shape[:2]
        boxes = torch.tensor([[0.5, 0.5, 1.004, 1.003], [0.4, 0.4, 0.3, 0.2]]) * torch.tensor(
            [width, height] * 2
        )
        boxes[:, :2] -= boxes[:, 2:] / 2
        boxes[:, 2:] += boxes[:, :2]
        scaled = predictor.transform.apply_boxes_torch(boxes.cpu(), PHOTO.shape[:2])
        masks, _, _ = predictor.predict_torch(None, None, boxes=scaled.to("cpu"), multimask_output=False)
        assert masks.shape == (2, 1, height, width)
        for box in boxes.numpy():
            masks, scores, _ = predictor.predict(box=box, multimask_output=True)
            assert masks[np.argmax(scores)].shape == (height, width)


def test_build_sam_takes_a_file_in_place_of_a_name(tmp_path, nano, monkeypatch):
    save_checkpoint(nano, tmp_path / "file")
    monkeypatch.chdir(tmp_path)
    for built in (build_sam(tmp_path / "file"), build_sam(str(tmp_path / "file")), build_sam("file")):
        assert torch.equal(built.pixel_mean, nano.pixel_mean)
        assert all(map(torch.equal, built.state_dict().values(), nano.state_dict().values()))
    for missing in ("no/such.pth", "sam_vit_h_4b8939.pth"):
        with pytest.raises(CheckpointError, match="such"):
            build_sam(missing)
    with pytest.raises(CheckpointError, match="load_checkpoint"):
        build_sam_tiny(tmp_path / "file")


@pytest.mark.usefixtures("segment_anything")
def test_builders_by_name():
    from segment_anything import SamPredictor, build_sam_vit_b, build_sam_vit_h, build_sam_vit_l

    with torch.device("meta"):
        for build, blocks in ((build_sam_vit_b, 12), (build_sam_vit_l, 24), (build_sam_vit_h, 32)):
            assert len(SamPredictor(build()).model.image_encoder.blocks) == blocks


def test_embeddings_kept_per_slice():
    """An annotator of volumes encodes each slice once, and gives its embedding back to a predictor when it is shown."""
    slices = [IMAGE, IMAGE[:, ::-1].copy()]
    names = ("features", "original_size", "input_size", "is_image_set")
    point = {"point_coords": np.array([[30, 20]]), "point_labels": np.array([1])}
    results = []
    for side, sam in zip((ours, theirs), sams(), strict=True):
        predictor, kept = side("predictor").SamPredictor(sam), []
        for image in slices:
            predictor.set_image(image)
            kept.append({name: getattr(predictor, name) for name in names})
        shown = []
        for state in kept:
            other = side("predictor").SamPredictor(sam)
            for name, value in state.items():
                setattr(other, name, value)
            shown += other.predict(**point, multimask_output=False, return_logits=True)
        assert not np.array_equal(shown[0], shown[3])
        results.append(tuple(shown))
    assert_same(*results, tolerance=1e-4)


@pytest.mark.usefixtures("segment_anything")
def test_masks_of_a_map(nano, tmp_path):
    """A map's tile: a label image from the generator's records, then boxes and clicks in pixels of the tile."""
    from segment_anything import SamAutomaticMaskGenerator, SamPredictor, sam_model_registry

    save_checkpoint(nano, tmp_path / "nano.pth")
    sam = sam_model_registry["nano"](checkpoint=str(tmp_path / "nano.pth"))
    sam.to(device="cpu")
    records = SamAutomaticMaskGenerator(sam, **LENIENT).generate(PHOTO)
    labels = np.zeros(records[0]["segmentation"].shape, dtype=np.uint32)
    for number, record in enumerate(sorted(records, key=lambda record: record["area"], reverse=True), 1):
        labels[record["segmentation"]] = number
    assert labels.max() > 1 and labels.shape == PHOTO.shape[:2]
    predictor = SamPredictor(sam)
    predictor.set_image(PHOTO, image_format="RGB")
    boxes = torch.tensor([[30, 20, 100, 130], [5, 5, 60, 60]], device=predictor.device)
    scaled = predictor.transform.apply_boxes_torch(boxes, PHOTO.shape[:2])
    of_boxes = predictor.predict_torch(
        point_coords=None, point_labels=None, boxes=scaled, multimask_output=False
    )[0].squeeze(1)
    points = torch.tensor([[[60.0, 75.0]], [[20.0, 20.0]]])
    coords = predictor.transform.apply_coords_torch(points, PHOTO.shape[:2])
    of_clicks = predictor.predict_torch(coords, torch.ones(2, 1), multimask_output=False)[0].squeeze(1)
    for number, masks in enumerate((of_boxes, of_clicks)):
        assert masks.shape == (2, *PHOTO.shape[:2]) and masks.dtype == torch.bool, number
    alone = predictor.predict(box=np.array([30, 20, 100, 130]), multimask_output=False)[0][0]
    assert np.array_equal(of_boxes[0].numpy(), alone)


def test_base_segmenter():
    results = []
    for side, sam in zip((ours, theirs), sams(), strict=True):
        predictor = side("predictor").SamPredictor(sam)
        predictor.set_image(IMAGE)
        prompt = {"point_coords": np.array([[30, 20], [60, 40]]), "point_labels": np.array([1, 0])}
        first = predictor.predict(**prompt, multimask_output=True, return_logits=True)
        fed_back = {**prompt, "mask_input": first[2][np.argmax(first[1])][None, :, :]}
        second = predictor.predict(**fed_back, multimask_output=True, return_logits=True)
        only_mask = predictor.predict(mask_input=fed_back["mask_input"], return_logits=True)
        results.append((*first, *second, *only_mask))
        predictor.reset_image()
        assert not predictor.is_image_set
        with pytest.raises(RuntimeError):
            predictor.predict(**prompt)
    assert_same(*results, tolerance=1e-4)


def test_detections_from_records(nano):
    records = ours("automatic_mask_generator").SamAutomaticMaskGenerator(nano, **LENIENT).generate(PHOTO)
    by_area = sorted(records, key=lambda record: record["area"], reverse=True)
    xywh = np.array([record["bbox"] for record in by_area])
    xyxy = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
    masks = np.array([record["segmentation"] for record in by_area])
    assert masks.dtype == bool and xyxy.dtype.kind == "i"
    for (x0, y0, x1, y1), mask in zip(xyxy, masks, strict=True):
        rows, columns = mask.nonzero()
        assert [columns.min(), rows.min(), columns.max(), rows.max()] == [x0, y0, x1, y1]


def generator_of_amg_functions(side, predictor):
    """The masks of a grid of clicks as run lengths, by the functions of utils.amg alone."""
    amg = side("utils.amg")
    (crop, *_), _ = amg.generate_crop_boxes(PHOTO.shape[:2], 1, 512 / 1500)
    (grid, _) = amg.build_all_layer_point_grids(4, 1, 2)
    points = grid * np.array(PHOTO.shape[1::-1])[None, :]
    size, found = PHOTO.shape[:2], amg.MaskData()
    predictor.set_image(PHOTO)
    for (some,) in amg.batch_iterator(5, points):
        coords = torch.as_tensor(predictor.transform.apply_coords(some, size), dtype=torch.float)
        masks, iou, _ = predictor.predict_torch(
            coords[:, None, :], torch.ones(len(some), 1, dtype=torch.int), return_logits=True
        )
        data = amg.MaskData(
            masks=masks.flatten(0, 1),
            iou_preds=iou.flatten(0, 1),
            points=torch.as_tensor(some.repeat(3, axis=0)),
        )
        data["stability_score"] = amg.calculate_stability_score(data["masks"], 0.0, 0.5)
        data.filter(data["stability_score"] >= data["stability_score"].nanquantile(0.3))
        data["masks"] = data["masks"] > 0.0
        data["boxes"] = amg.batched_mask_to_box(data["masks"])
        data.filter(~amg.is_box_near_crop_edge(data["boxes"], crop, [0, 0, *size[::-1]]))
        data["masks"] = amg.uncrop_masks(data["masks"], crop, *size)
        data["rles"] = amg.mask_to_rle_pytorch(data["masks"])
        del data["masks"]
        found.cat(data)
    kept = box_nms(found["boxes"].float(), found["iou_preds"], 0.9)
    found.filter(torch.as_tensor(kept))
    found["boxes"] = amg.uncrop_boxes_xyxy(found["boxes"], crop)
    found["points"] = amg.uncrop_points(found["points"], crop)
    found.to_numpy()
    return [
        (
            amg.area_from_rle(rle),
            list(amg.box_xyxy_to_xywh(box)),
            amg.remove_small_regions(amg.rle_to_mask(rle), 10, mode="holes")[0].sum(),
            amg.coco_encode_rle(rle)["counts"],
        )
        for rle, box in zip(found["rles"], found["boxes"], strict=True)
    ]


def test_generator_of_amg_functions(nano):
    predictor = ours("predictor").SamPredictor(nano)
    found = [generator_of_amg_functions(side, predictor) for side in (ours, theirs)]
    assert len(found[1]) > 3
    assert found[0] == found[1]


def test_own_generator(nano):
    """A generator that makes boxes and masks its own way out of the crops' masks."""
    results = []
    for side in (ours, theirs):

        class Own(side("automatic_mask_generator").SamAutomaticMaskGenerator):
            @torch.no_grad()
            def generate_masks(self, image):
                data = self._generate_masks(image)
                if self.min_mask_region_area > 0:
                    data = self.postprocess_small_regions(data, self.min_mask_region_area, 0.7)
                return list(data["rles"]), np.asarray(data["boxes"]).tolist()

            def _process_crop(self, *arguments):
                data = super()._process_crop(*arguments)
                data.filter(data["points"][:, 0] > 20)
                return data

        generator = Own(nano, **LENIENT, min_mask_region_area=20)
        generator.predictor = ours("predictor").SamPredictor(nano)
        results.append((generator.generate_masks(PHOTO), [r["bbox"] for r in generator.generate(PHOTO)]))
        assert isinstance(generator.predictor.model, nn.Module)
    assert results[0] == results[1]
    assert results[0][1] and all(isinstance(side, int) for side in results[0][1][0])


@pytest.mark.usefixtures("segment_anything")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_logits_are_not_taken_for_masks(dtype):
    from segment_anything.utils.amg import batched_mask_to_box, mask_to_rle_pytorch

    logits = torch.full((1, 4, 4), -5.0, dtype=dtype)
    logits[0, 1, 2] = 5
    for function in (batched_mask_to_box, mask_to_rle_pytorch):
        with pytest.raises(TypeError, match="use masks > 0 for logits"):
            function(logits)
    assert batched_mask_to_box(logits > 0).tolist() == [[2, 1, 2, 1]]
    assert mask_to_rle_pytorch(logits > 0)[0]["counts"] == [9, 1, 6]
    assert mask_to_rle_pytorch((logits > 0).to(torch.uint8))[0]["counts"] == [9, 1, 6]
