"""Wrong answers to lesson 20, and what each of them misunderstands."""

from minisam.lesson.mistakes import Mistake

Q_HEADS = "heads = q.reshape(*q.shape[:2], num_heads, -1).swapaxes(1, 2)  # [B, N, T, D]"
K_HEADS = "w_ndc = w_k.reshape(num_heads, -1, w_k.shape[1])"
ROWS = "return heads.shape[-1] ** -0.5 * heads @ w_ndc"
ASK_Q = 'q = project(x + p, weights, "q_proj", num_heads)'
ASK_ROWS = 'rows = q.shape[-1] ** -0.5 * q @ matrices(weights["k_proj.weight"], num_heads)'
SHARES = "shares = (rows @ (y + e)[:, None].transpose(2, 3)).softmax(dim=3)"
SEEN = "seen = shares @ y[:, None]"
ASK_HEADS = 'heads = seen @ matrices(weights["v_proj.weight"], num_heads).transpose(1, 2)'
VALUES = 'values = heads.transpose(1, 2).flatten(2) + weights["v_proj.bias"]'
ASK_OUT = 'return F.linear(values, weights["out_proj.weight"], weights["out_proj.bias"])'
RESCALE = "rescale = np.exp(row_max - row_max.max(axis=0))"
WEIGHTED = "weighted = (rescale[:, :, None] * acc).sum(axis=0)"
TOTAL = "total = (rescale * row_sum).sum(axis=0)"
JOINED = "return weighted / total[:, None]"
TOKEN_K = 'k = project(x + p, weights, "k_proj", num_heads)'
SCALE = "    k = k * k.shape[-1] ** -0.5\n"
OFFSETS = 'offsets = k @ weights["q_proj.bias"].reshape(num_heads, -1, 1)'
SCORES = "scores = (y + e)[:, None] @ rows.transpose(2, 3) + offsets.transpose(2, 3)"
TOKEN_V = 'v = project(x, weights, "v_proj", num_heads)'
TOLD = 'told = v @ matrices(weights["out_proj.weight"].T, num_heads)'
ANSWER = 'return (scores.softmax(dim=3) @ told).sum(dim=1) + weights["out_proj.bias"]'

