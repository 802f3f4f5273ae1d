"""Wrong answers to lesson 16, and what each of them misunderstands."""

from minisam.lesson.mistakes import Mistake

STEP_ROW = "row_bias = rel_h[:, None] * LOG2E"
STEP_SCORES = "scores = (q @ k.T) * (scale * LOG2E) + rel_w * LOG2E"
STEP_MAX = "new_max = np.maximum(row_max, scores.max(axis=1, keepdims=True) + row_bias)"
STEP_WEIGHTS = "weights = np.exp2(scores - (new_max - row_bias))"
STEP_RESCALE = "rescale = np.exp2(row_max - new_max)"
STEP_ACC = "new_acc = acc * rescale + weights @ v"
STEP_SUM = "new_sum = row_sum * rescale + weights.sum(axis=1, keepdims=True)"
COLUMN = 'column_bias = tl.where(column_ok[None, :], rel_w.to(tl.float32) * LOG2E, float("-inf"))'
ROW = "row_bias = rel_h.to(tl.float32) * LOG2E"
REL_H = "tl.load(rel_h_ptr + (head * L + rows) * H + i, mask=row_ok, other=0.0)"
REL_W = "rel_w_tile = (head * L + rows)[:, None] * W + columns[None, :]"
TILE = "tile = (head * L + i * W + columns)[:, None] * D + dims[None, :]"
SCORES = 'scores = tl.dot(q, tl.trans(k), input_precision="ieee") * (scale * LOG2E) + column_bias'
WEIGHTS = "weights = tl.exp2(scores - (new_max - row_bias)[:, None])"
SUM = "row_sum = row_sum * rescale + tl.sum(weights, axis=1)"
ACC = 'acc = acc * rescale[:, None] + tl.dot(weights.to(v.dtype), v, input_precision="ieee")'
GRID = "grid = (triton.cdiv(L, 64), B * N)"
LAUNCH = "rel_pos_attention_kernel[grid](q, k, v, rel_h, rel_w, out, scale, H, W, D, LOG2E, **blocks)"
BUG = "score = product * (scale * LOG2E) + (rel_h + rel_w) * LOG2E"

PLACE = "place = (head.to(tl.int64) * L + query)[:, None] * W + column[None, :]"
LOADED = "bias = tl.load(rel_w_ptr + place, mask=(query < L)[:, None] & (column < W)[None, :], other=0.0)"
MASKED = 'return tl.where(column[None, :] < W, bias * LOG2E, float("-inf"))'
QUERIES = "    query, column = start + tl.arange(0, BLOCK_M), tl.arange(0, BLOCK_K)"
FIRST = "first = (head.to(tl.int64) * L + query) * H"
ROW_LOADED = "return tl.load(rel_h_ptr + first + i, mask=query < L, other=0.0) * LOG2E"
ROW_QUERIES = "    query = start + tl.arange(0, BLOCK_M)\n"

