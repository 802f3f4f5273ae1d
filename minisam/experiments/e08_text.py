"""E8: can words be a prompt, though SAM was trained on pictures alone?  (SAM section 7.5, figure 12; section D.5)

With the small CLIP that ships (the paper's, too, was there already) nano is trained on the embeddings of crops; then
captions take their place.
Scenes have larger objects than usual (object_scale 1.5); targets are wholes, parts and subparts of at least one token
(1/64 of the image) whose caption is that of no other visible thing of their image.  The mask with the highest
predicted IoU counts.  One network, measured on scenes of three seeds.

What passes is the paper's recipe, which never shows SAM a word.  From there two networks go on equally long: one by
the same recipe, the other with captions for four of five tokens; each has a core of its own.
"""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from minisam.build import build_sam
from minisam.errors import MinisamError
from minisam.evaluate.bootstrap import Estimate
from minisam.evaluate.targets import evaluation_scenes
from minisam.experiments.experiment import Experiment, Outcome, Settings
from minisam.experiments.shared.click_curves import told
from minisam.experiments.shared.prompted_targets import as_json, mean_over_images
from minisam.masks.iou import mask_iou
from minisam.model import Sam
from minisam.text.clip_run import agreement
from minisam.text.contrastive_loss import same_caption
from minisam.text.files import write_clip
from minisam.text.measure import Measured, crop_embeddings, prompts
from minisam.text.sam_run import TextRecipe, TextSamRun
from minisam.text.targets import Targets, draw_targets, scene_size
from minisam.text.text_sam import TextSam, load_text_sam
from minisam.train.scenes import HELPER_ENDED, become_helper_process

