"""`minisam bench amg`, on a network small enough to be quick."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from small_networks import SMALL as SMALL_NETWORK

from minisam.bench import amg, original
from minisam.bench.compare_records import compare_records
from minisam.bench.twins import randomise
from minisam.cli.main import main
from minisam.config import CONFIGS, build_from_config
from minisam.predict import SamAutomaticMaskGenerator

installed = pytest.mark.skipif(not original.is_installed(), reason=original.INSTALL_COMMAND)
SMALL = ["bench", "amg", "--model", "nano", "--size", "96", "--points-per-side", "4", "--threads", "1"]


@pytest.fixture(autouse=True)
def without_processes(monkeypatch):
    """Memory measured in this process: wrong, and quick."""
    monkeypatch.setattr(amg, "in_own_process", lambda function, *arguments: function(*arguments))


@installed
def test_json_says_what_was_measured(tmp_path: Path, capsys):
    out = tmp_path / "amg.json"
    assert main([*SMALL, "--repeats", "2", "--json", "-o", str(out)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads(out.read_text(encoding="utf-8"))
    assert report["seconds"].keys() == report["peak_bytes"].keys() == {"minisam", "segment-anything"}
    assert [len(rounds) for rounds in report["seconds"].values()] == [2, 2]
    comparison = report["comparison"]
    assert comparison["ours"] == comparison["theirs"] == comparison["same"] == report["records"] > 3
    assert comparison["same_order"] and comparison["lowest_iou"] >= 0.999
    assert 0 < report["setting"]["stability_score_thresh"] < 1
    assert report["setting"].items() >= {"model": "nano", "image_size": 96, "points_per_side": 4}.items()


@installed
def test_other_masks_are_a_failed_check(monkeypatch, capsys):
    honest = amg.generator_run

    def dishonest(name, setting):
        run = honest(name, setting)
        return (lambda: run()[1:]) if name == amg.OURS else run

    monkeypatch.setattr(amg, "generator_run", dishonest)
    assert main(SMALL) == 4
    captured = capsys.readouterr()
    assert "different masks" in captured.err and "ratio" in captured.out


def test_without_the_original(monkeypatch, capsys):
    monkeypatch.setattr(original, "PACKAGE", "segment_anything_that_is_not_there")
    assert main(SMALL) == 0
    captured = capsys.readouterr()
    assert "minisam" in captured.out and "ratio" not in captured.out
    assert original.INSTALL_COMMAND in captured.err


def test_threads_are_as_before_even_after_a_failure(monkeypatch):
    seen, before = [], torch.get_num_threads()
    monkeypatch.setattr(
        amg, "choose_thresholds", lambda setting: seen.append(torch.get_num_threads()) or 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        amg.measure_amg(amg.Setting("nano", 96, 4, threads=before + 1), 1, compare=False)
    assert seen == [before + 1] and torch.get_num_threads() == before


@pytest.mark.parametrize("points_per_side", [8, 40])
def test_thresholds_leave_half_of_random_masks_by_iou_and_then_a_share_by_stability(
    points_per_side, monkeypatch
):
    monkeypatch.setitem(CONFIGS, "random", SMALL_NETWORK)
    setting = amg.choose_thresholds(amg.Setting("random", 64, points_per_side, 1))
    clicks, photo = amg.TRIAL_POINTS_PER_SIDE, amg.square_photo(64)

    def masks(iou: float, stability: float) -> int:
        generator = SamAutomaticMaskGenerator(
            amg.build_network("random"), clicks, 64, iou, stability, box_nms_thresh=setting.box_nms_thresh
        )
        return len(generator.generate(photo))

    assert setting.box_nms_thresh == 1
    confident = masks(setting.pred_iou_thresh, 0)
    assert confident == pytest.approx(3 * clicks**2 / 2, abs=1)
    share = min(0.5, amg.MASKS_OF_A_PHOTO / (3 * points_per_side**2 / 2))
    kept = masks(setting.pred_iou_thresh, setting.stability_score_thresh)
    assert kept == pytest.approx(share * confident, abs=2)


def record(x: float, pixels: int, score: float = 0.9) -> dict:
    mask = np.zeros((50, 50), bool)
    mask.ravel()[:pixels] = True
    return {
        "segmentation": mask,
        "point_coords": [[x, 1.0]],
        "crop_box": [0, 0, 50, 50],
        "predicted_iou": score,
        "stability_score": 0.95,
    }


def test_records_are_compared_by_click_and_pixels():
    theirs = [record(1, 2000), record(1, 1000), record(2, 500)]
    assert compare_records(theirs, theirs).all_same
    swapped = compare_records([theirs[1], theirs[0], record(2, 500, score=0.8)], theirs)
    assert swapped.all_same and not swapped.same_order
    assert swapped.score_difference == pytest.approx(0.1)
    one_pixel = compare_records([record(1, 2001), *theirs[1:]], theirs)
    assert one_pixel.all_same and one_pixel.lowest_iou == pytest.approx(2000 / 2001)
    for different in ([record(1, 2010), *theirs[1:]], [record(3, 2000), *theirs[1:]], theirs[1:]):
        comparison = compare_records(different, theirs)
        assert not comparison.all_same and comparison.same == 2
    twice = compare_records([theirs[0], theirs[0], theirs[2]], theirs)
    assert not twice.all_same and twice.same == 2


def test_random_networks_have_masks_with_clear_edges(monkeypatch):
    """Of what `randomise` draws, only the last layers of the mask heads are larger, and IoUs higher."""
    monkeypatch.setattr(amg, "is_trained", lambda model: False)
    drawn = build_from_config(CONFIGS["nano"])
    randomise(drawn, seed=3)
    expected = drawn.state_dict()
    for name, value in amg.build_network("nano").state_dict().items():
        is_last = "output_hypernetworks_mlps" in name and ".layers.2." in name
        shift = 1 if name.endswith("iou_prediction_head.layers.2.bias") else 0
        assert value.equal(20 * expected[name] if is_last else expected[name] + shift), name
