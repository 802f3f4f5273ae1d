"""Wrong answers to lesson 24, and what each of them misunderstands."""

from minisam.lesson.mistakes import Mistake

PADDED = "padded = np.pad(mask, 1)"
OUTSIDE = "outside = np.argwhere(padded == 0) - 1"
SQUARED = "squared = ((outside - inside) ** 2).sum(axis=1)"
DEPTH = "depth[tuple(inside)] = squared.min()"
GIVEN = "return depth\n"

MISSED = "missed = target * (1 - mask)"
SPILLED = "spilled = mask * (1 - target)"
PERFECT = "        spilled = 1 - target\n"
DEPTHS = "missed_depth, spilled_depth = depths(missed), depths(spilled)"
DEEPER = "foreground = missed_depth.max() > spilled_depth.max()"
CHOSEN = "depth = missed_depth if foreground else spilled_depth"
PLACE = "y, x = np.unravel_index(depth.argmax(), depth.shape)"
CLICK = "return np.array([x, y, foreground], mask.dtype)"

ORDER = 'order = np.argsort(-scores, kind="stable")[:most]'
OVERLAP = "overlap = np.where(free, iou[mask], -1)"
BEST = "best = overlap.argmax()"
ENOUGH = "if overlap[best] >= threshold:"
TAKEN = "free[best] = False"
SHARE = "shares.append(1 - free.mean())"

RESAMPLE = "resample = np.concatenate([values[image == one] for one in images])"
MEAN = "means.append(resample.mean())"
ENDS = "return np.quantile(means, [0.025, 0.975]).astype(values.dtype)"

ODS = "ods = f_measure(right.sum(axis=0), predicted.sum(axis=0), true.sum()).max()"
OWN = "own = f_measure(right, predicted, true[:, None]).argmax(axis=1)"
OIS = "ois = f_measure(right[image, own].sum(), predicted[image, own].sum(), true.sum())"
BOTH = "return np.array([ods, ois], right.dtype)"
F = "return 2 * precision * recall / np.maximum(precision + recall, 1e-12)"

MEAN_ODS = {ODS: "ods = f_measure(right, predicted, true[:, None]).mean(axis=0).max()"}
MEAN_OIS = {OIS: "ois = f_measure(right, predicted, true[:, None]).max(axis=1).mean()"}

