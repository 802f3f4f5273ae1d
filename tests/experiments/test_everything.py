"""E9: how often and where its generators click, and what the counts say; given by hand, without a generator."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from minisam.experiments import e09_everything as e09
from minisam.experiments.e09_everything import (
    AS_MANY,
    CLICKS,
    CROPS,
    ONE,
    PROPOSALS,
    STABILITIES,
    THREE,
    Found,
)
from minisam.experiments.experiment import Settings
from minisam.experiments.shared.everything_counts import AMONG, LEVELS, PREDICTED_IOUS

NAMES = [f"all {k}" for k in AMONG] + [f"{level} 1000" for level in LEVELS]


def test_four_ways_of_clicking_and_the_thresholds_are_measured_on_the_same_scenes(monkeypatch):
    asked = []

    def records(sam, scene, given, by_stability=True):
        asked.append((sam, scene[0], given, by_stability))
        return given

    monkeypatch.setattr(e09, "scenes", lambda sam, settings: iter([("a", None, "A"), ("b", None, "B")]))
    monkeypatch.setattr(e09, "records", records)
    monkeypatch.setattr(e09, "recall_counts", lambda found, levels: {levels: (found["points_per_side"], 9)})
    monkeypatch.setattr(
        e09, "sweep_counts", lambda found: torch.tensor([[found["stability_score_thresh"]] * 3])
    )
    found = e09.measure("sam", Settings(images=1, seeds=(0, 1)))
    wanted = []
    for scene in "ab":
        unfiltered = {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "crop_nms_thresh": 0.9}
        for given in (
            {"points_per_side": 20},
            {"points_per_side": 20, "multimask_output": False},
            {"points_per_side": 35, "multimask_output": False},
            {"points_per_side": 14, "crop_n_layers": 1, "crop_n_points_downscale_factor": 2},
        ):
            wanted.append(("sam", scene, unfiltered | {"box_nms_thresh": 0.9} | given, True))
        for least in (0.0, 0.4, 0.6, 0.8):
            given = {"points_per_side": 20, "stability_score_thresh": least, "box_nms_thresh": 0.7}
            wanted.append(("sam", scene, unfiltered | given, False))
    assert asked == wanted and list(CLICKS) == [THREE, ONE, AS_MANY, CROPS]
    sides = {THREE: 20, ONE: 20, AS_MANY: 35, CROPS: 14}
    assert found.recall == {arm: {"A": [(n, 9)], "B": [(n, 9)]} for arm, n in sides.items()}
    assert found.images == 2 and tuple(found.sweep) == STABILITIES
    for least, counts in found.sweep.items():
        torch.testing.assert_close(counts, torch.full((2, 1, 3), least))
    assert PROPOSALS["box_nms_thresh"] == 0.9


def found_with(three, as_many) -> Found:
    """Of 100 targets in each of two images at ten thresholds; `three` and `as_many` by level, and of all together."""

    def counts(shares):
        return {name: [(int(1000 * shares[name.split()[0]]), 100)] * 2 for name in NAMES}

    rest = counts(dict.fromkeys(("all", *LEVELS), 0.25))
    recall = {THREE: counts(three), ONE: rest, AS_MANY: counts(as_many), CROPS: rest}
    count = len(PREDICTED_IOUS)
    masks = torch.arange(2 * count, 0, -2)
    sweep = {}
    for place, stability in enumerate(STABILITIES):
        of_image = torch.stack([masks // 2 - place, masks, torch.full((count,), 80)], dim=1)
        sweep[stability] = torch.stack([of_image, of_image]).clamp(min=0)
    return Found(recall, sweep, 2)


SAME = {"all": 0.5, "whole": 0.5, "part": 0.5, "subpart": 0.5}


@pytest.mark.parametrize(
    ("gain", "passed"),
    [
        ({"all": 0.1, "whole": 0.05, "part": 0.1, "subpart": 0.2}, True),
        ({"all": 0.1, "whole": 0.05, "part": 0.2, "subpart": 0.1}, True),
        ({"all": 0.0, "whole": 0.05, "part": 0.1, "subpart": 0.2}, False),
        ({"all": -0.1, "whole": 0.05, "part": 0.1, "subpart": 0.2}, False),
        ({"all": 0.1, "whole": 0.1, "part": 0.1, "subpart": 0.2}, False),
        ({"all": 0.1, "whole": 0.1, "part": 0.2, "subpart": 0.1}, False),
    ],
)
def test_three_masks_have_to_gain_and_most_on_parts(gain, passed, monkeypatch):
    three = {name: round(SAME[name] + more, 3) for name, more in gain.items()}
    monkeypatch.setattr(e09, "measure", lambda sam, settings: found_with(three, SAME))
    outcome = e09.run(None, Settings())
    assert outcome.passed is passed
    minus = {name: one[0] for name, one in outcome.values["three_minus_as_many"].items()}
    assert minus == pytest.approx(gain, abs=1e-4)
    recall = outcome.values["average_recall"]
    assert {name: one[0] for name, one in recall[THREE].items()} == pytest.approx(
        {name: three[name.split()[0]] for name in NAMES}, abs=1e-4
    )
    assert recall[CROPS]["all 10"][0] == 0.25
    assert f"AR@1000 is {three['all']:.2f} with three masks per click, 0.25 if" in outcome.finding
    assert "Without thresholds 50% of the masks are correct" in outcome.finding
    assert "each object once) and find 25% of the objects" in outcome.finding
    assert f"{gain['part']:+.3f} on parts" in outcome.finding


def test_the_sweep_is_precision_recall_and_masks_of_an_image():
    found = found_with(SAME, SAME)
    recorded = e09.record_sweep(found)
    for place, stability in enumerate(STABILITIES):
        for n, threshold in enumerate(PREDICTED_IOUS):
            masks = 2 * (len(PREDICTED_IOUS) - n)
            right = max(0, masks // 2 - place)
            wanted = [right / masks, right / 80, masks]
            assert recorded[str(stability)][str(threshold)] == pytest.approx(wanted, abs=1e-4)
    preset = {"stability_score_thresh": 0.6, "pred_iou_thresh": 0.45}
    masks = 2 * (len(PREDICTED_IOUS) - PREDICTED_IOUS.index(0.45))
    precision, recall = found.of_preset(preset)
    assert precision.value == pytest.approx((masks // 2 - 2) / masks)
    assert recall.value == pytest.approx((masks // 2 - 2) / 80)


def test_intervals_are_over_images():
    found = found_with(SAME, SAME)
    found = replace(found, recall=found.recall | {THREE: {"all 1000": [(0, 100), (1000, 100)]}})
    recall, gain = found.average_recall(THREE, "all 1000"), found.gain("all")
    assert (recall.low, recall.value, recall.high) == (0, 0.5, 1)
    assert (gain.low, gain.value, gain.high) == pytest.approx((-0.5, 0, 0.5))
    assert found.weights().shape == (1001, 2)