TEXT = TextRecipe()
MARGIN = 0.20
MAIN = 6
"""The first six of LABELS are the experiment, the others variations of it."""
PER_IMAGE = 8
SHOWN = 6
GAP_LEFT = "caption uncentred"
LONGER = replace(TEXT, steps=7000)
IN_WORDS = 0.8
ARMS = {"in words": IN_WORDS, "longer": 0.0}
"""What follows the paper's recipe: most of the tokens from captions, or more of the same."""
LABELS = {
    "image": "crop of the target",
    "caption": "its caption",
    "random caption": "another's caption",
    "caption + point": "caption and point",
    "point": "point alone",
    "point before": "point, nano before",
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


def run(_: Sam, settings: Settings) -> Outcome:
    models, before = trained_text_sams(settings), build_sam("nano").eval()
    model = models[""]
    iou: dict[str, list[Tensor]] = defaultdict(list)
    pairs: list[tuple[Tensor, Tensor, list[str]]] = []
    image, done, examples = [], 0, []
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
                    texts = model.clip.encode_texts(targets.captions)
                    pairs.append((crop_embeddings(model, targets), texts, targets.captions))
                    image.append(targets.image_index + done)
                    if len(examples) < SHOWN and seed == settings.seeds[0]:
                        masks = Measured(model.sam, targets).masks(model.external(texts, "text"))
                        examples += first_of_each_image(targets, masks)
                done += len(scenes.images)
    of_image = torch.cat(image)
    values = {name: torch.cat(parts).double() for name, parts in iou.items()}
    means = {name: mean_over_images(value, of_image) for name, value in values.items()}
    words = {arm: gain(values, of_image, f"{arm} caption", f"{arm} random caption") for arm in models}
    both = {arm: gain(values, of_image, f"{arm} caption + point", f"{arm} point") for arm in models}
    by_words, by_both = words[""], both[""]
    by_crop = gain(values, of_image, "image + point", "point")
    crops, texts = torch.cat([crop for crop, _, _ in pairs]), torch.cat([text for _, text, _ in pairs])
    same = same_caption([caption for pair in pairs for caption in pair[2]])

    figure = Figure(figsize=(12, 8.5), layout="constrained")
    places = "".join(str(place) for place in range(SHOWN))
    axes_of = figure.subplot_mosaic(f"bbbbcc\n{places}", height_ratios=(2.4, 1))
    show_bars(axes_of["b"], {label: means[name] for name, label in LABELS.items()})
    show_cosines(axes_of["c"], crops @ texts.T, same)
    for place in places:
        axes_of[place].set_axis_off()
    for place, example in zip(places, examples, strict=False):
        show_example(axes_of[place], *example)

    finding = (
        f"The caption of the target reaches an mIoU of {means['caption'].value:.2f}, {told(by_words)} above another's "
        f"caption; the crop it was trained on reaches {means['image'].value:.2f}. The point alone reaches "
        f"{means['point'].value:.2f} ({means['point before'].value:.2f} before); the caption adds {told(by_both)}, "
        f"the crop {told(by_crop)}. Without closing the gap between the two kinds of embeddings "
        f"a caption reaches {means[GAP_LEFT].value:.2f}. After {LONGER.steps} more steps of the same it reaches "
        f"{means['longer caption'].value:.2f}, {told(words['longer'])} above another's, and adds "
        f"{told(both['longer'])} to the point alone, {means['longer point'].value:.2f}; after as many with "
        f"{IN_WORDS:.0%} of the tokens from captions {means['in words caption'].value:.2f}, "
        f"{told(words['in words'])} above another's, and adds {told(both['in words'])} to "
        f"{means['in words point'].value:.2f}."
    )
    passed = by_words.value >= MARGIN and by_both.low > 0
    recorded = {
        "targets": len(of_image),
        "miou": {name: as_json(mean) for name, mean in means.items()},
        "miou_by_seed": by_seed(values, of_image, settings),
        "caption - random caption": as_json(by_words),
        "caption + point - point": as_json(by_both),
        "crop + point - point": as_json(by_crop),
        **{f"{arm}: caption - random caption": as_json(words[arm]) for arm in ARMS},
        **{f"{arm}: caption + point - point": as_json(both[arm]) for arm in ARMS},
        "clip": {name: round(value, 4) for name, value in agreement(crops, texts, same).items()},
    }
    return Outcome(passed, finding, recorded, figure)


def gain(values: dict[str, Tensor], image: Tensor, name: str, other: str) -> Estimate:
    """How much higher one kind of prompt is than another, target by target."""
    return mean_over_images(values[name.strip()] - values[other.strip()], image)


def trained_text_sams(settings: Settings) -> dict[str, TextSam]:
    """The paper's recipe under "", and both of ARMS that go on from it; what is finished is only read."""
    recipe, longer = TEXT, LONGER
    if settings.quick:
        recipe = longer = replace(TEXT, steps=2, scenes=2)
    folder = settings.work / "E8"
    folder.mkdir(parents=True, exist_ok=True)
    clip_file = folder / "clip.safetensors"
    write_clip(clip_file, load_text_sam().clip)
    first = train(folder / "sam", clip_file, recipe)
    with ProcessPoolExecutor(len(ARMS), get_context("spawn"), become_helper_process) as pool:
        runs = {
            arm: pool.submit(train, folder / arm.replace(" ", "_"), clip_file, longer, first, share)
            for arm, share in ARMS.items()
        }
        try:
            files = {"": first, **{arm: run.result() for arm, run in runs.items()}}
        except BrokenProcessPool:
            raise MinisamError(HELPER_ENDED) from None
    return {arm: load_text_sam(file) for arm, file in files.items()}


def train(
    folder: Path, clip_file: Path, recipe: TextRecipe, start_from: Path | None = None, captions: float = 0.0
) -> Path:
    """The file of a run that is done, now or earlier."""
    TextSamRun(folder, clip_file, recipe, start_from=start_from, captions=captions).run()
    return folder / "text.safetensors"


def by_seed(values: dict[str, Tensor], image: Tensor, settings: Settings) -> dict[str, list[float]]:
    """The mean of each kind of prompt on the scenes of each seed."""
    seed = image // settings.images
    return {
        name: [round(value[seed == index].mean().item(), 4) for index in seed.unique().tolist()]
        for name, value in values.items()
    }


def first_of_each_image(targets: Targets, masks: Tensor) -> list[tuple[Tensor, Tensor, str, float]]:
    """A picture, the mask that its caption found, the caption and the mask's IoU, for one target of every image."""
    chosen = [int((targets.image_index == image).nonzero()[0]) for image in targets.image_index.unique()]
    scores = mask_iou(masks, targets.masks).tolist()
    return [
        (targets.images[targets.image_index[place]], masks[place], targets.captions[place], scores[place])
        for place in chosen
    ]


def show_example(axes: Axes, picture: Tensor, mask: Tensor, caption: str, score: float) -> None:
    axes.imshow(picture.permute(1, 2, 0).numpy())
    if mask.any() and not mask.all():
        axes.contour(mask.float().numpy(), [0.5], colors=["red"], linewidths=2)
    axes.set_title(caption.replace(" of the ", "\nof the ") + f"\nIoU {score:.2f}", fontsize=9)


def show_bars(axes: Axes, means: dict[str, Estimate]) -> None:
    places = list(range(len(means)))
    values = [mean.value for mean in means.values()]
    errors = [
        [mean.value - mean.low for mean in means.values()],
        [mean.high - mean.value for mean in means.values()],
    ]
    colours = ["tab:blue"] * MAIN + ["tab:gray"] * (len(means) - MAIN)
    axes.barh(places, values, xerr=errors, color=colours, capsize=3)
    for place, mean in zip(places, means.values(), strict=True):
        axes.text(mean.high + 0.012, place, f"{mean.value:.2f}", va="center", fontsize=9)
    axes.set(yticks=places, xlabel="mIoU of the mask shown", title="prompts (grey: variations)")
    axes.set_yticklabels(list(means))
    axes.set_xlim(0, min(1.0, max(mean.high for mean in means.values()) + 0.1))
    axes.invert_yaxis()


def show_cosines(axes: Axes, cosines: Tensor, same: Tensor) -> None:
    """Crops and captions that belong together, and those that do not."""
    bins = torch.linspace(-0.5, 1, 46).tolist()
    axes.hist(cosines[~same].numpy(), bins, density=True, alpha=0.6, color="tab:gray", label="any two")
    axes.hist(cosines.diagonal().numpy(), bins, density=True, alpha=0.6, label="crop and its caption")
    axes.set(xlabel="cosine of CLIP's embeddings", yticks=[], title="how well crops and captions fit")
    axes.legend()


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
