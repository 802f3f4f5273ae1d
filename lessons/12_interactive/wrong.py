"""Wrong answers to lesson 12, and what each of them misunderstands."""

from minisam.lesson.mistakes import Mistake

NONZERO = "y, x = np.nonzero(inside)"
RANK = "rank = int(draw[prompt] * len(x))"
POINT = "points[prompt] = x[rank], y[rank]"
TO_IMAGE = "return (points + 0.5) * scale - 0.5"
CORNERS = "boxes[prompt] = x.min(), y.min(), x.max(), y.max()"
SIDES = "sides = boxes[:, 2:] - boxes[:, :2] + 1"
MOVED = "moved = 0.1 * noise * np.tile(sides, 2)"
LIMIT = "limit = 20 / 1024 * size"
CLIPPED = "return np.clip(boxes + np.clip(moved, -limit, limit), 0, size - 1)"
PREDICTED = "predicted = logits > 0\n"
WANTED = "wanted = targets > 0.5\n"
BACKGROUND = "background = spilled | (perfect & ~wanted)"
STACKED = "return torch.stack([missed, background], dim=1).float()"
BEST = "best = iou_predictions.argmax(dim=1)"
CHOSEN = "chosen = logits[range(len(best)), best]"
RETURNED = "return chosen[:, None]"

