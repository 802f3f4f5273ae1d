"""AP and AR against pycocotools on random images with crowds, ties, empty images and every range of sizes."""

from __future__ import annotations

import contextlib
import io
import itertools

import numpy as np
import pytest

from minisam.data.coco import coco_annotation
from minisam.evaluate.average_precision import average_precision, precision_over_recall
from minisam.evaluate.average_recall import average_recall, proposal_scores
from minisam.evaluate.mask_matching import SIZES, Overlaps, match_masks, overlaps

coco = pytest.importorskip("pycocotools.coco", reason="pip install -e '.[test]' brings pycocotools")
cocoeval = pytest.importorskip("pycocotools.cocoeval", reason="pip install -e '.[test]' brings pycocotools")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def boxes_to_masks(boxes: np.ndarray, size: int) -> np.ndarray:
    masks = np.zeros((len(boxes), size, size), bool)
    for mask, (x, y, w, h) in zip(masks, boxes, strict=True):
        mask[y : y + h, x : x + w] = True
    return masks


def random_image(rng: np.random.Generator, size: int = 160):
    """Targets, some of them crowds, and predictions: targets shifted by a little, and some that are nothing."""
    count = int(rng.integers(0, 9))
    side = np.exp(rng.uniform(np.log(6), np.log(150), (count, 2)))
    corner = rng.random((count, 2)) * (size - side)
    targets = np.concatenate([corner, side], 1).astype(int)
    copies = np.repeat(targets, rng.integers(0, 4), axis=0)
    noise = rng.normal(size=copies.shape) * copies[:, [2, 3, 2, 3]] * rng.choice([0.02, 0.1])
    found = np.concatenate([copies + noise.round().astype(int), rng.integers(1, 50, (rng.integers(0, 5), 4))])
    found = found.clip([0, 0, 1, 1], [size - 1, size - 1, size, size])
    scores = rng.random(len(found)).round(int(rng.integers(1, 4)))
    crowd = rng.random(count) < 0.2
    return boxes_to_masks(found, size), scores, boxes_to_masks(targets, size), crowd


def evaluate_with_pycocotools(images, most):
    truth, results, number = coco.COCO(), [], itertools.count(1)
    annotations = [
        coco_annotation(mask, next(number), place, crowd=bool(crowd))
        for place, (_, _, targets, crowds) in enumerate(images)
        for mask, crowd in zip(targets, crowds, strict=True)
    ]
    entries = [{"id": i, "width": 160, "height": 160, "file_name": f"{i}"} for i in range(len(images))]
    truth.dataset = {"images": entries, "annotations": annotations, "categories": [{"id": 1, "name": "a"}]}
    for place, (masks, scores, *_) in enumerate(images):
        for mask, score in zip(masks, scores, strict=True):
            one = coco_annotation(mask, next(number), place)
            keys = ("image_id", "category_id", "segmentation")
            results.append({key: one[key] for key in keys} | {"score": float(score)})
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        judge = cocoeval.COCOeval(truth, truth.loadRes(results), "segm")
        judge.params.maxDets = [most]
        judge.evaluate()
        judge.accumulate()
    return judge.eval["precision"][:, :, 0, :, 0], judge.eval["recall"][:, 0, :, 0]


@pytest.mark.parametrize("most", [1, 3, 100])
@pytest.mark.parametrize("seed", [0, 1])
def test_ap_and_ar_equal_pycocotools(seed, most):
    rng = np.random.default_rng(seed)
    images = [random_image(rng) for _ in range(40)]
    ours = [overlaps(masks, scores, targets, crowd) for masks, scores, targets, crowd in images]
    precision, recall = evaluate_with_pycocotools(images, most)
    for place, size in enumerate(SIZES):
        np.testing.assert_allclose(
            average_precision(ours, size, most), precision[:, :, place].mean(axis=1), atol=1e-12, err_msg=size
        )
        assert average_recall(ours, size, most) == pytest.approx(recall[:, place].mean(), abs=1e-12), size
    if most == 100:
        assert (recall.mean(axis=0) > 0.1).all() and (recall.mean(axis=0) < 0.95).all()


