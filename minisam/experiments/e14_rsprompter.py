"""E14: is it better to prompt SAM with learned tokens than with boxes?  (RSPrompter, tables of section IV)

    cls      segment everything, then classify the masks
    det      a detector, whose boxes are prompts of the frozen SAM
    seg      the same detector with a convolutional mask head
    anchor   the same detector, which writes prompt tokens for SAM's decoder, and trains that decoder
    frozen   anchor with a frozen decoder; in E14b only

All stand on the same frozen encoder.  AP is the mean over five classes; roads, which are thinner than the pixels of
SAM's masks, are reported apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from minisam.adapt.rsprompter.config import small_config
from minisam.adapt.rsprompter.labelled_images import WorldImages
from minisam.adapt.rsprompter.measure import detect_objects, overlaps_of
from minisam.adapt.rsprompter.prompter_task import PrompterRecipe
from minisam.adapt.rsprompter.sam_cls import Candidates, classified, train_classifier
from minisam.build import build_sam
from minisam.data.segmentation_folder import Picture
from minisam.evaluate.bootstrap import Estimate
from minisam.experiments.experiment import Experiment, Outcome, Settings
from minisam.experiments.shared.detector_ap import ImageMatches, estimate_ap, matches_of, mean_ap
from minisam.experiments.shared.prompted_targets import as_json
from minisam.experiments.shared.prompters import CLASSES, WORLD, trained_prompter, training_images
from minisam.model import Sam

NETWORK = "tiny"
RECIPE = PrompterRecipe(steps=1500, lr=3e-4)
SAMPLING: dict[str, Any] = {"boxes": 64, "positive_share": 1 / 8, "most_masks": None}
"""Eight boxes of an image are positive, and all get masks."""
DETECTORS = ("det", "seg", "anchor")
FROZEN = "frozen"
CLASSIFIED_IMAGES = 128
COMMON = tuple(range(5))
ROAD = 5
Runs = dict[str, list[list[ImageMatches]]]


def run(sam: Sam, settings: Settings) -> Outcome:
    """`sam` is not used: the detectors stand on tiny, or in a quick run on nano."""
    return outcome(trained_arms(settings, WORLD, RECIPE, SAMPLING), RECIPE.steps)


def trained_arms(
    settings: Settings,
    world: str,
    recipe: PrompterRecipe,
    sampling: dict[str, Any],
    detectors: Sequence[str] = DETECTORS,
) -> Runs:
    """The matches of every arm, trained and measured on images of `world`; `sampling` changes the detectors' sizes."""
    network = "nano" if settings.quick else NETWORK
    side = build_sam(network).image_encoder.img_size
    images = WorldImages(world, settings.images, side, evaluation=True)
    labels = {id: label for label, id in enumerate(images.categories)}
    runs: Runs = {"cls": [], **{name: [] for name in detectors}}
    for seed in settings.seeds:
        for name in detectors:
            variant = "anchor" if name == FROZEN else name
            config = replace(small_config(build_sam(network), variant, CLASSES), **sampling)
            config = replace(config, train_decoder=name != FROZEN)
            prompter = trained_prompter(settings, network, name, config, recipe, seed, world)
            found = (detect_objects(prompter, picture.image) for picture in images.pictures)
            runs[name].append(
                [
                    matches_of(overlaps_of(one, picture, labels, len(CLASSES)))
                    for one, picture in zip(found, images.pictures, strict=True)
                ]
            )
        runs["cls"].append(classify(build_sam(network), settings, world, images.pictures, labels, seed))
    return runs


def classify(
    sam: Sam, settings: Settings, world: str, pictures: Sequence[Picture], labels: dict[Any, int], seed: int
) -> list[ImageMatches]:
    """The matches of SAM-cls on every image."""
    side = sam.image_encoder.img_size
    count = 2 if settings.quick else CLASSIFIED_IMAGES
    crops, targets = [], []
    for picture in training_images(world, 8 if settings.quick else 512, side).pictures[:count]:
        found = Candidates(sam, picture.image)
        masks = np.array([segment.mask() for segment in picture.segments]).reshape(-1, side, side)
        own = [labels[segment.category] for segment in picture.segments]
        crops.append(found.crops)
        targets.append(found.labels(masks, own, len(CLASSES)))
    all_crops, all_targets = torch.cat(crops), torch.cat(targets)
    if not len(all_crops):
        return [matches_of({}) for _ in pictures]
    network = train_classifier(all_crops, all_targets, len(CLASSES), seed, steps=2 if settings.quick else 600)
    return [
        matches_of(
            overlaps_of(classified(network, Candidates(sam, picture.image)), picture, labels, len(CLASSES))
        )
        for picture in pictures
    ]


