"""E2: on which masks should the predicted IoU be trained, and with which error?  (SAM section A, losses)

    which   all three masks, or the winner alone: the one that focal and dice loss train
    how     (predicted − true)², or |predicted − true|

SAM's paper uses the square and does not say which masks; SAM 2.1 trains all three with the absolute error.  The IoU
token and the IoU head are drawn again, everything else starts from nano.  Only first prompts are used for training,
because later ones have one mask.

Expected before the run:
    all three     ranked first > at random > ranked last; ρ 0.6 to 0.8
    the winner    it learns the quality of a mask that wins: the others over-estimated by 0.1 to 0.2 more, ranks worse
    absolute      estimates the median instead of the mean: same ranks, worse calibration, as IoUs are skewed
Examined after the run, because the second expectation failed: the over-estimate of each output separately.  An output
that seldom wins is seldom trained by winners and can err in the other direction.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from minisam.config import CONFIGS, build_from_config
from minisam.evaluate.bootstrap import Estimate
from minisam.evaluate.measure import Measurements
from minisam.evaluate.statistics import calibration_bins
from minisam.experiments.experiment import Experiment, Outcome, Settings
from minisam.experiments.shared.arms import Arm, measure_arms
from minisam.experiments.shared.decoder_training import NETWORK, DecoderRecipe
from minisam.experiments.shared.prompted_targets import as_json
from minisam.experiments.shared.ranking import (
    CHOICES,
    OUTPUTS,
    OVER_ESTIMATES,
    WHERE_BEATEN,
    ranking_difference,
    ranking_of_arm,
)
from minisam.model import Sam
from minisam.train.interactive import Rounds
from minisam.train.losses import segmentation_loss

RECIPE = DecoderRecipe(steps=240, rounds=Rounds(0, 0), prompts_per_image=8)
Error = Callable[[Tensor, Tensor], Tensor]


def error_of_all(predicted: Tensor, true: Tensor, trained: Tensor, error: Error) -> Tensor:
    """The mean error of the IoUs [P, M] of all masks; an `IouLoss` of minisam/train/losses.py."""
    return error(predicted, true)


def error_of_winner(predicted: Tensor, true: Tensor, trained: Tensor, error: Error) -> Tensor:
    """The same for one mask of each prompt, the `trained` one [P]."""
    winner = trained[:, None]
    return error(predicted.gather(1, winner), true.gather(1, winner))


def renew_iou_head_(sam: Sam) -> None:
    """Draw the IoU token and the IoU head again."""
    new = build_from_config(CONFIGS[NETWORK]).mask_decoder
    sam.mask_decoder.iou_token = new.iou_token
    sam.mask_decoder.iou_prediction_head = new.iou_prediction_head


def arm(name: str, who: Callable[..., Tensor], error: Error) -> Arm:
    loss = partial(segmentation_loss, iou_loss=partial(who, error=error))
    return Arm(f"E2-{name}", renew_iou_head_, RECIPE, loss)


ALL, ALL_ABSOLUTE, WINNER, WINNER_ABSOLUTE = (
    f"{who}, {how}" for who in ("all", "winner") for how in ("squared", "absolute")
)
ARMS = {
    ALL: arm("all-squared", error_of_all, F.mse_loss),
    ALL_ABSOLUTE: arm("all-absolute", error_of_all, F.l1_loss),
    WINNER: arm("winner-squared", error_of_winner, F.mse_loss),
    WINNER_ABSOLUTE: arm("winner-absolute", error_of_winner, F.l1_loss),
}
PAIRS = ((WINNER, ALL), (ALL_ABSOLUTE, ALL))


def run(sam: Sam, settings: Settings) -> Outcome:
    """`sam` is not used: the arms are trained."""
    measured, image = measure_arms(settings, ARMS, clicks=1)
    found = {label: ranking_of_arm(runs, image) for label, runs in measured.items()}
    winner, absolute = (ranking_difference(measured[one], measured[other], image) for one, other in PAIRS)

    figure = Figure(figsize=(13, 4), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(1, 0.9, 1.3))
    draw_groups(
        left,
        found,
        dict(zip(CHOICES, ("best\nof three", "ranked\nfirst", "at random", "ranked\nlast"), strict=True)),
    )
    left.set(ylabel="mIoU, one click in the centre", ylim=(0, None))
    draw_reliability(middle, measured)
    beaten = (f"output {n}\nbeaten" for n in OUTPUTS)
    names = (*OVER_ESTIMATES, *WHERE_BEATEN)
    draw_groups(right, found, dict(zip(names, ("the best\nof three", "the\nothers", *beaten), strict=True)))
    right.set(ylabel="predicted − true IoU")
    right.axhline(0, color="grey", linewidth=0.8)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)

    first, last = found[ALL]["first minus random"], found[ALL]["random minus last"]
    more = winner["over-estimate of the others"]
    better, calibration = winner["ranked first"], winner["calibration error"]
    finding = (
        f"Trained on all three by the square, the mask ranked first is {first.signed()} IoU better than one at "
        f"random, and that {last.signed()} better than the one ranked last. Trained on the winner alone, the head "
        f"over-estimates the other two by {more.signed()} more. The rank correlation ρ of predicted and true IoU "
        f"changes from {found[ALL]['spearman'].value:.2f} by {winner['spearman'].signed()}, the calibration error "
        f"from {found[ALL]['calibration error'].value:.3f} by {calibration.signed()}, the IoU of the mask ranked "
        f"first by {better.signed()}. Looked at afterwards: outputs 1, 2 and 3 fit best in {shares(found[WINNER])} of "
        f"the cases; where they do not, the winner's head is off by {off(found[WINNER])}, that of all three by "
        f"{off(found[ALL])}. The absolute error in place of the square changes ρ by {absolute['spearman'].signed()} "
        f"and the calibration error by {absolute['calibration error'].signed()}."
    )
    values = {label: {name: as_json(e) for name, e in of.items()} for label, of in found.items()}
    for (one, other), of in zip(PAIRS, (winner, absolute), strict=True):
        values[f"{one}, minus {other}"] = {name: as_json(e) for name, e in of.items()}
    return Outcome(all(e.low > 0 for e in (first, last, more)), finding, values, figure)


def shares(of: dict[str, Estimate]) -> str:
    """How often each output wins."""
    return ", ".join(f"{100 * of[f'wins of output {n}'].value:.0f} %" for n in OUTPUTS)


def off(of: dict[str, Estimate]) -> str:
    """How much each output is over-estimated when another one wins."""
    return ", ".join(f"{of[name].value:+.2f}" for name in WHERE_BEATEN)


def draw_groups(axes: Axes, found: dict[str, dict[str, Estimate]], names: dict[str, str]) -> None:
    """One group of bars per name, with its label, and one bar per arm, with intervals."""
    width = 0.8 / len(found)
    for place, (label, of) in enumerate(found.items()):
        bars = [of[name] for name in names]
        places = [group + (place + 0.5) * width - 0.4 for group in range(len(names))]
        spread = [[e.value - e.low for e in bars], [e.high - e.value for e in bars]]
        axes.bar(places, [e.value for e in bars], 0.9 * width, yerr=spread, capsize=2, label=label)
    axes.set_xticks(range(len(names)), list(names.values()))
    axes.grid(axis="y", alpha=0.3)


def draw_reliability(axes: Axes, measured: dict[str, list[Measurements]]) -> None:
    """True by predicted IoU, in bins of the predicted one, over all masks of all seeds."""
    for label, runs in measured.items():
        predicted, true = (
            torch.cat([masks.flatten() for masks in of]).double()
            for of in ([run.centre_predicted for run in runs], [run.centre_iou for run in runs])
        )
        count, predicted_sum, true_sum = calibration_bins(predicted, true, torch.ones_like(predicted)[None])
        used = count[0] > 0
        axes.plot(
            (predicted_sum / count)[0, used], (true_sum / count)[0, used], "o-", markersize=4, label=label
        )
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    axes.set(xlabel="predicted IoU", ylabel="true IoU, mean of its bin", xlim=(0, 1), ylim=(0, 1))
    axes.grid(alpha=0.3)


EXPERIMENT = Experiment(
    id="E2",
    title="Training the predicted IoU",
    echoes="SAM section A, losses; SAM 2.1's training code",
    question="Should the predicted IoU be trained on all three masks or on the winner alone, by the square or the "
    "absolute error?",
    criterion="with all three by the square, the mask ranked first is better than one at random, and that better than "
    "the one ranked last; with the winner alone the other two are over-estimated by more than that; all three "
    "differences with their intervals above zero",
    run=run,
    trains=f"nano's prompt encoder and mask decoder with a new IoU head, {RECIPE.steps} steps for each arm and seed",
)
