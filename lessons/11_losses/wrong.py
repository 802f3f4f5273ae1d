"""Wrong answers to lesson 11, and what each of them misunderstands."""

from minisam.lesson.mistakes import Mistake

P = "p = 1 / (1 + np.exp(-logits))"
CROSS_ENTROPY = "cross_entropy = np.maximum(logits, 0) - logits * targets + np.log1p(np.exp(-np.abs(logits)))"
BALANCE = "balance = alpha * targets + (1 - alpha) * (1 - targets)"
HARDNESS = "hardness = np.abs(targets - p) ** gamma"
FOCAL = "return (balance * hardness * cross_entropy).mean(axis=(-2, -1))"
SIGMOID = "p = logits.sigmoid()"
TOTAL = "total = p.sum(dim=(-2, -1)) + targets.sum(dim=(-2, -1))"
DICE = "return 1 - (2 * overlap + 1) / (total + 1)"
UNION = "union = area[:, :, None] + area[:, None, :] - overlap"
IOU = "iou = overlap / union"
EXPECTED = "expected = (iou * chance[:, None, :]).sum(axis=-1)"
BEST = "return expected.max(axis=-1)"
EACH = "each = 20 * focal + dice"
LEAST = "return each.amin(dim=1)"
LOGIT_LOSS = "cross_entropy = np.logaddexp(0, logits) - logits * targets"
CROSS_ENTROPY_AND_DICE = "cross_entropy.mean(axis=(-2, -1)) + dice"
DICE_OF_MASK = "dice = 1 - (2 * shared + 1) / (areas + 1)"

