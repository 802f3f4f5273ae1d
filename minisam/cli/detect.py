"""`minisam detect`: labelled objects of an image or of a COCO folder, and training a detector for that.

minisam detect IMAGE --detector FILE        a figure, and the objects in COCO's results format beside it
minisam detect --data DIR --detector FILE   the objects of all images of a COCO folder, for `minisam eval --ap`
minisam detect train DIR                    a detector from a COCO folder (minisam/cli/detect_training.py)
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minisam.cli.detect_training import add_training_arguments
from minisam.cli.device_options import add_device_option
from minisam.cli.network import add_network_options, load_network
from minisam.cli.numbers import share
from minisam.cli.outputs import check_output
from minisam.cli.run_options import add_threads_option, use_threads
from minisam.cli.unused import refuse_unused
from minisam.errors import CommandError, DatasetError, ImageError, MinisamError, OutputError, printable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from minisam.adapt.rsprompter.instances import Instances
    from minisam.adapt.rsprompter.prompter import Prompter

TRAIN = "train"
USAGE = "give one IMAGE, or --data DIR, or: minisam detect train DIR"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "words",
        nargs="*",
        metavar="IMAGE | train DIR",
        help="an image file; or the word train and a COCO folder to train on",
    )
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="detect in all images of a COCO folder or file"
    )
    parser.add_argument("--detector", type=Path, metavar="FILE", help="written by `minisam detect train`")
    add_network_options(parser, "the SAM that the detector stands on", default="tiny")
    parser.add_argument(
        "--min-score",
        type=share(),
        default=0.3,
        metavar="P",
        help="show only objects with at least this score, 0 to 1 (default: 0.3; with --data all objects are written)",
    )
    parser.add_argument(
        "-o", "--out", type=Path, help="figure, results file or, with train, folder of the run"
    )
    add_device_option(parser)
    add_threads_option(parser)
    parser.add_argument("--json", action="store_true", help="print the objects as JSON")
    add_training_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from minisam.cli import detect_training

    use_threads(args)
    if args.words[:1] == [TRAIN]:
        refuse_unused(args, add_arguments, "is for detecting, not for train", ("min_score", "json"))
        return detect_training.run(args, args.words[1:])
    refuse_unused(args, add_training_arguments, "is for minisam detect train DIR")
    if args.data:
        refuse_unused(
            args, add_arguments, "is for one image; with --data all objects are written", ("min_score",)
        )
    if len(args.words) != (0 if args.data else 1):
        raise CommandError(USAGE)
    if args.detector is None:
        raise CommandError(
            "--detector FILE is needed: no detector is included; `minisam detect train DIR` makes one"
        )
    return detect_in_folder(args) if args.data else detect_in_image(args, Path(args.words[0]))


def loaded(args: argparse.Namespace) -> Prompter:
    """The detector on its SAM, on the chosen device."""
    from minisam.adapt.rsprompter.prompter_file import load_prompter
    from minisam.device import check_device

    device = check_device(args.device)
    sam = load_network(args)
    return load_prompter(sam, args.detector).to(device)


def detect_in_image(args: argparse.Namespace, path: Path) -> int:
    """Write the figure and, beside it, the results; print a line per object."""
    from minisam.adapt.rsprompter.measure import detect_objects
    from minisam.data.coco_results import write_results
    from minisam.data.images import load_image
    from minisam.show import save_figure
    from minisam.show.instance_figure import ShownInstance, instance_figure

    out, results_path = figure_and_results(args, path)
    image = load_image(path)
    prompter = loaded(args)
    found = detect_objects(prompter, image)
    names = prompter.config.classes
    results = as_results(found, image, 1, {label: label + 1 for label in range(len(names))}, args.min_score)
    masks = found.masks.cpu().numpy()
    shown = [
        ShownInstance(names[label], label, score, box, mask)
        for box, label, score, mask in zip(
            found.boxes.tolist(), found.labels.tolist(), found.scores.tolist(), masks, strict=True
        )
        if score >= args.min_score
    ]
    save_figure(instance_figure(image, shown, path.name), out, image=path.name)
    write_results(results_path, results)
    if args.json:
        categories = [{"id": number, "name": name} for number, name in enumerate(names, start=1)]
        print(json.dumps({"figure": str(out), "categories": categories, "results": results}))
        return 0
    for one in shown:
        x0, y0, x1, y1 = (round(value) for value in one.box)
        print(
            f"{printable(one.name)} {one.score:.2f}  box {x0},{y0},{x1},{y1}, {one.mask.mean():.1%} of the image"
        )
    if not shown:
        print(f"no object with a score of {args.min_score} or more")
    print(f"figure: {out}\nresults: {results_path}")
    return 0


def figure_and_results(args: argparse.Namespace, image: Path) -> tuple[Path, Path]:
    """The paths of both files.

    Raises OutputError if one cannot be written, would replace an input or a file that minisam did not write.
    """
    from minisam.data.image_listing import DETECT_ENDING
    from minisam.show.figure_file import FIGURE_FORMATS, check_replaceable_figure

    if not image.name or image.is_dir():
        raise ImageError(f"{image}: a folder, not an image; use --data for a COCO folder")
    if not image.parent.is_dir():
        raise ImageError(f"{image}: no such image file")
    out = args.out or image.with_name(image.stem + DETECT_ENDING)
    inputs = (image, args.detector, args.checkpoint)
    check_output(out, inputs, FIGURE_FORMATS)
    results = out.with_suffix(".json")
    if args.out is None:
        check_replaceable_figure(out, image.name)
    check_output(results, inputs, (".json",))
    check_replaceable_results(results)
    return out, results


def check_replaceable_results(path: Path) -> None:
    """Raises OutputError if the path exists and is not in COCO's results format."""
    from minisam.data.coco_results import read_results

    try:
        if path.exists():
            read_results(path)
    except DatasetError:
        raise OutputError(
            f"{path} holds no results and is not replaced; choose another name with -o"
        ) from None


