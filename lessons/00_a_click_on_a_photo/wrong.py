"""Wrong answers to lesson 0, and what each of them misunderstands."""

from minisam.lesson.mistakes import Mistake

SIDES = "new_height, new_width = int(height * scale + 0.5), int(width * scale + 0.5)"
FACTORS = "factors = np.array([new_width / width, new_height / height], points.dtype)"
MOVED = "return points * factors"
ENDS = "bottom, right = int(height * scale + 0.5), int(width * scale + 0.5)"
SQUARE = 'square = F.interpolate(logits[None], size=(size, size), mode="bilinear")'
SEEN = "seen = square[:, :, :bottom, :right]"
IMAGE = 'return F.interpolate(seen, size=(height, width), mode="bilinear")[0]'
POSITIVE = "mask, true = logits > 0, truth == 1"
INTERSECTION = "intersection = (mask & true).sum(axis=(1, 2))"
UNION = "union = (mask | true).sum(axis=(1, 2))"
RATIO = "return (intersection / np.maximum(union, 1)).astype(logits.dtype)"

WRONG = {
    "to_network_pixels": [
        Mistake(
            "The factors are exchanged: a point is (x, y), so the first number goes with the width.",
            {FACTORS: "factors = np.array([new_height / height, new_width / width], points.dtype)"},
        ),
        Mistake(
            "One factor for both sides. The new sides are whole pixels, so each side has a factor of its own.",
            {FACTORS: "factors = np.array([scale, scale], points.dtype)"},
        ),
        Mistake(
            "Python's round takes a half to the nearest even number: 12.5 becomes 12. int(… + 0.5) makes 13 of it.",
            {SIDES: "new_height, new_width = round(height * scale), round(width * scale)"},
        ),
        Mistake(
            "Both sides are stretched to the full size. SAM keeps the shape of a photo: the longer side decides.",
            {SIDES: "new_height, new_width = size, size"},
        ),
        Mistake(
            "The shorter side was brought to the size; the longer one then sticks out of the network's square.",
            {
                "    scale = size / max(height, width)\n    new": "    scale = size / min(height, width)\n    new"
            },
        ),
        Mistake(
            "The points come back as (y, x). They stay (x, y), even though an array is indexed [y, x].",
            {MOVED: "return (points * factors)[:, ::-1]"},
        ),
        Mistake(
            "The new sides were cut down to whole pixels; they are rounded, int(side * scale + 0.5).",
            {SIDES: "new_height, new_width = int(height * scale), int(width * scale)"},
        ),
        Mistake(
            "The points are rounded to whole pixels. A click may lie between them, and the network takes it as it "
            "is.",
            {MOVED: "return np.round(points * factors)"},
        ),
        Mistake(
            "It goes the wrong way, from the network's pixels to the photo's.",
            {MOVED: "return points / factors"},
        ),
        Mistake(
            "The points were moved as if the photo lay in the middle of the square. It lies in the top left corner.",
            {
                MOVED: (
                    "edges = np.array([size - new_width, size - new_height], points.dtype)\n"
                    "    return points * factors + edges / 2"
                )
            },
        ),
        Mistake(
            "The points are divided by the size, to lie between 0 and 1; the network's input is asked for in pixels.",
            {MOVED: "return points * factors / size"},
        ),
        Mistake(
            "Half a pixel is added. The prompt encoder does that later, by itself.",
            {MOVED: "return points * factors + np.array(0.5, points.dtype)"},
        ),
        Mistake(
            "The points are scaled as centres of pixels: half a pixel is added before and taken off after. SAM "
            "scales the coordinates as they are.",
            {
                "return points * factors": (
                    "half = np.array(0.5, points.dtype)\n    return (points + half) * factors - half"
                )
            },
        ),
        Mistake(
            "Both coordinates have the width's factor: y goes with the height, and rounding makes the two differ.",
            {
                ("np.array([new_width / width, new_height / height], points.dtype)"): (
                    "np.array([new_width / width, new_width / width], points.dtype)"
                )
            },
        ),
        Mistake(
            "The points are pushed back into the image. A click may lie at its edge or beyond it, as the corner "
            "of a box does.",
            {
                "return points * factors": (
                    "return np.clip(points * factors, 0, size - 1).astype(points.dtype)"
                )
            },
        ),
    ],
    "logits_to_image": [
        Mistake(
            "The padding is still in: what belongs to the empty border was squeezed into the photo.",
            {SEEN: "seen = square"},
        ),
        Mistake(
            "It went from the small masks to the photo in one step, and the padding came along. Bring them to "
            "size × size, cut the padding off, then go to height × width.",
            {SQUARE: "square = logits[None]", SEEN: "seen = square"},
        ),
        Mistake(
            "Rows and columns are exchanged where the padding is cut off.",
            {SEEN: "seen = square[:, :, :right, :bottom]"},
        ),
        Mistake(
            "The padding was cut off on the wrong sides: the photo lies in the top left corner.",
            {SEEN: "seen = square[:, :, size - bottom :, size - right :]"},
        ),
        Mistake(
            "It was cut from the middle, as if the padding were on all sides: the photo lies in the top left corner.",
            {
                SEEN: (
                    "top, left = (size - bottom) // 2, (size - right) // 2\n"
                    "    seen = square[:, :, top : top + bottom, left : left + right]"
                )
            },
        ),
        Mistake(
            "Height and width are exchanged in the last step: F.interpolate takes (rows, columns).",
            {IMAGE: IMAGE.replace("(height, width)", "(width, height)")},
        ),
        Mistake(
            "The padding was cut off in the small masks, to whole small pixels: bring them to size × size first.",
            {
                SQUARE: "square = logits[None]",
                SEEN: "seen = square[:, :, : bottom * len(logits[0]) // size, : right * len(logits[0]) // size]",
            },
        ),
        Mistake(
            "The logits were thresholded first: an interpolated mask of 0 and 1 has steps. Interpolate the "
            "logits; the threshold comes last, and not here.",
            {SQUARE: SQUARE.replace("logits[None]", "(logits[None] > 0).float()")},
        ),
        Mistake(
            "The result is a mask. The logits are asked for: the threshold comes after this function.",
            {IMAGE: f"{IMAGE} > 0"},
        ),
        Mistake(
            "These are probabilities. Logits are asked for, without a sigmoid.",
            {IMAGE: f"{IMAGE}.sigmoid()"},
        ),
        Mistake(
            "The nearest pixel was taken: the outlines get the small mask's stairs. Use bilinear.",
            {SQUARE: SQUARE.replace("bilinear", "nearest"), IMAGE: IMAGE.replace("bilinear", "nearest")},
        ),
        Mistake(
            "The corners were laid on the corners (align_corners=True); pixels are squares, and their edges meet.",
            {
                SQUARE: SQUARE.replace('"bilinear"', '"bilinear", align_corners=True'),
                IMAGE: IMAGE.replace('"bilinear"', '"bilinear", align_corners=True'),
            },
        ),
        Mistake(
            "It is bicubic; SAM interpolates masks bilinearly.",
            {SQUARE: SQUARE.replace("bilinear", "bicubic"), IMAGE: IMAGE.replace("bilinear", "bicubic")},
        ),
        Mistake(
            "The second step is antialiased, which averages logits where the image gets smaller. SAM interpolates "
            "without it.",
            {
                ('F.interpolate(seen, size=(height, width), mode="bilinear")[0]'): (
                    'F.interpolate(seen, size=(height, width), mode="bilinear", antialias=True)[0]'
                )
            },
        ),
        Mistake(
            "The second step is bicubic. Both are bilinear.",
            {
                ('F.interpolate(seen, size=(height, width), mode="bilinear")[0]'): (
                    'F.interpolate(seen, size=(height, width), mode="bicubic")[0]'
                )
            },
        ),
        Mistake(
            "The logits become 0 and 1 between the two steps. The threshold comes at the very end.",
            {"seen = square[:, :, :bottom, :right]": "seen = (square[:, :, :bottom, :right] > 0).float()"},
        ),
    ],
    "mask_iou": [
        Mistake(
            "The bug is still there: 0.5 is half a probability, and these are logits. sigmoid(0) = 0.5, so the "
            "threshold is 0; with 0.5 every mask is a little too small.",
            {POSITIVE: "mask, true = logits > 0.5, truth == 1"},
        ),
        Mistake(
            "A sigmoid is always above 0: every pixel is in the mask now. Either sigmoid and 0.5, or logits and 0.",
            {POSITIVE: "mask, true = 1 / (1 + np.exp(-logits)) > 0, truth == 1"},
        ),
        Mistake(
            "A logit of exactly 0 is outside: SAM's mask is where the logit is above 0.",
            {POSITIVE: "mask, true = logits >= 0, truth == 1"},
        ),
        Mistake(
            "The overlap is counted twice in the union: union = mask + truth - intersection.",
            {UNION: "union = mask.sum(axis=(1, 2)) + true.sum(axis=(1, 2))"},
        ),
        Mistake(
            "That is the Dice coefficient, twice the intersection over the sum of both. It is never smaller than "
            "the IoU.",
            {
                RATIO: (
                    "both = mask.sum(axis=(1, 2)) + true.sum(axis=(1, 2))\n"
                    "    return (2 * intersection / np.maximum(both, 1)).astype(logits.dtype)"
                )
            },
        ),
        Mistake(
            "That is how much of the truth was found: a mask of everything would have 1. Divide by the union.",
            {UNION: "union = true.sum(axis=(1, 2))"},
        ),
        Mistake(
            "That is how much of the mask is true: a mask of one right pixel would have 1. Divide by the union.",
            {UNION: "union = mask.sum(axis=(1, 2))"},
        ),
        Mistake(
            "That is the share of pixels that agree. A small object in a large image makes it nearly 1 for an "
            "empty mask.",
            {INTERSECTION: "intersection = (mask == true).mean(axis=(1, 2))", UNION: "union = 1"},
        ),
        Mistake(
            "All masks are counted together; each has an IoU of its own.",
            {
                INTERSECTION: "intersection = (mask & true).sum().repeat(len(logits))",
                UNION: "union = (mask | true).sum()",
            },
        ),
        Mistake(
            "Summed along one axis only: a number for each column is left.",
            {
                INTERSECTION: "intersection = (mask & true).sum(axis=1)",
                UNION: "union = (mask | true).sum(axis=1)",
            },
        ),
        Mistake(
            "Probabilities are summed instead of pixels counted: that is a soft IoU, which losses use. A mask is "
            "in or out.",
            {
                INTERSECTION: (
                    "share = 1 / (1 + np.exp(-logits))\n    intersection = (share * true).sum(axis=(1, 2))"
                ),
                UNION: "union = (share + true - share * true).sum(axis=(1, 2))",
            },
        ),
        Mistake(
            "An empty mask of an empty truth divides by zero: give the union at least 1.",
            {RATIO: "return (intersection / union).astype(logits.dtype)"},
        ),
        Mistake(
            "Where there is no object and no mask, the IoU is 1 here. The function as it was gives 0, and that "
            "was no bug.",
            {
                "return (intersection / np.maximum(union, 1))": (
                    "return np.where(union == 0, 1, intersection / np.maximum(union, 1))"
                )
            },
        ),
    ],
}
