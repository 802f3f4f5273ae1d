"""`minisam segment`: a prompt on an image file -> masks, as a figure and as data."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from minisam.cli.device_options import add_device_options, chosen_device
from minisam.cli.mask_records import mask_records
from minisam.cli.network import (
    add_adapter_option,
    add_network_options,
    chosen_model,
    load_network,
)
from minisam.cli.numbers import LARGEST_COUNT, number_from
from minisam.cli.outputs import check_output
from minisam.cli.segment_prompts import segment_by_file
from minisam.errors import CommandError, ImageError, PromptError

if TYPE_CHECKING:
    from torch import Tensor

    from minisam.model import Sam


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "image",
        type=Path,
        nargs="?",
        metavar="IMAGE",
        help="an image file; with --prompts it may be left out",
    )
    parser.add_argument(
        "--prompts",
        type=Path,
        metavar="FILE",
        help='a JSON list of prompts, such as [{"point_coords": [[255, 330]]}, {"box": [135, 20, 380, 260]}], or an '
        "object with a list for each image's name",
    )
    parser.add_argument(
        "--page",
        type=number_from(1),
        metavar="N",
        help="page of a TIFF, or frame of a DICOM or an animation (default: 1)",
    )
    parser.add_argument(
        "--point", type=numbers(2), action="append", default=[], metavar="X,Y", help="foreground point"
    )
    parser.add_argument(
        "--negative", type=numbers(2), action="append", default=[], metavar="X,Y", help="background point"
    )
    parser.add_argument(
        "--box",
        type=numbers(4),
        action="append",
        default=[],
        metavar="X0,Y0,X1,Y1",
        help="box around the object: left, top, right, bottom",
    )
    parser.add_argument(
        "--mask", type=Path, metavar="FILE", help="image of a mask, white on black, of IMAGE's size"
    )
    parser.add_argument(
        "--text", metavar="WORDS", help="a description of the object, for example 'striped red wheel'"
    )
    parser.add_argument("--like", type=Path, metavar="FILE", help="an image of the object, a crop")
    parser.add_argument("--single", action="store_true", help="one mask instead of three")
    add_network_options(parser, "weights in a file; with --text or --like, what `minisam text sam` wrote")
    add_adapter_option(parser)
    parser.add_argument(
        "-o", "--out", type=Path, metavar="FILE", help="figure (default: IMAGE's name + _segment.png)"
    )
    add_device_options(parser)
    parser.add_argument(
        "--json", action="store_true", help="print the masks as JSON with COCO run-length encoding"
    )


def numbers(count: int):
    """An argument type: `count` numbers separated by commas."""

    def parse(text: str) -> list[float]:
        try:
            values = [float(word) for word in text.split(",")]
        except ValueError:
            values = []
        if len(values) != count or not all(abs(value) <= LARGEST_COUNT for value in values):
            raise argparse.ArgumentTypeError(
                f"expected {count} finite numbers separated by commas, got {text!r}"
            )
        return values

    return parse


def run(args: argparse.Namespace) -> int:
    described = [given for given in (args.text, args.like) if given is not None]
    if args.prompts is not None:
        if args.point or args.negative or args.box or args.mask or described:
            raise CommandError("--prompts has all prompts; leave out the others")
        with chosen_device(args) as device:
            return segment_by_file(args, device)
    if args.image is None:
        raise CommandError("give an IMAGE, or --prompts with the names of images")
    if not (args.point or args.negative or args.box or args.mask or described):
        raise PromptError("nothing to segment: give --point, --negative, --box, --mask, --text or --like")
    if args.mask and not (args.point or args.negative or args.box or described or args.checkpoint):
        check_mask_alone(chosen_model(args))
    if described and args.model:
        raise PromptError("--text and --like need the network that understands them; omit --model")
    if described and args.adapter:
        raise PromptError("--adapter adapts a network for points, boxes and masks, not for --text or --like")
    if len(described) > 1:
        raise PromptError("--text and --like both describe the object; give only one of them")
    with chosen_device(args) as device:
        return segment(args, described, device)


def segment(args: argparse.Namespace, described: list[str | Path], device: str) -> int:
    """Predict on a device; write the figure and print the masks."""
    from minisam.data.images import load_image
    from minisam.predict import SamPredictor
    from minisam.show import PromptResult, prompt_figure, save_figure

    out = figure_path(args)
    image = load_image(args.image, page=args.page)
    external = None
    if described:
        sam, token = describe(described[0], args.checkpoint)
        external = token.to(device)
    else:
        sam = load_network(args, args.adapter)
    points = np.array(args.point + args.negative) if args.point or args.negative else None
    labels = np.array([1] * len(args.point) + [0] * len(args.negative)) if points is not None else None
    boxes = np.array(args.box) if args.box else None
    mask = load_mask(args.mask, image.shape[:2]) if args.mask else None

    predictor = SamPredictor(sam.to(device))
    predictor.set_image(image)
    masks, iou_predictions, _ = predictor.predict(
        points,
        labels,
        boxes,
        mask_logits(mask, sam),
        multimask_output=not args.single,
        external=external,
    )
    title = f"{args.image.name}: {args.text}" if args.text else args.image.name
    result = PromptResult(title, image, masks, iou_predictions, points, labels, boxes, mask)
    save_figure(prompt_figure(result), out, image=args.image.name)
    if args.json:
        print(json.dumps({"figure": str(out), "masks": mask_records(masks, iou_predictions)}))
    else:
        for index in np.argsort(-iou_predictions):
            share = masks[index].mean()
            print(f"mask {index}: predicted IoU {iou_predictions[index]:.3f}, {share:.1%} of the image")
        print(f"figure: {out}")
    return 0


def check_mask_alone(model: str) -> None:
    """Raise PromptError for included weights that have never been trained with a mask as the only prompt."""
    if model != "small":
        raise PromptError(
            f"{model} finds nothing from a mask alone; add a --point or a --box to --mask, or use --model small"
        )


def figure_path(args: argparse.Namespace) -> Path:
    """The path of the figure.

    Raises OutputError if it cannot be written, would replace an input or, without -o, a file that minisam did not
    write, or the figure of another image.
    """
    from minisam.data.image_listing import SEGMENT_ENDING
    from minisam.show.figure_file import FIGURE_FORMATS, check_replaceable_figure

    out = args.out
    if out is None:
        if not args.image.name:
            raise ImageError(f"{args.image}: a folder, not an image")
        if not args.image.parent.is_dir():
            raise ImageError(f"{args.image}: no such image file")
        out = args.image.with_name(args.image.stem + SEGMENT_ENDING)
        check_replaceable_figure(out, args.image.name)
    check_output(out, (args.image, args.mask, args.like, args.checkpoint, args.adapter), FIGURE_FORMATS)
    return out


def describe(thing: str | Path, checkpoint: Path | None) -> tuple[Sam, Tensor]:
    """The network for text prompts, and the token of a description: words, or an image file of the object.

    Raises PromptError for unknown words, CheckpointError if there is no such network.
    """
    from minisam.data.images import BLACK, load_image
    from minisam.text.text_sam import load_text_sam

    image = None if isinstance(thing, str) else load_image(thing, behind=BLACK)
    model = load_text_sam(checkpoint)
    if image is None:
        return model.sam, model.embed_text(str(thing))
    return model.sam, model.embed_image(image)


def load_mask(path: Path, size: tuple[int, ...]) -> np.ndarray:
    """An image of a mask, white inside, or one of zeros and ones, as booleans [H, W].

    Raises PromptError if its size differs from the image's, or if the mask is empty.
    """
    from minisam.data.images import BLACK, load_image

    values = load_image(path, behind=BLACK)
    mask = values.mean(axis=2) > (127 if values.max() > 1 else 0)
    if mask.shape != tuple(size):
        raise PromptError(
            f"{path} has {mask.shape[1]} x {mask.shape[0]} pixels, the image {size[1]} x {size[0]}"
        )
    if not mask.any():
        raise PromptError(f"{path} marks nothing; white is inside, black and transparent are outside")
    return mask


def mask_logits(mask: np.ndarray | None, sam) -> np.ndarray | None:
    from minisam.predict.mask_prompt import mask_to_logits

    return None if mask is None else mask_to_logits(mask, sam)
