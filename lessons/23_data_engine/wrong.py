"""Wrong answers to lesson 23, and what each of them misunderstands."""

from minisam.lesson.mistakes import Mistake

REGIONS = "missed, spilled = thing & ~mask, mask & ~thing"
PERFECT = "spilled = torch.where(perfect[:, None, None], ~thing, spilled)"
MISS_DEPTH = "miss_depth = squared_distance_transform(missed).flatten(1)"
SPILL_DEPTH = "spill_depth = squared_distance_transform(spilled).flatten(1)"
FOREGROUND = "foreground = miss_depth.amax(dim=1) > spill_depth.amax(dim=1)"
PLACE = "place = torch.where(foreground, miss_depth.argmax(dim=1), spill_depth.argmax(dim=1))"
XY = "x, y = place % masks.shape[2], place // masks.shape[2]"
CLICKED = "return torch.stack([x, y, foreground.long()], dim=1).to(masks.dtype)"

PADDED = "padded = np.pad(inside, ((0, 0), (1, 1), (1, 1)))"
SURROUNDED = "surrounded = above & below & left & right"
COUNTED = "return (inside & ~surrounded).sum(axis=(1, 2)).astype(regions.dtype)"

RIGHT = "right = iou > satisfied"
CLICKS = "clicks = np.where(done, right.argmax(axis=1) + 1, iou.shape[1])"
SECONDS = "seconds = FIND + clicks * (CLICK + LOOK)"
FINISHED = "finished = seconds + np.where(done, 0, brush[:, -1])"
KEPT = "kept = done | (finished <= most_seconds)"
SPENT = "spent = np.where(kept, finished, seconds)"
WORKED = "return np.stack([spent, kept], axis=1).astype(iou.dtype)"

ORDER = 'np.argsort(-predicted_iou, kind="stable")'
IOU = "iou = (mask & thing).sum(axis=(1, 2)) / (mask | thing).sum(axis=(1, 2))"
ONCE = "iou = np.where(missing > 0, iou, 0)"
ENOUGH = "if iou[best] > right:"
MATCHED = "missing[best] = 0"
MISSING = "return missing"

A_MASK = "a_mask = seconds.sum() / masks"
A_PICTURE = "a_picture = masks / len(kept)"
OVER_90 = "over_90 = (iou[kept > 0] > 0.9).mean()"

PER_PICTURE = (
    "counts = kept.sum(axis=1)\n    a_mask = ({}.sum(axis=1)[counts > 0] / counts[counts > 0]).mean()"
)
KEPT_TIME = {A_MASK: "a_mask = (seconds * kept).sum() / masks"}
MEAN_OF_RATIOS = {A_MASK: PER_PICTURE.format("seconds")}
BOTH_TIMES = {A_MASK: PER_PICTURE.format("(seconds * kept)")}
NO_EMPTY_PICTURES = {A_PICTURE: "a_picture = masks / (kept.sum(axis=1) > 0).sum()"}

