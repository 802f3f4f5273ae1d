"""E16: the mask prompt is added to the image embedding; what if it were multiplied?  (SAM section A, mask decoder)

    added          src = image + prompt                 as in SAM
    multiplied     src = image · prompt                 as in some descriptions of SAM
    gated          src = image · (1 + prompt)           a prompt of 0 leaves the image unchanged

Without a mask, `prompt` is the learned no-mask embedding; the choice therefore affects every prompt.  All arms draw
both embeddings again, small and around 0, like a new network.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor

from minisam.config import CONFIGS
from minisam.experiments.e04_feedback import LOGITS, RECIPE
from minisam.experiments.experiment import Experiment, Outcome, Settings
from minisam.experiments.shared.arms import Arm, measure_arms
from minisam.experiments.shared.click_curves import CLICKS, curves_by_clicks, figure_of, gains_by_clicks
from minisam.experiments.shared.decoder_training import NETWORK, renew_mask_prompt_
from minisam.experiments.shared.prompted_targets import as_json
from minisam.model import MaskDecoder, Sam

JUDGED = 3


class Multiplied(MaskDecoder):
    """A decoder that multiplies the image embedding by `neutral` + the dense prompt."""

    neutral = 0.0

    def forward(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
        multimask_output: bool,
        image_index: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        image = image_embeddings if image_index is None else image_embeddings[image_index]
        product = image * (self.neutral + dense_prompt_embeddings)
        return super().forward(image, image_pe, sparse_prompt_embeddings, product - image, multimask_output)


class Gated(Multiplied):
    neutral = 1.0


def combine_by_(sam: Sam, kind: type[MaskDecoder]) -> None:
    """A decoder of another kind with the same weights."""
    renew_mask_prompt_(sam)
    old = sam.mask_decoder
    sam.mask_decoder = kind(
        transformer_dim=old.transformer_dim,
        transformer=old.transformer,
        iou_head_hidden_dim=CONFIGS[NETWORK].iou_head_hidden_dim,
    )
    sam.mask_decoder.load_state_dict(old.state_dict())


ARMS = {
    "added": LOGITS,  # the same run as E4's
    "multiplied": Arm("E16-multiplied", partial(combine_by_, kind=Multiplied), RECIPE),
    "gated": Arm("E16-gated", partial(combine_by_, kind=Gated), RECIPE),
}
FORMULAS = {"added": "image + prompt", "multiplied": "image · prompt", "gated": "image · (1 + prompt)"}


def run(sam: Sam, settings: Settings) -> Outcome:
    """`sam` is not used: the arms are trained."""
    measured, image = measure_arms(settings, ARMS, CLICKS)
    curves = curves_by_clicks(measured, image)
    gains = gains_by_clicks(measured, image, [("added", "multiplied"), ("added", "gated")])
    figure = figure_of({FORMULAS[arm]: curve for arm, curve in curves.items()}, gains)

    finding = " ".join(
        f"After {clicks} click{'s' * (clicks > 1)} image + prompt reaches {curves['added'][clicks].value:.3f} mIoU, "
        + " and ".join(
            f"{gain[clicks].signed()} more than {FORMULAS[pair.split()[-1]]}" for pair, gain in gains.items()
        )
        + "."
        for clicks in (1, JUDGED)
    )
    values = {
        name: {str(n): as_json(e) for n, e in curve.items()} for name, curve in (curves | gains).items()
    }
    return Outcome(all(gain[JUDGED].high >= 0 for gain in gains.values()), finding, values, figure)


EXPERIMENT = Experiment(
    id="E16",
    title="Adding the mask prompt",
    echoes="SAM section A, mask decoder",
    question="Does it matter that the mask prompt is added to the image embedding and not multiplied with it?",
    criterion="after three clicks adding is not worse than either way of multiplying: the interval of the difference "
    "reaches zero or above",
    run=run,
    trains=f"nano's prompt encoder and mask decoder, {RECIPE.steps} steps of five rounds for each arm and seed",
)
