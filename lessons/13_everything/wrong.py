"""Wrong answers to lesson 13, and what each of them misunderstands."""

from minisam.lesson.mistakes import Mistake

INNER, OUTER = "logits > threshold + offset", "logits > threshold - offset"
SCORE = "inner.sum(axis=(1, 2)) / outer.sum(axis=(1, 2))"
OVERLAP = "(end - start).clamp(min=0).prod(dim=-1)"
AREA = "(last - first).prod(dim=-1)"
IOU = "overlap / (area[:, None] + area[None] - overlap)"
LOOP = (
    "        if alive[best]:\n            kept[best] = 1\n            alive &= iou[best] <= iou_threshold\n"
)
DROP = "alive &= iou[best] <= iou_threshold"
BORDERS = "np.flatnonzero(columns != before)"
COUNTS = "np.diff(borders, prepend=0, append=columns.size)"
MASK = "pixels.reshape(width, height).T"

WRONG = {
    "stability_score": [
        Mistake(
            "The fraction is upside down: the mask at the higher threshold is the smaller one, and goes on top. "
            "A score is at most 1.",
            {SCORE: "outer.sum(axis=(1, 2)) / inner.sum(axis=(1, 2))"},
        ),
        Mistake(
            "The mask threshold is missing: the two thresholds lie around it, not around 0. SAM's is 0, which hides "
            "this.",
            {INNER: "logits > offset", OUTER: "logits > -offset"},
        ),
        Mistake(
            "The larger mask is cut at the threshold itself; it belongs one offset below it.",
            {OUTER: "logits > threshold"},
        ),
        Mistake(
            "The smaller mask is cut at the threshold itself; it belongs one offset above it.",
            {INNER: "logits > threshold"},
        ),
        Mistake(
            "The thresholds are half an offset away: the offset goes up and down in full, they are 2 offsets apart.",
            {INNER: "logits > threshold + offset / 2", OUTER: "logits > threshold - offset / 2"},
        ),
        Mistake(
            "The offset is added, not multiplied with the threshold: times a threshold of 0 nothing would move.",
            {INNER: "logits > threshold * (1 + offset)", OUTER: "logits > threshold * (1 - offset)"},
        ),
        Mistake(
            "All masks are counted together: every mask has a score of its own.",
            {SCORE: "np.full(len(logits), inner.sum() / outer.sum())"},
        ),
        Mistake(
            "This is the share of the image that the smaller mask covers. It is to be compared with the larger mask.",
            {SCORE: "inner.sum(axis=(1, 2)) / logits[0].size"},
        ),
        Mistake(
            "This is the share that the mask loses. The score is the share that stays: 1 is a steady mask.",
            {SCORE: "1 - inner.sum(axis=(1, 2)) / outer.sum(axis=(1, 2))"},
        ),
        Mistake(
            "The smaller mask is compared with what lies outside of it: count the pixels above the lower threshold, "
            "not below it.",
            {OUTER: "logits < threshold - offset"},
        ),
        Mistake(
            "The logits went through a sigmoid first; threshold and offset are in logits.",
            {
                INNER: "1 / (1 + np.exp(-logits)) > threshold + offset",
                OUTER: "1 / (1 + np.exp(-logits)) > threshold - offset",
            },
        ),
        Mistake(
            "A logit at the raised threshold is not above it: both masks are where "
            "the logits are above, not at.",
            {"logits > threshold + offset": "logits >= threshold + offset"},
        ),
        Mistake(
            "A logit at the lowered threshold is not above it: both masks are where "
            "the logits are above, not at.",
            {"logits > threshold - offset": "logits >= threshold - offset"},
        ),
    ],
    "box_iou": [
        Mistake(
            "Boxes that do not meet have sides of negative length in common, and two of those make a positive area: "
            "clamp each side to 0 before multiplying.",
            {OVERLAP: "(end - start).prod(dim=-1)"},
        ),
        Mistake(
            "Clamped too late: two negative sides have multiplied to a positive area. Clamp first, then multiply.",
            {OVERLAP: "(end - start).prod(dim=-1).clamp(min=0)"},
        ),
        Mistake(
            "Sides are counted as x1 - x0 + 1, last pixel included. That is a convention too, but another one: here, "
            "as in torchvision, a side is x1 - x0.",
            {OVERLAP: "(end - start + 1).clamp(min=0).prod(dim=-1)", AREA: "(last - first + 1).prod(dim=-1)"},
        ),
        Mistake(
            "The areas count the last pixel, the overlap does not: a box has IoU 1 with itself only where both use "
            "the same convention.",
            {AREA: "(last - first + 1).prod(dim=-1)"},
        ),
        Mistake(
            "What both boxes share is in the sum of the areas twice: subtract it once.",
            {IOU: "overlap / (area[:, None] + area[None])"},
        ),
        Mistake(
            "This is divided by the smaller area: a part would have IoU 1 with its whole, and be suppressed.",
            {IOU: "overlap / torch.minimum(area[:, None], area[None])"},
        ),
        Mistake(
            "This is divided by the area of one box. IoU is symmetric; it divides by the area of both together.",
            {IOU: "overlap / area[:, None].expand_as(overlap)"},
        ),
        Mistake(
            "Largest and smallest are exchanged: this is the box around both. What they share starts at the larger "
            "of the starts and ends at the smaller of the ends.",
            {"torch.maximum(first": "torch.minimum(first", "torch.minimum(last": "torch.maximum(last"},
        ),
        Mistake(
            "The boxes are taken for (x, y, width, height); here they are two corners.",
            {
                AREA: "last.prod(dim=-1)",
                "torch.minimum(last[:, None], last[None])": (
                    "torch.minimum((first + last)[:, None], (first + last)[None])"
                ),
            },
        ),
        Mistake(
            "An area is width times height, not their sum.",
            {OVERLAP: "(end - start).clamp(min=0).sum(dim=-1)", AREA: "(last - first).sum(dim=-1)"},
        ),
        Mistake(
            "The result is right, and made in a loop. The task is to compare all boxes with all at once.",
            {
                (
                    "    start = torch.maximum(first[:, None], first[None])\n"
                    "    end = torch.minimum(last[:, None], last[None])\n"
                ): (
                    "    start = torch.stack([torch.maximum(one, first) for one in first]) "
                    "if len(first) else boxes.new_zeros(0, 0, 2)\n"
                    "    end = torch.stack([torch.minimum(one, last) for one in last]) if "
                    "len(last) else boxes.new_zeros(0, 0, 2)\n"
                )
            },
        ),
        Mistake(
            "The diagonal is set to 0. A box has an IoU of 1 with itself.",
            {
                "return overlap / (area[:, None] + area[None] - overlap)": (
                    "iou = overlap / (area[:, None] + area[None] - overlap)\n"
                    "    return iou - torch.diag(torch.diag(iou))"
                )
            },
        ),
    ],
    "non_maximum_suppression": [
        Mistake(
            "The worst box is taken first: sort by falling score.",
            {"np.argsort(-scores": "np.argsort(scores"},
        ),
        Mistake(
            "The boxes are taken in the order of the clicks: of two duplicates the first would stay, not the best.",
            {'np.argsort(-scores, kind="stable")': "range(len(scores))"},
        ),
        Mistake(
            "A box that is itself suppressed suppresses others here. In a chain A, B, C, where B overlaps both and A "
            "and C do not meet, A removes B, and C stays.",
            {LOOP: f"        kept[best] = alive[best]\n        {DROP}\n"},
        ),
        Mistake(
            "An overlap of exactly the threshold is allowed: a box goes if its IoU is above it.",
            {DROP: "alive &= iou[best] < iou_threshold"},
        ),
        Mistake(
            "The comparison is the wrong way round: boxes that overlap the best one go, the others stay.",
            {DROP: "alive &= iou[best] > iou_threshold"},
        ),
        Mistake(
            "The threshold is an IoU, not a distance: 0.7 means that an IoU above 0.7 is a duplicate.",
            {DROP: "alive &= iou[best] <= 1 - iou_threshold"},
        ),
        Mistake(
            "Every box that touches a better one goes. Parts touch their wholes; only an IoU above the threshold is "
            "a duplicate.",
            {DROP: "alive &= iou[best] <= 0"},
        ),
        Mistake(
            "Only the best box of all is left: those that do not overlap it go on, and the best of them is next.",
            {DROP: "alive[:] = False"},
        ),
        Mistake(
            "Nothing is suppressed: when a box is kept, those that overlap it have to leave the race.",
            {DROP: "alive[best] = False"},
        ),
        Mistake(
            "These are the places of the kept boxes; wanted is a 1 or 0 for every box.",
            {"    return kept\n": "    return np.flatnonzero(kept).astype(boxes.dtype)\n"},
        ),
        Mistake(
            "These are the scores of the kept boxes; wanted is a 1 for each.",
            {"kept[best] = 1": "kept[best] = scores[best]"},
        ),
        Mistake(
            "Of boxes with equal scores the last one is kept here. The first stays: "
            "a stable sort of the negative scores.",
            {'np.argsort(-scores, kind="stable")': 'np.argsort(scores, kind="stable")[::-1]'},
        ),
        Mistake(
            "The threshold is 0.7 whatever is given.",
            {"<= iou_threshold": "<= 0.7"},
        ),
    ],
    "run_lengths": [
        Mistake(
            "The mask is read row by row. COCO reads it column by column, as MATLAB stores a matrix: ravel(order='F').",
            {'mask.ravel(order="F")': "mask.ravel()"},
        ),
        Mistake(
            "The first count is that of zeros, always: where the first pixel is set it is a 0. Without it a reader "
            "sees the mask's negative.",
            {"np.concatenate([[0], columns[:-1]])": "np.concatenate([columns[:1], columns[:-1]])"},
        ),
        Mistake(
            "The runs of ones come first here; COCO starts with zeros.",
            {"np.concatenate([[0], columns[:-1]])": "np.concatenate([[1], columns[:-1]])"},
        ),
        Mistake(
            "The last run is missing: it ends where the image ends, not at a change. Counts sum to H * W.",
            {COUNTS: "np.diff(borders, prepend=0)"},
        ),
        Mistake(
            "The first run is missing: it starts at pixel 0. Counts sum to H * W.",
            {COUNTS: "np.diff(borders, append=columns.size)"},
        ),
        Mistake(
            "These are the places where the value changes; the counts are the distances between them.",
            {COUNTS: "borders"},
        ),
        Mistake(
            "Every border is one pixel late: the pixel that differs from the one before it starts the new run.",
            {BORDERS: "np.flatnonzero(columns != before) + 1"},
        ),
        Mistake(
            "A 0 stands in front always. It belongs there only where the first pixel is set.",
            {COUNTS: "np.concatenate([[0], np.diff(borders, prepend=0, append=columns.size)])"},
        ),
        Mistake(
            "Only the runs of ones are here; those of zeros say where they lie.",
            {COUNTS: "np.diff(borders, prepend=0, append=columns.size)[1::2]"},
        ),
        Mistake(
            "The runs break at the end of each column. A run goes on at the top of the next one.",
            {BORDERS: "np.flatnonzero((columns != before) | (np.arange(columns.size) % len(mask) == 0))"},
        ),
        Mistake(
            "The columns are read from the bottom up; they start at the top.",
            {'mask.ravel(order="F")': 'mask[::-1].ravel(order="F")'},
        ),
        Mistake(
            "The lengths are stored in 8 bits, where 255 is the largest number (127 with a sign): 299 zeros become 43.",
            {"return counts.astype(mask.dtype)": "return counts.astype(np.uint8).astype(mask.dtype)"},
        ),
    ],
    "decode": [
        Mistake(
            "The pixels are laid out row by row, and they came column by column. A square mask is so transposed, any "
            "other is torn to shreds, and no error is raised.",
            {MASK: "pixels.reshape(height, width)"},
        ),
        Mistake(
            "Each column is a row here: reshaped in the right order, but not turned back.",
            {MASK: "pixels.reshape(width, height)"},
        ),
        Mistake(
            "Turned without being reshaped for it: the runs go down columns of length height, so the first shape is "
            "[width, height].",
            {MASK: "pixels.reshape(height, width).T"},
        ),
        Mistake(
            "This is the negative: the first run is one of zeros.",
            {"np.arange(len(counts)) % 2": "(np.arange(len(counts)) + 1) % 2"},
        ),
        Mistake(
            "A run of length 0 was thrown away. It says that the first pixel is set, and shifts what follows.",
            {
                "np.arange(len(counts)) % 2": "np.arange((counts > 0).sum()) % 2",
                "counts.astype(int)": "counts[counts > 0].astype(int)",
            },
        ),
        Mistake(
            "Every run has a value of its own; they take turns, 0 and 1.",
            {"np.arange(len(counts)) % 2": "np.arange(len(counts))"},
        ),
        Mistake(
            "The image is upside down: a column starts at the top.",
            {MASK: "pixels.reshape(width, height).T[::-1]"},
        ),
        Mistake(
            "The image is mirrored: the first column is the left one.",
            {MASK: "pixels.reshape(width, height).T[:, ::-1]"},
        ),
        Mistake(
            "The last run is left out, and with it the pixels at the end.",
            {"np.repeat(values, counts.astype(int))": "np.repeat(values[:-1], counts[:-1].astype(int))"},
        ),
        Mistake(
            "The order is right now, but the lengths go through uint8, which ends at 255.",
            {
                "np.repeat(values, counts.astype(int))": (
                    "np.resize(np.repeat(values, counts.astype(int).astype(np.uint8)), height * width)"
                )
            },
        ),
    ],
}
