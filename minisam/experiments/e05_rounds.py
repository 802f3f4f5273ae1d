"""E5: how many rounds of clicks does a training step need?  (SAM section A: diminishing gains after 8 points)

All arms have equally many steps with the same scenes, targets and first prompts, and draw the embedding of mask
prompts again.  With one round, there is no second click and no mask prompt. The losses of all rounds have equal
weight: of eleven rounds, the first has a weight of one eleventh.  As in SAM, some rounds have no new click, always
including the last one.
"""

from __future__ import annotations

from dataclasses import replace

from matplotlib.figure import Figure

from minisam.experiments.e04_feedback import LOGITS, RECIPE
from minisam.experiments.experiment import Experiment, Outcome, Settings
from minisam.experiments.shared.arms import Arm, difference, measure_arms
from minisam.experiments.shared.click_curves import CLICKS, curves_by_clicks, draw_curve, shown_after
from minisam.experiments.shared.decoder_training import renew_mask_prompt_
from minisam.experiments.shared.prompted_targets import as_json
from minisam.model import Sam
from minisam.train.interactive import Rounds

LATER = {1: Rounds(0, 0), 3: Rounds(1, 1), 5: RECIPE.rounds, 9: Rounds(6, 2), 11: Rounds(8, 2)}
ARMS = {n: Arm(f"E5-{n}", renew_mask_prompt_, replace(RECIPE, rounds=later)) for n, later in LATER.items()}
ARMS[5] = LOGITS  # the same run as E4's
SHOWN = (1, 3, 9)
FLAT = 0.02


def run(sam: Sam, settings: Settings) -> Outcome:
    """`sam` is not used: the arms are trained."""
    measured, image = measure_arms(settings, ARMS, CLICKS)
    by_clicks = curves_by_clicks(measured, image)
    one_click, nine_clicks = (
        {
            n: difference(shown_after(clicks, runs), shown_after(clicks, measured[1]), image)
            for n, runs in measured.items()
        }
        for clicks in (1, 9)
    )
    last = difference(shown_after(9, measured[11]), shown_after(9, measured[5]), image)

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for clicks in SHOWN:
        curve = {n: by_clicks[n][clicks] for n in ARMS}
        draw_curve(left, curve, f"after {clicks} click{'s' * (clicks > 1)}")
    left.set(xlabel="rounds of a training step", ylabel="mIoU of the mask shown", xticks=list(ARMS))
    for n, curve in by_clicks.items():
        draw_curve(right, curve, f"{n} round{'s' * (n > 1)}", interval=False)
    right.set(xlabel="clicks", xticks=range(1, CLICKS + 1))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=9)

    furthest = max(abs(e.value) for e in one_click.values())
    finding = (
        f"After nine clicks 3 rounds are worth {nine_clicks[3].signed()} mIoU over 1, 5 rounds "
        f"{nine_clicks[5].signed()} over 1 and 11 rounds {last.signed()} over 5. After one click all lie within "
        f"{furthest:.3f} of what one round reaches."
    )
    flat = all(abs(e.value) <= FLAT for e in one_click.values())
    rises, saturates = nine_clicks[3].low > 0, last.value < nine_clicks[5].value / 4
    values = {
        **{f"{n} rounds": {str(clicks): as_json(e) for clicks, e in c.items()} for n, c in by_clicks.items()},
        "after 1 click, over one round": {str(n): as_json(e) for n, e in one_click.items()},
        "after 9 clicks, over one round": {str(n): as_json(e) for n, e in nine_clicks.items()},
        "after 9 clicks, 11 over 5 rounds": as_json(last),
    }
    return Outcome(flat and rises and saturates, finding, values, figure)


EXPERIMENT = Experiment(
    id="E5",
    title="Rounds of training",
    echoes="SAM section A, training algorithm",
    question="How many rounds of corrections does training need?",
    criterion="mIoU after one click is flat, within 0.02 of one round's; after nine clicks 3 rounds beat 1 with the "
    "interval above zero, and going from 5 to 11 gains less than a quarter of what 1 to 5 did",
    run=run,
    trains=f"nano's prompt encoder and mask decoder, {RECIPE.steps} steps for each number of rounds and seed",
)
