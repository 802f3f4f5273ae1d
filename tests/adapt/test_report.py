"""What an adaptation reports: tables, JSON, and a figure of the first held-out images."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small_networks import small_sam

from minisam.adapt import report as module
from minisam.adapt.adapt_run import Report
from minisam.adapt.measure_own import Change
from minisam.adapt.report import adapt_figure, adapt_json, adapt_table
from minisam.data.skipped import Skipped
from minisam.evaluate.bootstrap import Estimate

CHANGES = [
    Change("box", 0.5, 0.75, Estimate(0.25, 0.125, 0.375)),
    Change("click", 0.6, 0.55, Estimate(-0.05, -0.1, 0.0)),
]


def report_on(images=None, held_out=()):
    return Report(
        "lora", 12, 4, CHANGES, CHANGES[1:], 150, 83.4567, 12345, Skipped(), "b", "a", images, held_out
    )


def test_the_tables_hold_both_means_and_the_change():
    assert adapt_table(report_on()) == (
        "Held-out images (4): mean IoU, lora, 12,345 numbers trained on 12 images in 150 steps\n\n"
        "| prompt | before | after | change [95 % interval]  |\n"
        "|--------|--------|-------|-------------------------|\n"
        "| box    | 0.500  | 0.750 | +0.250 [+0.125, +0.375] |\n"
        "| click  | 0.600  | 0.550 | -0.050 [-0.100, +0.000] |\n\n"
        "PartWorld, to see what was lost\n\n"
        "| prompt | before | after | change [95 % interval]  |\n"
        "|--------|--------|-------|-------------------------|\n"
        "| click  | 0.600  | 0.550 | -0.050 [-0.100, +0.000] |\n"
    )


def test_one_held_out_image_has_no_interval():
    one = replace(report_on(), held_out_images=1, own=[Change("box", 0.5, 0.75, Estimate(0.25, 0.25, 0.25))])
    assert adapt_table(one).startswith(
        "Held-out images (1): mean IoU, lora, 12,345 numbers trained on 12 images in 150 steps\n\n"
        "| prompt | before | after | change [95 % interval] |\n"
        "|--------|--------|-------|------------------------|\n"
        "| box    | 0.500  | 0.750 | +0.250                 |\n\n"
        "One image has no interval: add images, or hold out more of them with --validation.\n\n"
        "PartWorld"
    )


def test_the_json_holds_all_numbers():
    read = json.loads(adapt_json(report_on()))
    box, click = read["own"]
    assert box == {
        "name": "box",
        "before": 0.5,
        "after": 0.75,
        "change": {"value": 0.25, "low": 0.125, "high": 0.375},
    }
    assert read["partworld"] == [click] and read["skipped"] == {}
    assert (read["method"], read["trained_images"], read["held_out_images"]) == ("lora", 12, 4)
    assert (read["parameters"], read["steps"], read["seconds"]) == (12345, 150, 83.5)


def test_the_figure_shows_the_largest_object_of_the_first_held_out_images(monkeypatch):
    masks = torch.zeros(2, 16, 16, dtype=torch.bool)
    masks[0, 2:4, 2:4] = masks[1, 4:8, 5:9] = True
    images = SimpleNamespace(read=lambda index: (torch.full((3, 12, 10), index, dtype=torch.uint8), masks))
    boxes = []

    def mask_of_box(sam, image, box):
        boxes.append((sam, image.shape, box.tolist()))
        return masks[1, :12, :10] & (torch.arange(12) < 6)[:, None] if sam == "b" else masks[1, :12, :10]

    monkeypatch.setattr(module, "mask_of_box", mask_of_box)
    figure = adapt_figure(report_on(images, [3, 5, 8, 9, 11]))
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["true mask", "before: IoU 0.50", "after: IoU 1.00"] * 4
    assert boxes == [(sam, (12, 10, 3), pytest.approx([5, 4, 8, 7], abs=1)) for sam in "ba"] * 4
    shown = [axes.images[0].get_array()[0, 0, 0] for axes in figure.axes[::3]]
    assert [int(value) for value in shown] == [3, 5, 8, 9]


def test_the_mask_of_a_box_is_the_single_one():
    sam, image = small_sam().eval(), torch.randint(256, (40, 48, 3), dtype=torch.uint8).numpy()
    box = torch.tensor([5.0, 6.0, 30.0, 33.0])
    with torch.no_grad():
        pixels = sam.preprocess(torch.from_numpy(image).permute(2, 0, 1))[None]
        sparse, dense = sam.prompt_encoder(None, box[None], None)
        pe = sam.prompt_encoder.get_dense_pe()
        logits, _ = sam.mask_decoder(sam.image_encoder(pixels), pe, sparse, dense, multimask_output=False)
        wanted = sam.postprocess_masks(logits, (40, 48), (40, 48))[0, 0] > 0
    found = module.mask_of_box(sam, image, box)
    assert found.shape == (40, 48) and found.dtype == torch.bool
    assert (found == wanted).float().mean() > 0.999 and 0.01 < found.float().mean() < 0.99


def test_an_object_may_be_one_pixel_wide():
    """Its tight box has no area, which a user's box must have."""
    sam, image = small_sam().eval(), np.zeros((40, 48, 3), np.uint8)
    assert module.mask_of_box(sam, image, torch.tensor([5.0, 6.0, 5.0, 33.0])).shape == (40, 48)