def detect_in_folder(args: argparse.Namespace) -> int:
    """Write the objects of all images of a COCO folder, with its ids; print how many there are."""
    from tqdm import tqdm

    from minisam.adapt.rsprompter.labelled_images import FolderImages
    from minisam.adapt.rsprompter.measure import detect_objects
    from minisam.data.coco_results import write_results
    from minisam.data.skipped import Skipped

    out = args.out or Path("results.json")
    check_output(out, (args.data, args.detector, args.checkpoint), (".json",))
    check_replaceable_results(out)
    images = FolderImages(args.data, needs_annotations=False)
    prompter = loaded(args)
    names, skipped = prompter.config.classes, Skipped()
    ids = {names.index(name): id for id, name in images.categories.items() if name in names}
    if not ids:
        raise DatasetError(
            f"{args.data}: none of its categories is one of the detector's ({', '.join(names)})"
        )
    results: list[dict[str, Any]] = []
    for number, entry in enumerate(
        tqdm(images.folder.content.images, desc="images", disable=None, leave=False)
    ):
        try:
            image = images.read(number).image
        except (MinisamError, OSError) as error:
            skipped.add(images.names[number], error)
            continue
        results += as_results(detect_objects(prompter, image), image, entry["id"], ids)
    write_results(out, results)
    if skipped:
        print(skipped.summary(), file=sys.stderr)
    if args.json:
        print(json.dumps({"results": str(out), "images": len(images.names), "objects": len(results)}))
    else:
        print(f"{len(results)} objects in {len(images.names) - len(skipped)} images: {out}")
    return 3 if skipped else 0


def as_results(
    found: Instances, image: NDArray[np.uint8], image_id: Any, ids: dict[int, Any], min_score: float = 0.0
) -> list[dict[str, Any]]:
    """COCO results of an image's objects whose label has a category id."""
    from minisam.data.coco_results import coco_result

    results = []
    for box, label, score, mask in zip(
        found.boxes.cpu().double().tolist(),
        found.labels.tolist(),
        found.scores.tolist(),
        found.masks.cpu().numpy(),
        strict=True,
    ):
        if label in ids and score >= min_score:
            corner = (box[0], box[1], box[2] - box[0], box[3] - box[1])
            results.append(coco_result(mask, score, image_id, ids[label], corner))
    return results
