"""What `minisam eval` measures a network on: the user's images, cut-outs on photographs, or worlds of PartWorld."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field, replace

from tqdm import tqdm

from minisam.data.partworld import WORLDS
from minisam.data.segmentation_folder import SegmentationFolder, hashed_order, open_folder
from minisam.data.skipped import Skipped
from minisam.evaluate import Estimate, WorldResult, evaluate_pictures, evaluate_world
from minisam.evaluate.baselines import measure_baselines
from minisam.evaluate.cutouts import cutout_targets, evaluate_cutouts
from minisam.evaluate.pictures import baseline_targets
from minisam.files import resolved
from minisam.model import Sam

TRIES = 10
"""At most that many times the wanted images of --data are opened, where most of them have no mask to measure."""


@dataclass(frozen=True)
class Measured:
    """The results by world, and for --baselines those by method and metric."""

    results: list[WorldResult]
    measured_on: str
    """For the title of the figure."""
    skipped: Skipped = field(default_factory=Skipped)
    baselines: dict[str, dict[str, Estimate]] = field(default_factory=dict)


def measure(args: argparse.Namespace, sam: Sam) -> Measured:
    """Measure on what the options name, with a bar of the images.

    Raises DatasetError if a folder has no images or masks to measure.
    """
    folder = open_folder(args.data) if args.data else None
    worlds = [world for world in WORLDS if world in args.worlds or "all" in args.worlds]
    if folder:
        images = min(args.images, len(folder.names))
    else:
        images = args.images if args.cutouts else args.images * len(worlds)
    with tqdm(total=images, unit="image", disable=None) as bar:
        if folder:
            return measure_folder(args, sam, folder, images, bar)
        if args.cutouts:
            return measure_cutouts(args, sam, bar)
        return measure_worlds(args, sam, worlds, bar)


def measure_folder(
    args: argparse.Namespace, sam: Sam, folder: SegmentationFolder, images: int, bar: tqdm
) -> Measured:
    """Images of --data, chosen by a hash of their names; others stand in for those without a mask to measure."""
    order = hashed_order(folder.names)
    chosen, spare = sorted(order[:images]), order[images : TRIES * images]
    result, skipped = evaluate_pictures(
        sam, folder, chosen, args.targets, args.seed, spare=spare, clicks=args.clicks, on_batch=bar.update
    )
    baselines = {}
    if args.baselines:
        baselines = measure_baselines(baseline_targets(sam, folder, chosen, args.targets, args.seed, spare))
    where = f"{args.data}, {result.images} images"
    return Measured([replace(result, world=resolved(args.data).stem)], where, skipped, baselines)


def measure_cutouts(args: argparse.Namespace, sam: Sam, bar: tqdm) -> Measured:
    """Scenes of --cutouts on --backgrounds: the world photo."""
    drawn = (resolved(args.cutouts), resolved(args.backgrounds), args.images, args.targets, args.seed)
    left_out = tuple(args.leave_out)
    result, skipped = evaluate_cutouts(
        sam, *drawn, clicks=args.clicks, leave_out=left_out, on_batch=bar.update
    )
    baselines = measure_baselines(cutout_targets(sam, *drawn, left_out)) if args.baselines else {}
    return Measured([result], f"cut-outs, {args.images} images", skipped, baselines)


def measure_worlds(args: argparse.Namespace, sam: Sam, worlds: list[str], bar: tqdm) -> Measured:
    """Scenes of these worlds of PartWorld."""
    results = []
    for world in worlds:
        bar.set_description(world)
        results.append(
            evaluate_world(
                sam, world, args.images, args.targets, args.seed, clicks=args.clicks, on_batch=bar.update
            )
        )
    return Measured(results, f"PartWorld, {args.images} images per world")