WRONG = {
    "sample_points": [
        Mistake(
            "Row and column are exchanged. NumPy gives y first; a point is (x, y).",
            {POINT: "points[prompt] = y[rank], x[rank]"},
        ),
        Mistake(
            "Always the first pixel of the region: every pixel has to be as likely as any other.",
            {RANK: "rank = 0"},
        ),
        Mistake(
            "The middle of the region. It may lie outside a ring or a crescent, and the network would only ever see "
            "clicks in the middle.",
            {POINT: "points[prompt] = x.mean(), y.mean()"},
        ),
        Mistake(
            "The pixels are listed column by column; the numbering is row by row.",
            {NONZERO: "x, y = np.nonzero(inside.T)"},
        ),
        Mistake(
            "The rank is rounded to the nearest; then the last pixel gets half its share, and rank n does not exist. "
            "Round down.",
            {RANK: "rank = min(round(float(draw[prompt]) * len(x) + 0.5), len(x) - 1)"},
        ),
        Mistake(
            "One draw serves all prompts; each has its own.",
            {RANK: "rank = int(draw[0] * len(x))"},
        ),
        Mistake(
            "The point is in pixels of the mask. The network wants pixels of its input image.",
            {TO_IMAGE: "return points"},
        ),
        Mistake(
            "This is the corner of the mask's pixel. Its middle lies half a pixel further on, less the half that an "
            "image pixel's own middle has.",
            {TO_IMAGE: "return points * scale"},
        ),
        Mistake(
            "The half pixel of the image is not taken off: pixel 0 has its middle at coordinate 0, not at 0.5.",
            {TO_IMAGE: "return (points + 0.5) * scale"},
        ),
        Mistake(
            "Drawn from the pixels outside the region.",
            {NONZERO: "y, x = np.nonzero(inside == inside.min())"},
        ),
        Mistake(
            "One scale from the height of the region. It is right where regions are square.",
            {"region.shape[-1]\n": "region.shape[-2]\n"},
        ),
        Mistake(
            "The rank is rounded to the nearest. Then the first and the last pixel are drawn half as often: round "
            "down.",
            {"int(draw[prompt] * len(x))": "min(round(draw[prompt] * len(x)), len(x) - 1)"},
        ),
        Mistake(
            "The draw is multiplied by the number of pixels less one: the last pixel is never drawn.",
            {"int(draw[prompt] * len(x))": "int(draw[prompt] * (len(x) - 1))"},
        ),
        Mistake(
            "The pixel in the middle of the list, whatever was drawn.",
            {"rank = int(draw[prompt] * len(x))": "rank = len(x) // 2"},
        ),
    ],
    "noisy_boxes": [
        Mistake(
            "Rows and columns are exchanged: a box is (x0, y0, x1, y1).",
            {CORNERS: "boxes[prompt] = y.min(), x.min(), y.max(), x.max()"},
        ),
        Mistake(
            "The order is x0, x1, y0, y1; a box is two corners, (x0, y0, x1, y1).",
            {CORNERS: "boxes[prompt] = x.min(), x.max(), y.min(), y.max()"},
        ),
        Mistake(
            "The box is without noise; a network that has only seen perfect boxes trusts every box to the pixel.",
            {CLIPPED: "return boxes"},
        ),
        Mistake(
            "The noise has a deviation of one whole side; it is a tenth.",
            {MOVED: "moved = noise * np.tile(sides, 2)"},
        ),
        Mistake(
            "The noise is a tenth of a pixel for all boxes; it grows with the side.",
            {MOVED: "moved = 0.1 * noise"},
        ),
        Mistake(
            "The noise of x is by the height and that of y by the width.",
            {MOVED: "moved = 0.1 * noise * np.tile(sides[:, ::-1], 2)"},
        ),
        Mistake(
            "There is no limit to the noise. It is 20 pixels of 1024, or large objects would get boxes far off.",
            {CLIPPED: "return np.clip(boxes + moved, 0, size - 1)"},
        ),
        Mistake(
            "The limit is 20 pixels whatever the image's size. It is meant for images of 1024.",
            {LIMIT: "limit = 20"},
        ),
        Mistake(
            "The box may leave the image.",
            {CLIPPED: "return boxes + np.clip(moved, -limit, limit)"},
        ),
        Mistake(
            "A side is counted one pixel short: from pixel 3 to pixel 5 there are three.",
            {SIDES: "sides = boxes[:, 2:] - boxes[:, :2]"},
        ),
        Mistake(
            "Both corners are moved alike: the box is shifted, and its size stays right.",
            {MOVED: "moved = 0.1 * np.tile(noise[:, :2] * sides, 2)"},
        ),
        Mistake(
            "The box ends one pixel later. x1 and y1 are the last pixels of the mask.",
            {
                "x.min(), y.min(), x.max(), y.max()": "x.min(), y.min(), x.max() + 1, y.max() + 1",
                "- boxes[:, :2] + 1": "- boxes[:, :2]",
            },
        ),
        Mistake(
            "The box may reach S. The last pixel of the image is S - 1.",
            {"limit), 0, size - 1)": "limit), 0, size)"},
        ),
        Mistake(
            "The longer side decides about the noise of both. Each side has its own.",
            {"np.tile(sides, 2)": "sides.max(axis=1, keepdims=True)"},
        ),
        Mistake(
            "The deviation is not 10 % of a side.",
            {"0.1 * noise": "0.2 * noise"},
        ),
        Mistake(
            "The noise is a tenth of the image's side. It is a tenth of the box's own sides.",
            {"moved = 0.1 * noise * np.tile(sides, 2)": "moved = 0.1 * noise * size"},
        ),
    ],
    "corrections": [
        Mistake(
            "Missed and spilled are exchanged: a foreground click says what belongs to the mask and is not in it.",
            {STACKED: "return torch.stack([background, missed], dim=1).float()"},
        ),
        Mistake(
            "A foreground click may fall anywhere on the object. It has to fall where the mask is wrong, or it says "
            "nothing new.",
            {STACKED: "return torch.stack([wanted, background], dim=1).float()"},
        ),
        Mistake(
            "A background click may fall anywhere outside. It has to fall where the mask spilled over.",
            {BACKGROUND: "background = ~wanted"},
        ),
        Mistake(
            "A mask that is right to the pixel leaves no place for a click. There has to be one: on the background.",
            {BACKGROUND: "background = spilled"},
        ),
        Mistake(
            "Background clicks are allowed everywhere as soon as one mask of the batch is perfect. Each prompt for "
            "itself.",
            {BACKGROUND: "background = spilled | (perfect.any() & ~wanted)"},
        ),
        Mistake(
            "A mask that is right to the pixel gets a foreground click here; the rule is a background one.",
            {
                BACKGROUND: "background = spilled",
                "missed = wanted & ~predicted": (
                    "missed = wanted & (~predicted | ~(wanted ^ predicted).flatten(1).any(dim=1)[:, None, None])"
                ),
            },
        ),
        Mistake(
            "0.5 is a threshold for probabilities. These are logits: a pixel is in the mask above 0.",
            {PREDICTED: "predicted = logits > 0.5\n"},
        ),
        Mistake(
            "A pixel that the object covers at all counts as wanted; it has to be more than half.",
            {WANTED: "wanted = targets > 0\n"},
        ),
        Mistake(
            "Predicted inside out.",
            {PREDICTED: "predicted = logits < 0\n"},
        ),
        Mistake(
            "The two regions lie along the first axis; prompts are the first, [P, 2, h, w].",
            {STACKED: "return torch.stack([missed, background], dim=0).float()"},
        ),
        Mistake(
            "Both regions are all errors: then a click's label is not known.",
            {STACKED: "return torch.stack([missed | spilled, missed | background], dim=1).float()"},
        ),
        Mistake(
            "A pixel with a logit of exactly 0 is background: the mask is where the "
            "logits are above 0, not at it.",
            {"predicted = logits > 0": "predicted = logits >= 0"},
        ),
        Mistake(
            "A target of exactly one half is background: inside is above 0.5, not at it.",
            {"wanted = targets > 0.5": "wanted = targets >= 0.5"},
        ),
        Mistake(
            "Where a mask is right, every pixel may be clicked here. A background click belongs on the "
            "background.",
            {"(perfect & ~wanted)": "perfect"},
        ),
        Mistake(
            "A sigmoid is above 0 for every logit. Logits are compared with 0, probabilities with a half.",
            {"predicted = logits > 0": "predicted = logits.sigmoid() > 0"},
        ),
    ],
    "feedback": [
        Mistake(
            "The bug is still there: the mask is thresholded. A pixel that the network was hardly sure of and one that "
            "it was certain of come back alike, and 0 and 1 are logits of a mask that it would never draw.",
            {RETURNED: "return (chosen > 0).float()[:, None]"},
        ),
        Mistake(
            "Probabilities come back. All lie between 0 and 1: as logits, every pixel would be foreground.",
            {RETURNED: "return chosen.sigmoid()[:, None]"},
        ),
        Mistake(
            "Thresholded, then stretched to ±1: the sign is right, and how sure the network was is still lost.",
            {RETURNED: "return chosen.sign()[:, None]"},
        ),
        Mistake(
            "The mask with the least predicted IoU comes back.",
            {BEST: "best = iou_predictions.argmin(dim=1)"},
        ),
        Mistake(
            "The first mask comes back, whichever the network ranks first.",
            {BEST: "best = 0 * iou_predictions.argmax(dim=1)"},
        ),
        Mistake(
            "One mask is chosen for the whole batch; each prompt has its own.",
            {BEST: "best = iou_predictions.mean(dim=0).argmax().expand(len(logits))"},
        ),
        Mistake(
            "The mean of the masks comes back: a blur that nobody has seen. A user corrects the mask that is shown.",
            {CHOSEN: "chosen = logits.mean(dim=1)"},
        ),
        Mistake(
            "The sum of the masks, weighted by predicted IoU. One is shown, and that one is corrected.",
            {CHOSEN: "chosen = (logits * iou_predictions[:, :, None, None]).sum(dim=1)"},
        ),
        Mistake(
            "All masks come back; a mask prompt is one mask.",
            {RETURNED: "return logits"},
        ),
        Mistake(
            "The axis of the one mask is missing: a mask prompt is [P, 1, h, w].",
            {RETURNED: "return chosen"},
        ),
        Mistake(
            "The largest mask comes back, not the one ranked first.",
            {BEST: "best = (logits > 0).float().mean(dim=(-2, -1)).argmax(dim=1)"},
        ),
        Mistake(
            "The logits are clamped to ± 10. What is fed back are the logits as the decoder gave them.",
            {"return chosen[:, None]": "return chosen[:, None].clamp(-10, 10)"},
        ),
        Mistake(
            "Of equal predictions, the first mask is taken, as argmax does; this takes the last.",
            {
                "best = iou_predictions.argmax(dim=1)": (
                    "best = iou_predictions.shape[1] - 1 - iou_predictions.flip(1).argmax(dim=1)"
                )
            },
        ),
        Mistake(
            "Large logits are pressed together. The mask prompt is the logits as they are.",
            {"return chosen[:, None]": "return 10 * (chosen[:, None] / 10).tanh()"},
        ),
    ],
}
