"""`minisam segment --prompts FILE`: the prompts of a JSON file on one image or many, each image encoded once."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from minisam.cli.mask_records import mask_records
from minisam.cli.network import load_network
from minisam.cli.outputs import check_output
from minisam.errors import CommandError, ImageError, PromptError

MOST_SHOWN, COLUMNS = 12, 3
"""Prompts in a figure, and in a row of it."""


def segment_by_file(args: argparse.Namespace, device: str) -> int:
    """Predict masks for all prompts; write a figure for each image, and print the masks.

    Of several images, one that cannot be used is named, and the others follow; the exit code is then 3.
    """
    from minisam.predict import SamPredictor
    from minisam.predict.prompt_file import read_prompts

    prompts = read_prompts(args.prompts, args.image)
    figures = [figure_of(args, image, len(prompts)) for image in prompts]
    check_one_each(prompts, figures)
    predictor = SamPredictor(load_network(args, args.adapter).to(device))
    records, left_out = [], 0
    for (image, listed), figure in zip(prompts.items(), figures, strict=True):
        try:
            records.append(segment_image(args, predictor, image, listed, figure))
        except (ImageError, PromptError) as error:
            if len(prompts) == 1:
                raise
            print(f"minisam: {error}", file=sys.stderr)
            records.append({"image": str(image), "error": str(error)})
            left_out += 1
    if args.json:
        print(json.dumps({"images": records}))
    if left_out:
        print(f"minisam: {left_out} of {len(prompts)} images are left out", file=sys.stderr)
    return 3 if left_out else 0


def figure_of(args: argparse.Namespace, image: Path, count: int) -> Path:
    """The path of an image's figure.  Raises ImageError, OutputError or CommandError before any work."""
    from minisam.data.image_listing import SEGMENT_ENDING
    from minisam.show.figure_file import FIGURE_FORMATS, check_replaceable_figure

    if not image.is_file():
        raise ImageError(f"{image}: no such image file")
    if args.out is not None and count > 1:
        raise CommandError("-o names the figure of one image; figures of several are written beside them")
    out = args.out or image.with_name(image.stem + SEGMENT_ENDING)
    if args.out is None:
        check_replaceable_figure(out, image.name)
    check_output(out, (image, args.prompts, args.checkpoint, args.adapter), FIGURE_FORMATS)
    return out


def check_one_each(images: Collection[Path], figures: list[Path]) -> None:
    """Raises CommandError if two images, such as a.png and a.jpg, would have one figure."""
    of_figure: dict[str, Path] = {}
    for image, figure in zip(images, figures, strict=True):
        other = of_figure.setdefault(os.path.realpath(figure), image)
        if other != image:
            raise CommandError(f"{other} and {image} would have one figure, {figure}; rename one of them")


def segment_image(
    args: argparse.Namespace, predictor: Any, path: Path, prompts: list[dict[str, np.ndarray]], out: Path
) -> dict[str, Any]:
    """The masks of one image's prompts as JSON, after writing its figure."""
    from minisam.data.images import load_image
    from minisam.predict.prompt_file import named
    from minisam.show import PromptResult, save_figure
    from minisam.show.prompt_figure import best_masks_figure, reduced

    image = load_image(path, page=args.page)
    predictor.set_image(image)
    results, records = [], []
    for number, prompt in enumerate(prompts, 1):
        try:
            masks, ious, _ = predictor.predict(**prompt, multimask_output=not args.single)
        except PromptError as error:
            raise named(error, args.prompts, path, number) from None
        boxes = np.atleast_2d(prompt["box"]) if "box" in prompt else None
        points, labels = prompt.get("point_coords"), prompt.get("point_labels")
        if number <= MOST_SHOWN:
            title = f"{path.name}, {number}"
            results.append(reduced(PromptResult(title, image, masks, ious, points, labels, boxes)))
        records.append({"masks": mask_records(masks, ious)})
        if not args.json:
            best = int(np.argmax(ious))
            share = masks[best].mean()
            print(f"{path}, prompt {number}: predicted IoU {ious[best]:.3f}, {share:.1%} of the image")
    if len(prompts) > MOST_SHOWN:
        print(f"minisam: {out} shows the first {MOST_SHOWN} of {len(prompts)} prompts", file=sys.stderr)
    save_figure(best_masks_figure(results, columns=min(COLUMNS, len(results))), out, image=path.name)
    if not args.json:
        print(f"figure: {out}")
    return {"image": str(path), "figure": str(out), "prompts": records}
