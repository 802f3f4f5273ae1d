"""Wrong answers to lesson 9, and what each of them misunderstands."""

from minisam.lesson.mistakes import Mistake

FIRST = 'first = np.maximum(np.einsum("bmd,med->bme", tokens, w_1) + b_1, 0)'
SECOND = 'second = np.maximum(np.einsum("bmd,med->bme", first, w_2) + b_2, 0)'
HYPER = 'hyper = np.einsum("bmd,mcd->bmc", second, w_3) + b_3'
MASKS = 'return np.einsum("bmc,bchw->bmhw", hyper, features)'
SQUARES = 'squares = torch.einsum("bcyx,cdij->bdyixj", x, weight)'
FINER = "return squares.flatten(4, 5).flatten(2, 3) + bias[:, None, None]"
CLEAR = "if parts > 1:\n        return masks[:, 0]"
BEST = "best = 1 + iou[:, 1:].argmax(axis=1)"
CHOSEN = "return masks[np.arange(len(masks)), best]"
MASK_TOKENS = "chosen = tokens[:, 1 : 1 + masks]"
SUM = 'return np.einsum("btc,bchw->bthw", chosen, features)'

WRONG = {
    "mask_heads": [
        Mistake(
            "All tokens go through the first one's perceptron; each mask token has its own.",
            {
                FIRST: FIRST.replace("bmd,med->bme", "bmd,ed->bme").replace("w_1) + b_1", "w_1[0]) + b_1[0]"),
                SECOND: SECOND.replace("bmd,med->bme", "bmd,ed->bme").replace(
                    "w_2) + b_2", "w_2[0]) + b_2[0]"
                ),
                HYPER: HYPER.replace("bmd,mcd->bmc", "bmd,cd->bmc").replace("w_3) + b_3", "w_3[0]) + b_3[0]"),
            },
        ),
        Mistake(
            "There is a ReLU after the last layer: then no weight could be negative, and no channel could speak "
            "against the object.",
            {HYPER: 'hyper = np.maximum(np.einsum("bmd,mcd->bmc", second, w_3) + b_3, 0)'},
        ),
        Mistake(
            "The ReLUs are missing: three layers without anything between them are one layer.",
            {
                FIRST: 'first = np.einsum("bmd,med->bme", tokens, w_1) + b_1',
                SECOND: 'second = np.einsum("bmd,med->bme", first, w_2) + b_2',
            },
        ),
        Mistake(
            "The ReLU after the second layer is missing.",
            {SECOND: 'second = np.einsum("bmd,med->bme", first, w_2) + b_2'},
        ),
        Mistake(
            "The ReLU after the first layer is missing.",
            {FIRST: 'first = np.einsum("bmd,med->bme", tokens, w_1) + b_1'},
        ),
        Mistake(
            "The biases are missing.",
            {
                FIRST: FIRST.replace(" + b_1", ""),
                SECOND: SECOND.replace(" + b_2", ""),
                HYPER: HYPER.replace(" + b_3", ""),
            },
        ),
        Mistake(
            "The matrices are transposed: layer m is w[m] @ x, so the sum runs over the last axis of w.",
            {
                FIRST: FIRST.replace("bmd,med->bme", "bmd,mde->bme"),
                SECOND: SECOND.replace("bmd,med->bme", "bmd,mde->bme"),
            },
        ),
        Mistake(
            "A sigmoid is on the masks. They are logits here; probabilities come later, if at all.",
            {MASKS: 'return 1 / (1 + np.exp(-np.einsum("bmc,bchw->bmhw", hyper, features)))'},
        ),
        Mistake(
            "The masks compete in a softmax. They are three separate answers, and may overlap.",
            {
                MASKS: (
                    'logits = np.einsum("bmc,bchw->bmhw", hyper, features)\n'
                    "    shares = np.exp(logits - logits.max(axis=1, keepdims=True))\n"
                    "    return shares / shares.sum(axis=1, keepdims=True)"
                )
            },
        ),
        Mistake(
            "This is the mean over the channels; the definition has a sum.",
            {MASKS: MASKS + " / features.shape[1]"},
        ),
        Mistake(
            "The weights are brought to length 1, so that only their direction counts. SAM leaves them as they are.",
            {MASKS: "hyper = hyper / np.linalg.norm(hyper, axis=-1, keepdims=True)\n    " + MASKS},
        ),
        Mistake(
            "The same weights are added to the features and not multiplied with them.",
            {MASKS: "return (hyper[..., None, None] + features[:, None]).sum(axis=2)"},
        ),
        Mistake(
            "All masks go through the first mask's perceptron. Each token has weights of its own.",
            {
                'np.einsum("bmd,med->bme", tokens, w_1) + b_1': 'np.einsum("bmd,ed->bme", tokens, w_1[0]) + b_1[0]'
            },
        ),
        Mistake(
            "The second layer's matrix is transposed. A Linear layer with weight [out, in] sums over the last "
            "axis.",
            {'"bmd,med->bme", first': '"bmd,mde->bme", first'},
        ),
        Mistake(
            "The last bias, b_3, is missing.",
            {", second, w_3) + b_3": ", second, w_3)"},
        ),
        Mistake(
            "GELU in place of ReLU. The image encoder has GELU, the mask heads ReLU.",
            {
                (
                    'first = np.maximum(np.einsum("bmd,med->bme", tokens, w_1) + b_1, 0)\n'
                    '    second = np.maximum(np.einsum("bmd,med->bme", first, w_2) + b_2, 0)'
                ): (
                    "def gelu(h):\n"
                    "        return 0.5 * h * (1 + np.tanh((2 / np.pi) ** 0.5 * (h + 0.044715 * h**3)))\n"
                    "\n"
                    '    first = gelu(np.einsum("bmd,med->bme", tokens, w_1) + b_1)\n'
                    '    second = gelu(np.einsum("bmd,med->bme", first, w_2) + b_2)'
                )
            },
        ),
    ],
    "finer": [
        Mistake(
            "Four small pictures stand next to each other: the place in the square has become the slow axis. y is "
            "slow, i is fast.",
            {SQUARES: SQUARES.replace("bdyixj", "bdiyjx")},
        ),
        Mistake(
            "Each square of 2 × 2 is transposed: i goes with y, j goes with x.",
            {SQUARES: SQUARES.replace("bdyixj", "bdyjxi")},
        ),
        Mistake(
            "The picture is transposed: y comes before x.",
            {SQUARES: SQUARES.replace("bdyixj", "bdxiyj")},
        ),
        Mistake(
            "Reshaped without moving the axes: [y, x, i, j] has to become [y, i, x, j] before it is flattened.",
            {
                SQUARES: SQUARES.replace("bdyixj", "bdyxij"),
                FINER: (
                    "return squares.reshape(*squares.shape[:2], 2 * x.shape[2], 2 * x.shape[3]) + bias[:, None, None]"
                ),
            },
        ),
        Mistake(
            "The squares are turned by 180 degrees, as a convolution of mathematics would have it. Weight (i, j) makes "
            "pixel (i, j) of the square.",
            {SQUARES: SQUARES.replace("x, weight)", "x, weight.flip(2, 3))")},
        ),
        Mistake("The bias is missing.", {FINER: FINER.removesuffix(" + bias[:, None, None]")}),
        Mistake(
            "The bias is there four times; every pixel of the output gets it once.",
            {FINER: FINER.replace("+ bias", "+ 4 * bias")},
        ),
        Mistake(
            "All four pixels of a square are the same, as if one enlarged the picture. Each place has its own matrix.",
            {
                SQUARES: SQUARES.replace(
                    "x, weight)", "x, weight.mean((2, 3), keepdim=True).expand_as(weight))"
                )
            },
        ),
        Mistake(
            "The rows of squares run upwards.",
            {SQUARES: SQUARES.replace("x, weight)", "x.flip(2), weight)")},
        ),
        Mistake(
            "Only one pixel of each square is filled, the others hold nothing but the bias.",
            {FINER: "squares[:, :, :, 1:] = 0\n    squares[..., 1:] = 0\n    " + FINER},
        ),
        Mistake(
            "The result is right, and made by torch's transposed convolution. The task is to "
            "make it from a product and two reorderings.",
            {
                "import torch\n": ("import torch\nimport torch.nn.functional as F\n"),
                '    squares = torch.einsum("bcyx,cdij->bdyixj", x, weight)\n': "",
                FINER: "return F.conv_transpose2d(x, weight, bias, stride=2)",
            },
        ),
    ],
    "choose": [
        Mistake(
            "The best of all four: mask 0 does not take part when the prompt is ambiguous. It never learnt such "
            "prompts.",
            {BEST: "best = iou.argmax(axis=1)"},
        ),
        Mistake(
            "argmax over masks 1 to 3 counts from 0: add 1, or the mask before the best is chosen.",
            {BEST: "best = iou[:, 1:].argmax(axis=1)"},
        ),
        Mistake(
            "The rule is backwards: mask 0 is for the prompt that leaves no doubt, one of more than one part.",
            {CLEAR: "if parts == 1:\n        return masks[:, 0]"},
        ),
        Mistake(
            "The best of three is taken always. With more than one part the answer is mask 0.",
            {CLEAR: "if False:\n        return masks[:, 0]"},
        ),
        Mistake(
            "Mask 0 is taken always. A prompt of one part is ambiguous: the best of masks 1 to 3.",
            {CLEAR: "if True:\n        return masks[:, 0]"},
        ),
        Mistake(
            "Two parts are taken for ambiguous, too: more than one is enough for mask 0.",
            {CLEAR: CLEAR.replace("parts > 1", "parts > 2")},
        ),
        Mistake(
            "The worst of the three: a high predicted IoU is good.",
            {BEST: "best = 1 + iou[:, 1:].argmin(axis=1)"},
        ),
        Mistake(
            "The same mask for every prompt of the batch; each has predictions of its own.",
            {BEST: "best = np.full(len(masks), 1 + iou[0, 1:].argmax())"},
        ),
        Mistake(
            "Mask 1 always. The three are in no fixed order; the predicted IoU ranks them.",
            {BEST: "best = np.full(len(masks), 1)"},
        ),
        Mistake(
            "The largest mask is chosen. The predicted IoU decides, not the area.",
            {BEST: "best = 1 + (masks[:, 1:] > 0).sum(axis=(2, 3)).argmax(axis=1)"},
        ),
        Mistake(
            "The three are averaged: that is the blur which three answers were to avoid.",
            {CHOSEN: "return masks[:, 1:].mean(axis=1)"},
        ),
        Mistake(
            "All three are returned. One mask for each prompt is wanted.",
            {CHOSEN: "return masks[:, 1:]"},
        ),
        Mistake(
            "Of equal predictions, the first mask is taken, as argmax does; this takes the last.",
            {"best = 1 + iou[:, 1:].argmax(axis=1)": "best = 3 - iou[:, :0:-1].argmax(axis=1)"},
        ),
    ],
    "masks_of": [
        Mistake(
            "The bug is still there: the last tokens are the prompt's. Only without a prompt are they the mask tokens.",
            {MASK_TOKENS: "chosen = tokens[:, -masks:]"},
        ),
        Mistake(
            "The first token is the IoU token, and it has no mask; the mask tokens begin behind it.",
            {MASK_TOKENS: "chosen = tokens[:, :masks]"},
        ),
        Mistake(
            "Mask 0 is left out, and the token behind the last mask token is taken for a mask: the prompt's first.",
            {MASK_TOKENS: "chosen = np.concatenate([tokens, tokens[:, :1]], axis=1)[:, 2 : 2 + masks]"},
        ),
        Mistake(
            "The order is turned round: the first mask comes last.",
            {MASK_TOKENS: "chosen = tokens[:, masks:0:-1]"},
        ),
        Mistake(
            "The prompt's last two tokens are cut off, as if there were always two.",
            {MASK_TOKENS: "chosen = tokens[:, : max(len(tokens[0]) - 2, masks)][:, -masks:]"},
        ),
        Mistake(
            "The mean over the channels is taken. A mask's logit is their sum, the dot product of token and place.",
            {SUM: SUM + " / features.shape[1]"},
        ),
        Mistake(
            "All prompts get the first one's mask tokens; each prompt has its own.",
            {MASK_TOKENS: "chosen = np.repeat(tokens[:1, 1 : 1 + masks], len(tokens), axis=0)"},
        ),
        Mistake(
            "All prompts get the first one's features.",
            {SUM: SUM.replace("features)", "np.repeat(features[:1], len(features), axis=0))")},
        ),
        Mistake(
            "A sigmoid is applied. The head gives logits; the loss and the threshold want them as they are.",
            {SUM: SUM.replace("np.einsum", "1 / (1 + np.exp(-np.einsum") + "))"},
        ),
    ],
}
