"""Wrong answers to lesson 18, and what each of them misunderstands."""

from minisam.lesson.mistakes import Mistake

MEAN = "mean = (weights * grad_weights).sum(axis=-1, keepdims=True)"
ROW = "return weights * (grad_weights - mean)"
P = "P = np.exp(scale * q @ k.swapaxes(-1, -2) - lse[..., :, None])"
DELTA = "delta = (grad_out * out).sum(axis=-1, keepdims=True)"
D_Q = "dQ = scale * dS @ k"
D_K = "dK = scale * dS.swapaxes(-1, -2) @ q"
D_V = "dV = P.swapaxes(-1, -2) @ grad_out"
STACK = "np.concatenate([dQ, dK, dV], axis=-2)"
TILE_DELTA = "delta = tl.sum(grad_out * out, axis=1)"
TILE_D_S = "grad_scores = weights * (grad_weights - delta[:, None])"
TILE_WEIGHTS = "weights = tl.exp(scores - lse[:, None])"
ADD = "grad_q += tl.dot(grad_scores, k, input_precision="
MASKED = 'scores = tl.where(column_ok[None, :], scores, float("-inf"))'
STORE = "tl.store(grad_q_ptr + own, scale * grad_q, mask=row_ok[:, None])"
D_REL_H = "d_rel_h = by_grid.sum(dim=-1)"
D_REL_W = "d_rel_w = by_grid.sum(dim=-2)"
GRID = "by_grid = grad_scores.unflatten(-1, (H, W))"
ALL = "return scale * through_keys + through_rows + through_columns"

