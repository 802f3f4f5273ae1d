"""The twelve numbers with classes against pycocotools: boxes and masks, crowds, ties, given areas and empty classes."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import math

import numpy as np
import pytest

from minisam.data.coco import coco_annotation, read_coco
from minisam.data.coco_results import coco_result, read_results
from minisam.evaluate.category_overlaps import (
    Instance,
    category_overlaps,
    instance_overlaps,
    true_instance,
)
from minisam.evaluate.detection_scores import all_class_scores, class_scores, mean_scores
from minisam.masks.rle import decode_rle

SIZE = (100, 130)
ORDER = (
    *("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large"),
    *("AR1", "AR10", "AR100", "AR_small", "AR_medium", "AR_large"),
)


def some_mask(rng: np.random.Generator) -> np.ndarray:
    """An ellipse or a rectangle of any size, often cut by the border."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    centre, radius = rng.random(2) * SIZE, np.exp(rng.uniform(np.log(2), np.log(60), 2))
    away = np.abs((np.stack([y, x], axis=2) - centre) / radius)
    return away.max(axis=2) < 1 if rng.random() < 0.5 else (away**2).sum(axis=2) < 1


def moved(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same mask with another edge: shifted, and with a stripe added or removed."""
    shift = rng.integers(-4, 5, 2)
    return np.roll(mask, tuple(shift), axis=(0, 1)) & (rng.random((SIZE[0], 1)) < rng.choice([1, 0.9, 0.7]))


def random_case(seed: int, keys: tuple[str, ...]) -> tuple[dict, list[dict]]:
    """A COCO file, and results with a box, a mask or both, some of classes or images without a target."""
    rng, number = np.random.default_rng(seed), itertools.count(1)
    images, categories = int(rng.integers(1, 6)), int(rng.integers(1, 5))
    annotations, results = [], []
    for image in range(1, images + 1):
        for _ in range(int(rng.integers(0, 7))):
            mask, category = some_mask(rng), int(rng.integers(1, categories + 1))
            crowd = bool(rng.random() < 0.15)
            one = coco_annotation(mask, next(number), image, category, crowd)
            if rng.random() < 0.2:
                one["area"] = float(rng.choice([0.5, 1024, 9216, 20000]))
            annotations.append(one)
            for _ in range(int(rng.integers(0, 4))):
                likely = category if rng.random() < 0.8 else int(rng.integers(1, categories + 1))
                score = round(float(rng.random()), int(rng.integers(1, 4)))
                found = coco_result(moved(mask, rng), score, image, likely)
                results.append({key: value for key, value in found.items() if key not in keys})
    rng.shuffle(results)  # pyright: ignore[reportArgumentType]
    entries = [
        {"id": i, "height": SIZE[0], "width": SIZE[1], "file_name": f"{i}.png"} for i in range(images, 0, -1)
    ]
    names = [{"id": i, "name": f"class {i}"} for i in range(1, categories + 2)]
    return {"images": entries, "annotations": annotations, "categories": names}, results


def ours(folder, truth, results, kinds=("box", "mask")):
    (folder / "truth.json").write_text(json.dumps(truth))
    (folder / "results.json").write_text(json.dumps(results))
    read = read_coco(folder / "truth.json")
    by_kind = category_overlaps(read, read_results(folder / "results.json"), "mask" in kinds)
    return {kind: all_class_scores(read.categories, by_kind[kind]) for kind in kinds}


def theirs(truth, results, kind):
    """pycocotools' summary, and AP per class; -1 as nan."""
    coco = pytest.importorskip("pycocotools.coco", reason="pip install -e '.[test]' brings pycocotools")
    cocoeval = pytest.importorskip("pycocotools.cocoeval", reason="pip install -e '.[test]' brings it")
    truth, results = json.loads(json.dumps([truth, results]))  # it writes into both
    with contextlib.redirect_stdout(io.StringIO()):
        reference = coco.COCO()
        reference.dataset = truth
        reference.createIndex()
        judge = cocoeval.COCOeval(
            reference, reference.loadRes(results), {"box": "bbox", "mask": "segm"}[kind]
        )
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    precision = judge.eval["precision"][:, :, :, 0, 2]
    by_class = [
        precision[:, :, k].mean() if (precision[:, :, k] > -1).any() else -1
        for k in range(precision.shape[2])
    ]
    return as_nan(judge.stats), as_nan(np.array(by_class))


def as_nan(values: np.ndarray) -> np.ndarray:
    return np.where(values == -1, math.nan, values)


def check(seed, folder):
    left_out = [(), ("bbox",), ("segmentation",)][seed % 3]
    truth, results = random_case(seed, left_out)
    if not results:
        return 0
    kinds = ("box",) if "segmentation" in left_out else ("box", "mask")
    for kind, classes in ours(folder, truth, results, kinds).items():
        summary, by_class = theirs(truth, results, kind)
        mean = mean_scores(classes)
        np.testing.assert_allclose(
            [mean[name] for name in ORDER], summary, rtol=0, atol=1e-9, err_msg=f"{seed} {kind}"
        )
        np.testing.assert_allclose([one.scores["AP"] for one in classes], by_class, rtol=0, atol=1e-9)
    return 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_twelve_numbers_and_ap_per_class_equal_pycocotools(tmp_path):
    assert sum(check(seed, tmp_path) for seed in range(12)) >= 9


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_thousand_random_cases_equal_pycocotools(tmp_path):
    assert sum(check(seed, tmp_path) for seed in range(1000, 2150)) >= 1000


def eroded_by_opencv(mask, d):
    """The erosion of the authors of Boundary IoU, with the border of the image as outside."""
    cv2 = pytest.importorskip("cv2", reason="pip install opencv-python-headless brings cv2")
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    return cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=d)[1:-1, 1:-1] > 0