def outcome(runs: Runs, steps: int) -> Outcome:
    """The gates, from the matches of every arm's runs."""

    def ap(kind: str, name: str, classes: Sequence[int] = COMMON) -> Estimate:
        return estimate_ap({name: runs[name]}, lambda ap: ap[name], kind, classes)

    order = tuple(runs)
    mask, box = ({name: ap(kind, name) for name in order} for kind in ("mask", "box"))
    prompted = estimate_ap(
        runs, lambda ap: min(ap["seg"], ap["anchor"]) - max(ap["cls"], ap["det"]), "mask", COMMON
    )
    over_det = estimate_ap(runs, lambda ap: ap["anchor"] - ap["det"], "mask", COMMON)
    same_boxes = box["det"].value - box["anchor"].value
    over_seg = mask["anchor"].value - mask["seg"].value
    passed = prompted.low > 0 and abs(same_boxes) < 5 and over_seg >= -2

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    panels = figure.subplots(1, 2)
    bars(panels[0], order, mask, box)
    by_class = {
        name: [100 * mean_ap(runs[name][0], "mask", [label]).mean() for label in range(len(CLASSES))]
        for name in order
    }
    width = 0.8 / len(order)
    for place, name in enumerate(order):
        middles = np.arange(len(CLASSES)) + width * (place - (len(order) - 1) / 2)
        panels[1].bar(middles, by_class[name], width, label=name)
    panels[1].set_xticks(range(len(CLASSES)), CLASSES, rotation=30)
    panels[1].set(ylabel="mask AP of the first seed")
    panels[1].margins(y=0.3)  # room for the legend
    panels[1].legend(loc="upper left", ncols=3)
    finding = (
        "Mask AP: "
        + ", ".join(f"{name} {mask[name].value:.1f}" for name in order)
        + f"; box AP: {', '.join(f'{name} {box[name].value:.1f}' for name in order)}. "
        f"The worse of seg and anchor minus the better of cls and det: {points(prompted)} points of mask AP. "
        f"Boxes of det minus those of anchor: {same_boxes:+.1f}; masks of anchor minus those of seg: {over_seg:+.1f}, "
        f"minus those of det: {points(over_det)}."
    )
    values: dict[str, Any] = {
        "mask AP": {name: as_json(value) for name, value in mask.items()},
        "box AP": {name: as_json(value) for name, value in box.items()},
        "mask AP50": {name: thresholds(runs[name], "mask")[0] for name in order},
        "mask AP75": {name: thresholds(runs[name], "mask")[5] for name in order},
        "mask AP of roads": {name: ap("mask", name, [ROAD]).value for name in order},
        "mask AP by class": by_class,
        "min(seg, anchor) - max(cls, det)": as_json(prompted),
        "box det - anchor": same_boxes,
        "anchor - seg": over_seg,
        "anchor - det": as_json(over_det),
        "steps": steps,
    }
    if FROZEN in runs:
        trained = estimate_ap(runs, lambda ap: ap["anchor"] - ap[FROZEN], "mask", COMMON)
        values["anchor - frozen"] = as_json(trained)
        finding += f" Training SAM's decoder is worth {points(trained)} points of mask AP."
    return Outcome(bool(passed), finding, values, figure)


def thresholds(runs: list[list[ImageMatches]], kind: str) -> list[float]:
    """AP in percent at every threshold, the mean over runs."""
    return (100 * np.mean([mean_ap(run, kind, COMMON) for run in runs], axis=0)).tolist()


def points(value: Estimate) -> str:
    return f"{value.value:+.1f} [{value.low:+.1f}, {value.high:+.1f}]"


def bars(axes: Axes, order: Sequence[str], mask: dict[str, Estimate], box: dict[str, Estimate]) -> None:
    """Mask and box AP of each arm, with intervals."""
    for offset, kind, values in ((-0.2, "masks", mask), (0.2, "boxes", box)):
        own = [values[name] for name in order]
        below = [max(0.0, e.value - e.low) for e in own]
        above = [max(0.0, e.high - e.value) for e in own]
        heights = [e.value for e in own]
        axes.bar(np.arange(len(order)) + offset, heights, 0.4, yerr=[below, above], capsize=3, label=kind)
    axes.set_xticks(range(len(order)), order)
    axes.set(ylabel="AP, mean over five classes")
    axes.margins(y=0.3)
    axes.legend(loc="upper left", ncols=2)


EXPERIMENT = Experiment(
    id="E14",
    title="Prompts written by a detector",
    echoes="RSPrompter, section IV; numbers of its final version",
    question="Frozen SAM and a detector: are learned prompts better than boxes as prompts?",
    criterion="the worse of seg and anchor has more mask AP than the better of cls and det, interval above zero; "
    "box AP of det and anchor within 5 points; anchor at most 2 points of mask AP below seg",
    run=run,
    trains="detectors on the frozen tiny, from random weights, on 512 images of the world aerial",
    shortened="to one seed, and one rate that was not searched for. The features of tiny, which was trained on masks "
    "alone, say little about classes (docs/detect.md); where AP is this low, prompts can hardly differ",
)
