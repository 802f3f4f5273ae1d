"""`minisam demo`: clicks and boxes on a photo and on two drawn scenes, in one figure.  No network, no arguments."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from minisam.cli.outputs import check_output

if TYPE_CHECKING:
    from minisam.data.partworld import SceneBatch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--out", type=Path, metavar="FILE", help="figure (default: minisam_demo.png)")


def run(args: argparse.Namespace) -> int:
    import matplotlib

    from minisam.build import build_sam
    from minisam.data.images import load_image
    from minisam.data.partworld import render_scenes
    from minisam.predict import SamPredictor
    from minisam.show import best_masks_figure, save_figure
    from minisam.show.figure_file import FIGURE_FORMATS, check_replaceable_figure

    out = args.out or Path("minisam_demo.png")
    check_output(out, suffixes=FIGURE_FORMATS)
    if args.out is None:
        check_replaceable_figure(out)
    photo = load_image(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg")
    pictures = [(photo, PHOTO_PROMPTS)]
    for world, seed in DEMO_SCENES.items():
        scene = render_scenes(seed, batch_size=1, image_size=512, world=world, object_scale=1.5)
        pictures.append((scene.images[0].permute(1, 2, 0).numpy(), prompts_for(scene)))
    predictor = SamPredictor(build_sam())
    results = []
    for image, prompts in pictures:
        predictor.set_image(image)
        results += [segment(predictor, image, title, **prompt) for title, prompt in prompts.items()]
    save_figure(best_masks_figure(results, columns=3), out)
    print(f"figure: {out.resolve()}")
    return 0


DEMO_SCENES = {"train": 1, "micro": 2}
"""Worlds of PartWorld, with the seed of a scene: chosen from 230 of five worlds, so that the masks fit."""
LARGEST = 0.3  # of the scene; an object that fills it makes a dull figure
PHOTO_PROMPTS = {
    "a click": {"points": [[130, 490]], "labels": [1]},
    "two clicks": {"points": [[420, 495], [380, 495]], "labels": [1, 1]},
    "a box": {"boxes": [[155, 125, 365, 320]]},
}


def prompts_for(scene: SceneBatch) -> dict[str, dict[str, list]]:
    """Prompts for the largest part of the largest object in a scene, made as in evaluation.

    A click in the middle of the part; the same with a background click on another part; the box of the whole.
    """
    import torch

    from minisam.masks.boxes import tight_boxes
    from minisam.masks.distance import interior_points
    from minisam.train.targets import eligible_nodes, node_masks

    eligible, level, area, parent = (
        t[0] for t in (eligible_nodes(scene), scene.level, scene.area, scene.parent)
    )
    parts = (parent[None] == torch.arange(len(parent))[:, None]) & (area > 0)
    whole = int(
        (
            area
            * (
                eligible
                & (level == 0)
                & (parts.sum(dim=1) >= 2)
                & (area < LARGEST * scene.images[0, 0].numel())
            )
        ).argmax()
    )
    part, other = (area * (parent == whole)).topk(2).indices.tolist()
    masks = node_masks(scene, torch.tensor([[whole, part, other]]))[0]
    meant, not_meant = interior_points(masks)[0][1:].tolist()
    return {
        "a click": {"points": [meant], "labels": [1]},
        "two clicks": {"points": [meant, not_meant], "labels": [1, 0]},
        "a box": {"boxes": tight_boxes(masks[:1]).tolist()},
    }


def segment(predictor, image, title: str, points=None, labels=None, boxes=None):
    """The masks for one prompt."""
    from minisam.show import PromptResult

    points, labels, boxes = (None if given is None else np.array(given) for given in (points, labels, boxes))
    masks, iou_predictions, _ = predictor.predict(points, labels, boxes)
    return PromptResult(title, image, masks, iou_predictions, points, labels, boxes)
