"""`minisam demo`: every kind of prompt on a photo and on a drawn scene, in one figure.  No network, no arguments."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--out", type=Path, default=Path("minisam_demo.png"), metavar="PNG")


def run(args: argparse.Namespace) -> int:
    import matplotlib

    from minisam.build import build_sam
    from minisam.data.images import load_image
    from minisam.data.partworld import render_scenes
    from minisam.predict import SamPredictor
    from minisam.show import prompt_figure, save_figure

    photo = load_image(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg")
    scene = render_scenes(seed=DEMO_SCENE, batch_size=1, object_scale=1.5).images[0].permute(1, 2, 0).numpy()
    predictor = SamPredictor(build_sam("tiny"))
    results = []
    for image, prompts in ((photo, PHOTO_PROMPTS), (scene, SCENE_PROMPTS)):
        predictor.set_image(image)
        results += [segment(predictor, image, title, **prompt) for title, prompt in prompts.items()]
        results.append(refine(predictor, image, prompts["a point"]))
    save_figure(prompt_figure(results, columns=2), args.out)
    print(f"figure: {args.out.resolve()}")
    return 0


DEMO_SCENE = 5
PHOTO_PROMPTS = {
    "a point": {"points": [[130, 480]], "labels": [1]},
    "two points": {"points": [[130, 480], [255, 220]], "labels": [1, 0]},
    "a box": {"boxes": [[140, 30, 380, 310]]},
}
SCENE_PROMPTS = {
    "a point": {"points": [[210, 90]], "labels": [1]},
    "two points": {"points": [[210, 90], [90, 200]], "labels": [1, 0]},
    "a box": {"boxes": [[46, 2, 243, 152]]},
}


def segment(predictor, image, title: str, points=None, labels=None, boxes=None):
    """The masks for one prompt."""
    from minisam.show import PromptResult

    points, labels, boxes = (None if given is None else np.array(given) for given in (points, labels, boxes))
    masks, iou_predictions, _ = predictor.predict(points, labels, boxes)
    return PromptResult(title, image, masks, iou_predictions, points, labels, boxes)


def refine(predictor, image, prompt):
    """The best mask for a point, given back as logits together with the point."""
    from minisam.show import PromptResult

    points, labels = np.array(prompt["points"]), np.array(prompt["labels"])
    first, first_iou, low_res = predictor.predict(points, labels)
    best = first_iou.argmax()
    masks, iou_predictions, _ = predictor.predict(
        points, labels, mask_input=low_res[[best]], multimask_output=False
    )
    return PromptResult("its best mask", image, masks, iou_predictions, points, labels, mask=first[best])
