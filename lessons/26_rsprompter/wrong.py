"""Wrong answers to lesson 26, and what each of them misunderstands."""

from minisam.lesson.mistakes import Mistake

SIDES = "sides = stride * scales[:, None]"
SHAPES = "wide, high = (sides / np.sqrt(ratios)).ravel(), (sides * np.sqrt(ratios)).ravel()"
OF_CELL = "of_cell = np.stack([-wide, -high, wide, high], axis=1) / 2"
GRID = "y, x = stride * np.mgrid[:height, :width]"
CENTRES = "centres = np.stack([x, y, x, y], axis=-1).reshape(-1, 1, 4)"
ANCHORS = "return (centres + of_cell).reshape(-1, 4).astype(scales.dtype)"
MATCH = "match = np.where(iou.max(axis=1) >= positive, iou.argmax(axis=1), -2)"
BACKGROUND = "match[iou.max(axis=1) < negative] = -1"
EACH_OBJECT = "for number, best in enumerate(iou.max(axis=0)):"
ENOUGH = "if best >= lowest:"
OWN_BEST = "match[iou[:, number] == best] = number"
IN_CELLS = "x0, y0, x1, y1 = box / stride - 0.5"
BIN = "bin_height, bin_width = (y1 - y0) / side, (x1 - x0) / side"
COUNTS = "down, across = math.ceil(bin_height), math.ceil(bin_width)"
Y = "y = y0 + bin_height * (row + (i + 0.5) / down)"
X = "x = x0 + bin_width * (column + (j + 0.5) / across)"
SUM = "out[:, row, column] += value_at(features, y, x) / (down * across)"
OUT = "out = np.zeros((len(features), side, side), features.dtype)"
PAIRS = "pairs = numbers.unflatten(1, (points, -1, 2))"
WRITTEN = "return pairs[..., 0].sin() + pairs[..., 1]"
BOX_SIDES = "sides = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1).sqrt()"
SIDES_OF_BOXES = "sides = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1).sqrt()"
LEVEL = "level = (sides / finest).log2().floor().clamp(0, 2)"
MAPS = "enumerate((fine, middle, coarse)):"
OWN = "own = (level == number).nonzero()[:, 0]"
STRIDE = "1 / STRIDES[number]"
RESTORED = "return torch.cat(parts)[torch.cat(places).argsort()]"