WRONG = {
    "focal_loss": [
        Mistake(
            "α is on the wrong side: it weighs the foreground, 1 - α the background.",
            {BALANCE: "balance = alpha * (1 - targets) + (1 - alpha) * targets"},
        ),
        Mistake(
            "α weighs everything alike: the background's weight is 1 - α.",
            {BALANCE: "balance = alpha"},
        ),
        Mistake(
            "The factor |t - p|^γ is missing: without it this is the weighted cross-entropy, and the many easy pixels "
            "of the background outweigh the few hard ones.",
            {HARDNESS: "hardness = 1"},
        ),
        Mistake(
            "1 - p_t is written out as p + t - 2pt. For t = 0 and t = 1 that is |t - p|; for a share such as t = 0.5 "
            "it is 0.5 whatever p is, and a perfect prediction is punished.",
            {HARDNESS: "hardness = (p + targets - 2 * p * targets) ** gamma"},
        ),
        Mistake(
            "The factor is the wrong way round: |t - p| is small where the network is right, and there the loss has "
            "to fade.",
            {HARDNESS: "hardness = (1 - np.abs(targets - p)) ** gamma"},
        ),
        Mistake(
            "The pixels are added up. The loss is their mean, or larger images would count more, and 20 : 1 would "
            "mean something else at every size.",
            {FOCAL: "return (balance * hardness * cross_entropy).sum(axis=(-2, -1))"},
        ),
        Mistake(
            "One number for all prompts: the mean is over the pixels of a mask, the last two axes.",
            {FOCAL: "return (balance * hardness * cross_entropy).mean(keepdims=True).reshape(1)"},
        ),
        Mistake(
            "log(p) is -infinity where the sigmoid rounds to 0 or 1, and 0 times infinity is NaN. Compute the "
            "cross-entropy from the logit.",
            {CROSS_ENTROPY: ("cross_entropy = -(targets * np.log(p) + (1 - targets) * np.log(1 - p))")},
        ),
        Mistake(
            "The targets are thresholded. A pixel of the low-resolution mask that is covered by 40 % has the target "
            "0.4, and that is where the outline is learnt.",
            {P: P + "\n    targets = (targets > 0.5).astype(logits.dtype)"},
        ),
        Mistake(
            "γ multiplies the factor; it is its exponent.",
            {HARDNESS: "hardness = np.abs(targets - p) * gamma"},
        ),
        Mistake(
            "The sigmoid is missing: p has to lie between 0 and 1, and logits do not.",
            {P: "p = logits"},
        ),
        Mistake(
            "p is kept away from 0 and 1 before the logarithm. A pixel that is certain and wrong then costs 16 at "
            "most. Compute the cross-entropy from the logit.",
            {
                ("np.maximum(logits, 0) - logits * targets + np.log1p(np.exp(-np.abs(logits)))"): (
                    "-(\n"
                    "        targets * np.log(np.clip(p, 1e-7, 1)) + (1 - targets) * np.log(np.clip(1 - p, 1e-7, 1))\n"
                    "    )"
                )
            },
        ),
        Mistake(
            "γ is 2 whatever is given.",
            {"** gamma": "** 2"},
        ),
        Mistake(
            "The mean runs over all masks together. Each prompt has its own loss: axes -2 and -1.",
            {
                ("return (balance * hardness * cross_entropy).mean(axis=(-2, -1))"): (
                    "return np.full(len(logits), (balance * hardness * cross_entropy).mean(), logits.dtype)"
                )
            },
        ),
        Mistake(
            "The targets are rounded to 0 or 1 for |t − p|. A pixel on an edge has a target in between.",
            {
                "hardness = np.abs(targets - p) ** gamma": "hardness = np.where(targets > 0.5, 1 - p, p) ** gamma"
            },
        ),
        Mistake(
            "(1 − p)^γ is right for the foreground alone. For any target it is |t − p|^γ.",
            {"np.abs(targets - p) ** gamma": "(1 - p) ** gamma"},
        ),
    ],
    "dice_loss": [
        Mistake(
            "The dice score comes back; a loss is least where the masks agree: 1 minus it.",
            {DICE: "return (2 * overlap + 1) / (total + 1)"},
        ),
        Mistake(
            "The factor 2 is missing: overlap is counted once above and, as p and as t, twice below. Two equal masks "
            "would score 1/2.",
            {DICE: "return 1 - (overlap + 1) / (total + 1)"},
        ),
        Mistake(
            "The ones are missing. With an empty target and an empty mask there would be 0 / 0.",
            {DICE: "return 1 - 2 * overlap / total"},
        ),
        Mistake(
            "The one below is missing: two empty masks would be 1 / 0 apart.",
            {DICE: "return 1 - (2 * overlap + 1) / total"},
        ),
        Mistake(
            "The mask is thresholded first: right as a score, useless as a loss, for a step has no gradient.",
            {SIGMOID: "p = (logits > 0).float()"},
        ),
        Mistake(
            "The sigmoid is missing: negative logits give negative areas.",
            {SIGMOID: "p = logits"},
        ),
        Mistake(
            "The sums below are of squares. Some do that (V-Net); SAM's loss has plain sums.",
            {TOTAL: "total = (p**2).sum(dim=(-2, -1)) + (targets**2).sum(dim=(-2, -1))"},
        ),
        Mistake(
            "The overlap is taken off below: that makes the intersection over union out of dice, with a 2 too many.",
            {TOTAL: "total = p.sum(dim=(-2, -1)) + targets.sum(dim=(-2, -1)) - overlap"},
        ),
        Mistake(
            "All masks are added up as one: large ones would hide small ones. Each prompt has a dice of its own.",
            {DICE: ("return (1 - (2 * overlap.sum() + 1) / (total.sum() + 1)).expand(len(logits)).clone()")},
        ),
        Mistake(
            "Means instead of sums: the ones, meant as one pixel, are then as large as the whole image.",
            {DICE: "n = logits[0].numel()\n    return 1 - (2 * overlap / n + 1) / (total / n + 1)"},
        ),
        Mistake(
            "The value is right, but detach() cuts the gradient off: with this loss nothing is learned.",
            {"p = logits.sigmoid()": "p = logits.detach().sigmoid()"},
        ),
        Mistake(
            "The overlap is computed from a detached copy: a part of the gradient is lost.",
            {"overlap = (p * targets)": "overlap = (p.detach() * targets)"},
        ),
        Mistake(
            "The denominator has the squares of p, as in V-Net's dice. Here it is the plain sum of p and t.",
            {"total = p.sum(dim=(-2, -1)) +": "total = (p**2).sum(dim=(-2, -1)) +"},
        ),
        Mistake(
            "This is one minus the IoU. Dice is twice the overlap, divided by the sum of both areas.",
            {
                "return 1 - (2 * overlap + 1) / (total + 1)": "return 1 - (overlap + 1) / (total - overlap + 1)"
            },
        ),
        Mistake(
            "The mask is thresholded. The loss takes the probabilities, or it could not be trained.",
            {("p = logits.sigmoid()\n    overlap"): ("p = (logits > 0).float() + 0 * logits\n    overlap")},
        ),
        Mistake(
            "A softmax over the pixels: they would share one probability. Each pixel has its own, by the sigmoid.",
            {
                ("p = logits.sigmoid()\n    overlap"): (
                    "p = logits.flatten(-2).softmax(-1).view_as(logits)\n    overlap"
                )
            },
        ),
    ],
    "one_mask_ceiling": [
        Mistake(
            "This is the level that most pixels vote for: what cross-entropy settles on. The best IoU is another "
            "question: try the levels.",
            {
                BEST: (
                    "vote = (np.einsum('tlp,tl->tp', inside, chance) > 0.5)[:, None]\n"
                    "    met = (vote & (inside > 0.5)).sum(axis=-1)\n"
                    "    either = (vote | (inside > 0.5)).sum(axis=-1)\n"
                    "    return (met / either * chance).sum(axis=-1).astype(masks.dtype)"
                )
            },
        ),
        Mistake(
            "The likeliest level is answered. It need not be the best: a level in the middle is half right for all.",
            {BEST: "return np.take_along_axis(expected, chance.argmax(axis=-1)[:, None], 1)[:, 0]"},
        ),
        Mistake(
            "This is what a level picked at random reaches on average; the question is the best one.",
            {BEST: "return expected.mean(axis=-1)"},
        ),
        Mistake("The worst level is answered: min for max.", {BEST: "return expected.min(axis=-1)"}),
        Mistake(
            "Every level counts alike here; weigh its IoU by how likely it is.",
            {EXPECTED: "expected = iou.mean(axis=-1)"},
        ),
        Mistake(
            "The chance is that of the mask that is drawn. It belongs to the one that is wanted, the other axis of the "
            "table of IoUs.",
            {EXPECTED: "expected = (iou * chance[:, :, None]).sum(axis=-1)"},
        ),
        Mistake(
            "A best mask for each target: that is the ceiling of as many masks as levels, always 1. One mask has to "
            "serve them all.",
            {BEST: "return (iou.max(axis=1) * chance).sum(axis=-1)"},
        ),
        Mistake(
            "That is dice: the overlap twice over both areas. IoU divides by the union.",
            {IOU: "iou = 2 * overlap / (area[:, :, None] + area[:, None, :])"},
        ),
        Mistake(
            "The smallest level is answered. It lies in all of them, but is a small share of most.",
            {BEST: "return expected[:, 0]"},
        ),
        Mistake(
            "The overlap is counted twice in the union: area + area - overlap.",
            {UNION: "union = area[:, :, None] + area[:, None, :]"},
        ),
        Mistake(
            "The answer is always the largest level. Try all of them, and take the best.",
            {"return expected.max(axis=-1)": "return expected[:, -1]"},
        ),
        Mistake(
            "This is the chance of the likeliest level. A mask also has an IoU with the other levels.",
            {"return expected.max(axis=-1)": "return chance.max(axis=-1)"},
        ),
    ],
    "best_mask_loss": [
        Mistake(
            "The mean over the masks: every mask is pulled to every target, and all become the same blur.",
            {LEAST: "return each.mean(dim=1)"},
        ),
        Mistake(
            "The masks are added up; only the best one is trained.",
            {LEAST: "return each.sum(dim=1)"},
        ),
        Mistake(
            "The least over the prompts: axis 0 counts prompts, axis 1 the masks of one.",
            {LEAST: "return each.amin(dim=0)"},
        ),
        Mistake(
            "One mask wins for the whole batch: its mean over the prompts is least. The others are never trained. Each "
            "prompt has a winner of its own.",
            {LEAST: "return each[:, each.mean(dim=0).argmin()]"},
        ),
        Mistake(
            "The weights are exchanged: it is 20 focal + 1 dice.",
            {EACH: "each = focal + 20 * dice"},
        ),
        Mistake("The focal loss has a weight of 20.", {EACH: "each = focal + dice"}),
        Mistake(
            "Two minima: the mask with the least focal loss may not be the one with the least dice. Add first, then "
            "choose.",
            {LEAST: "return 20 * focal.amin(dim=1) + dice.amin(dim=1)"},
        ),
        Mistake(
            "Chosen by dice alone; the choice is by the sum.",
            {LEAST: "return each.gather(1, dice.argmin(dim=1, keepdim=True)).squeeze(1)"},
        ),
        Mistake("The worst mask is trained: max for min.", {LEAST: "return each.amax(dim=1)"}),
        Mistake("The first mask is trained, whichever is best.", {LEAST: "return each[:, 0]"}),
        Mistake("The dice loss is missing.", {EACH: "each = 20 * focal"}),
        Mistake(
            "The value is right, but detach() cuts the gradient off: with this loss nothing is learned.",
            {"each.amin(dim=1)": "each.detach().amin(dim=1)"},
        ),
        Mistake(
            "The dice part is detached, so only the focal loss trains the masks.",
            {"20 * focal + dice": "20 * focal + dice.detach()"},
        ),
        Mistake(
            "The mean over the prompts is taken. One loss for each prompt is asked for.",
            {"each.amin(dim=1)": "each.amin(dim=1).mean()"},
        ),
    ],
    "mask_loss": [
        Mistake(
            "The bug is still there: the cross-entropy is given the probability, but it has the sigmoid inside and "
            "wants the logit. The sigmoid of a probability lies between 0.5 and 0.73, never near 0 or 1.",
            {LOGIT_LOSS: LOGIT_LOSS.replace("logits", "inside")},
        ),
        Mistake(
            "log(p) is -infinity where the sigmoid rounds to 0 or 1, and 0 times infinity is NaN. Compute the "
            "cross-entropy from the logit.",
            {LOGIT_LOSS: "cross_entropy = -(targets * np.log(inside) + (1 - targets) * np.log(1 - inside))"},
        ),
        Mistake(
            "The background is missing: pixels with t = 0 cost log(1 + e^x), too.",
            {LOGIT_LOSS: "cross_entropy = targets * np.logaddexp(0, -logits)"},
        ),
        Mistake(
            "Foreground and background are exchanged in the cross-entropy.",
            {LOGIT_LOSS: LOGIT_LOSS.replace("logits * targets", "logits * (1 - targets)")},
        ),
        Mistake(
            "Now dice has the logits. It wants probabilities: overlap and total are areas.",
            {
                "(inside * targets).sum(axis": "(logits * targets).sum(axis",
                "areas = inside.sum(axis": "areas = logits.sum(axis",
            },
        ),
        Mistake(
            "The pixels' cross-entropies are added up. The loss is their mean, or large images would count more.",
            {CROSS_ENTROPY_AND_DICE: "cross_entropy.sum(axis=(-2, -1)) + dice"},
        ),
        Mistake(
            "Dice is missing.",
            {CROSS_ENTROPY_AND_DICE: "cross_entropy.mean(axis=(-2, -1)) + 0 * dice"},
        ),
        Mistake(
            "The smoothing of dice is gone: an empty mask for an empty target is right, and costs nothing.",
            {DICE_OF_MASK: "dice = 1 - 2 * shared / (areas + 1)"},
        ),
        Mistake(
            "The probability is thresholded before dice: a threshold has no gradient.",
            {
                "(inside * targets).sum(axis": "((inside > 0.5) * targets).sum(axis",
                "areas = inside.sum(axis": "areas = (inside > 0.5).sum(axis",
            },
        ),
        Mistake(
            "The cross-entropy is right now, but the overlap is computed from the logits. It wants probabilities, "
            "as before.",
            {"(inside * targets).sum": "(logits * targets).sum"},
        ),
        Mistake(
            "Probabilities are clipped before the logarithm. A pixel that is certain and wrong then costs too "
            "little: compute it from the logit.",
            {
                "np.logaddexp(0, logits) - logits * targets": (
                    "-(\n"
                    "        targets * np.log(np.clip(inside, 1e-7, 1))\n"
                    "        + (1 - targets) * np.log(np.clip(1 - inside, 1e-7, 1))\n"
                    "    )"
                )
            },
        ),
    ],
}
