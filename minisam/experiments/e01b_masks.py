"""E1b: what do the three masks stand for?  Which of them fits whole, part and subpart.  (SAM section 3)"""

from __future__ import annotations

import torch
from matplotlib.figure import Figure

from minisam.evaluate.clicks import full_size_masks
from minisam.experiments.experiment import Experiment, Outcome, Settings
from minisam.experiments.shared.prompted_targets import as_json, mean_over_images, prompted_targets
from minisam.masks.distance import interior_points
from minisam.masks.iou import mask_iou
from minisam.model import Sam
from minisam.model.prompt_encoder import FOREGROUND

LEVELS = ("whole", "part", "subpart")


@torch.inference_mode()
def run(sam: Sam, settings: Settings) -> Outcome:
    """For a click in the centre of each target: which output fits it best, by the target's level."""
    wins, areas, winners, images = torch.zeros(3, 3), [[], [], []], [], []
    for prompted, masks, level, image in prompted_targets(sam, settings):
        clicks = interior_points(masks)[0][:, None].float()
        labels = torch.full((len(masks), 1), FOREGROUND, device=masks.device)
        logits, _ = prompted.predict(points=(clicks, labels))
        answers = full_size_masks(logits, masks.shape[-1])
        best = mask_iou(answers, masks[:, None]).argmax(dim=1)
        wins.index_put_((level.cpu(), best.cpu()), torch.ones(len(best)), accumulate=True)
        winners.append(best.cpu())
        images.append(image.cpu())
        for output in range(3):
            areas[output] += answers[:, output].float().mean(dim=(1, 2)).tolist()
    share = wins / wins.sum(dim=1, keepdim=True).clamp(min=1)
    winner, image = torch.cat(winners), torch.cat(images)
    used = [mean_over_images(winner == output, image) for output in range(3)]
    median_area = [torch.tensor(area).median().item() for area in areas]

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.imshow(share.numpy(), vmin=0, vmax=1, cmap="Blues")
    left.set(
        xticks=range(3),
        yticks=range(3),
        yticklabels=LEVELS,
        xlabel="mask output",
        title="which output fits best",
    )
    left.set_xticklabels(["1", "2", "3"])
    for i in range(3):
        for j in range(3):
            left.text(
                j,
                i,
                f"{share[i, j]:.2f}",
                ha="center",
                va="center",
                color="white" if share[i, j] > 0.5 else "black",
            )
    right.bar(["1", "2", "3"], median_area)
    right.set(xlabel="mask output", ylabel="median area, share of the image", title="how large its masks are")

    finding = (
        "The three outputs fit best in "
        + ", ".join(f"{u.value:.0%} [{u.low:.0%}, {u.high:.0%}]" for u in used)
        + " of all cases; their median areas are "
        + ", ".join(f"{area:.1%}" for area in median_area)
        + " of the image."
    )
    values = {
        "wins": wins.tolist(),
        "share_of_all": [as_json(u) for u in used],
        "share_of_level": share.tolist(),
        "median_area": median_area,
    }
    return Outcome(min(u.value for u in used) > 0.1, finding, values, figure)


EXPERIMENT = Experiment(
    id="E1b",
    title="What the three masks stand for",
    echoes="SAM section 3, resolving ambiguity",
    question="Does each output have its own role?",
    criterion="no output is dead: each is the best one for more than a tenth of the targets",
    run=run,
)