WRONG = {
    "grid_anchors": [
        Mistake(
            "The ratio is taken for width / height. It is height / width: a ratio of 2 is a tall box.",
            {SHAPES: "wide, high = (sides * np.sqrt(ratios)).ravel(), (sides / np.sqrt(ratios)).ravel()"},
        ),
        Mistake(
            "The root is missing: width and height are divided and multiplied by √ratio, so that height / width is "
            "the ratio.",
            {SHAPES: "wide, high = (sides / ratios).ravel(), (sides * ratios).ravel()"},
        ),
        Mistake(
            "Only the height changes with the ratio, and the area with it. The area stays (stride · scale)².",
            {SHAPES: "wide, high = (sides + 0 * ratios).ravel(), (sides * ratios).ravel()"},
        ),
        Mistake(
            "Only the width changes with the ratio, and the area with it. The area stays (stride · scale)².",
            {SHAPES: "wide, high = (sides / ratios).ravel(), (sides + 0 * ratios).ravel()"},
        ),
        Mistake(
            "The ratios come first, and for each of them the scales. The order is scale by scale.",
            {
                SHAPES: "wide = (sides / np.sqrt(ratios)).T.ravel()\n"
                "    high = (sides * np.sqrt(ratios)).T.ravel()"
            },
        ),
        Mistake(
            "The centres are in the middle of the cells. Here they are at the corner: cell (0, 0) has its anchors "
            "around (0, 0), as in RSPrompter's code.",
            {GRID: "y, x = stride * (np.mgrid[:height, :width] + 0.5)"},
        ),
        Mistake(
            "The cells are counted down the columns. They come row by row: (0, 0), (0, 1), …",
            {GRID: GRID + "\n    y, x = y.T, x.T"},
        ),
        Mistake(
            "The centres are in cells. Anchors are in pixels: cell 3 is at 3 · stride.",
            {GRID: "y, x = np.mgrid[:height, :width]"},
        ),
        Mistake(
            "The sides are the scales alone. A scale is in cells: the side is stride · scale pixels.",
            {SIDES: "sides = scales[:, None]"},
        ),
        Mistake(
            "x and y of the centres are exchanged. A box is (x0, y0, x1, y1); np.mgrid gives y first.",
            {CENTRES: CENTRES.replace("[x, y, x, y]", "[y, x, y, x]")},
        ),
        Mistake(
            "The boxes are twice as wide and as high: half of a side lies on each side of the centre.",
            {OF_CELL: OF_CELL.removesuffix(" / 2")},
        ),
        Mistake(
            "The centre is taken for the first corner. Half of a side lies on each side of it.",
            {OF_CELL: "of_cell = np.stack([0 * wide, 0 * high, wide, high], axis=1)"},
        ),
        Mistake(
            "These are centres and sizes. A box is two corners, (x0, y0, x1, y1).",
            {
                OF_CELL: "of_cell = np.stack([0 * wide, 0 * high, wide, high], axis=1)",
                CENTRES: CENTRES.replace("[x, y, x, y]", "[x, y, 0 * x, 0 * y]"),
            },
        ),
        Mistake(
            "All cells have one anchor before the next anchor comes. The order is cell by cell, with all anchors of "
            "a cell together.",
            {ANCHORS: ANCHORS.replace("(centres + of_cell)", "(centres + of_cell).swapaxes(0, 1)")},
        ),
        Mistake(
            "Only the width depends on the ratio. The height is the side times √ratio, so that the area stays.",
            {"(sides * np.sqrt(ratios)).ravel()": "sides.repeat(len(ratios))"},
        ),
        Mistake(
            "The scale is taken for an area. It is the side of a square anchor, in cells.",
            {"sides = stride * scales[:, None]": "sides = stride * np.sqrt(scales[:, None])"},
        ),
    ],
    "match_anchors": [
        Mistake(
            "The last rule is missing: an object whose best anchor is below `positive` gets none.",
            {ENOUGH: "if False:"},
        ),
        Mistake(
            "`lowest` is not used: an object gets its best anchors even if they hardly touch it.",
            {ENOUGH: "if best > 0:"},
        ),
        Mistake(
            "A best IoU of exactly `lowest` is enough: >=, not >.",
            {ENOUGH: ENOUGH.replace(">=", ">")},
        ),
        Mistake(
            "An object that no anchor touches takes every anchor: the best IoU is 0, and all of them have it.",
            {ENOUGH: "if True:"},
        ),
        Mistake(
            "Only the first of an object's best anchors is kept. All that are equally good belong to it.",
            {OWN_BEST: "match[iou[:, number].argmax()] = number"},
        ),
        Mistake(
            "The last rule only fills anchors that have no object yet. It overwrites: the last object counts.",
            {OWN_BEST: "match[(iou[:, number] == best) & (match < 0)] = number"},
        ),
        Mistake(
            "The first object of which an anchor is the best counts. It is the last one.",
            {EACH_OBJECT: "for number, best in reversed(list(enumerate(iou.max(axis=0)))):"},
        ),
        Mistake(
            "Nothing is ignored. Anchors between the two thresholds teach neither: they are -2.",
            {MATCH: MATCH.replace("-2)", "-1)")},
        ),
        Mistake(
            "Anchors below `negative` are ignored as well. They are the background, -1.",
            {BACKGROUND: "match[iou.max(axis=1) < negative] = -2"},
        ),
        Mistake(
            "An IoU of exactly `positive` counts as positive: >=, not >.",
            {MATCH: MATCH.replace(">=", ">")},
        ),
        Mistake(
            "An IoU of exactly `negative` is not background: <, not <=.",
            {BACKGROUND: BACKGROUND.replace("<", "<=")},
        ),
        Mistake(
            "-1 and -2 are exchanged: -1 is background, -2 ignored.",
            {MATCH: MATCH.replace("-2)", "-1)"), BACKGROUND: BACKGROUND.replace("= -1", "= -2")},
        ),
        Mistake(
            "Every anchor gets its best object, however small the IoU is. It has to reach `positive`.",
            {MATCH: "match = iou.argmax(axis=1)"},
        ),
        Mistake(
            "The thresholds of background come last, and overwrite the last rule.",
            {
                MATCH: MATCH + "\n    background = iou.max(axis=1) < positive",
                OWN_BEST: OWN_BEST
                + "\n    match[background] = np.where(iou.max(axis=1)[background] < negative, -1, -2)",
                BACKGROUND: "",
            },
        ),
        Mistake(
            "Every anchor with an object gets 1. The result is the number of its object, from 0.",
            {
                MATCH: MATCH.replace("iou.argmax(axis=1)", "1"),
                OWN_BEST: OWN_BEST.replace("= number", "= 1"),
            },
        ),
        Mistake(
            "Objects are counted from 1. The first one is 0.",
            {
                "iou.argmax(axis=1), -2)": "iou.argmax(axis=1) + 1, -2)",
                ("= number\n    return match"): ("= number + 1\n    return match"),
            },
        ),
        Mistake(
            "Only the best anchors of each object are positive. All that reach the positive threshold are, too.",
            {
                "match = np.where(iou.max(axis=1) >= positive, iou.argmax(axis=1), -2)": "match = np.full(len(iou), -2)"
            },
        ),
    ],
    "roi_align": [
        Mistake(
            "Half a cell is missing: the centre of cell 0 is pixel stride / 2, so pixel p is at p / stride - 0.5.",
            {IN_CELLS: "x0, y0, x1, y1 = box / stride"},
        ),
        Mistake(
            "The half cell is added. Pixel 0 lies half a cell before the centre of cell 0.",
            {IN_CELLS: "x0, y0, x1, y1 = box / stride + 0.5"},
        ),
        Mistake(
            "The box is rounded to whole cells. That was RoIPool; RoIAlign rounds nothing.",
            {IN_CELLS: "x0, y0, x1, y1 = np.round(box / stride) - 0.5"},
        ),
        Mistake(
            "The box is in pixels still. The map has cells of `stride` pixels.",
            {IN_CELLS: "x0, y0, x1, y1 = box - 0.5"},
        ),
        Mistake(
            "A bin has one sample, in its middle. It has one for each cell that it covers, rounded up, along y and "
            "along x.",
            {COUNTS: "down = across = 1"},
        ),
        Mistake(
            "A bin has 2 × 2 samples, for any size. It has one for each cell that it covers, rounded up.",
            {COUNTS: "down = across = 2"},
        ),
        Mistake(
            "The numbers of samples are exchanged: bin_height decides along y, bin_width along x.",
            {COUNTS: "across, down = math.ceil(bin_height), math.ceil(bin_width)"},
        ),
        Mistake(
            "The number of samples is rounded down. It is rounded up, so that no cell is skipped.",
            {COUNTS: "down, across = max(int(bin_height), 1), max(int(bin_width), 1)"},
        ),
        Mistake(
            "The number of samples is that of the whole box. It is that of a bin.",
            {COUNTS: "down, across = math.ceil(bin_height * side), math.ceil(bin_width * side)"},
        ),
        Mistake(
            "The larger of the two numbers of samples is used for both directions.",
            {COUNTS: "down = across = math.ceil(max(bin_height, bin_width))"},
        ),
        Mistake(
            "The samples start at the edge of a bin. They lie in the middle of equal parts: (i + 0.5) / down.",
            {Y: Y.replace("(i + 0.5)", "i"), X: X.replace("(j + 0.5)", "j")},
        ),
        Mistake(
            "The samples are the nearest cells. They are interpolated between four.",
            {SUM: SUM.replace("value_at(features, y, x)", "value_at(features, round(y), round(x))")},
        ),
        Mistake(
            "The samples are added. A bin is their mean.",
            {SUM: SUM.removesuffix(" / (down * across)")},
        ),
        Mistake(
            "The largest sample is kept. A bin is the mean of its samples.",
            {
                OUT: OUT.replace("np.zeros(", "np.full(").replace("side),", "side), -np.inf,"),
                SUM: "out[:, row, column] = np.maximum(out[:, row, column], value_at(features, y, x))",
            },
        ),
        Mistake(
            "x and y of the samples are exchanged: value_at takes y first.",
            {SUM: SUM.replace("features, y, x", "features, x, y")},
        ),
        Mistake(
            "The bins are exchanged: the first index of the result is the row, y.",
            {SUM: SUM.replace("out[:, row, column]", "out[:, column, row]")},
        ),
        Mistake(
            "The rows are counted from the bottom. y grows downwards in images, and row 0 is at y0.",
            {SUM: SUM.replace("out[:, row, column]", "out[:, side - 1 - row, column]")},
        ),
        Mistake(
            "The box is (x0, y0, width, height) here. It is two corners.",
            {BIN: "bin_height, bin_width = (y1 + 0.5) / side, (x1 + 0.5) / side"},
        ),
    ],
    "write_tokens": [
        Mistake(
            "The sine is taken of the odd numbers. It is taken of the even ones: 0, 2, 4, …",
            {WRITTEN: "return pairs[..., 1].sin() + pairs[..., 0]"},
        ),
        Mistake(
            "The sine is taken of the first half of a token's numbers. It is taken of every second one.",
            {PAIRS: "pairs = numbers.unflatten(1, (points, 2, -1)).transpose(-2, -1)"},
        ),
        Mistake(
            "The sine is taken of the first half of all numbers. Each token has its own 2·E numbers, in a row.",
            {PAIRS: "pairs = numbers.unflatten(1, (2, points, -1)).movedim(1, -1)"},
        ),
        Mistake(
            "The tokens' numbers are taken in turn. Those of the first token come first, all 2·E of them.",
            {PAIRS: "pairs = numbers.unflatten(1, (-1, points, 2)).transpose(1, 2)"},
        ),
        Mistake("The sine is missing.", {WRITTEN: "return pairs[..., 0] + pairs[..., 1]"}),
        Mistake("It is the sine, not the cosine.", {WRITTEN: "return pairs[..., 0].cos() + pairs[..., 1]"}),
        Mistake(
            "The sine is taken of both. The odd numbers are added as they are: a sine never leaves -1 … 1.",
            {WRITTEN: "return pairs[..., 0].sin() + pairs[..., 1].sin()"},
        ),
        Mistake(
            "The sine is taken of the sum. First the sine of the even numbers, then the odd ones are added.",
            {WRITTEN: "return (pairs[..., 0] + pairs[..., 1]).sin()"},
        ),
        Mistake(
            "The sine is multiplied by the odd numbers. They are added.",
            {WRITTEN: "return pairs[..., 0].sin() * pairs[..., 1]"},
        ),
        Mistake(
            "The odd numbers are subtracted. They are added.",
            {WRITTEN: "return pairs[..., 0].sin() - pairs[..., 1]"},
        ),
        Mistake(
            "The sine has a factor 2π. Fourier encoding has one (lesson 6); this head has none.",
            {WRITTEN: "return (2 * torch.pi * pairs[..., 0]).sin() + pairs[..., 1]"},
        ),
        Mistake(
            "The tokens are in reverse order. Token 0 is made of the first 2·E numbers.",
            {WRITTEN: WRITTEN.replace("return pairs", "pairs = pairs.flip(1)\n    return pairs")},
        ),
        Mistake(
            "The sine is without a gradient. The head is trained through it.",
            {WRITTEN: "return pairs[..., 0].detach().sin() + pairs[..., 1]"},
        ),
    ],
    "features_of_boxes": [
        Mistake(
            "The bug is still there. Put a large box first, and compare row 0 with the features of that box alone.",
            {RESTORED: "return torch.cat(parts)"},
        ),
        Mistake(
            "The order is applied in place of its inverse. torch.cat(places)[k] says which box row k is; "
            "needed is the row of each box, and argsort gives it.",
            {RESTORED: "return torch.cat(parts)[torch.cat(places)]"},
        ),
        Mistake(
            "The rows are sorted by the boxes' size. Their order is that of `boxes`.",
            {RESTORED: RESTORED + "[sides.argsort()]"},
        ),
        Mistake(
            "The rows are reversed. That restores the order only of lists that go from large boxes to small ones.",
            {RESTORED: "return torch.cat(parts).flip(0)"},
        ),
        Mistake(
            "The longer side decides about the level. It is the root of the area: a long narrow box is small.",
            {SIDES_OF_BOXES: "sides = (boxes[:, 2:] - boxes[:, :2]).amax(dim=1)"},
        ),
        Mistake(
            "All features come from the finest map. The order is right, and the level is no longer that of the box.",
            {LEVEL: "level = 0 * sides"},
        ),
        Mistake(
            "All features come from the middle map. The order is right, and the level is no longer that of the box.",
            {LEVEL: "level = 0 * sides + 1"},
        ),
        Mistake(
            "All features come from the coarsest map. The order is right, and the level is no longer that of the box.",
            {LEVEL: "level = 0 * sides + 2"},
        ),
        Mistake(
            "The levels are exchanged: large boxes take the fine map. Large boxes belong to the coarse one.",
            {LEVEL: LEVEL.replace("level = ", "level = 2 - ")},
        ),
        Mistake(
            "The level is rounded to the nearest. A box leaves a level at twice its side: floor.",
            {LEVEL: LEVEL.replace("floor", "round")},
        ),
        Mistake(
            "The level is rounded up. A box leaves a level at twice its side: floor.",
            {LEVEL: LEVEL.replace("floor", "ceil")},
        ),
        Mistake(
            "The level follows from the area. It follows from its root, a side.",
            {BOX_SIDES: BOX_SIDES.removesuffix(".sqrt()")},
        ),
        Mistake(
            "The stride of the finest map is used for all. It was right before: each level has its own.",
            {STRIDE: "1 / STRIDES[0]"},
        ),
        Mistake(
            "The boxes are sorted by level beforehand, and the features remain in that order. The caller knows nothing "
            "of it: labels and masks are in the old one.",
            {
                BOX_SIDES: BOX_SIDES + "\n    boxes = boxes[(-sides).argsort()]\n    " + BOX_SIDES,
            },
        ),
    ],
}
