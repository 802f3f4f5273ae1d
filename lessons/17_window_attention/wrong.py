"""Wrong answers to lesson 17, and what each of them misunderstands."""

from minisam.lesson.mistakes import Mistake

SLOT_COUNT = "down, across = -(-H // S), -(-W // S)"
SLOT_CORNER = "top, left = window // across % down * S, window % across * S\n    n = np"
PLACE = "row, column = top + n // S, left + n % S\n    on_grid = (row < H) & (column < W)\n    "
SLOT_TOKEN = "token = (image * H + row) * W + column\n    memory"
SLOT_PLACE = PLACE + SLOT_TOKEN
SLOT_RETURN = "return np.where(on_grid[:, None], memory[np.where(on_grid, token, 0)], qkv_bias)"

CORNER = "top, left = window // across % down * S, window % across * S\n    dims"
QUERY = "query = (image * H + query_row) * W + query_column"
KEY = "key = (image * H + row) * W + column"
ON_GRID = "on_grid = (row < H) & (column < W)\n        key_ok = (n < S * S)[:, None] & dim_ok"
LOAD_K = "k = tl.load(token_ptrs + C + head * D, mask=key_ok, other=0.0)"
LOAD_V = "v = tl.load(token_ptrs + 2 * C + head * D, mask=key_ok, other=0.0)"
SCORES = 'scores = tl.dot(q, tl.trans(k), input_precision="ieee") * scale'
ACC = 'acc = acc * rescale[:, None] + tl.dot(weights.to(v.dtype), v, input_precision="ieee")'
MASK = 'scores = tl.where((n < S * S)[None, :], scores, float("-inf"))'
GRID = "triton.cdiv(S * S, 64))"
JOIN_CORNER = "top, left = window // across % down * S, window % across * S\n    n, channels"
JOIN_TOKEN = "token = (image * H + row) * W + column\n    tl.store"
JOIN_PLACE = PLACE + JOIN_TOKEN
EDGE = "np.minimum(top + n // S, H - 1), np.minimum(left + n % S, W - 1)"

