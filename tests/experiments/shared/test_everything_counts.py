"""A sweep of thresholds is what the generator gives at each of them, and recalls are those of the whole set."""

import numpy as np
import pytest
import torch

from minisam.build import build_sam
from minisam.evaluate.average_recall import average_recall
from minisam.evaluate.mask_matching import match_masks, overlaps
from minisam.experiments.experiment import Settings
from minisam.experiments.shared.everything_counts import (
    PREDICTED_IOUS,
    RIGHT_FROM,
    average_recall_of,
    recall_counts,
    records,
    scenes,
    share,
    sweep_counts,
)

GIVEN = {"points_per_side": 6, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.3, "box_nms_thresh": 0.7}


def test_leaving_out_afterwards_is_leaving_out_beforehand(tmp_path):
    sam = build_sam("nano")
    scene = next(scenes(sam, Settings.short(tmp_path)))
    counts = sweep_counts(records(sam, scene, GIVEN, by_stability=False))
    kept = set()
    for threshold in (0.0, 0.45, 0.6):
        alone = records(sam, scene, GIVEN | {"pred_iou_thresh": threshold}, by_stability=False)
        match = match_masks(alone, most=1000, thresholds=RIGHT_FROM)
        expected = [int(match.found.sum()), len(alone.scores), len(scene[1])]
        assert counts[PREDICTED_IOUS.index(threshold)].tolist() == expected
        kept.add(expected[1])
    assert len(kept) == 3 and counts[0, 0] > 0


def test_a_levels_recall_is_that_of_its_things_alone():
    rng = np.random.default_rng(0)
    masks, things = rng.random((9, 20, 20)) < 0.3, rng.random((6, 20, 20)) < 0.3
    masks[:4] = things[[0, 2, 3, 5]]
    scores, levels = np.linspace(1, 0, 9), np.array([0, 1, 1, 2, 2, 2])
    counts = recall_counts(overlaps(masks, scores, things), levels)
    assert [counts[f"{level} 1000"] for level in ("whole", "part", "subpart")] == [(10, 1), (10, 2), (20, 3)]
    assert counts["all 1000"] == (40, 6)
    assert counts["all 10"][0] == 40
    assert average_recall([overlaps(masks, scores, things)], most=2) == 2 / 6


def test_sums_over_resampled_images():
    once, twice = torch.tensor([[1.0, 1.0]]).double(), torch.tensor([[0.0, 2.0]]).double()
    assert average_recall_of([(10, 2), (30, 4)], once).item() == pytest.approx(40 / 60)
    assert average_recall_of([(10, 2), (30, 4)], twice).item() == pytest.approx(30 / 40)
    counts = torch.tensor([[1, 2, 4], [2, 6, 4]])
    assert share(counts, 1, once).item() == 3 / 8 and share(counts, 2, twice).item() == 1 / 2
    assert share(torch.zeros(2, 3, dtype=torch.int64), 1, once).item() == 1


def test_a_resample_without_a_thing_has_a_recall_of_0():
    weights = torch.tensor([[1.0, 1.0], [0.0, 2.0]])
    assert average_recall_of([(15, 2), (0, 0)], weights).tolist() == pytest.approx([0.75, 0.0])
