"""E7b: how much of an image should a masked autoencoder hide?  (MAE, figure 5)

Four autoencoders, which differ only in the share of hidden patches, are trained on the same scenes for equally many
steps.  Then nano is trained from the trunk of each, and from random weights, on 160 labelled scenes: E7's 10 %, with
a shorter form of its recipe.  The intervals are over images and seeds of that training; there is only one autoencoder
for each ratio.

In MAE, fine-tuned accuracy hardly differs from 40 to 80 % hidden, and 75 % is best.

Expected before the run: hiding less is not worse here.  A patch is an eighth of the image's side, and many parts are
smaller: with three quarters hidden, many of them are completely hidden and cannot be reconstructed.  50 % as good as
75 % or better, 90 % last, and 75 % within the interval of the best.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from matplotlib.figure import Figure, SubFigure
from torch import Tensor

from minisam.data.partworld import render_scenes
from minisam.evaluate.bootstrap import Estimate
from minisam.evaluate.targets import FIRST_SEED
from minisam.evaluate.world import measure_world
from minisam.experiments.e07_mae import OBJECT_SCALE, SCORES
from minisam.experiments.experiment import Experiment, Outcome, Settings
from minisam.experiments.shared.arms import difference, mean_of_arm
from minisam.experiments.shared.click_curves import draw_curve
from minisam.experiments.shared.prompted_targets import as_json
from minisam.experiments.shared.training import trained
from minisam.model import Sam
from minisam.pretrain.figure import as_picture, reconstructions
from minisam.pretrain.mae_task import mae_run, normalise
from minisam.pretrain.masked_autoencoder import MaskedAutoencoder
from minisam.pretrain.recipes import PRETRAINING
from minisam.pretrain.transfer import trunk_of
from minisam.train.presets import Phase, Recipe
from minisam.train.start import random_weights

RATIOS = (0.25, 0.5, 0.75, 0.9)
JUDGED = 0.75
PRETRAINING_RECIPE = replace(PRETRAINING["nano"], steps=600, batch_size=32)
BATCH, LABELLED = 8, 160
RECIPE = Recipe(
    steps=250,
    phases=(
        Phase(0.0, 64, BATCH, 0, object_scale=OBJECT_SCALE, affinity=1.0),
        Phase(0.4, 64, BATCH, 4, object_scale=OBJECT_SCALE, min_area=1 / 64, affinity=1.0),
    ),
    warmup=25,
    milestones=(),
    linear_decay=True,
)
Start = float | None
"""The ratio of the autoencoder that nano starts from, or None for random weights."""


def run(_: Sam, settings: Settings) -> Outcome:
    """A click in the centre, in new scenes of the training world, the same targets for every network."""
    autoencoders = {ratio: pretrained(settings, ratio) for ratio in RATIOS}
    iou: dict[Start, list[Tensor]] = {start: [] for start in (None, *RATIOS)}
    image = torch.empty(0)
    for seed in settings.seeds:
        for start, runs in iou.items():
            sam = labelled(settings, start, seed)
            knobs = {"object_scale": OBJECT_SCALE}
            measured = measure_world(
                sam, "train", settings.images, seeds=settings.seeds, clicks=1, knobs=knobs
            )
            image = measured.image_index
            runs.append(torch.stack([measured.centre_iou.amax(dim=1), measured.centre_shown[:, 0]]))

    of = {start: torch.stack(runs) for start, runs in iou.items()}
    means = {
        score: {start: mean_of_arm(list(runs[:, place]), image) for start, runs in of.items()}
        for place, score in enumerate(SCORES)
    }
    best = means[SCORES[0]]
    others = [ratio for ratio in RATIOS if ratio != JUDGED]
    lead = {ratio: difference(list(of[JUDGED][:, 0]), list(of[ratio][:, 0]), image) for ratio in others}
    gain = {ratio: difference(list(of[ratio][:, 0]), list(of[None][:, 0]), image) for ratio in RATIOS}
    told_apart = any(not e.low <= 0 <= e.high for e in lead.values())
    finding = (
        f"With {LABELLED} labelled scenes mIoU, best of three, is "
        + ", ".join(f"{best[ratio].value:.3f} with {percent(ratio)} hidden" for ratio in RATIOS)
        + f", and {best[None].value:.3f} from random weights. Hiding {percent(JUDGED)} is worth "
        + ", ".join(f"{lead[ratio].signed()} over {percent(ratio)}" for ratio in others)
        + ("." if told_apart else f": no ratio can be distinguished from {percent(JUDGED)} at this scale.")
    )
    values = {
        "labelled scenes": LABELLED,
        "pre-training": {"images": PRETRAINING_RECIPE.steps * PRETRAINING_RECIPE.batch_size},
        **{
            score: {name_of(start): as_json(e) for start, e in by_start.items()}
            for score, by_start in means.items()
        },
        f"{JUDGED} minus": {str(ratio): as_json(e) for ratio, e in lead.items()},
        "gain over random weights": {str(ratio): as_json(e) for ratio, e in gain.items()},
    }
    return Outcome(all(e.high >= 0 for e in lead.values()), finding, values, draw(means, autoencoders))


def percent(ratio: float) -> str:
    return f"{100 * ratio:.0f} %"


def name_of(start: Start) -> str:
    return "random weights" if start is None else str(start)


def folder_of(settings: Settings, ratio: float) -> Path:
    return settings.work / "E7b" / f"mae-{ratio}"


def pretrained(settings: Settings, ratio: float) -> MaskedAutoencoder:
    """The autoencoder with that share hidden; a finished run is only read."""
    recipe = replace(PRETRAINING_RECIPE, mask_ratio=ratio)
    short = replace(recipe, steps=2, batch_size=4)
    return mae_run("nano", folder_of(settings, ratio), short if settings.quick else recipe).run().mae


def labelled(settings: Settings, start: Start, seed: int) -> Sam:
    """nano trained on the labelled scenes; `seed` draws scenes, weights and clicks."""
    return trained(
        settings,
        f"E7b/{name_of(start).replace(' ', '-')}-{seed}",
        replace(RECIPE, steps=2) if settings.quick else RECIPE,
        seed,
        start=random_weights if start is None else trunk_of(folder_of(settings, start) / "mae.safetensors"),
        distinct_batches=LABELLED // BATCH,
    )


def draw(means: dict[str, dict[Start, Estimate]], autoencoders: dict[float, MaskedAutoencoder]) -> Figure:
    """mIoU by the share that is hidden on the left; on the right, reconstructions of each autoencoder."""
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1.2, 1), squeeze=False)[0]
    axes = left.subplots()
    for score, by_start in means.items():
        draw_curve(axes, {ratio: by_start[ratio] for ratio in RATIOS}, f"MAE weights, {score}")
    for (score, by_start), style in zip(means.items(), ("--", ":"), strict=True):
        axes.axhline(by_start[None].value, color="grey", linestyle=style, label=f"random weights, {score}")
    axes.set_xticks(RATIOS, [percent(ratio) for ratio in RATIOS])
    axes.set(xlabel="hidden patches in pre-training", ylabel="mIoU of one click", ylim=(0, None))
    axes.grid(alpha=0.3)
    left.legend(fontsize=8, loc="outside lower center", ncols=2)
    draw_reconstructions(right, autoencoders)
    return figure


def draw_reconstructions(panel: SubFigure, autoencoders: dict[float, MaskedAutoencoder]) -> None:
    """Two scenes; one row per autoencoder, with its visible patches and its reconstruction."""
    rows = panel.subplots(len(autoencoders), 4, squeeze=False)
    for row, (ratio, mae) in zip(rows, autoencoders.items(), strict=True):
        scenes = normalise(render_scenes(FIRST_SEED, 2, mae.img_size).images)
        drawn = reconstructions(mae, scenes, ratio)
        for place, picture in zip(row, drawn[:, [1, 3]].flatten(0, 1), strict=True):
            place.imshow(as_picture(picture))
            place.set(xticks=[], yticks=[])
        row[0].set_ylabel(percent(ratio))
    for place, title in zip(rows[0], ("seen", "completed") * 2, strict=True):
        place.set_title(title, fontsize=10)


EXPERIMENT = Experiment(
    id="E7b",
    title="How much to hide",
    echoes="MAE, figure 5",
    question="Which share of the patches should pre-training hide?",
    criterion="75 % is not below any other ratio: the interval of what it is better by, in mIoU, best of three, "
    "reaches zero or above; seeds and images are resampled",
    run=run,
    trains=f"nano, {RECIPE.steps} steps per run, after {PRETRAINING_RECIPE.steps} steps of each autoencoder",
)
