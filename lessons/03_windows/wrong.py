"""Wrong answers to lesson 3, and what each of them misunderstands."""

from minisam.lesson.mistakes import Mistake

BELOW = "    S = window_size\n    below, right = -H % S, -W % S\n"
PAD = "padded = np.pad(x, ((0, 0), (0, below), (0, right), (0, 0)))\n    down"
CUT = "cut.transpose(0, 1, 3, 2, 4, 5).reshape(-1, S, S, C)"
GRID = "grid = qkv_bias.expand(B, down * S, across * S, -1).clone()"
PLACE = "grid[:, :H, :W] = qkv"
TOKENS = "tokens = windows.reshape(B * down * across, S * S, 3, num_heads, -1)"
SCORES = "scores = q.shape[-1] ** -0.5 * q @ k.transpose(-2, -1)"
ZEROS_AND_PROJECTION = """\
    padded = np.pad(x, ((0, 0), (0, below), (0, right), (0, 0)))
    qkv = padded @ qkv_weight.T + qkv_bias
"""
WINDOW_SCORES = "            scores = D**-0.5 * q @ k.swapaxes(2, 3)\n"
NORMALISED = "weights / weights.sum(axis=-1, keepdims=True) @ v"
REAL = (
    "np.pad(np.ones((H, W), bool), ((0, below), (0, right)))[top : top + S, left : left + S].reshape(S * S)"
)
MASKED = f"""{SCORES}
    inside = torch.zeros(down * S, across * S, dtype=torch.bool)
    inside[:H, :W] = True
    inside = inside.reshape(down, S, across, S).transpose(1, 2).reshape(down * across, 1, 1, S * S)
    scores = scores.masked_fill(~inside.repeat(B, 1, 1, 1), float("-inf"))"""