WRONG = {
    "depths": [
        Mistake(
            "The mask has no end at the image's border here: what is not seen counts as outside, so pad it with zeros.",
            {PADDED: "padded = np.pad(mask, 1, constant_values=1)", DEPTH: DEPTH + " if len(outside) else 0"},
        ),
        Mistake(
            "These are distances; squared ones were asked for, which are whole numbers.",
            {DEPTH: "depth[tuple(inside)] = np.sqrt(squared.min())"},
        ),
        Mistake(
            "Rows and columns are added up, as taxis drive in Manhattan. The straight way is asked for, squared.",
            {SQUARED: "squared = np.abs(outside - inside).sum(axis=1) ** 2"},
        ),
        Mistake(
            "The larger of the two shifts counts here, as for a king in chess. The straight way is asked for, squared.",
            {SQUARED: "squared = np.abs(outside - inside).max(axis=1) ** 2"},
        ),
        Mistake(
            "The padding has moved all that lies outside by one pixel down and right, and it was not moved back.",
            {OUTSIDE: "outside = np.argwhere(padded == 0)"},
        ),
        Mistake(
            "Only pixels of the same row count here. The nearest one outside may lie in any direction.",
            {SQUARED: "squared = ((outside - inside)[outside[:, 0] == inside[0]] ** 2).sum(axis=1)"},
        ),
        Mistake(
            "This is the distance to the farthest pixel outside; the nearest one ends the mask.",
            {DEPTH: "depth[tuple(inside)] = squared.max()"},
        ),
        Mistake(
            "A pixel with its neighbour outside has a depth of 0 here. It has 1: distances go from middle to middle.",
            {DEPTH: "depth[tuple(inside)] = (np.sqrt(squared.min()) - 1) ** 2"},
        ),
        Mistake(
            "The mean distance to all that is outside depends on the image's size; only the nearest pixel counts.",
            {DEPTH: "depth[tuple(inside)] = squared.mean()"},
        ),
        Mistake(
            "Mask and outside are exchanged: what lies in the mask is deep, what lies outside is 0.",
            {
                OUTSIDE: "outside = np.argwhere(padded > 0) - 1",
                "np.argwhere(mask > 0)": "np.argwhere(mask == 0)",
                DEPTH: DEPTH + " if len(outside) else 0",
            },
        ),
        Mistake(
            "The image's border is the only end here. Holes and the mask's own outline end it too.",
            {OUTSIDE: "outside = np.argwhere(np.pad(np.zeros_like(mask), 1, constant_values=1) > 0) - 1"},
        ),
        Mistake(
            "The depths are scaled to 1 here. Two errors could no longer be compared by them.",
            {GIVEN: "return depth / max(depth.max(), 1)\n"},
        ),
    ],
    "next_click": [
        Mistake(
            "x and y are exchanged: the array has rows first, a click has x first.",
            {CLICK: "return np.array([y, x, foreground], mask.dtype)"},
        ),
        Mistake(
            "The labels are exchanged: what was missed gets a foreground click, 1; what spilled over a background one.",
            {CLICK: "return np.array([x, y, not foreground], mask.dtype)"},
        ),
        Mistake(
            "The error with the most pixels gets the click here. It is due to the deepest: a long thin rim has many.",
            {DEEPER: "foreground = missed.sum() > spilled.sum()"},
        ),
        Mistake(
            "This is the mean of the error's pixels. It can lie outside of the error; the deepest pixel cannot.",
            {
                PLACE: (
                    "error = missed if foreground else spilled\n"
                    "    y, x = np.argwhere(error).mean(axis=0).round()"
                )
            },
        ),
        Mistake(
            "The first wrong pixel gets the click here, which lies on a border. The deepest one does.",
            {PLACE: "y, x = np.argwhere(depth > 0)[0]"},
        ),
        Mistake(
            "Misses and spills are one region here. Side by side they look deep; each is to be measured by itself.",
            {
                DEPTHS: DEPTHS + "\n    both = depths(missed + spilled)",
                DEEPER: "foreground = target.flat[both.argmax()] > 0",
                CHOSEN: "depth = both",
            },
        ),
        Mistake(
            "Only what was missed gets clicks here. What spilled over needs one too, with label 0.",
            {DEEPER: "foreground = True"},
        ),
        Mistake(
            "Only what spilled over gets clicks here. What was missed needs one too, with label 1.",
            {DEEPER: "foreground = False"},
        ),
        Mistake(
            "The click goes to the deepest pixel of the target, wherever the mask is wrong. Look at the errors.",
            {
                MISSED: "missed = target",
                SPILLED: "spilled = 0 * mask",
                PERFECT: "        missed, spilled = missed * 0, 1 - target\n",
            },
        ),
        Mistake(
            "Where nothing is wrong the click is still to be one: the deepest pixel of the background.",
            {PERFECT: "        pass\n"},
        ),
        Mistake(
            "Where nothing is wrong a click on the target comes out. It is to be on the background, as in training.",
            {PERFECT: "        missed = target\n"},
        ),
        Mistake(
            "A miss and a spill are equally deep, and the miss is clicked. The library clicks the spill.",
            {DEEPER: "foreground = missed_depth.max() >= spilled_depth.max()"},
        ),
        Mistake(
            "The less deep of the two errors gets the click here.",
            {DEEPER: "foreground = missed_depth.max() < spilled_depth.max()"},
        ),
        Mistake(
            "The distance is counted in steps along rows and columns. The depth is the straight distance to the "
            "nearest pixel outside.",
            {"((outside - inside) ** 2).sum(axis=1)": "np.abs(outside - inside).sum(axis=1)"},
        ),
        Mistake(
            "The image's edge is no edge of the error here. Beyond the image nothing is wrong, so a pixel at the "
            "edge has depth 1.",
            {
                "outside = np.argwhere(padded == 0) - 1": (
                    "outside = np.argwhere(mask == 0) if (mask == 0).any() else np.argwhere(padded == 0) - 1"
                )
            },
        ),
        Mistake(
            "What was missed always comes first. The deeper of the two errors is clicked.",
            {"foreground = missed_depth.max() > spilled_depth.max()": "foreground = missed.any()"},
        ),
    ],
    "recalls": [
        Mistake(
            "A target is found here if any mask suits it, and one mask finds several. Each mask can find one target.",
            {
                OVERLAP: "overlap = iou[mask]",
                ENOUGH: "if (overlap >= threshold).any():",
                TAKEN: "free[overlap >= threshold] = False",
            },
        ),
        Mistake(
            "Every match counts here, so a target that is drawn twice is found twice. It is taken after the first.",
            {
                OVERLAP: "overlap = iou[mask]",
                "free = np.ones(iou.shape[1], bool)": "hits = 0",
                TAKEN: "hits += 1",
                SHARE: "shares.append(hits / iou.shape[1])",
            },
        ),
        Mistake(
            "A mask whose best target is taken gets nothing here. It takes the best of those that are still free.",
            {OVERLAP: "overlap = iou[mask]"},
        ),
        Mistake(
            "All masks take part: only the `most` best of them are asked for.",
            {ORDER: 'order = np.argsort(-scores, kind="stable")'},
        ),
        Mistake(
            "The first masks of the list are taken, not those with the highest scores.",
            {ORDER: "order = range(len(scores))[:most]"},
        ),
        Mistake(
            "The least sure masks come first: sort by falling score.",
            {ORDER: 'order = np.argsort(scores, kind="stable")[:most]'},
        ),
        Mistake(
            "The masks are ranked by their true IoU. A network does not know it: its scores have to rank them.",
            {ORDER: "order = np.argsort(-iou.max(axis=1))[:most]"},
        ),
        Mistake(
            "An IoU of exactly the threshold is a find: greater or equal.",
            {ENOUGH: "if overlap[best] > threshold:"},
        ),
        Mistake(
            "The first free target that suits is taken here; of those that suit, the one with the highest IoU is.",
            {BEST: "best = (overlap >= threshold).argmax()"},
        ),
        Mistake(
            "Divided by the number of masks, this is precision. Recall is the share of the targets.",
            {SHARE: "shares.append((~free).sum() / len(order))"},
        ),
        Mistake(
            "This is the share that was not found.",
            {SHARE: "shares.append(free.mean())"},
        ),
        Mistake(
            "Targets taken at one threshold stay taken at the next. Each threshold starts anew, with all targets free.",
            {
                "for threshold in np.linspace(0.5, 0.95, 10):\n        free = np.ones(iou.shape[1], bool)": (
                    "free = np.ones(iou.shape[1], bool)\n    for threshold in np.linspace(0.5, 0.95, 10):"
                ),
            },
        ),
        Mistake(
            "The thresholds run from 0 on. COCO's run from 0.5 to 0.95: less than half is no find.",
            {"np.linspace(0.5, 0.95, 10)": "np.linspace(0.0, 0.9, 10)"},
        ),
        Mistake(
            "The thresholds go up to 1. COCO's stop at 0.95, as people's own masks differ by that much.",
            {"np.linspace(0.5, 0.95, 10)": "np.linspace(0.5, 1, 10)"},
        ),
        Mistake(
            "AR is the mean of these ten shares; here all ten are asked for.",
            {"return np.array(shares, iou.dtype)": "return np.array(np.mean(shares), iou.dtype)"},
        ),
        Mistake(
            "All ten recalls are at the threshold 0.5. The thresholds rise to 0.95.",
            {"np.linspace(0.5, 0.95, 10)": "np.full(10, 0.5)"},
        ),
    ],
    "interval": [
        Mistake(
            "Masks are drawn here, not images: the numbers drawn were taken for places of masks. Masks of one image "
            "are alike, so the interval comes out too narrow.",
            {RESAMPLE: "resample = values[images.astype(int) % len(values)]"},
        ),
        Mistake(
            "This is a mean of the images' means. In a mean over masks an image with many of them weighs more.",
            {RESAMPLE: "resample = np.array([values[image == one].mean() for one in images])"},
        ),
        Mistake(
            "An image that was drawn twice counts once. It has to count twice: that is what drawing with replacement "
            "means.",
            {RESAMPLE: "resample = values[np.isin(image, images)]"},
        ),
        Mistake(
            "Each sum is divided by the number of masks there are; the resample has its own, more or fewer.",
            {MEAN: "means.append(resample.sum() / len(values))"},
        ),
        Mistake(
            "This is the middle 90 %. 95 % leave 2.5 % on each side.",
            {ENDS: "return np.quantile(means, [0.05, 0.95]).astype(values.dtype)"},
        ),
        Mistake(
            "These are the least and the largest mean. They move apart the more resamples there are.",
            {ENDS: "return np.array([min(means), max(means)], values.dtype)"},
        ),
        Mistake(
            "One standard deviation to each side is about 68 %.",
            {ENDS: "return (np.mean(means) + np.std(means) * np.array([-1, 1])).astype(values.dtype)"},
        ),
        Mistake(
            "This is 1.96 standard deviations to each side, which takes the spread for a normal one. The percentiles "
            "of the means were asked for.",
            {ENDS: "return (np.mean(means) + 1.96 * np.std(means) * np.array([-1, 1])).astype(values.dtype)"},
        ),
        Mistake(
            "Divided by the root of the number of resamples: with enough of them any interval would vanish. The spread "
            "of the means is already what is asked for.",
            {
                ENDS: (
                    "half = 1.96 * np.std(means) / np.sqrt(len(means))\n"
                    "    return (np.mean(means) + half * np.array([-1, 1])).astype(values.dtype)"
                )
            },
        ),
        Mistake(
            "These are percentiles of the masks' values: how different masks are, not how sure their mean is.",
            {ENDS: "return np.quantile(values, [0.025, 0.975]).astype(values.dtype)"},
        ),
        Mistake(
            "The median of each resample was kept, not the mean.",
            {MEAN: "means.append(np.median(resample))"},
        ),
        Mistake(
            "The high end comes first here.",
            {ENDS: "return np.quantile(means, [0.975, 0.025]).astype(values.dtype)"},
        ),
        Mistake(
            "The numbers are percentages here; np.quantile takes shares. np.percentile would take 2.5 and 97.5.",
            {ENDS: "return np.percentile(means, [0.025, 0.975]).astype(values.dtype)"},
        ),
        Mistake(
            "These are the ends' distances from the mean; the ends themselves were asked for.",
            {ENDS: "return (np.quantile(means, [0.025, 0.975]) - values.mean()).astype(values.dtype)"},
        ),
    ],
    "ods_and_ois": [
        Mistake(
            "Both bugs are still there. With one image all is right: what happens to the second one?",
            {**MEAN_ODS, **MEAN_OIS},
        ),
        Mistake(
            "ODS is right now. OIS is still a mean of the images' F; sum the counts of each at its own best threshold.",
            MEAN_OIS,
        ),
        Mistake(
            "OIS is right now. ODS is still the best mean of the images' F; sum the counts first, then take F.",
            MEAN_ODS,
        ),
        Mistake(
            "The threshold of ODS is the one with the best mean F. It is the one at which F of the sums is best.",
            {
                ODS: (
                    "one = f_measure(right, predicted, true[:, None]).mean(axis=0).argmax()\n"
                    "    ods = f_measure(right[:, one].sum(), predicted[:, one].sum(), true.sum())"
                )
            },
        ),
        Mistake(
            "Precision and recall are averaged over images, and F made of the means. The counts are to be summed.",
            {
                ODS: (
                    "precision = (right / np.maximum(predicted, 1)).mean(axis=0)\n"
                    "    recall = (right / true[:, None]).mean(axis=0)\n"
                    "    ods = (2 * precision * recall / np.maximum(precision + recall, 1e-12)).max()"
                )
            },
        ),
        Mistake(
            "The two are exchanged: one threshold for the data set is ODS, each image's own is OIS.",
            {BOTH: "return np.array([ois, ods], right.dtype)"},
        ),
        Mistake(
            "Each image's own threshold is the one with its best precision. It is the one with its best F.",
            {OWN: "own = (right / np.maximum(predicted, 1)).argmax(axis=1)"},
        ),
        Mistake(
            "Each image's own threshold is the one with its best recall, the lowest. It is the one with its best F.",
            {OWN: "own = (right / true[:, None]).argmax(axis=1)"},
        ),
        Mistake(
            "All images share the threshold of ODS here, so OIS is ODS once more. Each has its own.",
            {OWN: ("own = f_measure(right.sum(axis=0), predicted.sum(axis=0), true.sum()).argmax()")},
        ),
        Mistake(
            "F was changed into the plain mean of precision and recall. The harmonic one was right: it is low where "
            "either is.",
            {F: "return (precision + recall) / 2"},
        ),
        Mistake(
            "This is IoU, right pixels over all that are predicted or true. F counts the right ones twice.",
            {F: "return precision * recall / np.maximum(precision + recall - precision * recall, 1e-12)"},
        ),
        Mistake(
            "ODS is a mean over thresholds here; it is the best of them.",
            {ODS: "ods = f_measure(right.sum(axis=0), predicted.sum(axis=0), true.sum()).mean()"},
        ),
        Mistake(
            "The sums over images are divided by one image's true pixels, not by all.",
            {ODS: "ods = f_measure(right.sum(axis=0), predicted.sum(axis=0), true.max()).max()"},
        ),
        Mistake(
            "The guard against nothing predicted is gone: 0 / 0 is nan, and any maximum with it. Such a threshold has "
            "F = 0.",
            {"precision = right / np.maximum(predicted, 1)": "precision = right / predicted"},
        ),
    ],
}
