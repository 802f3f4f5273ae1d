"""Wrong answers to lesson 7, and what each of them misunderstands."""

from minisam.lesson.mistakes import Mistake

UNIT = "unit = (points + 0.5) / np.array([width, height], points.dtype)"
TOKENS = "tokens = fourier_encoding(unit, gaussian) + kinds[np.maximum(label, 0)]"
POINTS_OUT = "return np.where((label == -1)[..., None], not_a_point, tokens)"
CORNERS = "corners = boxes.reshape(len(boxes), -1, 2)"
CORNER_LABELS = "corner_labels = labels.new_tensor([2, 3]).repeat(len(boxes), boxes.shape[1])"
PADS = "pads = 1 if boxes.shape[1] == 0 else 0"
ALL_POINTS = "all_points = torch.cat([points, padding, corners], dim=1)"
ALL_LABELS = "all_labels = torch.cat([labels, padding_labels, corner_labels], dim=1).long()"
POSITIONS = "positions = encode((all_points + 0.5) / size, gaussian)"
TOKENS_OUT = "return torch.where(all_labels[..., None] == -1, not_a_point, known)"
CONVOLVED = "convolved = F.conv2d(x, weight, bias, stride=2)"
DEVIATION = "deviation = convolved - convolved.mean(dim=1, keepdim=True)"
VARIANCE = "variance = (deviation**2).mean(dim=1, keepdim=True)"
SCALED = "scaled = normed * norm_weight[:, None, None] + norm_bias[:, None, None]"
GELU = "return F.gelu(scaled)"
SHARE = "share = cells.mean(axis=(1, 3))"
LOGITS = "return 20 * share[None] - 10"

