"""E7b's networks differ in the share that is hidden, and what it says follows from what was measured."""

from dataclasses import fields, replace
from types import SimpleNamespace

import pytest
import torch
from matplotlib.figure import Figure

from minisam.config import CONFIGS
from minisam.evaluate.bootstrap import Estimate
from minisam.evaluate.measure import Measurements
from minisam.experiments import e07b_mask_ratio
from minisam.experiments.e07b_mask_ratio import (
    PRETRAINING_RECIPE,
    RATIOS,
    RECIPE,
    draw,
    draw_reconstructions,
    labelled,
    pretrained,
    run,
)
from minisam.experiments.experiment import Settings
from minisam.pretrain.masked_autoencoder import build_mae
from minisam.train.start import random_weights

IMAGE = torch.arange(24) // 4


@pytest.fixture(scope="module")
def autoencoders():
    torch.manual_seed(0)
    return dict.fromkeys(RATIOS, build_mae(CONFIGS["nano"], 64).eval())


def test_autoencoders_differ_in_what_they_hide_alone(monkeypatch, tmp_path):
    runs = []

    class Recorded:
        def __init__(self, preset, folder, recipe):
            runs.append((preset, folder, recipe))

        def run(self):
            return SimpleNamespace(mae="an autoencoder")

    monkeypatch.setattr(e07b_mask_ratio, "mae_run", Recorded)
    assert [pretrained(Settings(work=tmp_path), ratio) for ratio in RATIOS] == ["an autoencoder"] * 4
    assert [recipe.mask_ratio for _, _, recipe in runs] == [0.25, 0.5, 0.75, 0.9]
    assert {replace(recipe, mask_ratio=0.75) for _, _, recipe in runs} == {PRETRAINING_RECIPE}
    assert {preset for preset, _, _ in runs} == {"nano"} and len({folder for _, folder, _ in runs}) == 4


