"""The world `photo`: held-out files alone, the same images for any number of them."""

from pathlib import Path

import pytest
import torch
from cutout_folders import two_folders

from minisam.config import CONFIGS, build_from_config
from minisam.data.cutouts import open_cutouts, render_cutouts
from minisam.data.skipped import Skipped
from minisam.evaluate import WorldResult, measure
from minisam.evaluate.bootstrap import Estimate
from minisam.evaluate.cutouts import cutout_scenes, cutout_targets, cutout_validation, evaluate_cutouts
from minisam.evaluate.targets import FIRST_SEED


def nano():
    return build_from_config(CONFIGS["nano"])


@pytest.fixture
def folders(tmp_path):
    open_cutouts.cache_clear()
    return two_folders(tmp_path)


def test_the_scenes_are_of_held_out_files_and_the_first_of_a_larger_evaluation(folders):
    few = torch.cat([scenes.images for scenes in cutout_scenes(*folders, 3, 64)])
    more = torch.cat([scenes.images for scenes in cutout_scenes(*folders, 11, 64)])
    assert len(few) == 3 and len(more) == 11
    assert torch.equal(few, more[:3])
    expected = render_cutouts(*folders, FIRST_SEED, 8, 64, "held out").scenes.images
    assert torch.equal(more[:8], expected)


def test_results_have_the_metrics_of_a_world_and_name_what_was_left_out(folders):
    (folders[0] / "notes.txt").write_text("not an image")
    result, skipped = evaluate_cutouts(nano(), *folders, images=4, targets_per_image=2, clicks=1)
    assert result.world == "photo" and result.images == 4 and result.masks > 0
    assert 0 <= result.metrics["box_single"].value <= 1
    assert skipped == {str(folders[0] / "notes.txt"): "not a PNG or WEBP file"}


def test_baselines_get_the_targets_that_the_network_is_measured_on(folders, monkeypatch):
    measured, measure_masks, sam = [], measure.measure_masks, nano()

    def seen(prompted, targets, *others):
        measured.append(targets)
        return measure_masks(prompted, targets, *others)

    monkeypatch.setattr(measure, "measure_masks", seen)
    evaluate_cutouts(sam, *folders, images=10, targets_per_image=2, seed=5, clicks=1)
    given = [one.targets for one in cutout_targets(sam, *folders, images=10, targets=2, seed=5)]
    assert len(given) > 8 and torch.equal(torch.cat(given), torch.cat(measured))


def test_validation_gives_numbers_alone(folders):
    measured = cutout_validation(nano(), *folders)
    assert measured["masks"] > 0
    assert {"oracle", "top1", "box_single", "box_top1", "centre_5"} <= set(measured)
    assert all(isinstance(value, float) for value in measured.values())


def test_validation_measures_held_out_cutouts_and_the_held_out_world(monkeypatch):
    def result(first: float) -> WorldResult:
        names = sorted(
            ["oracle", "top1", "box_single", "box_top1", "centre_5", "spearman", "calibration_error"]
        )
        return WorldResult("", 1, 30, {name: Estimate(first + n, 0, 9) for n, name in enumerate(names)}, [])

    asked = []

    def of_cutouts(sam, *given, **named):
        asked.append((*given, named))
        return result(0.0), Skipped()

    def of_world(sam, *given, **named):
        asked.append((*given, named))
        return result(20.0)

    monkeypatch.setattr("minisam.evaluate.cutouts.evaluate_cutouts", of_cutouts)
    monkeypatch.setattr("minisam.evaluate.cutouts.evaluate_world", of_world)
    measured = cutout_validation(None, Path("a"), Path("b"), ("c",))  # type: ignore
    assert asked == [
        (Path("a"), Path("b"), 48, 4, {"clicks": 5, "leave_out": ("c",)}),
        ("heldout", 24, 4, {"clicks": 1}),
    ]
    assert measured == {
        **{"masks": 30.0, "box_single": 0.0, "box_top1": 1.0, "calibration_error": 2.0, "centre_5": 3.0},
        **{"oracle": 4.0, "spearman": 5.0, "top1": 6.0, "heldout_oracle": 24.0, "heldout_box": 21.0},
    }
