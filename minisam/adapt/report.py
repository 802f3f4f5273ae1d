"""What an adaptation gained and lost: as a table, as JSON, and as a figure of held-out images before and after."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from minisam.adapt.adapt_run import Report
from minisam.adapt.measure_own import Change
from minisam.evaluate.tables import aligned
from minisam.masks.boxes import tight_boxes
from minisam.masks.iou import mask_iou
from minisam.model import Sam
from minisam.predict import SamPredictor
from minisam.show.draw import show_box, show_image, show_mask

FIRST_TITLE = "Held-out images"
SHOWN = 4
ONE_IMAGE = "One image has no interval: add images, or hold out more of them with --validation."


def adapt_table(report: Report) -> str:
    """Two Markdown tables: the held-out images, and PartWorld, which shows what was forgotten."""
    trained = (
        f"{report.parameters:,} numbers trained on {report.trained_images} images in {report.steps} steps"
    )
    remark = f"\n{ONE_IMAGE}\n" if report.held_out_images == 1 else ""
    return (
        f"{FIRST_TITLE} ({report.held_out_images}): mean IoU, {report.method}, {trained}\n\n{table(report.own)}\n"
        f"{remark}\n"
        f"PartWorld, to see what was lost\n\n{table(report.partworld)}\n"
    )


def table(rows: Sequence[Change]) -> str:
    head = ["prompt", "before", "after", "change [95 % interval]"]
    body = [[row.name, f"{row.before:.3f}", f"{row.after:.3f}", row.change.signed()] for row in rows]
    return aligned([head, *body])


def adapt_json(report: Report) -> str:
    plain = {
        "method": report.method,
        "trained_images": report.trained_images,
        "held_out_images": report.held_out_images,
        "parameters": report.parameters,
        "steps": report.steps,
        "seconds": round(report.seconds, 1),
        "own": [asdict(one) for one in report.own],
        "partworld": [asdict(one) for one in report.partworld],
        "skipped": dict(report.skipped),
    }
    return json.dumps(plain, indent=2) + "\n"


def adapt_figure(report: Report) -> Figure:
    """Rows: the first held-out images, each with its largest object's box; the true mask, before, and after."""
    chosen = report.held_out[:SHOWN]
    figure = Figure(figsize=(9.6, 2.7 * len(chosen)), layout="constrained")
    grid = figure.subplots(len(chosen), 3, squeeze=False)
    for axes, index in zip(grid, chosen, strict=True):
        found = report.images.read(index)
        assert found is not None, "only usable images are held out"
        image, masks = found
        target = masks[masks.flatten(1).sum(dim=1).argmax()][: image.shape[1], : image.shape[2]]
        box, pixels = tight_boxes(target[None])[0], image.permute(1, 2, 0).numpy()
        panels = [("true mask", target)]
        for name, sam in (("before", report.before), ("after", report.after)):
            mask = mask_of_box(sam, pixels, box)
            panels.append((f"{name}: IoU {float(mask_iou(mask, target)):.2f}", mask))
        for ax, (title, mask) in zip(axes, panels, strict=True):
            show_image(ax, pixels, title)
            show_mask(ax, mask.numpy())
            show_box(ax, box.numpy())
    return figure


def mask_of_box(sam: Sam, image: np.ndarray, box: Tensor) -> Tensor:
    """The single mask [H, W] bool for the box [4] of an object, which may be a pixel wide."""
    predictor = SamPredictor(sam)
    predictor.set_image(image)
    boxes = predictor.transform.apply_boxes_torch(box[None], predictor.original_size)
    masks, _, _ = predictor.predict_torch(None, None, boxes, multimask_output=False)
    return masks[0, 0].cpu()