def test_nano_starts_from_the_autoencoder_of_its_ratio_and_sees_160_scenes(monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr(e07b_mask_ratio, "trunk_of", lambda path: path)
    monkeypatch.setattr(e07b_mask_ratio, "trained", lambda *given, **named: calls.append((given, named)))
    monkeypatch.setattr(e07b_mask_ratio, "mae_run", lambda preset, folder, recipe: calls.append(folder))
    settings = Settings(work=tmp_path)
    for start in (None, 0.5):
        labelled(settings, start, 2)
    (of_none, from_none), (of_half, from_half) = calls
    assert of_none[2:] == of_half[2:] == (RECIPE, 2)
    assert len({of_none[1], of_half[1]}) == 2
    assert from_none == {"start": random_weights, "distinct_batches": 20}
    assert from_half == {"start": tmp_path / "E7b/mae-0.5/mae.safetensors", "distinct_batches": 20}
    assert {phase.batch_size * 20 for phase in RECIPE.phases} == {160}


def measured(best: float, shown: float) -> Measurements:
    """24 targets on six images: IoU of the best of three masks, and of the one ranked first."""
    empty = {field.name: torch.empty(0) for field in fields(Measurements)}
    three = torch.tensor([best - 0.1, best, best - 0.05]).expand(24, 3)
    of_images = {"image_index": IMAGE, "centre_iou": three, "centre_shown": torch.full((24, 1), shown)}
    return Measurements(**empty | of_images)


@pytest.mark.parametrize(
    ("best", "passed"),
    [
        ({0.25: 0.2, 0.5: 0.3, 0.75: 0.4, 0.9: 0.1}, True),
        ({0.25: 0.2, 0.5: 0.4, 0.75: 0.4, 0.9: 0.1}, True),
        ({0.25: 0.2, 0.5: 0.41, 0.75: 0.4, 0.9: 0.1}, False),
        ({0.25: 0.2, 0.5: 0.3, 0.75: 0.4, 0.9: 0.41}, False),
    ],
)
def test_the_criterion_and_the_finding(best, passed, monkeypatch, tmp_path, autoencoders):
    asked = []

    def measure(sam, *_, clicks, knobs, **__):
        asked.append((clicks, knobs))
        return measured(0.15 if sam is None else best[sam], 0.1)

    monkeypatch.setattr(e07b_mask_ratio, "pretrained", lambda settings, ratio: autoencoders[ratio])
    monkeypatch.setattr(e07b_mask_ratio, "labelled", lambda settings, start, seed: start)
    monkeypatch.setattr(e07b_mask_ratio, "measure_world", measure)
    outcome = run(None, Settings(work=tmp_path, seeds=(0, 1)))
    assert outcome.passed is passed and asked == [(1, {"object_scale": 1.5})] * 10
    assert f"{best[0.5]:.3f} with 50 % hidden" in outcome.finding
    assert "0.150 from random weights" in outcome.finding
    lead = best[0.75] - best[0.25]
    assert f"{lead:+.3f} over 25 %" in outcome.finding
    assert "no ratio can be distinguished" not in outcome.finding
    assert outcome.values["best of three"]["random weights"][0] == pytest.approx(0.15)
    assert outcome.values["ranked first"]["0.9"][0] == pytest.approx(0.1)
    assert outcome.values["0.75 minus"]["0.5"][0] == pytest.approx(0.4 - best[0.5])
    assert outcome.values["gain over random weights"]["0.9"][0] == pytest.approx(best[0.9] - 0.15)


def test_ratios_that_cannot_be_told_apart_are_said_to_be_so(monkeypatch, tmp_path, autoencoders):
    monkeypatch.setattr(e07b_mask_ratio, "pretrained", lambda settings, ratio: autoencoders[ratio])
    monkeypatch.setattr(e07b_mask_ratio, "labelled", lambda settings, start, seed: start)
    monkeypatch.setattr(e07b_mask_ratio, "measure_world", lambda *_, **__: measured(0.4, 0.1))
    outcome = run(None, Settings(work=tmp_path, seeds=(0,)))
    assert outcome.passed and outcome.finding.endswith(
        "no ratio can be distinguished from 75 % at this scale."
    )


def test_the_curves_are_over_the_ratios_and_random_weights_are_a_line(autoencoders):
    means = {
        score: {start: Estimate(base + (start or 0), 0, 1) for start in (None, *RATIOS)}
        for score, base in (("best of three", 0.2), ("ranked first", 0.1))
    }
    axes = draw(means, autoencoders).subfigs[0].axes[0]
    best, first, random_best, random_first = axes.lines
    assert best.get_xdata().tolist() == list(RATIOS)
    assert best.get_ydata().tolist() == pytest.approx([0.45, 0.7, 0.95, 1.1])
    assert first.get_ydata().tolist() == pytest.approx([0.35, 0.6, 0.85, 1.0])
    assert (random_best.get_ydata()[0], random_first.get_ydata()[0]) == (0.2, 0.1)


def test_each_row_shows_as_much_as_its_ratio_leaves(autoencoders):
    panel = Figure().subfigures()
    draw_reconstructions(panel, autoencoders)
    rows = torch.arange(16).view(4, 4).tolist()
    pictures = [torch.from_numpy(axes.images[0].get_array().copy()) for axes in panel.axes]
    for (first, completed, second, _), ratio in zip(rows, RATIOS, strict=True):
        seen = pictures[first].unfold(0, 8, 8).unfold(1, 8, 8).flatten(3)
        blank = seen.eq(seen[..., :1]).all(dim=-1).all(dim=-1).sum().item()
        assert blank == 64 - int(64 * (1 - ratio))
        assert not pictures[first].equal(pictures[second])
        assert not pictures[first].equal(pictures[completed])
    assert [panel.axes[row[0]].get_ylabel() for row in rows] == ["25 %", "50 %", "75 %", "90 %"]