WRONG = {
    "next_click": [
        Mistake(
            "The labels are the wrong way round: where the mask missed something, a foreground click adds it.",
            {CLICKED: "return torch.stack([x, y, 1 - foreground.long()], dim=1).to(masks.dtype)"},
        ),
        Mistake(
            "Row and column are exchanged: a click is (x, y), the column first.",
            {CLICKED: "return torch.stack([y, x, foreground.long()], dim=1).to(masks.dtype)"},
        ),
        Mistake(
            "A place in the flattened image is divided by its height; rows are as long as the image is wide.",
            {XY: "x, y = place % masks.shape[1], place // masks.shape[1]"},
        ),
        Mistake(
            "This is the first wrong pixel in reading order, at the edge of the error. The deepest one is the safest.",
            {
                MISS_DEPTH: "miss_depth = missed.flatten(1).int()",
                SPILL_DEPTH: "spill_depth = spilled.flatten(1).int()",
                FOREGROUND: (
                    "foreground = squared_distance_transform(missed).flatten(1).amax(dim=1) > "
                    "squared_distance_transform(spilled).flatten(1).amax(dim=1)"
                ),
            },
        ),
        Mistake(
            "The error with more pixels was chosen. A long thin rim has many, and no click fits into it: the deeper "
            "one counts.",
            {FOREGROUND: "foreground = missed.flatten(1).sum(dim=1) > spilled.flatten(1).sum(dim=1)"},
        ),
        Mistake(
            "What was missed and what spilled over became one region. Where they touch, its middle lies on the border "
            "between them.",
            {
                MISS_DEPTH: (
                    "miss_depth = squared_distance_transform(missed | spilled).flatten(1) * missed.flatten(1)"
                ),
                SPILL_DEPTH: (
                    "spill_depth = squared_distance_transform(missed | spilled).flatten(1) * spilled.flatten(1)"
                ),
            },
        ),
        Mistake(
            "Every click is on what was missed. What spilled over is never taken back.",
            {FOREGROUND: "foreground = torch.ones(len(masks), dtype=torch.bool)"},
        ),
        Mistake(
            "Every click is a background click. What was missed is never added.",
            {FOREGROUND: "foreground = torch.zeros(len(masks), dtype=torch.bool)"},
        ),
        Mistake(
            "The click is in the middle of the thing, whatever the mask shows. That is the first click; later ones "
            "look at the error.",
            {REGIONS: "missed, spilled = thing, torch.zeros_like(thing)"},
        ),
        Mistake(
            "Where nothing is wrong there is no error to be deep in, and the click falls on pixel (0, 0). It goes to "
            "the deepest background pixel.",
            {PERFECT: "spilled = spilled.clone()"},
        ),
        Mistake(
            "It asks whether anything is wrong in the whole batch. Each mask that is right needs its background click.",
            {PERFECT: "spilled = ~thing if perfect.all() else spilled"},
        ),
        Mistake(
            "Both errors are equally deep, and what was missed is clicked. The library clicks what spilled over.",
            {FOREGROUND: "foreground = miss_depth.amax(dim=1) >= spill_depth.amax(dim=1)"},
        ),
        Mistake(
            "The centre of mass of the error. It may lie outside of it: think of a ring.",
            {
                XY: (
                    "error = torch.where(foreground[:, None, None], missed, spilled).float()\n"
                    "    H, W = error.shape[1:]\n"
                    "    x = ((error.sum(dim=1) * torch.arange(W)).sum(dim=1) / error.sum(dim=(1, 2))).round()\n"
                    "    y = ((error.sum(dim=2) * torch.arange(H)).sum(dim=1) / error.sum(dim=(1, 2))).round()"
                )
            },
        ),
        Mistake(
            "The image has no end here: a pixel at its border counts as deep inside. What is not seen is outside.",
            {
                MISS_DEPTH: (
                    "wide = lambda r: torch.nn.functional.pad(r.float(), (9, 9, 9, 9), 'replicate') > 0\n"
                    "    miss_depth = squared_distance_transform(wide(missed))[:, 9:-9, 9:-9].flatten(1)"
                ),
                SPILL_DEPTH: "spill_depth = squared_distance_transform(wide(spilled))[:, 9:-9, 9:-9].flatten(1)",
            },
        ),
        Mistake(
            "A mask that is right gets its click on the object. That background click would take it away: it "
            "falls on the background.",
            {"perfect[:, None, None], ~thing, spilled": "perfect[:, None, None], thing, spilled"},
        ),
    ],
    "outline_length": [
        Mistake(
            "The image's border does not count here. It does: somebody has to trace along it.",
            {PADDED: "padded = np.pad(inside, ((0, 0), (1, 1), (1, 1)), constant_values=True)"},
        ),
        Mistake(
            "Neighbours across the image: np.roll joins the left border to the right one. Pad instead.",
            {PADDED: 'padded = np.pad(inside, ((0, 0), (1, 1), (1, 1)), mode="wrap")'},
        ),
        Mistake(
            "A neighbour across a corner counts as well. Only a side in common does.",
            {
                SURROUNDED: (
                    "surrounded = above & below & left & right & padded[:, :-2, :-2] & padded[:, :-2, 2:] "
                    "& padded[:, 2:, :-2] & padded[:, 2:, 2:]"
                )
            },
        ),
        Mistake(
            "Sides are counted, not pixels: a pixel at a corner has two of them, and is one pixel of the outline.",
            {
                COUNTED: (
                    "return sum((inside & ~n).sum(axis=(1, 2)) for n in (above, below, left, right))"
                    ".astype(regions.dtype)"
                )
            },
        ),
        Mistake(
            "These pixels lie around the region, not in it.",
            {
                COUNTED: (
                    "return (~inside & (above | below | left | right)).sum(axis=(1, 2)).astype(regions.dtype)"
                )
            },
        ),
        Mistake(
            "This is the area. A brush follows the outline.",
            {COUNTED: "return inside.sum(axis=(1, 2)).astype(regions.dtype)"},
        ),
        Mistake(
            "These are the pixels inside, away from the outline; the others were asked for.",
            {COUNTED: "return (inside & surrounded).sum(axis=(1, 2)).astype(regions.dtype)"},
        ),
        Mistake(
            "A pixel counts only if all four neighbours are outside. One is enough.",
            {SURROUNDED: "surrounded = above | below | left | right"},
        ),
        Mistake(
            "Only neighbours to the left and right are looked at: straight horizontal edges are missing.",
            {SURROUNDED: "surrounded = left & right"},
        ),
        Mistake(
            "Only neighbours above and below are looked at: straight vertical edges are missing.",
            {SURROUNDED: "surrounded = above & below"},
        ),
        Mistake(
            "All regions are counted together; each has a length of its own.",
            {COUNTED: ("return np.full(len(regions), (inside & ~surrounded).sum()).astype(regions.dtype)")},
        ),
        Mistake(
            "In sides of the image already. Here it is in pixels; the division comes with the cost.",
            {
                COUNTED: (
                    "return ((inside & ~surrounded).sum(axis=(1, 2)) / regions.shape[2]).astype(regions.dtype)"
                )
            },
        ),
    ],
    "annotation_seconds": [
        Mistake(
            "An IoU of exactly `satisfied` is not enough: it has to be above it.",
            {RIGHT: "right = iou >= satisfied"},
        ),
        Mistake(
            "One click too few: argmax counts from 0.",
            {CLICKS: "clicks = np.where(done, right.argmax(axis=1), iou.shape[1])"},
        ),
        Mistake(
            "All N clicks are paid for, also where an earlier one was enough.",
            {CLICKS: "clicks = np.full(len(iou), iou.shape[1])"},
        ),
        Mistake(
            "Things that never came right cost one click here: argmax is 0 where nothing is true. They had N clicks.",
            {CLICKS: "clicks = right.argmax(axis=1) + 1"},
        ),
        Mistake(
            "The click with the best mask was chosen. An annotator does not know what a later click would bring, and "
            "stops at the first that is enough.",
            {CLICKS: "clicks = np.where(done, iou.argmax(axis=1) + 1, iou.shape[1])"},
        ),
        Mistake(
            "Nobody looks at the masks: LOOK comes with every click, or how would one know where to click next?",
            {SECONDS: "seconds = FIND + clicks * CLICK"},
        ),
        Mistake(
            "One look for all clicks. Each click is followed by one.",
            {SECONDS: "seconds = FIND + clicks * CLICK + LOOK"},
        ),
        Mistake(
            "The thing is looked for anew with every click. It is found once.",
            {SECONDS: "seconds = clicks * (FIND + CLICK + LOOK)"},
        ),
        Mistake(
            "The thing finds itself: FIND is missing.",
            {SECONDS: "seconds = clicks * (CLICK + LOOK)"},
        ),
        Mistake(
            "The brush goes over masks that were right already.",
            {FINISHED: "finished = seconds + brush[:, -1]"},
        ),
        Mistake(
            "The brush mends the mask of the first click; it is the last one's that is there.",
            {FINISHED: "finished = seconds + np.where(done, 0, brush[:, 0])"},
        ),
        Mistake(
            "The brush's time was chosen as if one knew after which click it is shortest. It comes after the last.",
            {FINISHED: "finished = seconds + np.where(done, 0, brush.min(axis=1))"},
        ),
        Mistake(
            "Nothing is ever left: whoever takes longer than most_seconds goes on to the next thing.",
            {KEPT: "kept = np.full(len(iou), True)"},
        ),
        Mistake(
            "A thing that is left costs nothing here. Its clicks were made all the same.",
            {SPENT: "spent = np.where(kept, finished, 0)"},
        ),
        Mistake(
            "A thing that is left is paid for in full, brush included. The brush was never picked up.",
            {SPENT: "spent = finished"},
        ),
        Mistake(
            "A thing that is left costs its clicks, not most_seconds: one sees beforehand that the brush would take "
            "too long.",
            {SPENT: "spent = np.where(kept, finished, most_seconds)"},
        ),
        Mistake(
            "The second number says whether clicks alone were enough. A mask finished with the brush is one, too.",
            {WORKED: "return np.stack([spent, done], axis=1).astype(iou.dtype)"},
        ),
        Mistake(
            "The limit is applied to objects that the clicks finished, too. It decides only whether the brush is "
            "used.",
            {"kept = done | (finished <= most_seconds)": "kept = finished <= most_seconds"},
        ),
        Mistake(
            "A time of exactly `most_seconds` is refused. It is allowed.",
            {"finished <= most_seconds": "finished < most_seconds"},
        ),
    ],
    "still_missing": [
        Mistake(
            "This says what was found; what is missing was asked for.",
            {MISSING: "return 1 - missing"},
        ),
        Mistake(
            "The masks are taken as they come. The surest goes first, or a doubtful one takes its thing.",
            {ORDER: "range(len(masks))"},
        ),
        Mistake(
            "The least sure mask goes first.",
            {ORDER: 'np.argsort(predicted_iou, kind="stable")'},
        ),
        Mistake(
            "A thing that has a mask still competes for the next one. Where a part is nearly as large as its whole, "
            "the second mask has to go to the other of the two.",
            {ONCE: "iou = iou.copy()"},
        ),
        Mistake(
            "One mask does for several things. It is one mask in the data set, of the thing that it fits best.",
            {MATCHED: "missing[iou > right] = 0"},
        ),
        Mistake(
            "An IoU of exactly `right` is not enough: it has to be above it.",
            {ENOUGH: "if iou[best] >= right:"},
        ),
        Mistake(
            "Every mask is accepted. One that is of nothing has to be thrown away.",
            {ENOUGH: "if iou[best] > 0:"},
        ),
        Mistake(
            "The predicted IoU decides whether a mask is right. It is what the model thinks; the annotator looks.",
            {ENOUGH: "if predicted_iou[place] > right:"},
        ),
        Mistake(
            "Divided by the thing's area alone: a mask of the whole image would be right for everything in it.",
            {IOU: "iou = (mask & thing).sum(axis=(1, 2)) / thing.sum(axis=(1, 2))"},
        ),
        Mistake(
            "Divided by the mask's area alone: a single pixel would be right for every thing that it lies in.",
            {IOU: "iou = (mask & thing).sum(axis=(1, 2)) / mask.sum()"},
        ),
        Mistake(
            "This is the dice coefficient, twice the overlap over the sum of both areas. It is higher than the IoU.",
            {IOU: "iou = 2 * (mask & thing).sum(axis=(1, 2)) / (mask.sum() + thing.sum(axis=(1, 2)))"},
        ),
        Mistake(
            "Only the first mask was looked at.",
            {ORDER: 'np.argsort(-predicted_iou, kind="stable")[:1]'},
        ),
    ],
    "tally": [
        Mistake(
            "All three bugs are still there. Follow the seconds of a thing that was clicked on and then left.",
            {**BOTH_TIMES, **NO_EMPTY_PICTURES},
        ),
        Mistake(
            "Masks a picture are right now. Two bugs are left, both in seconds a mask: the time on things that were "
            "left is gone, and a mean of quotients is not the quotient of the sums.",
            BOTH_TIMES,
        ),
        Mistake(
            "The time on things that were left is counted now. Two bugs are left: a mean of quotients, and pictures "
            "without a mask, which are left out.",
            {**MEAN_OF_RATIOS, **NO_EMPTY_PICTURES},
        ),
        Mistake(
            "Sums are divided by sums now. Two bugs are left: the time on things that were left, and the pictures on "
            "which nothing came out.",
            {**KEPT_TIME, **NO_EMPTY_PICTURES},
        ),
        Mistake(
            "One bug is left, in seconds a mask: the time on things that gave no mask was spent as well.",
            KEPT_TIME,
        ),
        Mistake(
            "One bug is left, in seconds a mask: a picture with one mask weighs as much as one with ten. Divide "
            "the sum by the sum.",
            MEAN_OF_RATIOS,
        ),
        Mistake(
            "One bug is left, in masks a picture: a picture on which nothing came out is a picture.",
            NO_EMPTY_PICTURES,
        ),
        Mistake(
            "Seconds a thing, not a mask: divide by the number of masks that came out.",
            {A_MASK: "a_mask = seconds.mean()"},
        ),
        Mistake(
            "Seconds a picture, not a mask.",
            {A_MASK: "a_mask = seconds.sum() / len(kept)"},
        ),
        Mistake(
            "Only the time on things that gave no mask is in there.",
            {A_MASK: "a_mask = (seconds * (1 - kept)).sum() / masks"},
        ),
        Mistake(
            "The number of masks, not of masks a picture.",
            {A_PICTURE: "a_picture = masks"},
        ),
        Mistake(
            "The share of things that came to a mask, not the masks of a picture.",
            {A_PICTURE: "a_picture = kept.mean()"},
        ),
        Mistake(
            "The share over 0.9 was right before: it is of the masks. Things that were left have none.",
            {OVER_90: "over_90 = (iou > 0.9).mean()"},
        ),
        Mistake(
            "Divided by the number of things: the share over 0.9 is of the masks.",
            {OVER_90: "over_90 = (iou[kept > 0] > 0.9).sum() / kept.size"},
        ),
    ],
}
