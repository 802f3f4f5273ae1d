"""`minisam eval --ap RESULTS --data DIR`: COCO's numbers for a file of detections, class by class."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minisam.cli.outputs import check_output_folder, make_output_folder
from minisam.cli.replaceable import check_replaceable_json, check_replaceable_text
from minisam.errors import DatasetError, PromptError, printable

if TYPE_CHECKING:
    from minisam.data.coco import CocoFile
    from minisam.data.coco_results import Result
    from minisam.evaluate.detection_scores import ClassScores

TITLE = "AP of boxes"
TITLES = {"box": TITLE, "mask": "AP of masks", "boundary": "AP of masks and their boundaries"}
SHOWN = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large", "AR100")
USED = ("ap", "data", "out", "json")


def run(args: argparse.Namespace) -> int:
    """Print the tables; with --out also write results.json and table.md."""
    from minisam.data.coco_results import read_results
    from minisam.evaluate.category_overlaps import category_overlaps
    from minisam.evaluate.detection_scores import all_class_scores
    from minisam.files import write_atomically

    if args.data is None:
        raise PromptError("--ap needs --data: the COCO folder or file with the true objects")
    if args.out:
        check_output_folder(args.out, (args.ap, args.data), ("results.json", "table.md"))
        check_replaceable_json(args.out / "results.json", ("about", "scores"))
        check_replaceable_text(args.out / "table.md", TITLE)
    path, truth = true_objects(args.data)
    results = read_results(args.ap)
    with_masks = have_masks(args.ap, [one.segmentation for one in results], "result")
    try:
        by_kind = category_overlaps(truth, results, with_masks and masks_in(path, truth))
    except DatasetError as error:
        raise DatasetError(f"{args.ap}, measured with {path}: {error}") from None
    scores = {kind: all_class_scores(truth.categories, own) for kind, own in by_kind.items()}
    for line in remarks(args.ap, results, truth, scores["box"]):
        print(f"minisam: {printable(line)}", file=sys.stderr)

    about = {"results": str(args.ap), "data": str(args.data), "images": len(truth.images)}
    table = "\n\n".join(f"{TITLES[kind]}\n\n{markdown(classes)}" for kind, classes in scores.items()) + "\n"
    content = {"about": about, "scores": {kind: as_json(classes) for kind, classes in scores.items()}}
    text = json.dumps(content, indent=1) + "\n"
    print(text if args.json else table, end="")
    if args.out:
        make_output_folder(args.out)
        write_atomically(args.out / "results.json", lambda file: file.write(text.encode()))
        write_atomically(args.out / "table.md", lambda file: file.write(table.encode()))
        print(f"wrote results.json and table.md to {args.out}", file=sys.stderr)
    return 0


def true_objects(path: Path) -> tuple[Path, CocoFile]:
    """The COCO file of a folder, and its content.

    Raises DatasetError if there are no true objects with categories.
    """
    from minisam.data.segmentation_folder import CocoFolder, open_folder

    folder = open_folder(path)
    if not isinstance(folder, CocoFolder):
        raise DatasetError(
            f"{path}: --ap needs a COCO file, whose objects have categories; this is SA-1B's format"
        )
    if not any(folder.content.annotations.values()):
        raise DatasetError(f"{folder.path}: no annotations, and therefore nothing to measure")
    if not folder.content.categories:
        raise DatasetError(f'{folder.path}: no "categories"; AP is measured for each of them')
    return folder.path, folder.content


def masks_in(path: Path, truth: CocoFile) -> bool:
    annotations = [one for own in truth.annotations.values() for one in own]
    return have_masks(path, [one.get("segmentation") for one in annotations], "annotation")


def have_masks(path: Path, segmentations: list[Any], noun: str) -> bool:
    """Whether all have a mask; raises DatasetError if only some do."""
    missing = [place for place, one in enumerate(segmentations) if not one]
    if missing and len(missing) < len(segmentations):
        raise DatasetError(f"{path}: {noun} {missing[0]} has no segmentation, although others have one")
    return not missing


def remarks(path: Path, results: list[Result], truth: CocoFile, classes: list[ClassScores]) -> list[str]:
    """What a reader should know about the numbers, one line each."""
    from minisam.data.coco import category_of

    lines = []
    if truth.skipped:
        lines.append(truth.skipped.summary())
    if not results:
        lines.append(f"{path}: no results; the AP of every class with objects is 0")
    objects = [category_of(one) for own in truth.annotations.values() for one in own]
    for noun, ids in (("results", [one.category_id for one in results]), ("true objects", objects)):
        if others := [id for id in ids if id not in truth.categories]:
            named = ", ".join(sorted({repr(id) for id in others})[:5])
            lines.append(f"{len(others)} {noun} do not count: there is no category with their id ({named})")
    if empty := [one.name for one in classes if not one.targets]:
        lines.append(f"no objects of: {', '.join(empty)}; the mean is over the other classes")
    return lines


def markdown(classes: list[ClassScores]) -> str:
    """A row per class, and their mean; numbers in percent, – for a class without objects of that size."""
    from minisam.evaluate.detection_scores import mean_scores
    from minisam.evaluate.tables import aligned

    rows = [["class", "objects", *(name.replace("_", " ") for name in SHOWN)]]
    rows += [
        [printable(one.name), str(one.targets), *(percent(one.scores[n]) for n in SHOWN)] for one in classes
    ]
    mean = mean_scores(classes)
    rows.append(["mean", str(sum(one.targets for one in classes)), *(percent(mean[name]) for name in SHOWN)])
    return aligned(rows)


def percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{100 * value:.1f}"


def as_json(classes: list[ClassScores]) -> dict[str, Any]:
    """All twelve numbers, from 0 to 1, null where there are none."""
    from minisam.evaluate.detection_scores import mean_scores

    def without_nan(scores: dict[str, float]) -> dict[str, float | None]:
        return {name: None if math.isnan(value) else value for name, value in scores.items()}

    return {
        "mean": without_nan(mean_scores(classes)),
        "classes": [
            {"id": one.id, "name": one.name, "objects": one.targets, **without_nan(one.scores)}
            for one in classes
        ],
    }
