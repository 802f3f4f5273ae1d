"""E4: which form of the last mask the next round gets: none, a binary mask, or its logits.  (SAM section A)

    logits   the unthresholded mask logits are fed back as the mask prompt, as in SAM
    binary   they are thresholded first: +1 inside, −1 outside
    none     later rounds get only the clicks

All arms draw the embedding of mask prompts again, and differ only in its input.
"""

from __future__ import annotations

from torch import Tensor, nn

from minisam.experiments.experiment import Experiment, Outcome, Settings
from minisam.experiments.shared.arms import Arm, measure_arms
from minisam.experiments.shared.click_curves import CLICKS, curves_by_clicks, figure_of, gains_by_clicks
from minisam.experiments.shared.decoder_training import DecoderRecipe, renew_mask_prompt_
from minisam.experiments.shared.prompted_targets import as_json
from minisam.model import Sam

RECIPE = DecoderRecipe(steps=240)
JUDGED = (3, 5)
FED_BACK = {"none": "clicks alone", "binary": "a binary mask fed back", "logits": "its logits"}


class Thresholded(nn.Module):
    """Mask logits [P, 1, h, w] -> +1 inside, −1 outside."""

    def forward(self, logits: Tensor) -> Tensor:
        return (logits > 0).to(logits.dtype) * 2 - 1


class Ignored(nn.Module):
    """Embeds any mask prompt [P, 1, 4h, 4w] like a missing one: [P, E, h, w]."""

    def __init__(self, no_mask_embed: nn.Embedding) -> None:
        super().__init__()
        self.no_mask_embed = no_mask_embed

    def forward(self, logits: Tensor) -> Tensor:
        prompts, _, height, width = logits.shape
        return self.no_mask_embed.weight[:, :, None, None].expand(prompts, -1, height // 4, width // 4)


def feed_back_binary_(sam: Sam) -> None:
    renew_mask_prompt_(sam)
    sam.prompt_encoder.mask_downscaling.insert(0, Thresholded())


def feed_back_nothing_(sam: Sam) -> None:
    renew_mask_prompt_(sam)
    sam.prompt_encoder.mask_downscaling = nn.Sequential(Ignored(sam.prompt_encoder.no_mask_embed))


LOGITS = Arm("E4-logits", renew_mask_prompt_, RECIPE)
ARMS = {
    "none": Arm("E4-none", feed_back_nothing_, RECIPE),
    "binary": Arm("E4-binary", feed_back_binary_, RECIPE),
    "logits": LOGITS,
}


def run(sam: Sam, settings: Settings) -> Outcome:
    """`sam` is not used: the arms are trained."""
    measured, image = measure_arms(settings, ARMS, CLICKS)
    curves = curves_by_clicks(measured, image)
    gains = gains_by_clicks(measured, image, [("binary", "none"), ("logits", "binary"), ("logits", "none")])
    figure = figure_of({f"feedback: {arm}": curve for arm, curve in curves.items()}, gains)

    to_binary, to_logits, both = gains.values()
    told_apart = any(not gain[n].low <= 0 <= gain[n].high for gain in gains.values() for n in JUDGED)
    finding = (
        "After 3 and 5 clicks mIoU is "
        + ", ".join(
            f"{curve[3].value:.3f} and {curve[5].value:.3f} with {FED_BACK[arm]}"
            for arm, curve in curves.items()
        )
        + f". After 5 clicks logits gain {to_logits[5].signed()} over a binary mask and {both[5].signed()} over clicks "
        + ("alone." if told_apart else "alone; no two can be distinguished after 3 or 5 clicks.")
    )
    values = {
        name: {str(n): as_json(e) for n, e in curve.items()} for name, curve in (curves | gains).items()
    }
    return Outcome(
        all(step[n].high >= 0 for step in (to_binary, to_logits) for n in JUDGED), finding, values, figure
    )


EXPERIMENT = Experiment(
    id="E4",
    title="What goes back in",
    echoes="SAM section A, training algorithm",
    question="Does the next round benefit from the last mask, and more from its logits than from the mask itself?",
    criterion="after 3 and after 5 clicks neither step, from clicks alone to a binary mask and from that to its "
    "logits, loses: the interval of its difference reaches zero or above",
    run=run,
    trains=f"nano's prompt encoder and mask decoder, {RECIPE.steps} steps of five rounds for each arm and seed",
)