WRONG = {
    "embed_points": [
        Mistake(
            "The half pixel is missing: a click on pixel 0 is in its middle, at 0.5.",
            {UNIT: UNIT.replace("(points + 0.5)", "points")},
        ),
        Mistake(
            "The half pixel is subtracted; the middle of pixel 0 is at 0.5, not at −0.5.",
            {UNIT: UNIT.replace("points + 0.5", "points - 0.5")},
        ),
        Mistake(
            "Height and width are exchanged: x is divided by the width, y by the height.",
            {UNIT: UNIT.replace("[width, height]", "[height, width]")},
        ),
        Mistake(
            "Divided by the number of pixels less one. Pixels are stretches: W of them reach from 0 to W.",
            {UNIT: UNIT.replace("[width, height]", "[width - 1, height - 1]")},
        ),
        Mistake(
            "np.array([width, height]) holds 64-bit integers, and float32 divided by those is float64. Give it the "
            "points' type: np.array([width, height], points.dtype).",
            {UNIT: UNIT.replace(", points.dtype", "")},
        ),
        Mistake(
            "The labels are floats, and an index has to be a whole number: labels.astype(int).",
            {"label = labels.astype(int)": "label = labels"},
        ),
        Mistake(
            "Padding got kinds[-1], which Python takes for the last one: a bottom-right corner. Label −1 needs "
            "not_a_point instead.",
            {TOKENS: TOKENS.replace("np.maximum(label, 0)", "label"), POINTS_OUT: "return tokens"},
        ),
        Mistake(
            "Padding got kinds[0]: it is a click on the background at (0, 0) now. Its token is not_a_point.",
            {POINTS_OUT: "return tokens"},
        ),
        Mistake(
            "Padding keeps its position. It is no point, so its token is not_a_point alone, without a where.",
            {
                POINTS_OUT: (
                    "return np.where((label == -1)[..., None], fourier_encoding(unit, gaussian) + not_a_point, tokens)"
                )
            },
        ),
        Mistake(
            "Padding is zero here. The network was trained with a learned vector in its place, not_a_point.",
            {POINTS_OUT: "return np.where((label == -1)[..., None], np.zeros_like(not_a_point), tokens)"},
        ),
        Mistake(
            "The kind is missing: all clicks say where, none says what.",
            {TOKENS: "tokens = fourier_encoding(unit, gaussian) + 0 * kinds[np.maximum(label, 0)]"},
        ),
        Mistake(
            "The position is missing: a token is where plus what.",
            {TOKENS: "tokens = 0 * fourier_encoding(unit, gaussian) + kinds[np.maximum(label, 0)]"},
        ),
        Mistake(
            "Where and what are multiplied; they are added.",
            {TOKENS: TOKENS.replace("gaussian) + kinds", "gaussian) * kinds")},
        ),
        Mistake(
            "Foreground and background are exchanged: label 1 is a click on the object, kinds[1].",
            {
                TOKENS: TOKENS.replace(
                    "np.maximum(label, 0)", "np.where(label < 2, 1 - np.maximum(label, 0), label)"
                )
            },
        ),
        Mistake(
            "Background clicks are taken for padding, too. Only label −1 is padding; 0 has an embedding of its "
            "own.",
            {"(label == -1)[..., None], not_a_point": "(label <= 0)[..., None], not_a_point"},
        ),
        Mistake(
            "Points beyond the image are pushed back to its edge. Their position is encoded as it is.",
            {"fourier_encoding(unit, gaussian)": "fourier_encoding(np.clip(unit, 0, 1), gaussian)"},
        ),
        Mistake(
            "x and y are exchanged: a position is (x, y), and x comes first in its code, too.",
            {"fourier_encoding(unit, gaussian)": "fourier_encoding(unit[..., ::-1], gaussian)"},
        ),
        Mistake(
            "Mapped from [0, 1] to [−1, 1] twice: fourier_encoding does that itself.",
            {"fourier_encoding(unit, gaussian)": "fourier_encoding(2 * unit - 1, gaussian)"},
        ),
        Mistake(
            "Both are divided by the longer side. x is divided by the width, y by the height.",
            {UNIT: UNIT.replace("[width, height]", "[max(width, height), max(width, height)]")},
        ),
        Mistake(
            "The half is added after the division. It is half a pixel, so it belongs to the pixels.",
            {UNIT: "unit = points / np.array([width, height], points.dtype) + points.dtype.type(0.5)"},
        ),
        Mistake(
            "Corners of a box have no kind here. Labels 2 and 3 have embeddings like 0 and 1: kinds[2] and kinds[3].",
            {
                TOKENS: TOKENS.replace(
                    "kinds[np.maximum(label, 0)]", "kinds[np.maximum(label, 0)] * (label < 2)[..., None]"
                )
            },
        ),
        Mistake(
            "Corners of a box are taken for clicks on the object. Their kinds are kinds[2] and kinds[3].",
            {TOKENS: TOKENS.replace("np.maximum(label, 0)", "np.clip(label, 0, 1)")},
        ),
        Mistake(
            "Padding is moved to the end of its prompt. A token stands where its point stands.",
            {
                POINTS_OUT: (
                    "out = np.where((label == -1)[..., None], not_a_point, tokens)\n"
                    '    return np.take_along_axis(out, np.argsort(label == -1, axis=1, kind="stable")[..., None], 1)'
                )
            },
        ),
    ],
    "sparse_tokens": [
        Mistake("The padding point is missing where there is no box.", {PADS: "pads = 0"}),
        Mistake("There is a padding point although there is a box.", {PADS: "pads = 1"}),
        Mistake(
            "Padding is there where there is a box, and missing where there is none.",
            {PADS: "pads = 0 if boxes.shape[1] == 0 else 1"},
        ),
        Mistake(
            "The padding comes first; it belongs behind the points.",
            {
                ALL_POINTS: ALL_POINTS.replace("points, padding,", "padding, points,"),
                ALL_LABELS: ALL_LABELS.replace("labels, padding_labels,", "padding_labels, labels,"),
            },
        ),
        Mistake(
            "The padding point has label 0: that is a click on the background at (0, 0).",
            {"labels.new_full((len(points), pads), -1)": "labels.new_full((len(points), pads), 0)"},
        ),
        Mistake(
            "The boxes come before the points.",
            {
                ALL_POINTS: ALL_POINTS.replace("points, padding, corners", "corners, points, padding"),
                ALL_LABELS: ALL_LABELS.replace(
                    "labels, padding_labels, corner_labels", "corner_labels, labels, padding_labels"
                ),
            },
        ),
        Mistake(
            "The corners' kinds are exchanged: top left is 2, bottom right is 3.",
            {CORNER_LABELS: CORNER_LABELS.replace("[2, 3]", "[3, 2]")},
        ),
        Mistake(
            "Both corners have one kind, so nobody knows which is which.",
            {CORNER_LABELS: CORNER_LABELS.replace("[2, 3]", "[2, 2]")},
        ),
        Mistake(
            "The corners are taken for clicks on the object: their kinds are 2 and 3.",
            {CORNER_LABELS: CORNER_LABELS.replace("[2, 3]", "[1, 1]")},
        ),
        Mistake(
            "The box is read as (x0, x1, y0, y1); it is (x0, y0, x1, y1), two corners one after the other.",
            {CORNERS: "corners = boxes[..., [0, 2, 1, 3]].reshape(len(boxes), -1, 2)"},
        ),
        Mistake(
            "All top-left corners come first, then all bottom-right ones. The two corners of a box stand together.",
            {
                CORNERS: "corners = torch.cat([boxes[..., :2], boxes[..., 2:]], dim=1)",
                CORNER_LABELS: (
                    "corner_labels = labels.new_tensor([2, 3]).repeat_interleave(boxes.shape[1])"
                    ".expand(len(boxes), -1)"
                ),
            },
        ),
        Mistake(
            "The half pixel is missing.", {POSITIONS: POSITIONS.replace("(all_points + 0.5)", "all_points")}
        ),
        Mistake(
            "Padding keeps its position: its token is not_a_point alone.",
            {TOKENS_OUT: TOKENS_OUT.replace("not_a_point,", "positions + not_a_point,")},
        ),
        Mistake(
            "Labels 2 and 3 among the points are taken for a box. The padding point "
            "is left out only where boxes has one.",
            {PADS: PADS.replace("== 0 else", "== 0 and not (labels > 1).any() else")},
        ),
        Mistake(
            "A box is read as centre and size. Its four numbers are two corners, (x0, y0) and (x1, y1).",
            {
                "corners = boxes.reshape(len(boxes), -1, 2)": (
                    "middle, sides = (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]\n"
                    "    corners = torch.cat([middle, sides], dim=-1).reshape(len(boxes), -1, 2)"
                )
            },
        ),
        Mistake(
            "The half pixel is missing for the corners of boxes. They get it like every point.",
            {
                "encode((all_points + 0.5) / size, gaussian)": (
                    "encode(torch.cat([points + 0.5, padding + 0.5, corners], dim=1) / size, gaussian)"
                )
            },
        ),
        Mistake(
            "There is a padding point although there is a box, behind its corners.",
            {
                PADS: "pads = 1",
                ALL_POINTS: ALL_POINTS.replace("padding, corners", "corners, padding"),
                ALL_LABELS: ALL_LABELS.replace(
                    "padding_labels, corner_labels", "corner_labels, padding_labels"
                ),
            },
        ),
        Mistake(
            "The padding point is added wherever there are points. It is added wherever there is no box.",
            {PADS: "pads = 1 if points.shape[1] else 0"},
        ),
        Mistake(
            "No padding point is added where a prompt has label −1 already. One is added in any case, unless there is "
            "a box.",
            {PADS: PADS.replace("== 0 else", "== 0 and not (labels == -1).any() else")},
        ),
        Mistake(
            "The padding point is added to single clicks only. It is added to every prompt without a box.",
            {PADS: PADS.replace("== 0 else", "== 0 and points.shape[1] == 1 else")},
        ),
        Mistake(
            "Only the first box is used. There may be several, and each has two tokens.",
            {
                CORNERS: "boxes = boxes[:, :1]\n    " + CORNERS,
            },
        ),
        Mistake(
            "Half a pixel is subtracted from the bottom-right corner. It is added to both corners.",
            {
                POSITIONS: "all_points = torch.where(all_labels[..., None] == 3, all_points - 1, all_points)\n    "
                + POSITIONS
            },
        ),
        Mistake(
            "Positions beyond the image are pushed back to its edge. They are encoded as they are.",
            {CORNERS: CORNERS.replace("boxes.reshape", "boxes.clamp(0, size).reshape")},
        ),
    ],
    "shrink": [
        Mistake("The norm is missing.", {"normed = deviation /": "normed = convolved + 0 * deviation /"}),
        Mistake("The GELU is missing.", {GELU: "return scaled"}),
        Mistake("This is a ReLU. GELU is smooth: x·Φ(x).", {GELU: "return F.relu(scaled)"}),
        Mistake(
            "This is the tanh approximation of GELU; SAM has the exact one.",
            {GELU: 'return F.gelu(scaled, approximate="tanh")'},
        ),
        Mistake(
            "Normalised over the pixels of each channel. Here each pixel is normalised over its channels, axis 1.",
            {
                DEVIATION: DEVIATION.replace("dim=1", "dim=(2, 3)"),
                VARIANCE: VARIANCE.replace("dim=1", "dim=(2, 3)"),
            },
        ),
        Mistake(
            "Normalised over channels and pixels together: one pixel must not depend on another.",
            {
                DEVIATION: DEVIATION.replace("dim=1", "dim=(1, 2, 3)"),
                VARIANCE: VARIANCE.replace("dim=1", "dim=(1, 2, 3)"),
            },
        ),
        Mistake(
            "Divided by the number of channels less one. The variance here is the plain mean of the squares.",
            {VARIANCE: "variance = convolved.var(dim=1, keepdim=True)"},
        ),
        Mistake(
            "Divided by the variance, not by its root.",
            {"(variance + 1e-6).sqrt()": "(variance + 1e-6)"},
        ),
        Mistake(
            "The mean is not taken off before the division.", {"normed = deviation /": "normed = convolved /"}
        ),
        Mistake(
            "The norm's scale and shift are missing.",
            {SCALED: "scaled = normed + 0 * norm_weight[:, None, None] + 0 * norm_bias[:, None, None]"},
        ),
        Mistake(
            "GELU comes before the norm; it is convolution, norm, GELU.",
            {
                CONVOLVED: "convolved = F.gelu(F.conv2d(x, weight, bias, stride=2))",
                GELU: "return scaled",
            },
        ),
        Mistake(
            "The window moves on by one pixel, so the picture stays as large. The stride is 2.",
            {CONVOLVED: "convolved = F.conv2d(x, weight, bias)"},
        ),
        Mistake(
            "The convolution's bias is missing.", {CONVOLVED: "convolved = F.conv2d(x, weight, stride=2)"}
        ),
        Mistake(
            "eps stands outside the root: sqrt(variance) + eps. Where the channels "
            "hardly differ, that is another number.",
            {"(variance + 1e-6).sqrt()": "(variance.sqrt() + 1e-6)"},
        ),
        Mistake(
            "eps is 1e-5, torch's default for a layer norm. SAM's is 1e-6, and where "
            "the channels hardly differ it shows.",
            {"variance + 1e-6": "variance + 1e-5"},
        ),
        Mistake(
            "GELU comes before the norm's weight and bias. It comes last.",
            {
                "return F.gelu(scaled)": (
                    "return F.gelu(normed) * norm_weight[:, None, None] + norm_bias[:, None, None]"
                )
            },
        ),
        Mistake(
            "This is x · σ(1.702 x), which is near to GELU. SAM has the exact one, x·Φ(x).",
            {GELU: "return scaled * torch.sigmoid(1.702 * scaled)"},
        ),
        Mistake(
            "Normalised over all images and pixels of a channel, as a batch norm does. Here each pixel is normalised "
            "over its channels, axis 1.",
            {
                DEVIATION: DEVIATION.replace("dim=1", "dim=(0, 2, 3)"),
                VARIANCE: VARIANCE.replace("dim=1", "dim=(0, 2, 3)"),
            },
        ),
        Mistake(
            "Normalised along the rows of the picture, the last axis. The channels are axis 1.",
            {DEVIATION: DEVIATION.replace("dim=1", "dim=-1"), VARIANCE: VARIANCE.replace("dim=1", "dim=-1")},
        ),
        Mistake(
            "The scale is 1 + norm_weight here. norm_weight is the scale itself.",
            {
                SCALED: SCALED.replace(
                    "normed * norm_weight[:, None, None]", "normed * (1 + norm_weight[:, None, None])"
                )
            },
        ),
        Mistake(
            "The norm comes before the convolution; it is convolution, norm, GELU.",
            {
                CONVOLVED: "convolved = x",
                "normed = deviation / (variance + 1e-6).sqrt()": (
                    "normed = F.conv2d(deviation / (variance + 1e-6).sqrt(), weight, bias, stride=2)"
                ),
            },
        ),
        Mistake(
            "The pixels of a square are averaged after a convolution with stride 1. The stride is 2, and each square "
            "gives one vector.",
            {CONVOLVED: "convolved = F.avg_pool2d(F.conv2d(F.pad(x, (0, 1, 0, 1)), weight, bias), 2)"},
        ),
    ],
    "mask_to_logits": [
        Mistake(
            "The bug is still there: 0 to 1 as logits is 'undecided' outside and 'a little more yes than no' inside. "
            "From −10 to 10 is 20 · share − 10.",
            {LOGITS: "return share[None]"},
        ),
        Mistake(
            "From 0 to 10: outside is still undecided. It has to be −10.",
            {LOGITS: "return 10 * share[None]"},
        ),
        Mistake(
            "From 0 to 20: outside is still undecided. It has to be −10.",
            {LOGITS: "return 20 * share[None]"},
        ),
        Mistake(
            "From −1 to 1: the sign is right, but that is a hesitant answer. Certain is ±10.",
            {LOGITS: "return 2 * share[None] - 1"},
        ),
        Mistake(
            "From −10 to 0: inside is undecided now.",
            {LOGITS: "return 10 * share[None] - 10"},
        ),
        Mistake("The sign is turned: inside is positive.", {LOGITS: "return 10 - 20 * share[None]"}),
        Mistake(
            "Cells that the mask covers in part are rounded to all or nothing; the outline is lost.",
            {LOGITS: "return 20 * (share[None] > 0.5).astype(mask.dtype) - 10"},
        ),
        Mistake(
            "One pixel in sixteen is looked at, and the others are skipped: take the share of the whole cell.",
            {SHARE: "share = cells[:, 0, :, 0]"},
        ),
        Mistake(
            "A single pixel of the mask is enough for a whole cell: that is the maximum, and it should be the share.",
            {SHARE: "share = cells.max(axis=(1, 3))"},
        ),
        Mistake(
            "This is the sum over the cell, 16 times its share.",
            {SHARE: "share = cells.sum(axis=(1, 3))"},
        ),
        Mistake(
            "The axis of channels is gone: a mask prompt is [1, h, w].",
            {LOGITS: "return 20 * share - 10"},
        ),
        Mistake(
            "This is the logit of the share as a probability, log(p / (1 − p)). A straight line from −10 to 10 is "
            "asked for.",
            {
                "return 20 * share[None] - 10": (
                    "p = np.clip(share[None], 1e-4, 1 - 1e-4)\n"
                    "    return np.log(p / (1 - p)).astype(mask.dtype)"
                )
            },
        ),
        Mistake(
            "One pixel near the middle of a cell is looked at: take the share of the whole cell.",
            {SHARE: "share = cells[:, 2, :, 2]"},
        ),
        Mistake(
            "A cell counts only if all of it is in the mask: that is the minimum, and it should be the share.",
            {SHARE: "share = cells.min(axis=(1, 3))"},
        ),
        Mistake(
            "The logits of a cell's 16 pixels are added up. Take their mean, or the share first.",
            {LOGITS: "return 16 * (20 * share[None] - 10)"},
        ),
        Mistake(
            "The pixels of a cell lie h / 4 and w / 4 apart here. Cells are 4 × 4 pixels: [h / 4, 4, w / 4, 4].",
            {
                "cells = mask.reshape(height // 4, 4, width // 4, 4)": (
                    "cells = mask.reshape(4, height // 4, 4, width // 4).transpose(1, 0, 3, 2)"
                )
            },
        ),
        Mistake(
            "The mask keeps its size. A mask prompt has one number for 4 × 4 pixels.",
            {SHARE: "share = mask"},
        ),
    ],
}