WRONG = {
    "window_partition": [
        Mistake(
            "Reshaped without moving axes: a run of S · S tokens in memory is a piece of a row of the grid, not a "
            "window. Move the axes to [B, down, across, S, S, C] first.",
            {CUT: "cut.reshape(-1, S, S, C)"},
        ),
        Mistake(
            "Every window is transposed: its first axis counts downwards, like the grid's.",
            {CUT: "cut.transpose(0, 1, 3, 4, 2, 5).reshape(-1, S, S, C)"},
        ),
        Mistake(
            "The windows are numbered down the columns. Number them as one reads: to the right, then down.",
            {CUT: "cut.transpose(0, 3, 1, 2, 4, 5).reshape(-1, S, S, C)"},
        ),
        Mistake(
            "The padding is above and to the left; it belongs below and to the right, where the window starts at a "
            "multiple of S.",
            {PAD: PAD.replace("(0, below), (0, right)", "(below, 0), (right, 0)")},
        ),
        Mistake(
            "The padding is split between both sides; all of it belongs below and to the right.",
            {
                PAD: PAD.replace(
                    "(0, below), (0, right)",
                    "(below // 2, below - below // 2), (right // 2, right - right // 2)",
                )
            },
        ),
        Mistake(
            "Tokens that fill no whole window are cut off. No token may be lost: pad instead.",
            {PAD: "padded = x[:, : H // S * S, : W // S * S]\n    down"},
        ),
        Mistake(
            "The last row and column are repeated in the padding; it is zeros.",
            {PAD: PAD.replace("(0, 0)))", '(0, 0)), mode="edge")')},
        ),
        Mistake(
            "A grid that S divides gets a whole window of padding: S - H % S is S there. -H % S is 0.",
            {BELOW: BELOW.replace("-H % S, -W % S", "S - H % S, S - W % S")},
        ),
        Mistake(
            "The padding is H % S, the tokens that are too many; what is missing to the next multiple is -H % S.",
            {BELOW: BELOW.replace("-H % S, -W % S", "H % S, W % S")},
        ),
        Mistake(
            "The numbers of windows down and across are exchanged: axis 1 of the grid counts downwards.",
            {
                "down, across = padded.shape[1] // S, padded.shape[2] // S": (
                    "across, down = padded.shape[1] // S, padded.shape[2] // S"
                )
            },
        ),
        Mistake(
            "The channels come first here; tokens keep them last, [windows, S, S, C].",
            {CUT: "cut.transpose(0, 1, 3, 5, 2, 4).reshape(-1, C, S, S)"},
        ),
        Mistake(
            "The places of a window are flattened; it keeps its two sides, [windows, S, S, C].",
            {CUT: "cut.transpose(0, 1, 3, 2, 4, 5).reshape(-1, S * S, C)"},
        ),
        Mistake(
            "A window is made of tokens that are far apart: the axes of windows and of places in one are exchanged. "
            "Cut into [B, down, S, across, S, C]: first which window, then which place in it.",
            {
                "cut = padded.reshape(B, down, S, across, S, C)": "cut = padded.reshape(B, S, down, S, across, C)",
                "cut.transpose(0, 1, 3, 2, 4, 5)": "cut.transpose(0, 2, 4, 1, 3, 5)",
            },
        ),
        Mistake(
            "The images take turns: the first windows of all images come first. All windows of the first image do.",
            {"cut.transpose(0, 1, 3, 2, 4, 5)": "cut.transpose(1, 3, 0, 2, 4, 5)"},
        ),
        Mistake(
            "Only the first image is cut.",
            {CUT: "cut[:1].transpose(0, 1, 3, 2, 4, 5).reshape(-1, S, S, C)"},
        ),
        Mistake(
            "The grid is padded to a square. Each side is padded to its own next multiple of S.",
            {
                BELOW: BELOW.replace(
                    "-H % S, -W % S", "max(H, W) + -max(H, W) % S - H, max(H, W) + -max(H, W) % S - W"
                )
            },
        ),
        Mistake(
            "The last windows are moved inwards, so that they overlap their neighbours. They start at multiples of S, "
            "and zeros fill them.",
            {
                "return " + CUT: (
                    "tops = [min(top, max(H - S, 0)) for top in range(0, H, S)]\n"
                    "    lefts = [min(left, max(W - S, 0)) for left in range(0, W, S)]\n"
                    "    return np.stack([im[t : t + S, u : u + S] for im in padded for t in tops for u in lefts])"
                )
            },
        ),
        Mistake(
            "window_size is taken for the number of windows along a side. It is the number of tokens along one.",
            {
                "down, across = padded.shape[1] // S, padded.shape[2] // S\n": "down = across = S\n",
                "padded.reshape(B, down, S, across, S, C)": (
                    "padded.reshape(B, down, padded.shape[1] // S, across, padded.shape[2] // S, C)"
                ),
                CUT: CUT.replace("-1, S, S, C", "-1, padded.shape[1] // S, padded.shape[2] // S, C"),
            },
        ),
    ],
    "window_attention": [
        Mistake(
            "The padding is zeros, here *after* the projection. It is zeros before it, and the projection makes "
            "its bias of them: pad with qkv_bias.",
            {GRID: "grid = qkv.new_zeros(B, down * S, across * S, qkv.shape[-1])"},
        ),
        Mistake(
            "The padding takes no part in the softmax. In SAM it does: a padded token is a key like every other, and "
            "the trained weights count on its share.",
            {SCORES: MASKED, "from torch import Tensor": "import torch\nfrom torch import Tensor"},
        ),
        Mistake(
            "The padding is still there: cut the result to H and W.",
            {"return joined[:, :H, :W]": "return joined"},
        ),
        Mistake(
            "Cut into windows without moving axes: a run in memory is a piece of a row of the grid.",
            {".transpose(2, 3)\n    tokens": "\n    tokens"},
        ),
        Mistake(
            "Joined without moving the axes back: the windows have to be laid side by side, not one after the other.",
            {"joined = merged.transpose(2, 3)": "joined = merged"},
        ),
        Mistake(
            "The last axis of qkv is read as heads, and within each q, k, v. It is q, k, v, and within each the "
            "heads.",
            {
                TOKENS: TOKENS.replace("3, num_heads", "num_heads, 3"),
                "tokens.permute(2, 0, 3, 1, 4)": "tokens.permute(3, 0, 2, 1, 4)",
            },
        ),
        Mistake(
            "Keys and values are exchanged: the last axis holds q, k, v in this order.",
            {"q, k, v = tokens": "q, v, k = tokens"},
        ),
        Mistake(
            "Queries and keys are exchanged: the last axis holds q, k, v in this order.",
            {"q, k, v = tokens": "k, q, v = tokens"},
        ),
        Mistake(
            "The heads are merged without bringing each token's heads together: exchange axes 1 and 2 first.",
            {"heads.transpose(1, 2).reshape": "heads.reshape"},
        ),
        Mistake(
            "Divided by the root of all channels; each head has D = C / heads of them.",
            {SCORES: SCORES.replace("q.shape[-1]", "(q.shape[-1] * num_heads)")},
        ),
        Mistake("The scale 1 / √D is missing.", {SCORES: "scores = q @ k.transpose(-2, -1)"}),
        Mistake(
            "The real tokens sit below and to the right of the padding; it is the padding that belongs there.",
            {
                PLACE: "grid[:, down * S - H :, across * S - W :] = qkv",
                "joined[:, :H, :W]": "joined[:, down * S - H :, across * S - W :]",
            },
        ),
        Mistake(
            "Every token attends to the whole grid: there is one window, as large as the longer side.",
            {"    S = window_size\n    down": "    S = max(H, W)\n    down"},
        ),
        Mistake(
            "num_heads is not used: all channels are one head.",
            {
                ("3, num_heads, -1)\n    q, k, v = tokens.permute"): (
                    "3, 1, qkv.shape[-1] // 3)\n    q, k, v = tokens.permute"
                )
            },
        ),
        Mistake(
            "The softmax runs over the queries. Each query's weights over the keys sum to one: the last axis.",
            {"scores.softmax(dim=-1)": "scores.softmax(dim=-2)"},
        ),
        Mistake("Divided by D. The scale is 1 / √D.", {SCORES: SCORES.replace("** -0.5", "** -1.0")}),
        Mistake(
            "The bias is added to the real tokens, too. They have been through the projection, which added it.",
            {PLACE: "grid[:, :H, :W] = qkv + qkv_bias"},
        ),
        Mistake(
            "The padded keys are the bias, their values are zeros. All three parts of a padded position are the bias.",
            {GRID: f"{GRID}\n    grid[..., -(qkv.shape[-1] // 3) :] = 0"},
        ),
        Mistake(
            "The padded values are the bias, their keys are zeros. All three parts of a padded position are the bias.",
            {GRID: f"{GRID}\n    grid[..., : -(qkv.shape[-1] // 3)] = 0"},
        ),
        Mistake(
            "All padded positions of a window count as one key. They hold the same numbers, but each of them is a key.",
            {
                SCORES: MASKED.replace(
                    "    scores = scores.masked_fill(",
                    "    inside = inside | ((~inside).cumsum(-1) == 1) & ~inside\n    scores = scores.masked_fill(",
                ),
                "from torch import Tensor": "import torch\nfrom torch import Tensor",
            },
        ),
    ],
    "attend_in_windows": [
        Mistake(
            "The mask is still there. It looks sensible, but SAM was trained without it: the padded tokens are keys, "
            "with the bias as key and value, and take their share of the softmax.",
            {WINDOW_SCORES: f"{WINDOW_SCORES}            scores = np.where({REAL}, scores, -np.inf)\n"},
        ),
        Mistake(
            "The padded keys have a score of 0 now. They have keys, the bias, and their score is q · bias like any "
            "other.",
            {WINDOW_SCORES: f"{WINDOW_SCORES}            scores = np.where({REAL}, scores, np.float32(0))\n"},
        ),
        Mistake(
            "The padding's weights are in the softmax, but its part of the weighted sum is zero. Nothing has to be "
            "done to the padding's weights, and its values are the bias.",
            {NORMALISED: NORMALISED.replace(" @ v", f" * {REAL} @ v")},
        ),
        Mistake(
            "The zeros are padded after the projection; a padded token's key and value are then 0, not the bias.",
            {
                ZEROS_AND_PROJECTION: """\
    edges = ((0, 0), (0, below), (0, right), (0, 0))
    padded = np.pad(x, edges)
    qkv = np.pad(x @ qkv_weight.T + qkv_bias, edges)
"""
            },
        ),
        Mistake(
            "The bias is gone from the projection.",
            {"qkv = padded @ qkv_weight.T + qkv_bias": "qkv = padded @ qkv_weight.T"},
        ),
        Mistake(
            "The last tokens are repeated in the padding; it is zeros before the projection.",
            {ZEROS_AND_PROJECTION: ZEROS_AND_PROJECTION.replace("(0, 0)))", '(0, 0)), mode="edge")')},
        ),
        Mistake(
            "The last windows are moved inwards, so that they need no padding. Windows start at multiples of S.",
            {
                "for top in range(0, H, S):": ("for top in (min(t, max(0, H - S)) for t in range(0, H, S)):"),
                "for left in range(0, W, S):": (
                    "for left in (min(t, max(0, W - S)) for t in range(0, W, S)):"
                ),
            },
        ),
        Mistake("The scale 1 / √D got lost.", {"scores = D**-0.5 * q @": "scores = q @"}),
        Mistake(
            "The weights are no longer divided by their sum.",
            {NORMALISED: "weights @ v"},
        ),
        Mistake(
            "The padding is still in the result: cut it to H and W.",
            {
                "            out[:, top : top + S, left : left + S] = heads.swapaxes(1, 2).reshape(B, S, S, C)\n"
                "    return out[:, :H, :W]": (
                    "            out[:, top : top + S, left : left + S] = heads.swapaxes(1, 2)"
                    ".reshape(B, S, S, C)\n    return out"
                )
            },
        ),
    ],
}
