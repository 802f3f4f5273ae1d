"""E8: can words be a prompt, although SAM was trained on images alone?  (SAM section 7.5, figure 12; section D.5)

With the included small CLIP (the paper uses an existing one too), nano is trained on the embeddings of crops; then
captions replace the crops. Scenes have larger objects than usual (object_scale 1.5). Targets are wholes, parts and
subparts of at least one token (1/64 of the image) whose caption fits no other visible object of their image.  The
mask with the highest predicted IoU is evaluated.  One network, measured on scenes of three seeds.

The criterion is for the paper's recipe, which trains SAM without words.  From there, two networks are trained equally
long: one with the same recipe, the other with captions for four of five tokens.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import torch
from matplotlib.figure import Figure
from torch import Tensor

from minisam.build import build_sam
from minisam.evaluate.bootstrap import Estimate
from minisam.evaluate.targets import evaluation_scenes
from minisam.experiments.experiment import Experiment, Outcome, Settings
from minisam.experiments.shared.prompted_targets import as_json, mean_over_images
from minisam.experiments.shared.text_figure import (
    Example,
    first_of_each_image,
    show_bars,
    show_cosines,
    show_example,
)
from minisam.experiments.shared.text_sams import ARMS, IN_WORDS, LONGER, TEXT, trained_text_sams
from minisam.model import Sam
from minisam.text.clip_task import agreement
from minisam.text.contrastive_loss import same_caption
from minisam.text.measure import Measured, crop_embeddings, prompts
from minisam.text.targets import draw_targets, scene_size

MARGIN = 0.20
PER_IMAGE = 8
SHOWN = 6
GAP_LEFT = "caption uncentred"
LABELS = {
    "image": "crop of the target",
    "caption": "its caption",
    "random caption": "another's caption",
    "caption + point": "caption and point",
    "point": "point alone",
    "point before": "point, nano before",
}
VARIATIONS = {
    "image + point": "crop and point",
    "short caption": "colour and name alone",
    GAP_LEFT: "caption, gap not closed",
    "image zeroed": "crop, outside black",
    "image unmasked": "crop, no masked attention",
    "longer caption": "its caption, trained longer",
    "longer random caption": "another's, trained longer",
    "in words caption": "its caption, trained on captions too",
    "in words random caption": "another's, trained on captions too",
    "in words caption + point": "with a point, trained on captions too",
    "in words point": "point alone, trained on captions too",
}


@dataclass(frozen=True)
class Prompts:
    """What every kind of prompt reaches on P targets, and what CLIP makes of their crops and captions."""

    iou: dict[str, Tensor]
    """IoU of the mask shown, [P] for each kind of prompt; those of an arm of ARMS begin with its name."""
    image: Tensor
    """The image that each target is on, [P]."""
    crops: Tensor
    texts: Tensor
    """CLIP's embeddings, [P, E]."""
    same: Tensor
    """Which targets have the same caption, [P, P]."""
    examples: list[Example]

    def mean(self, name: str) -> Estimate:
        return mean_over_images(self.iou[name], self.image)

    def gain(self, name: str, other: str) -> Estimate:
        """How much higher one kind of prompt is than another, target by target."""
        return mean_over_images(self.iou[name] - self.iou[other], self.image)

    def by_seed(self, name: str, images: int) -> list[float]:
        """The mean on the scenes of each seed, of which there are `images`."""
        seed = self.image // images
        return [round(self.iou[name][seed == one].mean().item(), 4) for one in seed.unique().tolist()]

    def in_words(self, arm: str = "") -> Estimate:
        """A target's caption over that of another."""
        return self.gain(f"{arm} caption".strip(), f"{arm} random caption".strip())

    def beside_a_point(self, arm: str = "") -> Estimate:
        """A caption and a point over the point alone."""
        return self.gain(f"{arm} caption + point".strip(), f"{arm} point".strip())


def run(_: Sam, settings: Settings) -> Outcome:
    found = measure(settings)
    means = {name: found.mean(name) for name in found.iou}
    passed = found.in_words().value >= MARGIN and found.beside_a_point().low > 0
    return Outcome(passed, finding(found, means), record(found, means, settings), draw(found, means))


