"""E7: how much does pre-training gain, by the number of labelled images?  (SAM section 3; MAE, section 5)

One autoencoder is trained on 256,000 scenes without labels.  Then nano is trained from random weights, and with the
trunk of its image encoder taken from the autoencoder, with the same labelled scenes, recipe and number of steps.
Each labelled scene is used many times.  The recipe is a short form of the usual curriculum: the encoder alone, with
its affinity loss, then masks of one click or box.  There is only one autoencoder; the intervals do not include the
variation between autoencoders.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from minisam.data.partworld import render_scenes
from minisam.evaluate.bootstrap import Estimate
from minisam.evaluate.targets import FIRST_SEED
from minisam.evaluate.world import measure_world
from minisam.experiments.experiment import Experiment, Outcome, Settings
from minisam.experiments.shared.arms import difference, mean_of_arm
from minisam.experiments.shared.prompted_targets import as_json
from minisam.experiments.shared.training import trained
from minisam.model import Sam
from minisam.pretrain.figure import as_picture, reconstructions
from minisam.pretrain.mae_task import mae_run, normalise
from minisam.pretrain.masked_autoencoder import MaskedAutoencoder
from minisam.pretrain.recipes import PRETRAINING, PretrainingRecipe
from minisam.pretrain.transfer import trunk_of
from minisam.train.presets import Phase, Recipe
from minisam.train.start import random_weights

OBJECT_SCALE = 1.5
BATCH = 16
RECIPE = Recipe(
    steps=500,
    phases=(
        Phase(0.0, 64, BATCH, 0, object_scale=OBJECT_SCALE, affinity=1.0),
        Phase(0.4, 64, BATCH, 8, object_scale=OBJECT_SCALE, min_area=1 / 64, affinity=1.0),
    ),
    warmup=50,
    milestones=(),
    linear_decay=True,
)
SHARES = {"1 %": 1, "10 %": 10, "100 %": 100}
"""The number of labelled scenes, in batches of 16."""
FEW = ("1 %", "10 %")
RANDOM, MAE = "from random weights", "from MAE weights"
SCORES = ("best of three", "ranked first")


def run(_: Sam, settings: Settings) -> Outcome:
    """A click in the centre, in new scenes of the training world, the same targets for every network."""
    mae, weights = pretrained(settings)
    starts = {RANDOM: None, MAE: weights}
    cells = [(arm, share) for arm in starts for share in SHARES]
    iou: dict[tuple[str, str], list[Tensor]] = {cell: [] for cell in cells}
    image = torch.empty(0)
    for seed in settings.seeds:
        for arm, share in cells:
            sam = labelled(settings, share, seed, starts[arm])
            measured = measure_world(
                sam,
                "train",
                settings.images,
                seeds=settings.seeds,
                clicks=1,
                knobs={"object_scale": OBJECT_SCALE},
            )
            image = measured.image_index
            iou[arm, share].append(
                torch.stack([measured.centre_iou.amax(dim=1), measured.centre_shown[:, 0]])
            )

    curves, gains = {}, {}
    for place, score in enumerate(SCORES):
        of = {cell: torch.stack(runs)[:, place] for cell, runs in iou.items()}
        curves[score] = {
            arm: {share: mean_of_arm(list(of[arm, share]), image) for share in SHARES} for arm in starts
        }
        gains[score] = {
            share: difference(list(of[MAE, share]), list(of[RANDOM, share]), image) for share in SHARES
        }
    best = gains[SCORES[0]]
    finding = (
        f"Trained on {', '.join(str(BATCH * batches) for batches in SHARES.values())} labelled scenes "
        f"({', '.join(SHARES)}), nano reaches an mIoU, best of three, of "
        + ", ".join(f"{curves[SCORES[0]][RANDOM][share].value:.3f}" for share in SHARES)
        + " from random weights; MAE weights add "
        + ", ".join(gain.signed() for gain in best.values())
        + "."
    )
    recipe = pretraining(settings)
    values = {
        "labelled scenes": {share: BATCH * batches for share, batches in SHARES.items()},
        "pre-training": {"images": recipe.steps * recipe.batch_size, "mask ratio": recipe.mask_ratio},
        **{
            score: {arm: {share: as_json(e) for share, e in curve.items()} for arm, curve in by_arm.items()}
            for score, by_arm in curves.items()
        },
        "gain": {
            score: {share: as_json(e) for share, e in by_share.items()} for score, by_share in gains.items()
        },
        "gain of each seed, best of three": {
            share: [
                round((m[0] - r[0]).mean().item(), 4)
                for m, r in zip(iou[MAE, share], iou[RANDOM, share], strict=True)
            ]
            for share in SHARES
        },
    }
    passed = all(best[share].low > 0 for share in FEW)
    return Outcome(passed, finding, values, draw(curves, mae))


def pretraining(settings: Settings) -> PretrainingRecipe:
    whole = PRETRAINING["nano"]
    return replace(whole, steps=2, batch_size=4) if settings.quick else whole


def pretrained(settings: Settings) -> tuple[MaskedAutoencoder, Path]:
    """The autoencoder of `settings.work / E7 / mae`, and its file; a finished run is only read."""
    folder = settings.work / "E7" / "mae"
    return mae_run("nano", folder, pretraining(settings)).run().mae, folder / "mae.safetensors"


def labelled(settings: Settings, share: str, seed: int, mae: Path | None) -> Sam:
    """nano trained on a share of the labelled scenes; `seed` draws scenes, weights and clicks."""
    name = f"{'random' if mae is None else 'mae'}-{SHARES[share] * BATCH}-{seed}"
    return trained(
        settings,
        f"E7/{name}",
        replace(RECIPE, steps=2) if settings.quick else RECIPE,
        seed,
        start=random_weights if mae is None else trunk_of(mae),
        distinct_batches=SHARES[share],
    )


def draw(curves: dict[str, dict[str, dict[str, Estimate]]], mae: MaskedAutoencoder) -> Figure:
    """mIoU by the number of labelled scenes on the left; on the right, reconstructions of the autoencoder."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.1), squeeze=False)[0]
    axes = left.subplots()
    scenes = [BATCH * batches for batches in SHARES.values()]
    for score, style in zip(SCORES, ("o-", "o:"), strict=True):
        for (arm, curve), color in zip(curves[score].items(), ("tab:grey", "tab:blue"), strict=True):
            axes.plot(scenes, [e.value for e in curve.values()], style, color=color, label=f"{arm}, {score}")
            low, high = [e.low for e in curve.values()], [e.high for e in curve.values()]
            axes.fill_between(scenes, low, high, color=color, alpha=0.15, linewidth=0)
    axes.set_xscale("log")
    axes.minorticks_off()
    axes.set_xticks(scenes, [f"{count}\n{share}" for count, share in zip(scenes, SHARES, strict=True)])
    axes.set(xlabel="labelled scenes", ylabel="mIoU of one click", ylim=(0, None))
    axes.grid(alpha=0.3)
    left.legend(fontsize=8, loc="outside lower center", ncols=2)

    pictures = reconstructions(mae, normalise(render_scenes(FIRST_SEED, 3, mae.img_size).images))
    rows = right.subplots(3, 4, squeeze=False)
    for places, row in zip(rows, pictures, strict=True):
        for place, picture in zip(places, row, strict=True):
            place.imshow(as_picture(picture))
            place.set_axis_off()
    for place, title in zip(rows[0], ("image", "seen", "drawn", "both"), strict=True):
        place.set_title(title)
    return figure


EXPERIMENT = Experiment(
    id="E7",
    title="MAE pre-training",
    echoes="SAM section 3, the pre-trained image encoder",
    question="Does learning to fill in hidden patches help if few images are labelled?",
    criterion="at 1 % and at 10 % of the labels the 95 % interval of what MAE weights gain in mIoU, best of three, "
    "lies above 0; seeds and images are resampled",
    run=run,
    trains="nano, 500 steps per run, after 4000 steps of the autoencoder",
)
