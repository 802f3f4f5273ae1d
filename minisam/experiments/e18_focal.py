"""E18: which level a single mask converges to, and how focal α determines it.  (SAM section A, losses)

A pixel that belongs to the target with probability q is inside the best mask for the focal loss where

    q · α  >  (1 − q) · (1 − α)

A click on a subpart means whole, part or subpart with equal probability. Therefore q is 1 on the subpart, 2/3 on the
rest of the part and 1/3 on the rest of the whole: α = 1/4 gives the subpart, 1/2 the part, 3/4 the whole.  Here,
logits are fitted to these trees directly by gradient descent, without a network.
"""

from __future__ import annotations

import torch
from matplotlib.figure import Figure
from torch import Tensor

from minisam.evaluate.targets import evaluation_scenes
from minisam.experiments.experiment import Experiment, Outcome, Settings
from minisam.masks.iou import mask_iou
from minisam.model import Sam
from minisam.train.losses import DICE_WEIGHT, FOCAL_WEIGHT, dice_loss, focal_loss

ALPHAS = (0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9)
EXPECTED = {0.25: 2, 0.5: 1, 0.75: 0}
LEVELS = ("whole", "part", "subpart")
SIZE = 64
MOST_TREES = 100


def run(sam: Sam, settings: Settings) -> Outcome:
    """`sam` is not used."""
    trees = nested_masks(settings)
    shares = {
        name: torch.stack([levels_chosen(trees, alpha, dice) for alpha in ALPHAS])
        for name, dice in (("focal alone", 0.0), ("20 focal + 1 dice", DICE_WEIGHT))
    }

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (name, share) in zip(panels, shares.items(), strict=True):
        for level, label in enumerate(LEVELS):
            axes.plot(ALPHAS, share[:, level], "o-", label=label)
        axes.axvline(0.25, color="grey", linestyle=":")
        axes.set(title=name, xlabel="focal α (dotted: as in training)", ylim=(-0.05, 1.05))
        axes.grid(alpha=0.3)
    panels[0].set(ylabel="share of trees whose mask is nearest to")
    panels[0].legend()

    alone = shares["focal alone"]
    passed = all(alone[ALPHAS.index(alpha)].argmax().item() == level for alpha, level in EXPECTED.items())
    with_dice = shares["20 focal + 1 dice"][ALPHAS.index(0.25)]
    finding = (
        "With the focal loss alone a mask for all three levels becomes "
        + ", ".join(
            f"the {LEVELS[level]} at α = {alpha} in {alone[ALPHAS.index(alpha), level]:.0%}"
            for alpha, level in EXPECTED.items()
        )
        + f" of {len(trees)} trees. With dice beside it, at α = 0.25, it is the {LEVELS[int(with_dice.argmax())]} "
        f"in {with_dice.max():.0%}."
    )
    values = {
        name: {str(a): row.tolist() for a, row in zip(ALPHAS, s, strict=True)} for name, s in shares.items()
    }
    return Outcome(passed, finding, {"trees": len(trees), **values}, figure)


def nested_masks(settings: Settings) -> Tensor:
    """[N, 3, S, S] bool: whole, part and subpart around a pixel, each a third larger than the next at least."""
    found, most = [], MOST_TREES // len(settings.seeds)
    for seed in settings.seeds:
        of_seed = []
        for scenes in evaluation_scenes("train", settings.images, SIZE, seed, object_scale=1.5):
            for image, label in zip(range(len(scenes.images)), scenes.labels, strict=True):
                for subpart in (scenes.level[image] == 2).nonzero()[:, 0].tolist():
                    inside = label[2] == subpart
                    if not inside.any():
                        continue
                    y, x = inside.nonzero()[0]
                    masks = torch.stack([label[level] == label[level, y, x] for level in range(3)])
                    whole, part, sub = masks.sum(dim=(1, 2)).tolist()
                    if sub >= 8 and part >= 1.33 * sub and whole >= 1.33 * part:
                        of_seed.append(masks)
        found += of_seed[:most]
    return torch.stack(found)


def levels_chosen(trees: Tensor, alpha: float, dice_weight: float, steps: int = 150) -> Tensor:
    """The share of trees [N, 3, S, S] whose best single mask is nearest to each level, [3]."""
    targets = trees.float()
    logits = torch.zeros_like(targets[:, :1]).requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=0.3)
    for _ in range(steps):
        guess = logits.expand_as(targets)
        focal = FOCAL_WEIGHT * focal_loss(guess, targets, alpha)
        loss = focal + dice_weight * dice_loss(guess, targets)
        optimizer.zero_grad()
        loss.sum().backward()
        optimizer.step()
    nearest = mask_iou(logits.detach() > 0, trees).argmax(dim=1)
    return torch.bincount(nearest, minlength=3) / len(trees)


EXPERIMENT = Experiment(
    id="E18",
    title="Focal α chooses the level",
    echoes="SAM section A, losses",
    question="One mask for an ambiguous click: which level does the loss itself prefer?",
    criterion="subpart at α = 1/4, part at 1/2, whole at 3/4, each for most trees",
    run=run,
    trains="the logits of one mask per tree, without a network",
)