def test_a_perfect_and_an_empty_answer():
    target = boxes_to_masks(np.array([[5, 5, 40, 40], [60, 60, 9, 9]]), 120)
    nothing = np.zeros((0, 120, 120), bool)
    perfect = overlaps(target, np.array([0.5, 0.5]), target)
    assert average_precision([perfect]).tolist() == [1.0] * 10
    assert average_recall([perfect]) == 1 and average_recall([perfect], most=1) == 0.5
    missed = overlaps(nothing, np.zeros(0), target)
    assert average_precision([missed]).tolist() == [0.0] * 10 and average_recall([missed]) == 0
    spurious = overlaps(target, np.ones(2), nothing)
    assert np.isnan(average_precision([spurious])).all() and np.isnan(average_recall([spurious]))
    assert average_recall([perfect, spurious]) == 1


def test_precision_by_hand():
    """Right, wrong, right of 4: precision 1 up to recall 1/4, 2/3 up to 1/2, then nothing."""
    right = np.array([True, False, True])
    assert precision_over_recall(right, 4) == pytest.approx((26 * 1 + 25 * 2 / 3) / 101)


def test_a_duplicate_is_wrong_and_a_crowd_takes_any_number():
    target = boxes_to_masks(np.array([[5, 5, 40, 40]]), 120)
    twice = np.concatenate([target, target])
    match = match_masks(overlaps(twice, np.array([0.2, 0.9]), target))
    assert match.found.tolist() == [[True, False]] * 10 and not match.ignored.any()
    crowded = match_masks(overlaps(twice, np.array([0.2, 0.9]), target, np.array([True])))
    assert crowded.found.all() and crowded.ignored.all() and crowded.targets == 0


def test_of_equally_good_targets_the_last_is_taken_as_in_pycocotools():
    """The first prediction could take either target, the second only the last one, which is gone."""
    targets = boxes_to_masks(np.array([[0, 0, 8, 8], [2, 0, 8, 8]]), 160)
    masks = boxes_to_masks(np.array([[1, 0, 8, 8], [3, 0, 8, 8]]), 160)
    scores, crowd = np.array([0.9, 0.5]), np.zeros(2, bool)
    _, recall = evaluate_with_pycocotools([(masks, scores, targets, crowd)], 100)
    ours = overlaps(masks, scores, targets)
    assert ours.iou[0, 0] == ours.iou[0, 1] > 0.5
    assert average_recall([ours]) == pytest.approx(recall[:, 0].mean())
    assert match_masks(ours).found[0].tolist() == [True, False]


def test_proposals_are_ranked_by_the_mean_of_confidence_and_stability():
    assert proposal_scores([0.5, 1.0], [0.7, 0.0]).tolist() == [0.6, 0.5]


def test_ap_counts_a_hundred_masks_of_an_image_and_ar_a_thousand():
    """The target is found by the 101st mask, or by the 1001st, all before it being wrong."""
    target = np.ones((1, 4, 4), bool)
    for wrong, recalled in ((99, 1), (100, 1), (999, 1), (1000, 0)):
        masks = np.concatenate([np.zeros((wrong, 4, 4), bool), target])
        image = overlaps(masks, np.arange(wrong + 1)[::-1] / 2000, target)
        assert average_recall([image]) == recalled
        assert (average_precision([image]) > 0).all() == (wrong < 100)
    assert np.isnan(average_recall([]))


@pytest.mark.parametrize(
    ("size", "area", "inside"),
    [
        ("small", 32**2, True),
        ("small", 32**2 + 1, False),
        ("medium", 32**2 - 1, False),
        ("medium", 32**2, True),
        ("medium", 96**2, True),
        ("medium", 96**2 + 1, False),
        ("large", 96**2 - 1, False),
        ("large", 96**2, True),
    ],
)
def test_both_ends_of_a_range_of_sizes_belong_to_it(size, area, inside):
    one, here = np.ones(1), np.array([float(area)])
    for iou in (1.0, 0.0):
        image = Overlaps(np.full((1, 1), iou), one, here, here, np.zeros(1, bool))
        match = match_masks(image, size)
        assert match.targets == int(inside)
        assert (match.ignored == (not inside)).all() and (match.found == (iou == 1)).all()