WRONG = {
    "softmax_backward": [
        Mistake(
            "The mean is missing. A weight can only grow at the cost of the others of its row: dP counts by how much "
            "it is above the row's mean.",
            {ROW: "return weights * grad_weights"},
        ),
        Mistake(
            "That is the derivative of a sigmoid, P (1 − P): what a score does to its own weight. It also changes all "
            "the other weights of the row.",
            {ROW: "return weights * (1 - weights) * grad_weights"},
        ),
        Mistake(
            "The mean counts every key the same. It is weighted: key s counts P_s.",
            {MEAN: "mean = grad_weights.mean(axis=-1, keepdims=True)"},
        ),
        Mistake(
            "dP is summed without its weights: sum P ∘ dP.",
            {MEAN: "mean = grad_weights.sum(axis=-1, keepdims=True)"},
        ),
        Mistake(
            "The mean is taken down the columns. Each row of weights sums to one, so each row has its own mean, over "
            "the last axis.",
            {MEAN: "mean = (weights * grad_weights).sum(axis=0, keepdims=True)"},
        ),
        Mistake(
            "There is one mean for the whole array; each row has its own.",
            {MEAN: "mean = (weights * grad_weights).sum()"},
        ),
        Mistake(
            "The mean has lost its axis and is laid along the keys: keepdims=True keeps it a column, one number a row.",
            {MEAN: "mean = (weights * grad_weights).sum(axis=-1)"},
        ),
        Mistake("The sign is turned.", {ROW: "return weights * (mean - grad_weights)"}),
        Mistake(
            "The factor P is missing: a key whose weight is 0 cannot be felt, whatever its dP.",
            {ROW: "return grad_weights - mean"},
        ),
        Mistake("The factor P is there twice.", {ROW: "return weights**2 * (grad_weights - mean)"}),
        Mistake(
            "The mean is subtracted after the product with P; it stands inside the bracket, P (dP − mean).",
            {ROW: "return weights * grad_weights - mean"},
        ),
    ],
    "attention_backward": [
        Mistake(
            "delta is missing: the sum over the row that makes each weight grow at the cost of the others.",
            {"dS = P * (dP - delta)": "dS = P * dP"},
        ),
        Mistake(
            "delta is one number for everything. It belongs to a query: sum over the channels, the last axis.",
            {DELTA: "delta = (grad_out * out).sum()"},
        ),
        Mistake(
            "delta is summed over the queries; it is a number for each query, a sum over the channels.",
            {DELTA: "delta = (grad_out * out).sum(axis=-2, keepdims=True)"},
        ),
        Mistake(
            "delta is a sum over the D channels, not their mean.",
            {DELTA: "delta = (grad_out * out).mean(axis=-1, keepdims=True)"},
        ),
        Mistake(
            "The log-sum-exp is not subtracted: these are exponentials, not yet weights of sum one.",
            {P: P.replace(" - lse[..., :, None]", "")},
        ),
        Mistake(
            "The weights are divided by the log-sum-exp. It is a logarithm: subtract it inside the exponential.",
            {P: "P = np.exp(scale * q @ k.swapaxes(-1, -2)) / lse[..., :, None]"},
        ),
        Mistake(
            "The log-sum-exp is laid along the keys; it has one number for each query: lse[..., :, None].",
            {P: P.replace("lse[..., :, None]", "lse[..., None, :]")},
        ),
        Mistake(
            "The weights are made without the scale; forward had it.",
            {P: P.replace("scale * q", "q")},
        ),
        Mistake(
            "The scale is missing in dQ and dK: a score is scale · q · k, and its derivative by q is scale · k.",
            {D_Q: "dQ = dS @ k", D_K: "dK = dS.swapaxes(-1, -2) @ q"},
        ),
        Mistake(
            "dS is not transposed in dK. It has a row for each query, and dK has one for each key: dSᵀ q.",
            {D_K: "dK = scale * dS @ q"},
        ),
        Mistake("The scale is missing in dK.", {D_K: "dK = dS.swapaxes(-1, -2) @ q"}),
        Mistake("dV has the scale in it; out = P v has none.", {D_V: D_V.replace("= P", "= scale * P")}),
        Mistake(
            "P is not transposed in dV. It has a row for each query, and dV has one for each key: Pᵀ dO.",
            {D_V: "dV = P @ grad_out"},
        ),
        Mistake(
            "dV is made of dS. What reaches a value is its weight: Pᵀ dO.", {D_V: D_V.replace("P.", "dS.")}
        ),
        Mistake("dV is made of out instead of its gradient.", {D_V: "dV = P.swapaxes(-1, -2) @ out"}),
        Mistake(
            "dK is made of k. The derivative of scale · q · k by k is scale · q.",
            {D_K: D_K.replace("@ q", "@ k")},
        ),
        Mistake("dP is made of out instead of its gradient.", {"dP = grad_out @": "dP = out @"}),
        Mistake("dK and dV are exchanged.", {STACK: "np.concatenate([dQ, dV, dK], axis=-2)"}),
        Mistake(
            "The scale is an argument, and this takes D ** -0.5 in its place. They "
            "are equal only where the caller says so.",
            {
                "dV = P.": "dV, dQ = P.",
                ("@ grad_out\n    return np.conc"): (
                    "@ grad_out, q.shape[-1] ** -0.5 * dS @ k\n    return np.conc"
                ),
            },
        ),
    ],
    "query_gradient": [
        Mistake(
            "delta is the sum over the tile's keys. It belongs to the whole row, and the other tiles' keys are in it "
            "too; out · dO has them all, before the loop.",
            {TILE_D_S: TILE_D_S.replace("delta[:, None]", "tl.sum(weights * grad_weights, axis=1)[:, None]")},
        ),
        Mistake("delta is missing.", {TILE_D_S: "grad_scores = weights * grad_weights"}),
        Mistake(
            "delta is made of q and dO; it is the output that is multiplied with its gradient.",
            {TILE_DELTA: "delta = tl.sum(grad_out * q, axis=1)"},
        ),
        Mistake(
            "The weights are a softmax over the tile's keys alone: the sum over the whole row is in the log-sum-exp.",
            {
                TILE_WEIGHTS: "exponentials = tl.exp(scores - tl.max(scores, axis=1)[:, None])\n"
                "        weights = exponentials / tl.sum(exponentials, axis=1)[:, None]"
            },
        ),
        Mistake(
            "The log-sum-exp is not subtracted from the scores.",
            {TILE_WEIGHTS: "weights = tl.exp(scores)"},
        ),
        Mistake(
            "A vector with one number for each query is laid along the keys. lse and delta both need an axis of size 1 "
            "for the keys: lse[:, None], delta[:, None].",
            {TILE_WEIGHTS: "weights = tl.exp(scores - lse)"},
        ),
        Mistake(
            "The keys' mask is left out. A key past the end has k = 0 and a score of 0; where lse is far below zero, "
            "exp(0 − lse) is infinite, and infinity times zero is NaN.",
            {MASKED: "scores = scores + 0"},
        ),
        Mistake(
            "Each tile of keys overwrites the sum of those before it: add to grad_q.",
            {ADD: ADD.replace("+=", "=")},
        ),
        Mistake(
            "The weights are multiplied with the keys; dQ = scale · dS k.",
            {ADD: ADD.replace("grad_scores", "weights")},
        ),
        Mistake(
            "dS is multiplied with the values; the derivative of a score by q is its key.",
            {ADD: ADD.replace(", k,", ", v,")},
        ),
        Mistake("The scale is missing at the end.", {STORE: STORE.replace("scale * ", "")}),
        Mistake(
            "dP is made of the output; it is its gradient that is multiplied with the values.",
            {"grad_weights = tl.dot(grad_out,": "grad_weights = tl.dot(out,"},
        ),
        Mistake(
            "The rows are stored without their mask: lanes past the last query write over memory that is not yours.",
            {STORE: STORE.replace(", mask=row_ok[:, None]", "")},
        ),
        Mistake(
            "v is loaded without a mask: lanes past the last key read memory that is not yours.",
            {"tl.load(v_ptr + keys, mask=column_ok[:, None], other=0.0)": "tl.load(v_ptr + keys)"},
        ),
        Mistake(
            "Only the first tile of keys is seen: the loop has to reach S.",
            {"range(0, S, BLOCK_K)": "range(0, BLOCK_K, BLOCK_K)"},
        ),
        Mistake(
            "The scale is an argument, and this takes D ** -0.5 in its place. They "
            "are equal only where the caller says so.",
            {"tl.store(grad_q_ptr + own, scale * grad_q,": "tl.store(grad_q_ptr + own, D**-0.5 * grad_q,"},
        ),
    ],
    "bias_gradients": [
        Mistake(
            "The two parts have changed places, or the two sums have: rel_h[l, i] was added along grid row i, so its "
            "gradient is a sum over the columns, and it comes first.",
            {D_REL_H: "d_rel_h = by_grid.sum(dim=-2)", D_REL_W: "d_rel_w = by_grid.sum(dim=-1)"},
        ),
        Mistake(
            "The keys are unflattened into (W, H). Tokens are counted along the rows, so the column changes fastest: "
            "(H, W).",
            {GRID: "by_grid = grad_scores.unflatten(-1, (W, H)).mT"},
        ),
        Mistake(
            "Mean instead of sum: each of the W keys of a row brings its whole gradient.",
            {D_REL_H: "d_rel_h = by_grid.mean(dim=-1)", D_REL_W: "d_rel_w = by_grid.mean(dim=-2)"},
        ),
        Mistake(
            "Only one key of each row and column is looked at; the bias was added to all of them.",
            {D_REL_H: "d_rel_h = by_grid[..., 0]", D_REL_W: "d_rel_w = by_grid[..., 0, :]"},
        ),
        Mistake(
            "The largest gradient is taken instead of the sum.",
            {D_REL_H: "d_rel_h = by_grid.amax(dim=-1)", D_REL_W: "d_rel_w = by_grid.amax(dim=-2)"},
        ),
        Mistake(
            "The queries are given the grid. A query keeps its own row of rel_h; it is the keys that are summed over.",
            {GRID: "by_grid = grad_scores.mT.unflatten(-1, (H, W))"},
        ),
        Mistake(
            "The sum runs over the queries as well: every query has a bias of its own.",
            {
                D_REL_H: "d_rel_h = by_grid.sum(dim=(1, 3), keepdim=True)[..., 0].expand(-1, H * W, -1)",
                D_REL_W: "d_rel_w = by_grid.sum(dim=(1, 2), keepdim=True)[:, :, 0].expand(-1, H * W, -1)",
            },
        ),
        Mistake(
            "The gradients' sizes are summed, without their signs.",
            {GRID: GRID.replace("grad_scores.", "grad_scores.abs().")},
        ),
        Mistake(
            "The heads are added together: each has its own bias.",
            {
                GRID: GRID.replace(
                    "grad_scores.", "grad_scores.sum(dim=0, keepdim=True).expand_as(grad_scores)."
                )
            },
        ),
    ],
    "all_of_grad_q": [
        Mistake(
            "The bug is still there: the bias is made of the unscaled q, so only the way through the keys has the "
            "scale. With 64 channels the bias' part comes out eight times too small, and training goes on as if "
            "nothing were wrong.",
            {ALL: "return scale * (through_keys + through_rows + through_columns)"},
        ),
        Mistake(
            "The scale is gone altogether: the scores of q and k have it.",
            {ALL: "return through_keys + through_rows + through_columns"},
        ),
        Mistake(
            "The scale is on the wrong terms: q kᵀ is scaled, the bias is not.",
            {ALL: "return through_keys + scale * (through_rows + through_columns)"},
        ),
        Mistake(
            "The way through the bias is gone. rel_h and rel_w are made of q, so their gradients come back to it.",
            {ALL: "return scale * through_keys"},
        ),
        Mistake("The way through the columns is gone.", {ALL: "return scale * through_keys + through_rows"}),
        Mistake("The way through the rows is gone.", {ALL: "return scale * through_keys + through_columns"}),
        Mistake(
            "The columns' part still has the scale.",
            {ALL: "return scale * (through_keys + through_columns) + through_rows"},
        ),
        Mistake(
            "The rows' part still has the scale.",
            {ALL: "return scale * (through_keys + through_rows) + through_columns"},
        ),
        Mistake(
            "The rows' table is read from key to query: R_h[i, m] has the query's row first.",
            {'"hwm,hmd->hwd"': '"hwm,mhd->hwd"'},
        ),
        Mistake(
            "The columns' table is read from key to query: R_w[j, n] has the query's column first.",
            {'"hwn,wnd->hwd"': '"hwn,nwd->hwd"'},
        ),
        Mistake(
            "The two sums over the grid are exchanged.",
            {"grid.sum(axis=3), grid.sum(axis=2)": "grid.sum(axis=2), grid.sum(axis=3)"},
        ),
        Mistake(
            "The bias' parts are subtracted; they were added to the score.",
            {ALL: "return scale * through_keys - through_rows - through_columns"},
        ),
        Mistake(
            "The scale is an argument, and this takes D ** -0.5 in its place. They "
            "are equal only where the caller says so.",
            {"return scale * through_keys": "return D**-0.5 * through_keys"},
        ),
    ],
}
