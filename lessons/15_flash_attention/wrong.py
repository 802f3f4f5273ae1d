"""Wrong answers to lesson 15, and what each of them misunderstands."""

from minisam.lesson.mistakes import Mistake

STEP_MAX = "new_max = np.maximum(row_max, scores.max(axis=1, keepdims=True))"
STEP_RESCALE = "rescale = np.exp(row_max - new_max)"
STEP_WEIGHTS = "weights = np.exp(scores - new_max)\n"
STEP_SUM = "new_sum = row_sum * rescale + weights.sum(axis=1, keepdims=True)"
STEP_ACC = "new_acc = acc * rescale + weights @ v"
MASK = '        scores = tl.where((columns < S)[None, :], scores, float("-inf"))\n'
MAX = "new_max = tl.maximum(row_max, tl.max(scores, axis=1))"
SUM = "row_sum = row_sum * rescale + tl.sum(weights, axis=1)"
ACC = 'acc = acc * rescale[:, None] + tl.dot(weights.to(v.dtype), v, input_precision="ieee")'
OWN = "own = (head * L + rows)[:, None] * D + dims[None, :]"
TILE = "tile = (head * S + columns)[:, None] * D + dims[None, :]"
GRID = "grid = (triton.cdiv(L, 64), B * N)"
WIDE_MAX = "new_max = tl.maximum(row_max, tl.max(x, axis=0))"
WIDE_SUM = "row_sum = row_sum * tl.exp(row_max - new_max) + tl.sum(tl.exp(x - new_max), axis=0)"
WIDE_STORE = "tl.store(y_ptr + row * N + columns, tl.exp(x - row_max) / row_sum, mask=columns < N)"

PLACE = "place = (head.to(tl.int64) * rows + row)[:, None] * D + dim[None, :]"
INSIDE = "mask=(row < rows)[:, None] & (dim < D)[None, :], other=0.0"
ROW = "row, dim = start + tl.arange(0, BLOCK), tl.arange(0, BLOCK_D)"
PRODUCTS = 'products = tl.dot(q, tl.trans(k), input_precision="ieee")'
EXISTS = "exists = start + tl.arange(0, BLOCK) < S"
SCORED = 'return tl.where(exists[None, :], products * scale, float("-inf"))'

