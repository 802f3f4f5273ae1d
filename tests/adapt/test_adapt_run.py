"""A report has the numbers of both networks: what the run keeps to be quicker changes none."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch
from PIL import Image
from small_networks import small_sam

from minisam.adapt import adapt_run
from minisam.adapt.adapt_run import AdaptOptions, adapt_to_folder
from minisam.adapt.adapt_task import Training
from minisam.adapt.choose import Settings
from minisam.adapt.measure_own import changes, measure_own
from minisam.adapt.methods import Method
from minisam.adapt.own_images import OwnImages
from minisam.data.segmentation_folder import open_folder
from minisam.evaluate.measure import Measurements

ZERO = {field.name: torch.zeros(1, 3) for field in fields(Measurements)}
NOTHING = Measurements(**ZERO | {name: torch.zeros(1).long() for name in ("image_index", "box_single")})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    home, random = tmp_path_factory.mktemp("own"), np.random.default_rng(0)
    for name in ("images", "masks"):
        (home / name).mkdir()
    for number in range(4):
        mask = np.zeros((40, 48), np.uint8)
        mask[8 : 20 + number, 10:30] = 255
        Image.fromarray(random.integers(0, 255, (40, 48, 3), np.uint8)).save(
            home / "images" / f"{number}.png"
        )
        Image.fromarray(mask).save(home / "masks" / f"{number}.png")
    return open_folder(home)


# With LoRA some weights of the encoder are frozen and others are trained: no embedding may be kept.
@pytest.mark.parametrize("name", ["decoder", "hq", "lora", "full"])
def test_what_is_kept_changes_no_number(name, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(adapt_run, "measure_partworld", lambda sam: NOTHING)
    rates = {"lr": 1e-2, "added_lr": 1.0 if name == "lora" else 1e-2}  # two steps have to change the masks
    how = Training(Settings(**rates, steps=2), batch_size=2, prompts_per_image=1)
    report = adapt_to_folder(
        small_sam, folder, AdaptOptions(Method(name), how, held_out=0.5), tmp_path / "run"
    )
    images = OwnImages(folder, 48, 0.01, "cpu")
    before, after = (
        measure_own(sam, images, report.held_out, keep_embeddings=False)
        for sam in (small_sam().eval(), report.after)
    )
    assert report.own == changes(before, after) and report.held_out_images == len(report.held_out)
    assert report.trained_images + report.held_out_images == 4 and report.steps == 2
    if name in ("lora", "full"):  # on the base's embeddings the numbers would be others
        wrong = [
            measure_own(sam, images, report.held_out, keep_embeddings=True)
            for sam in (small_sam().eval(), report.after)
        ]
        assert changes(*wrong) != report.own
