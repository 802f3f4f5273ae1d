"""The world `photo`: held-out files alone, the same images for any number of them."""

import pytest
import torch
from cutout_folders import two_folders

from minisam.config import CONFIGS, build_from_config
from minisam.data.cutouts import open_cutouts, render_cutouts
from minisam.evaluate import measure
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
