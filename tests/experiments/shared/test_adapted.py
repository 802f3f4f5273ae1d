"""Adapted copies for experiments: which scenes, which training, where their runs are, and how changes are drawn."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
from matplotlib.figure import Figure

from minisam.adapt.adapt_task import Training
from minisam.adapt.choose import Settings as Rates
from minisam.adapt.methods import Method
from minisam.build import build_sam
from minisam.data.partworld import render_scenes
from minisam.evaluate.bootstrap import Estimate
from minisam.experiments.experiment import Settings
from minisam.experiments.shared import adapted
from minisam.experiments.shared.drawn_folder import DrawnFolder
from minisam.seeds import hash_seed


def test_worlds_take_turns_every_eight_scenes():
    folder = DrawnFolder(("thin", "wiry"), 24, 64, 3)
    for index, world in ((2, "thin"), (8 + 5, "wiry"), (16 + 1, "thin")):
        scenes = render_scenes(hash_seed(3, index // 8), 8, 64, world=world)
        picture = folder.read(index)
        assert (picture.image == scenes.images[index % 8].permute(1, 2, 0).numpy()).all()
        assert len(picture.segments) == int((scenes.level[index % 8] >= 0).sum())
    assert len(set(folder.names)) == 24 and "thin+wiry" in folder.fingerprint()
    assert DrawnFolder(("thin",), 24, 64, 3).fingerprint() != folder.fingerprint()


@pytest.mark.parametrize(("quick", "count"), [(True, 4), (False, 500)])
def test_images_are_drawn_before_the_arms_are_trained(quick, count, monkeypatch):
    read = []
    monkeypatch.setattr(adapted.OwnImages, "usable", lambda self, indices: read.append(list(indices)))
    images = adapted.drawn_images(build_sam("nano"), Settings(quick=quick), ("xray",), 5)
    assert read == [list(range(count))] and len(images.folder.names) == count
    assert images.image_size == 64 and images.min_area == 1 / 64
    assert images.folder.fingerprint() == f"xray 5 {count} 64"


def test_a_copy_is_changed_by_its_method_with_weights_of_its_seed():
    sam = build_sam("nano")
    one, same, other = (adapted.prepared(sam, Method("lora", rank=2), seed) for seed in (1, 1, 2))

    def first(of):
        return next(p for name, p in of.sam.named_parameters() if name.endswith("lora_a"))

    assert first(one).equal(first(same)) and not first(one).equal(first(other))
    assert not any("lora" in name for name, _ in sam.named_parameters())
    trained = 377_688 + 2 * 2 * 2 * 96 * 4  # the decoder; rank · (in + out) for q and v of four blocks
    assert adapted.trained_numbers(one.sam) == trained


@pytest.mark.parametrize("quick", [True, False])
def test_an_arm_is_a_run_in_its_folder(quick, monkeypatch, tmp_path):
    seen = {}

    class Run:
        def __init__(self, task, folder, save_every):
            seen.update(task=task, folder=folder, save_every=save_every)

        def run(self):
            return SimpleNamespace(sam=seen["task"].sam.train())

    monkeypatch.setattr(adapted, "TrainingRun", Run)
    images = SimpleNamespace(folder=SimpleNamespace(names=["a", "b", "c"]), device="cpu")
    one = adapted.prepared(build_sam("nano"), Method("decoder"), 0)
    settings = Settings(quick=quick, work=tmp_path)
    how = Training(Rates(1e-4, 1e-3, 70), seed=9, full_size=True)
    sam = adapted.trained_copy(settings, "e0", "two words", one, images, how)
    task = seen["task"]
    assert sam is one.sam and not sam.training and task.adapted is one
    assert task.images is images and task.training == [0, 1, 2]
    assert task.steps == (2 if quick else 70) and task.how.full_size and task.how.settings.added_lr == 1e-3
    assert seen["folder"] == tmp_path / "e0" / one.base[:8] / "twowords-9" and seen["save_every"] == 100


def test_changes_are_paired():
    image = torch.tensor([0, 1])
    before = [torch.tensor([0.1, 0.5]), torch.tensor([0.2, 0.6])]
    arms = {"same": before, "more": [one + 0.25 for one in before]}
    found = adapted.changes_from(before, arms, image)
    assert (found["same"].value, found["same"].low, found["same"].high) == (0, 0, 0)
    assert (found["more"].low, found["more"].high) == pytest.approx((0.25, 0.25))


def test_bars_have_the_height_of_their_change_and_stand_apart():
    axes = Figure().subplots()
    changes = {
        world: {arm: Estimate(value + n, value + n - 0.1, value + n + 0.2) for n, arm in enumerate("ab")}
        for world, value in (("new", 0.5), ("old", -0.5))
    }
    adapted.draw_changes(axes, changes, "ba")
    bars = sorted((one.get_x(), one.get_width(), one.get_height()) for one in axes.patches)
    assert [height for *_, height in bars] == [1.5, 0.5, 0.5, -0.5]
    assert all(x + width <= after for (x, width, _), (after, *_) in pairwise(bars))
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["b", "a"]
    assert axes.get_legend_handles_labels()[1] == ["new", "old"]