WRONG = {
    "column_factors": [
        Mistake(
            "Columns that do not exist have a bias of 0, and with it a weight. Give them -inf.",
            {MASKED: "return bias * LOG2E"},
        ),
        Mistake(
            "The bias is not brought to base 2: everything in the exponent takes the factor LOG2E.",
            {MASKED: MASKED.replace("bias * LOG2E", "bias")},
        ),
        Mistake(
            "The bias is divided by LOG2E, which is the way from base 2 to base e.",
            {MASKED: MASKED.replace("bias * LOG2E", "bias / LOG2E")},
        ),
        Mistake(
            "All heads have the bias of the first one: that of head h starts h · L · W numbers after the beginning.",
            {PLACE: PLACE.replace("head.to(tl.int64) * L + ", "")},
        ),
        Mistake(
            "A query's numbers are W, and BLOCK_K is only what a tile holds: query l starts at l · W.",
            {PLACE: PLACE.replace("* W", "* BLOCK_K")},
        ),
        Mistake(
            "The queries always begin with number 0: `start` is not in the address.",
            {QUERIES: QUERIES.replace("start + ", "")},
        ),
        Mistake(
            "All queries have the bias of the first one: each has W numbers of its own.",
            {PLACE: PLACE.replace("* L + query)", "* L + start + 0 * query)")},
        ),
        Mistake(
            "The load masks the columns but not the queries: beyond the last query it reads the next head, or beyond "
            "the end.",
            {LOADED: LOADED.replace("(query < L)[:, None] & ", "(query >= 0)[:, None] & ")},
        ),
        Mistake(
            "The load masks the queries but not the columns: lanes beyond W read the next query's numbers, and those "
            "of the last query read beyond the end.",
            {LOADED: LOADED.replace(" & (column < W)[None, :]", " & (column >= 0)[None, :]")},
        ),
        Mistake(
            "Masked by the queries: rows of -inf where there is no query, and weights where there is no column.",
            {MASKED: MASKED.replace("column[None, :] < W", "query[:, None] < L")},
        ),
        Mistake(
            "Queries that do not exist have a bias of -inf, too. Give them any finite one, such as other=0.0: a row "
            "without any weight makes 0 / 0.",
            {MASKED: MASKED.replace("column[None, :] < W", "(query < L)[:, None] & (column < W)[None, :]")},
        ),
        Mistake(
            "The last column of the tile that gets a weight is W, which does not exist: column < W, without equality.",
            {MASKED: MASKED.replace("< W", "<= W")},
        ),
        Mistake(
            "The factor LOG2E is there twice.",
            {MASKED: MASKED.replace("bias * LOG2E", "bias * LOG2E * LOG2E")},
        ),
        Mistake(
            "The table is read as [heads, W, L]. It is [heads, L, W]: the numbers of a query lie side by side.",
            {PLACE: "place = head.to(tl.int64) * L * W + column[None, :] * L + query[:, None]"},
        ),
        Mistake(
            "Columns that do not exist have a small bias, and with it a weight that is not 0. Only -inf makes it 0.",
            {MASKED: MASKED.replace('float("-inf")', "-1.0")},
        ),
    ],
    "row_biases": [
        Mistake(
            "The bias is not brought to base 2: everything in the exponent takes the factor LOG2E.",
            {ROW_LOADED: ROW_LOADED.replace(" * LOG2E", "")},
        ),
        Mistake(
            "The bias is divided by LOG2E, which is the way from base 2 to base e.",
            {ROW_LOADED: ROW_LOADED.replace(" * LOG2E", " / LOG2E")},
        ),
        Mistake(
            "The bias is that of grid row 0 for all rows: i is not in the address.",
            {ROW_LOADED: ROW_LOADED.replace("first + i", "first")},
        ),
        Mistake(
            "All heads have the bias of the first one: that of head h starts h · L · H numbers after the beginning.",
            {FIRST: FIRST.replace("head.to(tl.int64) * L + ", "")},
        ),
        Mistake(
            "Queries are one number apart in this address. Each has H numbers, one for each grid row.",
            {FIRST: FIRST.replace(" * H", "")},
        ),
        Mistake(
            "The table is read as [heads, H, L]. It is [heads, L, H]: the numbers of a query lie side by side.",
            {
                FIRST: "first = head.to(tl.int64) * L * H + query",
                ROW_LOADED: ROW_LOADED.replace("+ i,", "+ i * L,"),
            },
        ),
        Mistake(
            "The queries always begin with number 0: `start` is not in the address.",
            {ROW_QUERIES: ROW_QUERIES.replace("start + ", "")},
        ),
        Mistake(
            "The queries are not masked: beyond the last one this reads the next head, or beyond the end.",
            {ROW_LOADED: ROW_LOADED.replace("mask=query < L", "mask=query >= 0")},
        ),
    ],
    "add_grid_row": [
        Mistake(
            "The row's bias is missing in the maximum. A whole score is the tile's score plus rel_h, and so is the "
            "largest one.",
            {STEP_MAX: STEP_MAX.replace(" + row_bias", "")},
        ),
        Mistake(
            "The row's bias is missing in the weights: they are exp2(score + rel_h - maximum), that is, the maximum is "
            "lowered by rel_h.",
            {STEP_WEIGHTS: "weights = np.exp2(scores - new_max)"},
        ),
        Mistake(
            "The row's bias has the wrong sign in the weights: adding rel_h to every score is taking it off the "
            "maximum.",
            {STEP_WEIGHTS: "weights = np.exp2(scores - (new_max + row_bias))"},
        ),
        Mistake("rel_h is left out.", {STEP_ROW: "row_bias = 0 * rel_h[:, None]"}),
        Mistake("rel_w is left out.", {STEP_SCORES: STEP_SCORES.replace(" + rel_w * LOG2E", "")}),
        Mistake(
            "rel_h is not brought to base 2: everything in the exponent takes the factor LOG2E, the bias too.",
            {STEP_ROW: "row_bias = rel_h[:, None]"},
        ),
        Mistake(
            "rel_w is not brought to base 2: everything in the exponent takes the factor LOG2E, the bias too.",
            {STEP_SCORES: STEP_SCORES.replace("rel_w * LOG2E", "rel_w")},
        ),
        Mistake(
            "Neither part of the bias is brought to base 2: everything in the exponent takes the factor LOG2E.",
            {
                STEP_ROW: "row_bias = rel_h[:, None]",
                STEP_SCORES: STEP_SCORES.replace("rel_w * LOG2E", "rel_w"),
            },
        ),
        Mistake(
            "q kᵀ is not brought to base 2: its factor is scale · LOG2E.",
            {STEP_SCORES: STEP_SCORES.replace("(scale * LOG2E)", "scale")},
        ),
        Mistake(
            "The powers are of e. With LOG2E in the exponent they have to be of 2.",
            {
                STEP_WEIGHTS: STEP_WEIGHTS.replace("exp2", "exp"),
                STEP_RESCALE: STEP_RESCALE.replace("exp2", "exp"),
            },
        ),
        Mistake(
            "Everything is in base e, the state is in base 2: its maximum is that of score · LOG2E.",
            {
                STEP_ROW: "row_bias = rel_h[:, None]",
                STEP_SCORES: "scores = (q @ k.T) * scale + rel_w",
                STEP_WEIGHTS: STEP_WEIGHTS.replace("exp2", "exp"),
                STEP_RESCALE: STEP_RESCALE.replace("exp2", "exp"),
            },
        ),
        Mistake(
            "The bias is scaled. SAM's bias is made of the query as it is, and only q kᵀ is scaled.",
            {
                STEP_ROW: "row_bias = rel_h[:, None] * (scale * LOG2E)",
                STEP_SCORES: "scores = (q @ k.T + rel_w) * (scale * LOG2E)",
            },
        ),
        Mistake("The scale is missing.", {STEP_SCORES: STEP_SCORES.replace("(scale * LOG2E)", "LOG2E")}),
        Mistake(
            "The old sums are not rescaled to the new maximum.",
            {STEP_SUM: STEP_SUM.replace(" * rescale", ""), STEP_ACC: STEP_ACC.replace(" * rescale", "")},
        ),
        Mistake(
            "The maximum is this row's alone: the old sums are multiplied by 2 to a large power where the row lies far "
            "below them.",
            {STEP_MAX: "new_max = scores.max(axis=1, keepdims=True) + row_bias"},
        ),
        Mistake(
            "The scale is an argument, and this takes D ** -0.5 in its place. They "
            "are equal only where the caller says so.",
            {"(scale * LOG2E) + rel_w * LOG2E": "(q.shape[1] ** -0.5 * LOG2E) + rel_w * LOG2E"},
        ),
        Mistake(
            "The weighted sum is divided by the sum of the weights at once. The state keeps both; the division comes "
            "after the last row.",
            {
                STEP_ACC: STEP_ACC.replace(
                    "acc * rescale + weights @ v", "(acc * rescale + weights @ v) / new_sum"
                )
            },
        ),
        Mistake(
            "The new maximum is stored in base e. The state has the maximum of score · LOG2E.",
            {"[new_max, new_sum, new_acc]": "[new_max / LOG2E, new_sum, new_acc]"},
        ),
        Mistake(
            "One maximum for all queries. Each query has its own.",
            {
                STEP_MAX: STEP_MAX.replace(
                    "scores.max(axis=1, keepdims=True) + row_bias", "(scores + row_bias).max()"
                )
            },
        ),
        Mistake(
            "The factor is ln 2. From e to 2 it is log₂ e, LOG2E: e^x = 2^(x · log₂ e).",
            {
                STEP_ROW: "row_bias = rel_h[:, None] / LOG2E",
                STEP_SCORES: "scores = (q @ k.T) * (scale / LOG2E) + rel_w / LOG2E",
            },
        ),
        Mistake(
            "The old sums are rescaled by the inverse. A higher maximum makes them smaller: 2^(old − new).",
            {
                STEP_RESCALE: "rescale = np.where(np.isinf(row_max), 0, np.exp2(new_max - row_max)).astype(q.dtype)"
            },
        ),
        Mistake(
            "The weights of the row are normalised before they are added. Divide by the whole sum, at the end.",
            {STEP_SUM: "weights = weights / weights.sum(axis=1, keepdims=True)\n    " + STEP_SUM},
        ),
        Mistake(
            "Every query has the same rel_h here, the mean. Each has its own number for this row.",
            {STEP_ROW: "row_bias = rel_h.mean() * LOG2E"},
        ),
    ],
    "rel_pos_attention": [
        Mistake(
            "rel_h is not brought to base 2: in exp2 everything takes the factor LOG2E, the bias too.",
            {ROW: "row_bias = rel_h.to(tl.float32)"},
        ),
        Mistake(
            "rel_w is not brought to base 2: in exp2 everything takes the factor LOG2E, the bias too.",
            {COLUMN: COLUMN.replace(" * LOG2E", "")},
        ),
        Mistake(
            "The powers are of e, the exponents are made for powers of 2.",
            {WEIGHTS: WEIGHTS.replace("exp2", "exp"), "rescale = tl.exp2": "rescale = tl.exp"},
        ),
        Mistake(
            "Columns beyond the grid's edge take part: their bias has to be -inf, which masks their scores.",
            {COLUMN: "column_bias = rel_w.to(tl.float32) * LOG2E"},
        ),
        Mistake(
            "rel_w is left out.",
            {SCORES: SCORES.replace("column_bias", "0 * rel_w"), COLUMN: "column_bias = rel_w"},
        ),
        Mistake(
            "rel_h has no effect. Does its address contain i? Is it in the maximum and in the weights? One number for "
            "all of a query's keys cancels.",
            {ROW: "row_bias = 0 * rel_h.to(tl.float32)"},
        ),
        Mistake(
            "The sign of rel_h is turned: adding it to every score is taking it off the maximum.",
            {WEIGHTS: WEIGHTS.replace("new_max - row_bias", "new_max + row_bias")},
        ),
        Mistake(
            "A query's numbers in rel_h are H, not W: its own start at (head * L + row) * H.",
            {REL_H: REL_H.replace(" * H + i", " * W + i")},
        ),
        Mistake(
            "Every query has a row of its own in rel_w; here all read that of query 0.",
            {REL_W: "rel_w_tile = (head * L + rows * 0)[:, None] * W + columns[None, :]"},
        ),
        Mistake(
            "The keys are those of the first grid row each time: token i * W + j is the one in row i.",
            {TILE: TILE.replace("i * W + ", "")},
        ),
        Mistake(
            "Grid rows are W tokens apart in memory; BLOCK_K is only how many a program holds.",
            {TILE: TILE.replace("i * W", "i * BLOCK_K")},
        ),
        Mistake(
            "All programs read the keys of the first head: the address lacks the head's number.",
            {TILE: TILE.replace("head * L + ", "")},
        ),
        Mistake(
            "The bias is scaled. Only q kᵀ is: the bias is made of the query as it is.",
            {ROW: ROW + " * scale", COLUMN: COLUMN.replace(" * LOG2E", " * LOG2E * scale")},
        ),
        Mistake("The scale is missing.", {SCORES: SCORES.replace("(scale * LOG2E)", "LOG2E")}),
        Mistake(
            "The sum of the weights is not rescaled when the maximum changes.",
            {SUM: SUM.replace(" * rescale", "")},
        ),
        Mistake(
            "The weighted sum of the values is not rescaled when the maximum changes.",
            {ACC: ACC.replace(" * rescale[:, None]", "")},
        ),
        Mistake("Not divided by the sum in the end.", {"acc / row_sum[:, None]": "acc"}),
        Mistake("The last row of the grid is never met.", {"range(0, H)": "range(0, tl.maximum(H - 1, 1))"}),
        Mistake("The loop is over the grid's rows, and there are H of them.", {"range(0, H)": "range(0, W)"}),
        Mistake(
            "H and W are exchanged at the launch: rows of the grid have W tokens.",
            {LAUNCH: LAUNCH.replace("H, W, D", "W, H, D")},
        ),
        Mistake(
            "Only whole blocks of queries have a program: round up, with triton.cdiv.",
            {GRID: "grid = (max(1, L // 64), B * N)"},
        ),
        Mistake(
            "The scale is an argument, and this takes D ** -0.5 in its place. They "
            "are equal only where the caller says so.",
            {"rel_w, out, scale, H, W, D, LOG2E, **blocks": "rel_w, out, D**-0.5, H, W, D, LOG2E, **blocks"},
        ),
        Mistake(
            "BLOCK_K ends at 128: in a row of 130 columns the last two keys are in no lane.",
            {'"BLOCK_K": max(16, triton.next_power_of_2(W))': '"BLOCK_K": 128'},
        ),
        Mistake(
            "BLOCK_D ends at 128: a head of 136 has channels that no lane holds.",
            {'"BLOCK_D": max(16, triton.next_power_of_2(D))': '"BLOCK_D": 128'},
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
            'The scores are rounded to TF32: their tl.dot lacks input_precision="ieee".',
            {SCORES: SCORES.replace(', input_precision="ieee"', "")},
        ),
        Mistake(
            'The weighted sum is rounded to TF32: its tl.dot lacks input_precision="ieee".',
            {ACC: ACC.replace(', input_precision="ieee"', "")},
        ),
        Mistake(
            "The scores are products of 16-bit numbers. For float32 inputs they have to be float32's.",
            {
                SCORES: SCORES.replace(
                    "tl.dot(q, tl.trans(k)", "tl.dot(q.to(tl.float16), tl.trans(k).to(tl.float16)"
                )
            },
        ),
        Mistake(
            "All queries have the rel_h of query 0: each has H numbers of its own.",
            {REL_H: REL_H.replace("+ rows) * H", "+ 0 * rows) * H")},
        ),
        Mistake(
            "rel_h is read as [heads, H, L]. It is [heads, L, H]: the numbers of a query lie side by side.",
            {REL_H: REL_H.replace("(head * L + rows) * H + i", "head * L * H + i * L + rows")},
        ),
        Mistake(
            "Only the first image has programs: the grid needs one row for each head of each image, B · N.",
            {GRID: "grid = (triton.cdiv(L, 64), N)"},
        ),
        Mistake(
            "A tile has fewer than 16 columns or channels here, which tl.dot does not take on a GPU: max(16, …).",
            {'"BLOCK_K": max(16, triton.next_power_of_2(W))': '"BLOCK_K": triton.next_power_of_2(W)'},
        ),
    ],
    "attention_weights": [
        Mistake(
            "The bug is still there. With tables of zeros it does not show: ask in which base each of the three terms "
            "of the score is.",
            {BUG: "score = product * (scale * LOG2E) + (rel_h + rel_w)"},
        ),
        Mistake(
            "rel_h is in base 2 now, rel_w is not.",
            {BUG: "score = product * (scale * LOG2E) + rel_h * LOG2E + rel_w"},
        ),
        Mistake(
            "rel_w is in base 2 now, rel_h is not.",
            {BUG: "score = product * (scale * LOG2E) + rel_h + rel_w * LOG2E"},
        ),
        Mistake(
            "The bias is divided by LOG2E, which is the way from base 2 to base e. Here everything goes from e to 2: "
            "multiply.",
            {BUG: "score = product * (scale * LOG2E) + (rel_h + rel_w) / LOG2E"},
        ),
        Mistake(
            "The bias is scaled now. Only the products are.",
            {BUG: "score = (product + rel_h + rel_w) * (scale * LOG2E)"},
        ),
        Mistake(
            "The products have the factor LOG2E twice, or a power of e is taken of them: both come to the same.",
            {BUG: "score = (product * (scale * LOG2E) + rel_h + rel_w) * LOG2E"},
        ),
        Mistake(
            "LOG2E is gone everywhere, and the power is still of 2.",
            {BUG: "score = product * scale + rel_h + rel_w"},
        ),
        Mistake(
            "The scale got lost.",
            {BUG: "score = (product + rel_h + rel_w) * LOG2E"},
        ),
        Mistake(
            "The two parts of the bias are multiplied; they are added.",
            {BUG: "score = product * (scale * LOG2E) + rel_h * rel_w * LOG2E"},
        ),
        Mistake(
            "The row of a key is key // W: a row of the grid has W of them.",
            {"rel_h_ptr + query * H + key // W": "rel_h_ptr + query * H + key // H"},
        ),
        Mistake(
            "The bias is in base 2 now, and the scale is no longer the one that is given.",
            {"scale, H, W, LOG2E, BLOCK=block)": "0.25, H, W, LOG2E, BLOCK=block)"},
        ),
        Mistake(
            "The bias is in base 2 now, and the products are no longer.",
            {BUG: "score = product * scale + (rel_h + rel_w) * LOG2E"},
        ),
        Mistake(
            "The bias multiplies the products. It is added to them.",
            {BUG: "score = product * (scale * LOG2E) * (1 + rel_h + rel_w)"},
        ),
    ],
}