WRONG = {
    "read_tile": [
        Mistake(
            "Every head's tile comes from the first head: head h starts h · rows · D numbers after the beginning.",
            {PLACE: PLACE.replace("head.to(tl.int64) * rows + ", "")},
        ),
        Mistake(
            "Head h starts h rows after the beginning here. It starts after h · rows of them.",
            {PLACE: PLACE.replace("head.to(tl.int64) * rows", "head.to(tl.int64)")},
        ),
        Mistake(
            "Heads are BLOCK rows apart in this address. BLOCK is what a tile holds; in memory they are `rows` apart.",
            {PLACE: PLACE.replace("* rows", "* BLOCK")},
        ),
        Mistake(
            "Rows are BLOCK_D apart in this address. BLOCK_D is what a tile holds; in memory they are D apart.",
            {PLACE: PLACE.replace("* D", "* BLOCK_D")},
        ),
        Mistake(
            "The tile always begins with row 0: `start` is not in the address.",
            {ROW: ROW.replace("start + ", "")},
        ),
        Mistake(
            "`start` counts rows, and here it counts tiles: it is multiplied by BLOCK.",
            {ROW: ROW.replace("start + ", "start * BLOCK + ")},
        ),
        Mistake(
            "The channels are not masked: where D is no power of two, lanes beyond it read the next row.",
            {INSIDE: "mask=(row < rows)[:, None], other=0.0"},
        ),
        Mistake(
            "The rows are not masked: lanes beyond the last row read the next head, or beyond the end.",
            {INSIDE: "mask=(dim < D)[None, :], other=0.0"},
        ),
        Mistake(
            "The mask counts rows from the start of the tile. Row `start` + n exists if that is less than `rows`.",
            {INSIDE: INSIDE.replace("row < rows", "row - start < rows")},
        ),
        Mistake(
            "Masked lanes get 1. They have to be 0, so that they add nothing to a product.",
            {INSIDE: INSIDE.replace("other=0.0", "other=1.0")},
        ),
    ],
    "tile_weights": [
        Mistake(
            "Keys that do not exist keep the score 0, which is a score like any other. Give them -inf.",
            {SCORED: "return products * scale"},
        ),
        Mistake(
            "The mask counts keys from the start of the tile: lane n is key `start` + n.",
            {EXISTS: EXISTS.replace("start + ", "")},
        ),
        Mistake("Key S does not exist: the last one is S - 1.", {EXISTS: EXISTS.replace("< S", "<= S")}),
        Mistake(
            "The mask is turned: keys that exist have lost their scores.",
            {SCORED: 'return tl.where(exists[None, :], float("-inf"), products * scale)'},
        ),
        Mistake(
            "The mask lies along the queries. Keys are the columns of the scores: exists[None, :].",
            {SCORED: SCORED.replace("exists[None, :]", "exists[:, None]")},
        ),
        Mistake("The scale is missing.", {SCORED: SCORED.replace("products * scale", "products")}),
        Mistake(
            "The scale is an argument, and this takes D ** -0.5 in its place.",
            {
                "weights, start, len(k), scale, BLOCK=16": "weights, start, len(k), q.shape[1] ** -0.5, BLOCK=16"
            },
        ),
        Mistake(
            "q is multiplied by k and not by its transpose: a score is the product of a query with a key.",
            {PRODUCTS: 'products = tl.dot(q, k, input_precision="ieee")'},
        ),
        Mistake(
            "The scores are turned: a row for each key. Queries are the rows.",
            {PRODUCTS: 'products = tl.dot(k, tl.trans(q), input_precision="ieee")'},
        ),
        Mistake(
            'tl.dot rounds float32 numbers to TF32, unless input_precision="ieee" is given.',
            {PRODUCTS: "products = tl.dot(q, tl.trans(k))"},
        ),
    ],
    "add_tile": [
        Mistake(
            "The old sums are not rescaled. They were made with the old maximum: multiply both by "
            "exp(old maximum - new maximum).",
            {STEP_SUM: STEP_SUM.replace(" * rescale", ""), STEP_ACC: STEP_ACC.replace(" * rescale", "")},
        ),
        Mistake(
            "The sum of the weights is rescaled, the weighted sum of the values is not: both were made with the old "
            "maximum.",
            {STEP_ACC: STEP_ACC.replace(" * rescale", "")},
        ),
        Mistake(
            "The weighted sum of the values is rescaled, the sum of the weights is not: both were made with the old "
            "maximum.",
            {STEP_SUM: STEP_SUM.replace(" * rescale", "")},
        ),
        Mistake(
            "Rescaled by the inverse: exp(new maximum - old maximum) makes old sums larger. A higher maximum makes "
            "every weight smaller.",
            {STEP_RESCALE: "rescale = np.exp(new_max - row_max)"},
        ),
        Mistake(
            "The maximum is the tile's alone. In exact arithmetic any number would do; on a computer the old sums are "
            "then multiplied by exp of a large number where the tile lies far below them.",
            {STEP_MAX: "new_max = scores.max(axis=1, keepdims=True)"},
        ),
        Mistake(
            "The maximum stays the old one: at the first tile that is -inf, and a tile that lies far above overflows.",
            {STEP_MAX: "new_max = row_max"},
        ),
        Mistake(
            "One maximum for all queries. Each has its own row of scores, and a maximum of its own: axis=1, "
            "keepdims=True.",
            {STEP_MAX: "new_max = np.maximum(row_max, scores.max())"},
        ),
        Mistake(
            "No maximum is taken off the tile's scores: exp overflows from 88.7 on, and the new weights do not fit the "
            "old ones.",
            {STEP_WEIGHTS: "weights = np.exp(scores)\n"},
        ),
        Mistake(
            "The tile's weights are rescaled too. They are made with the new maximum already; only the old sums need "
            "it.",
            {STEP_WEIGHTS: "weights = np.exp(scores - new_max) * rescale\n"},
        ),
        Mistake(
            "The tile's weights are made with the old maximum, the sums are kept for the new one.",
            {STEP_WEIGHTS: "weights = np.exp(scores - row_max)\n"},
        ),
        Mistake(
            "The old sums are thrown away: what is returned knows of the last tile alone.",
            {STEP_SUM: STEP_SUM.replace("row_sum * rescale + ", ""), STEP_ACC: "new_acc = weights @ v"},
        ),
        Mistake(
            "Divided by the sum at every tile. The division comes once, after the last tile; the state holds the sum "
            "itself.",
            {STEP_ACC: "new_acc = (acc * rescale + weights @ v) / new_sum"},
        ),
        Mistake(
            "The old maximum is handed on, with sums that were made for the new one.",
            {"[new_max, new_sum, new_acc]": "[row_max, new_sum, new_acc]"},
        ),
        Mistake(
            "The powers are of 2, not of e.",
            {
                STEP_WEIGHTS: "weights = np.exp2(scores - new_max)\n",
                STEP_RESCALE: "rescale = np.exp2(row_max - new_max)",
            },
        ),
    ],
    "flash_attention": [
        Mistake(
            "Keys beyond the last are not masked in the scores. Their loads give zeros, and a score of 0 is a score: "
            "it gets a weight. Give them -inf.",
            {MASK: ""},
        ),
        Mistake(
            "The scale is missing.",
            {'tl.trans(k), input_precision="ieee") * scale': 'tl.trans(k), input_precision="ieee")'},
        ),
        Mistake(
            "The sum of the weights is not rescaled when the maximum changes.",
            {SUM: SUM.replace(" * rescale", "")},
        ),
        Mistake(
            "The weighted sum of the values is not rescaled when the maximum changes.",
            {ACC: ACC.replace(" * rescale[:, None]", "")},
        ),
        Mistake(
            "Rescaled by the inverse: exp(new maximum - old maximum) makes old sums larger.",
            {"rescale = tl.exp(row_max - new_max)": "rescale = tl.exp(new_max - row_max)"},
        ),
        Mistake(
            "The maximum is the tile's alone. It comes out right until a tile lies far below an earlier one, and then "
            "overflows.",
            {MAX: "new_max = tl.max(scores, axis=1)"},
        ),
        Mistake(
            "The running maximum is never kept: at every tile the old sums are taken for those of the first.",
            {"        row_max = new_max\n\n    tl.store": "\n    tl.store"},
        ),
        Mistake(
            "The maximum is not subtracted before the exponential.",
            {"weights = tl.exp(scores - new_max[:, None])": "weights = tl.exp(scores)"},
        ),
        Mistake("Not divided by the sum in the end.", {"acc / row_sum[:, None]": "acc"}),
        Mistake(
            "Only the first tile of keys is read: the loop has to go on up to S.",
            {"range(0, S, BLOCK_K)": "range(0, BLOCK_K, BLOCK_K)"},
        ),
        Mistake(
            "Only whole tiles of keys are read: the last, shorter one is left out.",
            {"range(0, S, BLOCK_K)": "range(0, S - S % BLOCK_K, BLOCK_K)"},
        ),
        Mistake(
            "The loop counts queries: there are L of them, and S keys.",
            {"range(0, S, BLOCK_K)": "range(0, L, BLOCK_K)"},
        ),
        Mistake(
            "Keys are found by the number of queries: those of head h start at h · S · D.",
            {TILE: TILE.replace("head * S", "head * L")},
        ),
        Mistake(
            "All programs read the keys of the first head: the address lacks the head's number.",
            {TILE: TILE.replace("head * S + ", "")},
        ),
        Mistake(
            "All programs own queries of the first head.",
            {OWN: OWN.replace("head * L + ", "")},
        ),
        Mistake(
            "Rows are BLOCK_D apart in these addresses. BLOCK_D is what a program holds; in memory they are D apart.",
            {OWN: OWN.replace("* D", "* BLOCK_D"), TILE: TILE.replace("* D", "* BLOCK_D")},
        ),
        Mistake(
            "The loads of k and v mask the keys but not the channels: where D is no power of two, lanes beyond it read "
            "the next row.",
            {"tile_ok = (columns < S)[:, None] & (dims < D)[None, :]": "tile_ok = (columns < S)[:, None]"},
        ),
        Mistake(
            "The weights are laid on the keys again: k says who fits, v says what is handed over.",
            {ACC: ACC.replace("weights.to(v.dtype), v,", "weights.to(v.dtype), k,")},
        ),
        Mistake(
            "Only whole blocks of queries have a program: round up, with triton.cdiv.",
            {GRID: "grid = (max(1, L // 64), B * N)"},
        ),
        Mistake(
            "There are programs for the first image's heads alone: the grid needs B * N of them.",
            {GRID: "grid = (triton.cdiv(L, 64), N)"},
        ),
        Mistake(
            "Blocks have sizes that are powers of two: BLOCK_D is the power of two that holds D.",
            {"block_d = max(16, triton.next_power_of_2(D))": "block_d = D"},
        ),
        Mistake(
            "The scale is an argument, and this takes D ** -0.5 in its place. They "
            "are equal only where the caller says so.",
            {"q, k, v, out, scale, L,": "q, k, v, out, D**-0.5, L,"},
        ),
        Mistake(
            "BLOCK_D ends at 128: a head of 136 has channels that no lane holds.",
            {"block_d = max(16, triton.next_power_of_2(D))": "block_d = 128"},
        ),
        Mistake(
            "The kernel is launched, and torch computes the result. What is computed, the kernel computes.",
            {
                ("D, BLOCK_M=64, BLOCK_K=32, BLOCK_D=block_d\n    )  # fmt: skip\n    return out"): (
                    "D, BLOCK_M=64, BLOCK_K=32, BLOCK_D=block_d\n"
                    "    )  # fmt: skip\n"
                    "    return (scale * q @ k.transpose(-2, -1)).softmax(dim=-1) @ v"
                )
            },
        ),
        Mistake(
            'tl.dot rounds float32 numbers to TF32, unless input_precision="ieee" is given: once for the scores and '
            "once for the values.",
            {
                'tl.trans(k), input_precision="ieee") * scale': "tl.trans(k)) * scale",
                ACC: ACC.replace(', input_precision="ieee"', ""),
            },
        ),
    ],
    "wide_softmax": [
        Mistake(
            "The bug is still there. Whatever number is taken off all scores of a row cancels, so most rows come out "
            "right; follow row_max along a falling row, and look for the exponential that overflows.",
            {WIDE_MAX: "new_max = tl.max(x, axis=0)"},
        ),
        Mistake(
            "The maximum of the first block is kept for ever: a block far above it overflows.",
            {WIDE_MAX: "new_max = tl.where(start == 0, tl.max(x, axis=0), row_max)"},
        ),
        Mistake(
            "The smaller of the two is kept; the weights of the larger one overflow.",
            {
                WIDE_MAX: "new_max = tl.where(start == 0, tl.max(x, axis=0), tl.minimum(row_max, tl.max(x, axis=0)))"
            },
        ),
        Mistake(
            "The sum is no longer rescaled: it was made with the old maximum.",
            {WIDE_SUM: WIDE_SUM.replace(" * tl.exp(row_max - new_max)", "")},
        ),
        Mistake(
            "The sum is rescaled by the inverse.",
            {WIDE_SUM: WIDE_SUM.replace("row_max - new_max", "new_max - row_max")},
        ),
        Mistake(
            "The sum is that of the last block.",
            {WIDE_SUM: "row_sum = tl.sum(tl.exp(x - new_max), axis=0)"},
        ),
        Mistake(
            "The maximum is mended but not handed on: row_max stays -inf, and the second walk overflows.",
            {"        row_max = new_max\n    for": "    for"},
        ),
        Mistake(
            "Masked lanes hold 0 in the first walk, and count as numbers: they may win the maximum and add to the sum.",
            {'other=float("-inf"))\n': "other=0.0)\n"},
        ),
        Mistake(
            "The maximum is not subtracted in the second walk, and is in the first.",
            {WIDE_STORE: WIDE_STORE.replace("x - row_max", "x")},
        ),
        Mistake(
            "No maximum is taken off any more: that mends nothing, exp overflows from 88.7 on.",
            {WIDE_MAX: "new_max = 0.0", 'row_max = float("-inf")\n': "row_max = 0.0\n"},
        ),
        Mistake(
            "The division by the sum got lost.",
            {WIDE_STORE: WIDE_STORE.replace(" / row_sum", "")},
        ),
    ],
}