WRONG = {
    "absorb_keys": [
        Mistake("The scale is missing. It is to be in the rows: 1/√D.", {ROWS: "return heads @ w_ndc"}),
        Mistake(
            "Divided by D, which is the scale twice. A score has it once: 1/√D.",
            {ROWS: "return heads.shape[-1] ** -1.0 * heads @ w_ndc"},
        ),
        Mistake(
            "Multiplied by √D. The scale makes scores smaller: 1/√D.",
            {ROWS: "return heads.shape[-1] ** 0.5 * heads @ w_ndc"},
        ),
        Mistake(
            "The scale is 1/√C. The rows have C channels now, but what is scaled is still a product of D channels: "
            "absorbing changes the order of the sums, not their value.",
            {ROWS: "return w_k.shape[1] ** -0.5 * heads @ w_ndc"},
        ),
        Mistake(
            "The scale is 1/√(N·D). Each head has a product of its own, over D channels.",
            {ROWS: "return len(w_k) ** -0.5 * heads @ w_ndc"},
        ),
        Mistake(
            "The heads of q are interleaved. A head is D channels that lie side by side: reshape to [B, T, N, D].",
            {Q_HEADS: "heads = q.reshape(*q.shape[:2], -1, num_heads).transpose(0, 3, 1, 2)"},
        ),
        Mistake(
            "q is reshaped to [B, N, T, D] at once, which mixes tokens with heads. Reshape to [B, T, N, D], then "
            "exchange axes 1 and 2.",
            {Q_HEADS: "heads = q.reshape(len(q), num_heads, q.shape[1], -1)"},
        ),
        Mistake(
            "The heads of W_k are interleaved. Rows n·D to (n+1)·D are head n: reshape to [N, D, C].",
            {K_HEADS: "w_ndc = w_k.reshape(-1, num_heads, w_k.shape[1]).swapaxes(0, 1)"},
        ),
        Mistake(
            "W_k is reshaped as if its columns were cut into heads. Its rows are: [N·D, C] to [N, D, C].",
            {K_HEADS: "w_ndc = w_k.T.reshape(num_heads, -1, w_k.shape[1])"},
        ),
        Mistake(
            "The heads are summed up: every head has a row of its own for each token, N·T rows in all.",
            {
                ROWS: "rows = heads.shape[-1] ** -0.5 * heads @ w_ndc\n"
                "    return np.broadcast_to(rows.sum(axis=1, keepdims=True), rows.shape).copy()"
            },
        ),
        Mistake(
            "Every head uses the matrix of the first.",
            {ROWS: "return heads.shape[-1] ** -0.5 * heads @ w_ndc[0]"},
        ),
        Mistake(
            "The axes are [B, T, N, C]. The heads come first, so that the rows of a head are one matrix.",
            {ROWS: "return (heads.shape[-1] ** -0.5 * heads @ w_ndc).swapaxes(1, 2)"},
        ),
        Mistake(
            "There is one row for each token. Each head has its own: N · T rows, [B, N, T, C].",
            {ROWS: "return heads.shape[-1] ** -0.5 * (q @ w_k)[:, None]"},
        ),
        Mistake(
            "The rows are cut into heads by their channels. Each head's row has all C channels of an image token.",
            {
                ROWS: "return heads.shape[-1] ** -0.5 * (q @ w_k).reshape(*q.shape[:2], num_heads, -1).swapaxes(1, 2)"
            },
        ),
        Mistake(
            "The scale is 1/√N, with the number of heads. It is made of the channels of a head: 1/√D.",
            {ROWS: "return num_heads ** -0.5 * heads @ w_ndc"},
        ),
        Mistake(
            "A softmax is in the rows. They are no scores yet; the softmax runs over the scores a · y.",
            {
                ROWS: "rows = np.exp(heads.shape[-1] ** -0.5 * heads @ w_ndc)\n"
                "    return rows / rows.sum(axis=-1, keepdims=True)"
            },
        ),
    ],
    "tokens_ask": [
        Mistake(
            "The bias of the values is forgotten. The weights sum to 1, so what is the same in all values stays: "
            "b_v, once. (It is the keys' bias that cancels.)",
            {VALUES: "values = heads.transpose(1, 2).flatten(2)"},
        ),
        Mistake(
            "The bias of the values is there once for each image token. Σ p b_v is b_v, because Σ p is 1.",
            {VALUES: 'values = heads.transpose(1, 2).flatten(2) + y.shape[1] * weights["v_proj.bias"]'},
        ),
        Mistake(
            "The bias of the keys in place of the values'. b_k gives every key the same score more, and cancels.",
            {VALUES: 'values = heads.transpose(1, 2).flatten(2) + weights["k_proj.bias"]'},
        ),
        Mistake(
            "The scale is applied twice: it is in the rows already.",
            {SHARES: SHARES.replace("(rows @", "(q.shape[-1] ** -0.5 * rows @")},
        ),
        Mistake("The scale is missing.", {ASK_ROWS: ASK_ROWS.replace("q.shape[-1] ** -0.5 * ", "")}),
        Mistake(
            "The positions are in the values. They say who fits, and are not handed over: keys y + e, values y.",
            {SEEN: "seen = shares @ (y + e)[:, None]"},
        ),
        Mistake("The positions are missing in the keys: y + e.", {SHARES: SHARES.replace("(y + e)", "y")}),
        Mistake("The positions of the tokens are missing: x + p asks.", {ASK_Q: ASK_Q.replace("x + p", "x")}),
        Mistake(
            "The softmax runs over the tokens that ask. It is to run over what is asked, the image: the last axis.",
            {SHARES: SHARES.replace("dim=3", "dim=2")},
        ),
        Mistake(
            "There is no softmax. The scores themselves are used as weights, and do not sum to 1.",
            {SHARES: SHARES.replace(".softmax(dim=3)", "")},
        ),
        Mistake(
            "The average is of the values of all heads. Each head has weights of its own, and sees an average of its "
            "own.",
            {SEEN: "seen = shares.mean(dim=1, keepdim=True).expand_as(shares) @ y[:, None]"},
        ),
        Mistake(
            "What is seen goes through W_k once more. W_k is in the rows; the average of y needs W_v.",
            {ASK_HEADS: ASK_HEADS.replace("v_proj", "k_proj")},
        ),
        Mistake(
            "The heads are flattened before tokens and heads change places: [B, N, T, D] to [B, T, N, D] first.",
            {VALUES: 'values = heads.reshape(*x.shape[:2], -1) + weights["v_proj.bias"]'},
        ),
        Mistake(
            "The last bias is missing, b_o of the output projection.",
            {ASK_OUT: 'return F.linear(values, weights["out_proj.weight"])'},
        ),
        Mistake(
            "The result is right, but y is projected by W_v. Average the tokens of the image first, then project "
            "the averages.",
            {
                (
                    "seen = shares @ y[:, None]  # [B, N, T, C]\n"
                    '    heads = seen @ matrices(weights["v_proj.weight"], num_heads).transpose(1, 2)'
                ): (
                    'projected = (y @ weights["v_proj.weight"].T).unflatten(2, (num_heads, -1)).transpose(1, 2)\n'
                    "    heads = shares @ projected"
                )
            },
        ),
        Mistake(
            "The values' bias is added once per head. Each channel belongs to one head: b_v once.",
            {'+ weights["v_proj.bias"]': '+ num_heads * weights["v_proj.bias"]'},
        ),
        Mistake(
            "The bias of the queries is left out. It adds b_q · k to a score, which differs from key to key. The keys' "
            "bias is the one that cancels.",
            {
                ASK_Q: 'q = project(x + p, {**weights, "q_proj.bias": 0 * weights["q_proj.bias"]}, "q_proj", num_heads)'
            },
        ),
        Mistake(
            "The keys' bias is added to the queries. It belongs to no row, because it cancels.",
            {ASK_Q: ASK_Q + ' + weights["k_proj.bias"].reshape(num_heads, 1, -1)'},
        ),
        Mistake(
            "The scale is 1/√C. The rows have C channels now, but what is scaled is still a product of D channels.",
            {ASK_ROWS: ASK_ROWS.replace("q.shape[-1] **", "y.shape[-1] **")},
        ),
        Mistake("The output projection is missing.", {ASK_OUT: "return values"}),
        Mistake(
            "x is added to the result. The two-way block does that (lesson 8), and this function does not.",
            {ASK_OUT: ASK_OUT.replace("return ", "return x + ")},
        ),
        Mistake(
            "The queries' bias is added twice, once for x and once for p. Add the positions first: x + p.",
            {
                ASK_Q: 'q = project(x, weights, "q_proj", num_heads) + project(p, weights, "q_proj", num_heads)'
            },
        ),
    ],
    "join_parts": [
        Mistake(
            "The sums are added without being rescaled. Each part made them with its own maximum: multiply both by "
            "exp(own maximum - common maximum).",
            {RESCALE: "rescale = np.ones_like(row_max)"},
        ),
        Mistake(
            "Rescaled by the inverse. A part with a low maximum has to count less: exp(own - common).",
            {RESCALE: "rescale = np.exp(row_max.max(axis=0) - row_max)"},
        ),
        Mistake(
            "The weighted values are not rescaled, only the sums are.",
            {WEIGHTED: "weighted = acc.sum(axis=0)"},
        ),
        Mistake(
            "The sums are not rescaled, only the weighted values are.",
            {TOTAL: "total = row_sum.sum(axis=0)"},
        ),
        Mistake(
            "The mean of the parts' results. A part counts by its share of the whole sum, not one in P.",
            {JOINED: "return (acc / row_sum[:, :, None]).mean(axis=0)"},
        ),
        Mistake(
            "The parts are weighed by their maxima alone. A part with many keys just below the maximum counts more "
            "than one with a single high key: its sum has to come in.",
            {
                WEIGHTED: "weighted = (rescale[:, :, None] * acc / row_sum[:, :, None]).sum(axis=0)",
                TOTAL: "total = rescale.sum(axis=0)",
            },
        ),
        Mistake(
            "Divided by each part's own sum, and by the whole sum again. Divide once, at the end.",
            {WEIGHTED: "weighted = (rescale[:, :, None] * acc / row_sum[:, :, None]).sum(axis=0)"},
        ),
        Mistake(
            "Only the part with the largest score is kept.",
            {RESCALE: "rescale = (row_max == row_max.max(axis=0)).astype(row_max.dtype)"},
        ),
        Mistake("Not divided by the whole sum in the end.", {JOINED: "return weighted"}),
        Mistake(
            "One maximum for all queries. A query whose scores lie far below is then left with sums of 0, and 0 / 0.",
            {RESCALE: "rescale = np.exp(row_max - row_max.max())"},
        ),
        Mistake(
            "The maximum of the first part for all. In exact arithmetic any number would do; here exp overflows where "
            "a later part lies far higher.",
            {RESCALE: "rescale = np.exp(row_max - row_max[0])"},
        ),
        Mistake(
            "The maximum is not taken off: exp of the parts' own maxima overflows, or is 0 for all of them.",
            {RESCALE: "rescale = np.exp(row_max)"},
        ),
        Mistake(
            "Powers of 2 for sums that were made with powers of e.",
            {RESCALE: "rescale = np.exp2(row_max - row_max.max(axis=0))"},
        ),
        Mistake(
            "Each part is divided by its own sum before adding. Add first, then divide by the sum over all parts.",
            {
                "return weighted / total[:, None]": (
                    "return (rescale[:, :, None] * acc / row_sum[:, :, None]).sum(axis=0)"
                )
            },
        ),
        Mistake(
            "Divided by the largest of the parts' sums. Divide by their sum.",
            {TOTAL: "total = (rescale * row_sum).max(axis=0)"},
        ),
        Mistake(
            "The mean of the weighted values is divided by the sum of the sums. Both are sums over the parts.",
            {WEIGHTED: WEIGHTED.replace(".sum(axis=0)", ".mean(axis=0)")},
        ),
        Mistake(
            "Only the first two parts are joined. There are P of them.",
            {RESCALE: "row_max, row_sum, acc = row_max[:2], row_sum[:2], acc[:2]\n    " + RESCALE},
        ),
        Mistake(
            "The maximum is that of a part over all queries. It is that of a query over all parts: axis 0.",
            {RESCALE: RESCALE.replace("row_max.max(axis=0)", "row_max.max(axis=1, keepdims=True)")},
        ),
        Mistake(
            "The parts are joined one after the other, and what was joined before is not rescaled when a later part "
            "has a higher maximum.",
            {
                RESCALE: "rescale = np.exp(row_max - np.maximum.accumulate(row_max, axis=0))",
            },
        ),
    ],
    "image_asks": [
        Mistake(
            "b_q · k is left out. It differs from token to token, and the softmax runs over the tokens: it does not "
            "cancel. What cancelled when tokens asked was the same for all that were asked.",
            {SCORES: SCORES.replace(" + offsets.transpose(2, 3)", "")},
        ),
        Mistake(
            "b_q · k is averaged over the heads. Each head has its own part of b_q, and scores of its own.",
            {
                SCORES: SCORES.replace(
                    "offsets.transpose(2, 3)", "offsets.mean(dim=1, keepdim=True).transpose(2, 3)"
                )
            },
        ),
        Mistake(
            "b_q · k has no scale. It is part of the score, and a score is scaled as a whole.",
            {
                OFFSETS: 'offsets = project(x + p, weights, "k_proj", num_heads) @ '
                'weights["q_proj.bias"].reshape(num_heads, -1, 1)'
            },
        ),
        Mistake(
            "b_k in place of b_q. The keys of the tokens have their bias in them already.",
            {OFFSETS: OFFSETS.replace("q_proj", "k_proj")},
        ),
        Mistake("The scale is missing.", {SCALE: ""}),
        Mistake(
            "The scale is applied twice.",
            {SCORES: SCORES.replace("@ rows", "@ (k.shape[-1] ** -0.5 * rows)")},
        ),
        Mistake(
            "b_o is added once for each head. It is to come in once: after the sum over the heads, or an N-th of it in "
            "each.",
            {
                ANSWER: 'return (scores.softmax(dim=3) @ (told + weights["out_proj.bias"])).sum(dim=1)',
            },
        ),
        Mistake(
            "The mean over the heads. W_o adds up what its N blocks of columns make of the heads.",
            {ANSWER: ANSWER.replace(".sum(dim=1)", ".mean(dim=1)")},
        ),
        Mistake(
            "The softmax runs over the image tokens. It is to run over what is asked, the T tokens: the last axis.",
            {ANSWER: ANSWER.replace("dim=3", "dim=2")},
        ),
        Mistake(
            "The positions of the tokens are in the values: values are x alone.",
            {TOKEN_V: TOKEN_V.replace("(x,", "(x + p,")},
        ),
        Mistake(
            "The positions of the tokens are missing in the keys.", {TOKEN_K: TOKEN_K.replace("x + p", "x")}
        ),
        Mistake(
            "The positions of the image are missing: y + e asks.", {SCORES: SCORES.replace("(y + e)", "y")}
        ),
        Mistake(
            "W_o is cut into heads by its rows. It maps N·D channels to C, so a head is D of its columns.",
            {TOLD: 'told = v @ weights["out_proj.weight"].reshape(num_heads, -1, x.shape[2])'},
        ),
        Mistake(
            "b_q · k is added to the weights. It is a part of the score, before the softmax.",
            {
                " + offsets.transpose(2, 3)  # [B, N, S, T]": "",
                "scores.softmax(dim=3) @": "(scores.softmax(dim=3) + offsets.transpose(2, 3)) @",
            },
        ),
        Mistake(
            "b_q · b_k is added, which is the same for all tokens and cancels. What is missing is b_q · k, "
            "with the whole k.",
            {
                OFFSETS: 'own = (weights["q_proj.bias"] * weights["k_proj.bias"]).reshape(1, num_heads, 1, -1)\n'
                "    offsets = k.shape[-1] ** -0.5 * own.sum(-1, keepdim=True)",
            },
        ),
        Mistake(
            "b_q · k is subtracted. The query is W_q (y + e) plus b_q, so it is added.",
            {SCORES: SCORES.replace("+ offsets", "- offsets")},
        ),
        Mistake(
            "Every head gets the sum of b_q · k over all heads. Each has its own part of b_q, and scores of its own.",
            {
                SCORES: SCORES.replace(
                    "offsets.transpose(2, 3)", "offsets.sum(dim=1, keepdim=True).transpose(2, 3)"
                )
            },
        ),
        Mistake(
            "The heads of b_q are interleaved. Head n is its numbers n · D to (n + 1) · D.",
            {
                OFFSETS: OFFSETS.replace(
                    "reshape(num_heads, -1, 1)", "reshape(-1, num_heads).T.reshape(num_heads, -1, 1)"
                )
            },
        ),
        Mistake(
            "b_q · k is scaled twice: k has the scale already.",
            {OFFSETS: OFFSETS + " * k.shape[-1] ** -0.5"},
        ),
    ],
}
