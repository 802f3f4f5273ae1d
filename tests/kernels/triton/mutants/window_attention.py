"""Ways to get window_attention wrong."""

from minisam_kernels.lab.mutants import Mutant


def forward(name: str, old: str, new: str, found_by: str = "values") -> Mutant:
    return Mutant(name, "window_attention", old, new, found_by)


def backward(name: str, old: str, new: str, found_by: str = "values") -> Mutant:
    return Mutant(name, "window_attention_backward", old, new, found_by)


def queries(name: str, old: str, new: str, found_by: str = "values") -> Mutant:
    return Mutant(name, "window_query_gradients", old, new, found_by)


def keys(name: str, old: str, new: str, found_by: str = "values") -> Mutant:
    return Mutant(name, "window_key_gradients", old, new, found_by)


def heads(name: str, old: str, new: str, found_by: str = "values") -> Mutant:
    return Mutant(name, "head_tiles", old, new, found_by)


def tiles(name: str, old: str, new: str, found_by: str = "values") -> Mutant:
    return Mutant(name, "window_tiles", old, new, found_by)


MUTANTS = [
    tiles(
        "padded key given zeros",
        "mask=key_ok[:, None], other=0.0)",
        "mask=key_ok[:, None] & own_row, other=0.0)",
    ),
    forward(
        "padded key given the bias of the queries",
        "bias_ptr + C + head * D\n",
        "bias_ptr + head * D\n",
    ),
    tiles(
        "tail of a padded key starts at zero",
        "row_ptrs[:, None] + tail_dims, bias_ptr + tail_dims)",
        "row_ptrs[:, None] + tail_dims, bias_ptr + tail_dims - BLOCK_D)",
    ),
    forward(
        "padded keys skipped",
        "key_ok = n < S * S",
        "key_ok = (n < S * S) & locate_keys(n, batch, top, left, H, W, S)[1]",
    ),
    tiles(
        "position in the table flipped",
        "place[:, None] - tl.arange(0, BLOCK_T)[None, :] + S - 1",
        "tl.arange(0, BLOCK_T)[None, :] - place[:, None] + S - 1",
    ),
    tiles(
        "position in the table off by one",
        "place[:, None] - tl.arange(0, BLOCK_T)[None, :] + S - 1",
        "place[:, None] - tl.arange(0, BLOCK_T)[None, :] + S",
    ),
    tiles("last offset of the table lost", "offsets < 2 * S - 1, D", "offsets < 2 * S - 2, D"),
    tiles(
        "windows counted down the grid",
        "window // across % down * S, window % across * S",
        "window // across % down * S, window % down * S",
    ),
    tiles("images taken as one window each", "window // (down * across)", "window // across"),
    tiles(
        "rows of the grid by its height", "(batch * H + row) * W + column", "(batch * H + row) * H + column"
    ),
    tiles(
        "columns of queries counted wrongly",
        "i, j = m // width, m % width",
        "i, j = m // width, m % tl.maximum(width - 1, 1)",
    ),
    tiles(
        "column of a query counted from the grid's edge",
        "(batch * H + top + i) * W + left + j, i, j",
        "(batch * H + top + i) * W + left + j, i, left + j",
    ),
    tiles(
        "row and column of a query swapped",
        "relative_scores(q, q_tail, i, rel_pos_h_ptr",
        "relative_scores(q, q_tail, j, rel_pos_h_ptr",
    ),
    forward(
        "row and column of a key swapped", "tl.dot(rel_h, one_hot(n // S,", "tl.dot(rel_h, one_hot(n % S,"
    ),
    forward(
        "column bias dropped",
        "tl.dot(rel_w, one_hot(n % S, BLOCK_T, q.dtype), bias,",
        "tl.dot(rel_w * 0, one_hot(n % S, BLOCK_T, q.dtype), bias,",
    ),
    forward("scale applied to the bias", "(scale * LOG2E) + bias", "(scale * LOG2E) + bias * scale"),
    forward("scale dropped", "TAIL_D) * (scale * LOG2E) + bias", "TAIL_D) * LOG2E + bias"),
    tiles("bias not in base 2", "(rel_h * LOG2E).to(q.dtype)", "rel_h.to(q.dtype)"),
    forward(
        "keys beyond the window not masked", 'tl.where(key_ok[None, :], scores, float("-inf"))', "scores"
    ),
    forward("last key masked away", "key_ok = n < S * S", "key_ok = n < tl.maximum(S * S - 1, 1)"),
    forward("one query too many", "query_ok = m < height * width", "query_ok = m <= height * width"),
    forward("maximum not subtracted", "tl.exp2(scores - new_max[:, None])", "tl.exp2(scores)"),
    forward("sum not rescaled", "row_sum = row_sum * rescale +", "row_sum = row_sum +"),
    forward("log-sum-exp without the sum", "row_max + tl.log2(row_sum)", "row_max"),
    forward(
        "log-sum-exp of another head",
        "token * num_heads + head, row_max",
        "token * num_heads + (num_heads - 1 - head), row_max",
    ),
    forward("values of the keys", "k_ptr + key * 3 * C + C, k_bias + C,", "k_ptr + key * 3 * C, k_bias,"),
    forward(
        "bias of the keys for padded values",
        "k_ptr + key * 3 * C + C, k_bias + C,",
        "k_ptr + key * 3 * C + C, k_bias,",
    ),
    forward("only whole windows", "triton.cdiv(W, S) * blocks", "max(1, W // S) * blocks"),
    keys("padded keys' gradients lost", "key_ok & (on_grid == 0)", "key_ok & (n < 0)"),
    keys("all keys' gradients to the bias", "key_ok & (on_grid == 0)", "key_ok"),
    keys(
        "gradients of padded values to the keys' bias",
        "store_sum(sums, padding, grad_k, grad_k_tail,",
        "store_sum(sums, padding, grad_v, grad_v_tail,",
    ),
    keys(
        "tail of the bias's gradient lost",
        "tl.store(ptr + dims, tl.sum(tl.where(row_ok[:, None], tail, 0.0), axis=0), mask=dims < D)",
        "tl.store(ptr + dims, tl.sum(tl.where(row_ok[:, None], tail, 0.0) * 0, axis=0), mask=dims < D)",
    ),
    keys(
        "gradients of padded keys stored on the grid",
        "real, padding = key_ok & on_grid,",
        "real, padding = key_ok,",
    ),
    queries("delta dropped from grad_q", "(grad_weights - delta[:, None])", "grad_weights"),
    keys("delta dropped from grad_k", "(grad_weights - delta[None, :])", "grad_weights"),
    heads("delta without the tail", "products += tl.sum(", "products += 0 * tl.sum("),
    queries("scale dropped from grad_q", "grad_q * scale, grad_q_tail * scale", "grad_q, grad_q_tail"),
    keys("scale dropped from grad_k", "grad_k * scale, grad_k_tail * scale", "grad_k, grad_k_tail"),
    queries(
        "gradient through the tables lost",
        "by_offset, table, table_tail, TAIL_D)",
        "by_offset * 0, table, table_tail, TAIL_D)",
    ),
    queries("gradients of both tables in one place", "tables + table_size,", "tables,"),
    queries("rows of queries for columns", "grad_rel_w, j, q,", "grad_rel_w, i, q,"),
    queries("table of the rows for the columns", "rel_pos_w_ptr, tables", "rel_pos_h_ptr, tables"),
    tiles(
        "table gradient put to the wrong offset",
        "place[:, None] - tl.arange(0, BLOCK_R)[None, :] + S - 1",
        "place[:, None] - tl.arange(0, BLOCK_R)[None, :] + S",
    ),
    tiles(
        "slots beyond the window take part", "tl.where((slot >= 0) & (slot < S), gathered, 0.0)", "gathered"
    ),
    keys("first block of queries alone", "range(0, height * width, BLOCK_M)", "range(0, BLOCK_M, BLOCK_M)"),
    keys(
        "row bias dropped from grad_k",
        "tl.dot(in_row, tl.trans(rel_h),",
        "tl.dot(in_row, tl.trans(rel_h * 0),",
    ),
    queries(
        "partial sums of one block written over another's",
        "(window * BLOCKS + block).to(tl.int64) * num_heads + head)",
        "(window * BLOCKS).to(tl.int64) * num_heads + head)",
    ),
    tiles(
        "keys loaded without other",
        "tl.load(main_ptrs, mask=key_ok[:, None], other=0.0)",
        "tl.load(main_ptrs, mask=key_ok[:, None])",
    ),
    tiles("gather of offsets not clamped", "tl.minimum(tl.maximum(offset, 0), BLOCK_R - 1)", "offset"),
    tiles(
        "gather of offsets not clamped below",
        "tl.minimum(tl.maximum(offset, 0), BLOCK_R - 1)",
        "tl.minimum(offset, BLOCK_R - 1)",
    ),
    tiles(
        "gather of slots not clamped below",
        "tl.minimum(tl.maximum(slot, 0), BLOCK_T - 1)",
        "tl.minimum(slot, BLOCK_T - 1)",
    ),
    backward(
        "sums of the tables in the inputs' type", "tables = lse.new_empty(", "tables = qkv.new_empty(", "sums"
    ),
    forward(
        "log of the sum and a millionth",
        "row_max + tl.log2(row_sum)",
        "row_max + tl.log2(row_sum + 1e-6)",
        "float64",
    ),
    tiles(
        "offsets of 32 bits",
        "(window // (down * across)).to(tl.int64)",
        "window // (down * across)",
        "offsets",
    ),
    forward(
        "row bias in TF32",
        'one_hot(n // S, BLOCK_T, q.dtype), input_precision="ieee")',
        'one_hot(n // S, BLOCK_T, q.dtype), input_precision="tf32")',
    ),
    forward("scale of the main tile's width", "D**-0.5, H, W", "(1 << (D.bit_length() - 1)) ** -0.5, H, W"),
]