WRONG = {
    "window_slots": [
        Mistake(
            "Padded places hold zeros. SAM pads before the projection, and what that makes of zeros is its bias.",
            {SLOT_RETURN: SLOT_RETURN.replace("qkv_bias", "0 * qkv_bias")},
        ),
        Mistake(
            "Padded places are left out: a window has S · S places, and those beyond the edge hold the bias.",
            {SLOT_RETURN: "return memory[token[on_grid]]"},
        ),
        Mistake(
            "Padded places repeat the tokens at the edge. They hold the bias.",
            {SLOT_PLACE: SLOT_PLACE.replace("top + n // S, left + n % S", EDGE)},
        ),
        Mistake(
            "Windows are counted down the columns here. They are counted as one reads: along a row of windows first.",
            {SLOT_CORNER: "top, left = window % down * S, window // down % across * S\n    n = np"},
        ),
        Mistake(
            "A row of windows has `across` of them, so the window's row is w // across and its column w % across.",
            {SLOT_CORNER: "top, left = window // down % down * S, window % down * S\n    n = np"},
        ),
        Mistake(
            "The window's row is counted through all images: take it modulo `down` after the division.",
            {SLOT_CORNER: "top, left = window // across * S, window % across * S\n    n = np"},
        ),
        Mistake(
            "Windows are S tokens apart: their first row and column are S times their place among windows.",
            {SLOT_CORNER: "top, left = window // across % down, window % across\n    n = np"},
        ),
        Mistake(
            "The number of windows is rounded down; the last, not full, ones count too: -(-H // S).",
            {SLOT_COUNT: "down, across = max(1, H // S), max(1, W // S)"},
        ),
        Mistake(
            "Only the lower edge is watched. Beyond the right edge the address runs on into the next row.",
            {
                SLOT_PLACE: SLOT_PLACE.replace("(row < H) & (column < W)", "row < H"),
                SLOT_RETURN: "return np.where(on_grid[:, None], memory[token % len(memory)], qkv_bias)",
            },
        ),
        Mistake(
            "Only the right edge is watched. Below the last row lies the next image, or nothing.",
            {
                SLOT_PLACE: SLOT_PLACE.replace("(row < H) & (column < W)", "column < W"),
                SLOT_RETURN: "return np.where(on_grid[:, None], memory[token % len(memory)], qkv_bias)",
            },
        ),
        Mistake(
            "Rows of the grid are W tokens long, not H.",
            {SLOT_TOKEN: "token = ((image * H + row) * H + column) % (H * W)\n    memory"},
        ),
        Mistake(
            "The image's number is missing in the address: every window comes from the first image.",
            {SLOT_TOKEN: "token = row * W + column\n    memory"},
        ),
        Mistake(
            "Place n is taken down the columns of the window: it is n // S rows and n % S columns from the corner.",
            {SLOT_PLACE: SLOT_PLACE.replace("top + n // S, left + n % S", "top + n % S, left + n // S")},
        ),
        Mistake(
            "The windows are counted from 1 here. They are counted from 0.",
            {SLOT_COUNT: "window = max(window - 1, 0)\n    " + SLOT_COUNT},
        ),
        Mistake(
            "The bias is added to all places. Tokens have been through the projection, which added it.",
            {SLOT_RETURN: SLOT_RETURN + " + qkv_bias"},
        ),
        Mistake(
            "Places beyond the edge are taken from the other side of the grid. They hold the bias.",
            {
                SLOT_PLACE: SLOT_PLACE.replace(
                    "top + n // S, left + n % S", "(top + n // S) % H, (left + n % S) % W"
                )
            },
        ),
        Mistake(
            "The padded places come last. Each stands where it lies in the window.",
            {
                SLOT_RETURN: "bias = np.broadcast_to(qkv_bias, (S * S - on_grid.sum(), channels))\n"
                "    return np.concatenate([memory[token[on_grid]], bias])"
            },
        ),
        Mistake(
            "The images take turns: window 1 is the second image's first one. All windows of an image come together.",
            {
                SLOT_COUNT: (
                    f"{SLOT_COUNT}\n    window = window % len(qkv) * down * across + window // len(qkv)"
                )
            },
        ),
        Mistake(
            "The edge is one token too far out: rows end before H and columns before W.",
            {
                SLOT_PLACE: SLOT_PLACE.replace("(row < H) & (column < W)", "(row <= H) & (column <= W)"),
                SLOT_RETURN: SLOT_RETURN.replace("token, 0)", "np.minimum(token, len(memory) - 1), 0)"),
            },
        ),
    ],
    "window_attention": [
        Mistake(
            "Padded keys are zeros: their load is masked with on_grid. They are real keys, with the bias for k and v: "
            "the address changes, not the mask.",
            {ON_GRID: ON_GRID + " & on_grid[:, None]"},
        ),
        Mistake(
            "Padded keys are masked out of the softmax. SAM does not do that, and its weights are used to them.",
            {MASK: 'scores = tl.where((on_grid & (n < S * S))[None, :], scores, float("-inf"))'},
        ),
        Mistake(
            "Tokens beyond the edge are read all the same: the next row of the grid, the next image, or memory that is "
            "not yours.",
            {ON_GRID: "on_grid = n >= 0\n        key_ok = (n < S * S)[:, None] & dim_ok"},
        ),
        Mistake(
            "Places beyond S · S are not masked in the scores: they are lanes without a place, and get a weight.",
            {MASK: "scores = scores + 0.0"},
        ),
        Mistake(
            "Padded queries are stored too: beyond the right edge their address is another token's.",
            {"mask=query_ok[:, None] & dim_ok)\n": "mask=(m < S * S)[:, None] & dim_ok)\n"},
        ),
        Mistake(
            "The keys are read from where the queries lie: k is C numbers further.",
            {LOAD_K: LOAD_K.replace("+ C + head", "+ head")},
        ),
        Mistake(
            "The values are read from where the keys lie: v is 2 · C numbers further.",
            {LOAD_V: LOAD_V.replace("2 * C", "C")},
        ),
        Mistake(
            "Every head reads the keys and values of head 0: the address lacks head * D.",
            {LOAD_K: LOAD_K.replace(" + head * D", ""), LOAD_V: LOAD_V.replace(" + head * D", "")},
        ),
        Mistake(
            "All heads write to the place of head 0.",
            {"out_ptrs = out_ptr + query[:, None] * C + head * D": "out_ptrs = out_ptr + query[:, None] * C"},
        ),
        Mistake(
            "Results are C numbers apart, not 3 · C: only qkv holds three of them for each token.",
            {"out_ptrs = out_ptr + query[:, None] * C": "out_ptrs = out_ptr + query[:, None] * 3 * C"},
        ),
        Mistake(
            "Tokens of qkv are 3 · C numbers apart: q, k and v of one stand next to each other.",
            {"qkv_ptr + key[:, None] * 3 * C": "qkv_ptr + key[:, None] * C"},
        ),
        Mistake(
            "A row of windows has `across` of them, so the window's row is w // across and its column w % across.",
            {CORNER: "top, left = window // down % down * S, window % down * S\n    dims"},
        ),
        Mistake(
            "The keys' address lacks the image: all images look at the first one's tokens.",
            {KEY: "key = row * W + column"},
        ),
        Mistake(
            "Rows of the grid are W tokens long, not H.",
            {
                QUERY: "query = (image * H + query_row) * H + query_column",
                KEY: "key = (image * H + row) * H + column",
            },
        ),
        Mistake("The scale is missing.", {'input_precision="ieee") * scale': 'input_precision="ieee")'}),
        Mistake(
            "The maximum is not subtracted before the exponential.",
            {"tl.exp(scores - new_max[:, None])": "tl.exp(scores)"},
        ),
        Mistake("Not divided by the sum of the weights.", {"acc / row_sum[:, None]": "acc"}),
        Mistake(
            "Only the first block of queries has a program: a window of 196 places needs several.",
            {GRID: "1)"},
        ),
        Mistake(
            "Only the first image's windows have programs: the grid needs B times as many.",
            {"grid = (B * triton.cdiv(H, S)": "grid = (triton.cdiv(H, S)"},
        ),
        Mistake(
            "The windows at the edges have no program: round up, with triton.cdiv.",
            {
                "grid = (B * triton.cdiv(H, S) * triton.cdiv(W, S),": "grid = (B * max(1, H // S) * max(1, W // S),"
            },
        ),
        Mistake(
            'tl.dot rounds float32 numbers to TF32, unless input_precision="ieee" is given: once for the scores and '
            "once for the values.",
            {
                SCORES: SCORES.replace(', input_precision="ieee"', ""),
                ACC: ACC.replace(', input_precision="ieee"', ""),
            },
        ),
        Mistake(
            "The last axis of qkv is read as heads, and within each q, k, v. It is q, k, v, and within each the heads.",
            {
                "q_ptrs = qkv_ptr + query[:, None] * 3 * C + head * D": (
                    "q_ptrs = qkv_ptr + query[:, None] * 3 * C + head * 3 * D"
                ),
                LOAD_K: LOAD_K.replace("+ C + head * D", "+ D + head * 3 * D"),
                LOAD_V: LOAD_V.replace("+ 2 * C + head * D", "+ 2 * D + head * 3 * D"),
            },
        ),
        Mistake(
            "Keys and values are exchanged: k is C numbers after q, v is 2 · C.",
            {LOAD_K: LOAD_K.replace("+ C", "+ 2 * C"), LOAD_V: LOAD_V.replace("+ 2 * C", "+ C")},
        ),
        Mistake(
            "The values of padded places are zeros. They are the bias, as the keys are.",
            {LOAD_V: LOAD_V.replace("mask=key_ok", "mask=key_ok & on_grid[:, None]")},
        ),
        Mistake(
            "The keys of padded places are zeros. They are the bias, as the values are.",
            {LOAD_K: LOAD_K.replace("mask=key_ok", "mask=key_ok & on_grid[:, None]")},
        ),
        Mistake(
            "Every head reads the bias of head 0: its address lacks head * D.",
            {
                "bias_ptr + dims[None, :])": "bias_ptr - head * D + dims[None, :])",
            },
        ),
        Mistake(
            "All padded places of a window count as one key. They hold the same numbers, but each of them is a key.",
            {
                MASK: MASK.replace(
                    "(n < S * S)[None, :]", "((on_grid | (n == S * S - 1)) & (n < S * S))[None, :]"
                )
            },
        ),
        Mistake(
            "One place too many takes part: the places are 0 to S · S − 1, n < S * S.",
            {MASK: MASK.replace("n < S * S", "n <= S * S")},
        ),
        Mistake(
            "The scale is C ** −0.5. A product is over the D channels of one head.",
            {"D**-0.5, H, W": "C**-0.5, H, W"},
        ),
    ],
    "join_windows": [
        Mistake(
            "The bug is still there. Number the windows of a grid that is 2 windows high and 4 wide as one reads, and "
            "ask how many of them stand in a row.",
            {JOIN_CORNER: "top, left = window // down % down * S, window % down * S\n    n, channels"},
        ),
        Mistake(
            "The column is mended, the row is not: it is w // across too.",
            {JOIN_CORNER: "top, left = window // down % down * S, window % across * S\n    n, channels"},
        ),
        Mistake(
            "The row is mended, the column is not: it is w % across.",
            {JOIN_CORNER: "top, left = window // across % down * S, window % down * S\n    n, channels"},
        ),
        Mistake(
            "Rows and columns of windows are exchanged: windows are counted along a row first.",
            {JOIN_CORNER: "top, left = window % down * S, window // down % across * S\n    n, channels"},
        ),
        Mistake(
            "The window's row is taken modulo `across`; an image has `down` rows of windows.",
            {JOIN_CORNER: "top, left = window // across % across * S, window % across * S\n    n, channels"},
        ),
        Mistake(
            "The window's row is counted on through all images: `% down` is missing.",
            {JOIN_CORNER: "top, left = window // across * S, window % across * S\n    n, channels"},
        ),
        Mistake(
            "Rows of the grid are W tokens long: that address was right.",
            {JOIN_TOKEN: "token = (image * H + row) * H + column\n    tl.store"},
        ),
        Mistake(
            "The address lacks the image: all images are written over the first.",
            {JOIN_TOKEN: "token = row * W + column\n    tl.store"},
        ),
        Mistake(
            "Beyond the right edge something is written: there the address is that of the next row's first tokens.",
            {JOIN_PLACE: JOIN_PLACE.replace("(row < H) & (column < W)", "row < H")},
        ),
        Mistake(
            "Below the lower edge something is written: there lies the next image, or memory that is not yours.",
            {JOIN_PLACE: JOIN_PLACE.replace("(row < H) & (column < W)", "column < W")},
        ),
        Mistake(
            "The places of a window are taken down its columns: n // S is the row.",
            {JOIN_PLACE: JOIN_PLACE.replace("top + n // S, left + n % S", "top + n % S, left + n // S")},
        ),
        Mistake(
            "The last windows are moved inwards. Every window begins at a multiple of S.",
            {
                JOIN_CORNER: JOIN_CORNER.replace(
                    "\n",
                    "\n    top, left = tl.minimum(top, tl.maximum(H - S, 0)), tl.minimum(left, tl.maximum(W - S, 0))\n",
                )
            },
        ),
    ],
}