def measure(settings: Settings) -> Prompts:
    """Every kind of prompt, for the targets of the scenes of every seed."""
    models, before = trained_text_sams(settings), build_sam("nano").eval()
    model = models[""]
    iou: dict[str, list[Tensor]] = defaultdict(list)
    crops, texts, image = [], [], []
    captions: list[str] = []
    examples: list[Example] = []
    done = 0
    with torch.inference_mode():
        size = model.sam.image_encoder.img_size
        for seed in settings.seeds:
            scenes_of_seed = evaluation_scenes(
                "train", settings.images, scene_size(size), seed, object_scale=TEXT.object_scale
            )
            for scenes in scenes_of_seed:
                targets = draw_targets(scenes, size, PER_IMAGE, seed + done, TEXT.min_area, unique=True)
                if len(targets.captions):
                    for arm, network in models.items():
                        measured = Measured(network.sam, targets)
                        for name, answer in prompts(network, targets).items():
                            iou[f"{arm} {name}".strip()].append(answer(measured))
                    iou["point before"].append(Measured(before, targets).ious(point=True))
                    crops.append(crop_embeddings(model, targets))
                    texts.append(model.clip.encode_texts(targets.captions))
                    captions += targets.captions
                    image.append(targets.image_index + done)
                    if len(examples) < SHOWN and seed == settings.seeds[0]:
                        masks = Measured(model.sam, targets).masks(model.external(texts[-1], "text"))
                        examples += first_of_each_image(targets, masks)
                done += len(scenes.images)
    return Prompts(
        iou={name: torch.cat(parts).double() for name, parts in iou.items()},
        image=torch.cat(image),
        crops=torch.cat(crops),
        texts=torch.cat(texts),
        same=same_caption(captions),
        examples=examples,
    )


def finding(found: Prompts, means: dict[str, Estimate]) -> str:
    longer, words = reversed(ARMS)
    return (
        f"The caption of the target reaches an mIoU of {means['caption'].value:.2f}, {found.in_words().signed()} "
        f"above another's caption; the crop it was trained on reaches {means['image'].value:.2f}. The point alone "
        f"reaches {means['point'].value:.2f} ({means['point before'].value:.2f} before); the caption adds "
        f"{found.beside_a_point().signed()}, the crop {found.gain('image + point', 'point').signed()}. Without "
        f"closing the gap between the two kinds of embeddings a caption reaches {means[GAP_LEFT].value:.2f}. After "
        f"{LONGER.steps} more steps of the same it reaches {means['longer caption'].value:.2f}, "
        f"{found.in_words(longer).signed()} above another's, and adds {found.beside_a_point(longer).signed()} to the "
        f"point alone, {means['longer point'].value:.2f}; after as many with {IN_WORDS:.0%} of the tokens from "
        f"captions {means['in words caption'].value:.2f}, {found.in_words(words).signed()} above another's, and adds "
        f"{found.beside_a_point(words).signed()} to {means['in words point'].value:.2f}."
    )


def record(found: Prompts, means: dict[str, Estimate], settings: Settings) -> dict[str, object]:
    fit = agreement(found.crops, found.texts, found.same)
    return {
        "targets": len(found.image),
        "miou": {name: as_json(mean) for name, mean in means.items()},
        "miou_by_seed": {name: found.by_seed(name, settings.images) for name in found.iou},
        "caption - random caption": as_json(found.in_words()),
        "caption + point - point": as_json(found.beside_a_point()),
        "crop + point - point": as_json(found.gain("image + point", "point")),
        **{f"{arm}: caption - random caption": as_json(found.in_words(arm)) for arm in ARMS},
        **{f"{arm}: caption + point - point": as_json(found.beside_a_point(arm)) for arm in ARMS},
        "clip": {name: round(value, 4) for name, value in fit.items()},
    }


def draw(found: Prompts, means: dict[str, Estimate]) -> Figure:
    figure = Figure(figsize=(12, 8.5), layout="constrained")
    places = "".join(str(place) for place in range(SHOWN))
    axes_of = figure.subplot_mosaic(f"bbbbcc\n{places}", height_ratios=(2.4, 1))
    labelled = [{label: means[name] for name, label in kinds.items()} for kinds in (LABELS, VARIATIONS)]
    show_bars(axes_of["b"], *labelled)
    show_cosines(axes_of["c"], found.crops @ found.texts.T, found.same)
    for place in places:
        axes_of[place].set_axis_off()
    for place, example in zip(places, found.examples, strict=False):
        show_example(axes_of[place], *example)
    return figure


EXPERIMENT = Experiment(
    id="E8",
    title="Text as a prompt",
    echoes="SAM figure 12, section 7.5",
    question="Does a network that was prompted by the embeddings of crops understand those of captions?",
    criterion=(
        "a matching caption reaches an mIoU at least 0.20 above that of a caption of another image, and a caption with "
        "a point more than the point alone, outside the interval"
    ),
    run=run,
    trains="nano from its shipped weights, on embeddings of crops by the CLIP that ships",
)
