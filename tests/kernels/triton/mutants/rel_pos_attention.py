"""Ways to get rel_pos_attention wrong."""

from minisam_kernels.lab.mutants import Mutant


def forward(name: str, old: str, new: str, found_by: str = "values") -> Mutant:
    return Mutant(name, "rel_pos_attention", old, new, found_by)


def backward(name: str, old: str, new: str, found_by: str = "values") -> Mutant:
    return Mutant(name, "rel_pos_attention_backward", old, new, found_by)


def launch(name: str, old: str, new: str, found_by: str = "values") -> Mutant:
    return Mutant(name, "launch", old, new, found_by)


def tiles(name: str, old: str, new: str, found_by: str = "values") -> Mutant:
    return Mutant(name, "head_tiles", old, new, found_by)


MUTANTS = [
    forward(
        "bias of the row before", "rel_h_ptr + rows * H + i,", "rel_h_ptr + rows * H + tl.maximum(i - 1, 0),"
    ),
    forward("scale applied to the bias", "(scale * LOG2E) + rel_w", "(scale * LOG2E) + rel_w * scale"),
    forward("scale dropped", "TAIL_D) * (scale * LOG2E) + rel_w", "TAIL_D) * LOG2E + rel_w"),
    forward(
        "row bias dropped",
        "rel_h = tl.load(rel_h_ptr + rows * H + i, mask=token_ok, other=0.0).to(ACC) * LOG2E",
        "rel_h = tl.zeros([BLOCK_M], ACC)",
    ),
    forward(
        "row bias subtracted", "scores - (new_max - rel_h)[:, None]", "scores - (new_max + rel_h)[:, None]"
    ),
    forward("column bias dropped", "(scale * LOG2E) + rel_w", "(scale * LOG2E) + rel_w * 0"),
    forward("column bias not in base 2", "rel_w.to(ACC) * LOG2E", "rel_w.to(ACC)"),
    forward(
        "columns beyond the edge not masked",
        'tl.where(column_ok[None, :], rel_w.to(ACC) * LOG2E, float("-inf"))',
        "rel_w.to(ACC) * LOG2E",
    ),
    forward(
        "last column masked away", "column_ok = columns < W", "column_ok = columns < tl.maximum(W - 1, 1)"
    ),
    forward("one column too many", "column_ok = columns < W", "column_ok = columns <= W"),
    forward("first block of columns alone", "range(0, BLOCK_K if WHOLE_ROWS else W,", "range(0, BLOCK_K,"),
    forward("every row taken for a whole one", "WHOLE_ROWS=columns >= W", "WHOLE_ROWS=True"),
    backward("every row taken for a whole one", "WHOLE_ROWS=column_blocks == 1", "WHOLE_ROWS=True"),
    backward(
        "a row of one column more than a block taken for a whole one",
        "column_blocks = triton.cdiv(W, key_block(by_query, W))",
        "column_blocks = max(1, W // key_block(by_query, W))",
    ),
    forward("last grid row skipped", "for i in range(H):", "for i in range(H - H // 2):"),
    forward("always the same grid row", "            keys += stride_grid_row\n", ""),
    forward("grid rows as long as the grid is high", "W * q.stride(2)", "H * q.stride(2)"),
    forward("rows and columns swapped", "scale, H, W, *q.stride()[:3]", "scale, W, H, *q.stride()[:3]"),
    forward(
        "maximum not subtracted",
        "tl.exp2(scores - (new_max - rel_h)[:, None])",
        "tl.exp2(scores + rel_h[:, None])",
    ),
    forward("sum not rescaled", "row_sum = row_sum * rescale +", "row_sum = row_sum +"),
    forward("values not rescaled", "            acc = acc * rescale[:, None]\n", ""),
    forward(
        "tail of the values not rescaled", "acc_tail = acc_tail * rescale[:, None]", "acc_tail = acc_tail"
    ),
    forward(
        "heads' strides swapped",
        "batch * stride_batch + head * stride_head",
        "batch * stride_head + head * stride_batch",
    ),
    forward("output as if heads came first", "((batch * L + tokens) * num_heads + head) * D", "rows * D"),
    forward("log-sum-exp without the maximum", "row_max + tl.log2(row_sum)", "tl.log2(row_sum)"),
    forward("log-sum-exp in base e", "row_max + tl.log2(row_sum)", "row_max * 0.6931472 + tl.log(row_sum)"),
    forward("only whole blocks of queries", "triton.cdiv(L, choice.block_m)", "max(1, L // choice.block_m)"),
    forward("one query too many", "token_ok = tokens < L", "token_ok = tokens <= L"),
    backward(
        "delta dropped from grad_q",
        "(grad_weights - delta[:, None])",
        "grad_weights",
    ),
    backward(
        "delta dropped from grad_k",
        "(grad_weights - delta[None, :])",
        "grad_weights",
    ),
    backward("delta without the tail", "delta += tl.sum(", "delta += 0 * tl.sum("),
    backward("scale dropped from grad_q", "token_ok, grad_q * scale,", "token_ok, grad_q,"),
    backward("scale dropped from the tail of grad_k", "grad_k_tail * scale", "grad_k_tail"),
    backward(
        "grad_rel_h scaled", "tl.sum(grad_scores, axis=1), mask", "tl.sum(grad_scores, axis=1) * scale, mask"
    ),
    backward(
        "grad_rel_h of the last block of columns alone", "        grad_rel_h_ptr += stride_column_block\n", ""
    ),
    backward("grad_rel_h of one block of columns kept", "sums_h.sum(0)", "sums_h[0]"),
    backward(
        "grad_rel_w of the last grid row alone", "grad_rel_w += grad_scores", "grad_rel_w = grad_scores"
    ),
    backward(
        "grad_rel_w stored beyond the edge", "grad_rel_w, mask=inside)", "grad_rel_w, mask=token_ok[:, None])"
    ),
    backward(
        "row bias dropped from grad_k",
        "tl.exp2(scores - (lse - rel_h)[None, :])",
        "tl.exp2(scores - lse[None, :])",
    ),
    backward(
        "row bias dropped from grad_q",
        "tl.exp2(scores - (lse - rel_h)[:, None])",
        "tl.exp2(scores - lse[:, None])",
    ),
    backward(
        "column block of a key taken for its grid row",
        "i = tl.program_id(0) // column_blocks",
        "i = tl.program_id(0) % column_blocks",
    ),
    backward("bias of the wrong grid row", "keys = (i * W + columns)", "keys = ((H - 1 - i) * W + columns)"),
    backward(
        "column bias transposed",
        "rel_w_ptr + rows[None, :] * W + columns[:, None]",
        "rel_w_ptr + rows[None, :] + columns[:, None] * W",
    ),
    backward(
        "grad_v from the scores' gradient",
        "grad_v, grad_v_tail, weights, grad_out",
        "grad_v, grad_v_tail, grad_scores, grad_out",
    ),
    backward("only whole blocks of queries", "range(0, L, BLOCK_M)", "range(0, L - L % BLOCK_M, BLOCK_M)"),
    backward("gradient taken as it lies", "grad_out.transpose(1, 2).contiguous()", "grad_out.contiguous()"),
    launch(
        "16-bit types get the launch for float32",
        "if dtype.itemsize > 2:",
        "if dtype.itemsize > 1:",
        "launches",
    ),
    launch("Ampere gets Hopper's launch", "capability >= 9", "capability >= 8", "launches"),
    launch("Hopper gets Ampere's launch", "capability >= 9", "capability > 9", "launches"),
    launch(
        "generation taken from the minor version",
        "get_device_capability(tensor.device)[0]",
        "get_device_capability(tensor.device)[1]",
        "launches",
    ),
    backward(
        "delta in half precision",
        "        delta = torch.empty_like(lse)\n",
        "        delta = torch.empty_like(lse, dtype=torch.float16)\n",
        "sums",
    ),
    tiles(
        "strides of the values not compared",
        "q.stride() == k.stride() == v.stride() and",
        "q.stride() == k.stride() and",
        "layouts",
    ),
    tiles("channels taken as neighbours", " and q.stride(3) == 1", ""),
    launch(
        "float32 gets the launch for 16-bit types",
        "if dtype.itemsize > 2:",
        "if dtype.itemsize > 4:",
        "launches",
    ),
    forward(
        "the scale that was given ignored", "scale, H, W, *q.stride()[:3]", "D**-0.5, H, W, *q.stride()[:3]"
    ),
    backward("the scale that was given ignored", "grid = (scale, H, W,", "grid = (D**-0.5, H, W,"),
]