def test_boundary_overlap_is_the_smaller_of_both_ious(tmp_path):
    truth, results = random_case(7, ())
    read = (tmp_path / "truth.json", tmp_path / "results.json")
    ours(tmp_path, truth, results)
    by_kind = category_overlaps(read_coco(read[0]), read_results(read[1]), True)
    d, checked = 3, 0  # 2 % of the diagonal of 100 × 130 pixels
    for category in (1, 2, 3):
        images = [image for image in by_kind["boundary"].get(category, []) if image.iou.size]
        ids = sorted(
            {one["image_id"] for one in truth["annotations"] if one["category_id"] == category}
            & {one["image_id"] for one in results if one["category_id"] == category}
        )
        for image, id in zip(images, ids, strict=True):
            found, targets = (
                [
                    decode_rle(o["segmentation"])
                    for o in own
                    if (o["image_id"], o["category_id"]) == (id, category)
                ]
                for own in (results, truth["annotations"])
            )
            for row, mask in zip(image.iou, found, strict=True):
                for value, target, crowd in zip(row, targets, image.crowd, strict=True):
                    edges = [one & ~eroded_by_opencv(one, d) for one in (mask, target)]
                    whole = [
                        (a & b).sum() / ((a if crowd else a | b).sum() or 1)
                        for a, b in ((mask, target), edges)
                    ]
                    assert value == pytest.approx(min(whole), abs=1e-12)
                    checked += 1
    assert checked > 5


def test_a_filled_square_has_the_outline_of_its_ring_but_not_its_mask():
    """By hand, for a boundary of one pixel."""
    square = np.zeros((20, 20), bool)
    square[4:16, 4:16] = True
    ring, smaller = square.copy(), np.zeros_like(square)
    ring[5:15, 5:15] = False
    smaller[5:15, 5:15] = True
    one, *targets = (Instance((0, 0, 20, 20), mask.sum(), mask) for mask in (square, ring, smaller))
    assert instance_overlaps("boundary", [one], targets, (20, 20)).iou.tolist() == [[44 / 144, 0]]
    assert instance_overlaps("mask", [one], targets, (20, 20)).iou.tolist() == [[44 / 144, 100 / 144]]


def test_classes_stand_in_the_order_of_their_ids_numbers_before_words():
    names = {"b": "bird", 10: "ten", "10": "word", 2: "two", -1: "less"}
    found = [(one.id, one.name) for one in all_class_scores(names, {})]
    assert found == [(-1, "less"), (2, "two"), (10, "ten"), ("10", "word"), ("b", "bird")]


def test_no_images_have_no_scores_and_a_perfect_answer_has_ones(tmp_path):
    assert list(class_scores([])) == list(ORDER) and all(math.isnan(v) for v in class_scores([]).values())
    assert all(math.isnan(value) for value in mean_scores([]).values())
    truth, _ = random_case(3, ())
    targets = [one for one in truth["annotations"] if not one["iscrowd"]]
    keys = ("image_id", "category_id", "segmentation")
    perfect = [{key: one[key] for key in keys} | {"score": 1} for one in targets]
    for kind, classes in ours(tmp_path, truth, perfect, ("box", "mask", "boundary")).items():
        assert mean_scores(classes)["AP"] == pytest.approx(1), kind


@pytest.mark.parametrize(
    ("given", "is_crowd"), [(1, True), (True, True), (0, False), (None, False), (False, False), ("0", False)]
)
def test_only_one_means_a_crowd(given, is_crowd):
    annotation = {"bbox": [1, 2, 3, 4], "area": 12, "iscrowd": given}
    assert true_instance(annotation, (20, 20), False).crowd is is_crowd
    assert true_instance({"bbox": [1, 2, 3, 4], "area": 12}, (20, 20), False).crowd is False
