"""Ways to get attention wrong."""

from minisam_kernels.lab.mutants import Mutant


def forward(name: str, old: str, new: str, found_by: str = "values") -> Mutant:
    return Mutant(name, "attention", old, new, found_by)


def backward(name: str, old: str, new: str, found_by: str = "values") -> Mutant:
    return Mutant(name, "attention_backward", old, new, found_by)


def tiles(name: str, old: str, new: str, found_by: str = "values") -> Mutant:
    return Mutant(name, "head_tiles", old, new, found_by)


MUTANTS = [
    forward(
        "scale dropped",
        "dot_rows(q, q_tail, k, k_tail, TAIL_D) * scale",
        "dot_rows(q, q_tail, k, k_tail, TAIL_D)",
    ),
    forward("maximum not subtracted", "tl.exp(scores - new_max[:, None])", "tl.exp(scores)"),
    forward(
        "padded keys not masked", '        scores = tl.where(column_ok[None, :], scores, float("-inf"))\n', ""
    ),
    forward("last key masked away", "column_ok = columns < S", "column_ok = columns < S - 1"),
    forward("one key too many", "column_ok = columns < S", "column_ok = columns <= S"),
    forward("one query too many", "row_ok = rows < L", "row_ok = rows <= L"),
    forward("only whole blocks of keys", "range(0, S, BLOCK_K)", "range(0, S - S % BLOCK_K, BLOCK_K)"),
    forward("only whole blocks of queries", "triton.cdiv(L, choice.block_m)", "max(1, L // choice.block_m)"),
    forward("keys counted by queries", "v_ptr + (head * S + columns)", "v_ptr + (head * L + columns)"),
    forward(
        "first head for all",
        "head = tl.program_id(1).to(tl.int64)",
        "head = (tl.program_id(1) * 0).to(tl.int64)",
    ),
    forward("sum not rescaled", "row_sum = row_sum * rescale +", "row_sum = row_sum +"),
    forward("values not rescaled", "        acc = acc * rescale[:, None]\n", ""),
    forward(
        "tail of the values not rescaled",
        "            acc_tail = acc_tail * rescale[:, None]\n",
        "            pass\n",
    ),
    forward("rescaled by the wrong sign", "tl.exp(row_max - new_max)", "tl.exp(new_max - row_max)"),
    forward("maximum never kept", "        row_max = new_max\n", ""),
    forward(
        "maximum of this block alone", "tl.maximum(row_max, tl.max(scores, axis=1))", "tl.max(scores, axis=1)"
    ),
    forward("not divided by the sum", "out, out_tail = acc / row_sum[:, None],", "out, out_tail = acc,"),
    forward("tail not divided by the sum", "acc_tail / row_sum[:, None]", "acc_tail"),
    forward("log-sum-exp without the maximum", "row_max + tl.log(row_sum)", "tl.log(row_sum)"),
    forward("log-sum-exp without the sum", "row_max + tl.log(row_sum)", "row_max"),
    forward(
        "sums in half precision",
        "weights = tl.exp(scores - new_max[:, None])",
        "weights = tl.exp(scores - new_max[:, None]).to(tl.float16).to(ACC)",
    ),
    forward(
        "memory taken as contiguous",
        "q, k, v = q.contiguous(), k.contiguous(), v.contiguous()\n    B, N",
        "q = q.contiguous()\n    B, N",
    ),
    backward("scale dropped from dQ", "row_ok, grad_q * scale,", "row_ok, grad_q,"),
    backward("scale dropped from the tail of dQ", "grad_q_tail * scale", "grad_q_tail"),
    backward("scale dropped from dK", "column_ok, grad_k * scale,", "column_ok, grad_k,"),
    backward("scale dropped from dQ's weights", "k, k_tail, TAIL_D) * scale  # [M, K]", "k, k_tail, TAIL_D)"),
    backward("scale dropped from dK's weights", "q, q_tail, TAIL_D) * scale  # [K, M]", "q, q_tail, TAIL_D)"),
    backward(
        "padded keys not masked", '        scores = tl.where(column_ok[None, :], scores, float("-inf"))\n', ""
    ),
    backward("delta dropped from dQ", "(grad_weights - delta[:, None])", "grad_weights"),
    backward("delta dropped from dK", "(grad_weights - delta[None, :])", "grad_weights"),
    backward(
        "delta without the tail",
        "        delta += tl.sum(out_tail.to(ACC) * grad_out_tail.to(ACC), axis=1)\n",
        "        pass\n",
    ),
    backward("delta not kept", "    tl.store(delta_ptr + own, delta, mask=row_ok)\n", ""),
    backward(
        "delta of past queries stored",
        "tl.store(delta_ptr + own, delta, mask=row_ok)",
        "tl.store(delta_ptr + own, delta)",
    ),
    backward(
        "dV without weights",
        "add_weighted_rows(grad_v, grad_v_tail, weights,",
        "add_weighted_rows(grad_v, grad_v_tail, weights * 0 + 1,",
    ),
    backward("dQ from the values", "grad_scores, k, k_tail, TAIL_D)", "grad_scores, v, v_tail, TAIL_D)"),
    backward("only whole blocks of queries", "range(0, L, BLOCK_M)", "range(0, L - L % BLOCK_M, BLOCK_M)"),
    backward("one query too many", "row_ok = rows < L\n        asked", "row_ok = rows <= L\n        asked"),
    backward("only whole blocks of keys", "triton.cdiv(S, by_key.block_k)", "max(1, S // by_key.block_k)"),
    backward("gradient taken as contiguous", ", grad_out.contiguous()\n", ", grad_out\n"),
    tiles(
        "tail not masked",
        "tl.load(row_ptrs[:, None] + dims[None, :], mask=tail_ok, other=0.0)",
        "tl.load(row_ptrs[:, None] + dims[None, :], mask=row_ok[:, None], other=0.0)",
    ),
    tiles(
        "tail of the scores dropped",
        'product = tl.dot(a_tail, tl.trans(b_tail), product, input_precision="ieee")',
        "product = product",
    ),
    tiles(
        "tail of a load starts at zero",
        "    dims = BLOCK_D + tl.arange(0, TAIL_D)\n        tail_ok = row_ok[:, None] & (dims < D)[None, :]\n"
        "        tail =",
        "    dims = tl.arange(0, TAIL_D)\n        tail_ok = row_ok[:, None] & (dims < D)[None, :]\n"
        "        tail =",
    ),
    forward(
        "bfloat16 gets the launch for float32",
        '"half" if dtype.itemsize == 2 else "single"',
        '"half" if dtype == torch.float16 else "single"',
        "launches",
    ),
    tiles("rows loaded without other", "mask=row_ok[:, None], other=0.0)", "mask=row_ok[:, None])"),
    tiles("tail loaded without other", "mask=tail_ok, other=0.0)", "mask=tail_ok)"),
    backward(
        "log-sum-exp of dK loaded without other",
        "lse = tl.load(lse_ptr + asked, mask=row_ok, other=0.0)",
        "lse = tl.load(lse_ptr + asked, mask=row_ok)",
    ),
    forward(
        "log-sum-exp kept in the inputs' type",
        "lse = torch.empty((B, N, L), dtype=sum_type(q.dtype)",
        "lse = torch.empty((B, N, L), dtype=q.dtype",
        "sums",
    ),
    forward(
        "weighted sum rounded at every block",
        "        row_max = new_max\n\n    out, out_tail",
        "        acc = acc.to(v.dtype).to(ACC)\n        row_max = new_max\n\n    out, out_tail",
    ),
    forward(
        "log of the sum and a millionth",
        "row_max + tl.log(row_sum)",
        "row_max + tl.log(row_sum + 1e-6)",
        "float64",
    ),
    forward(
        "padding scored -10000",
        'tl.where(column_ok[None, :], scores, float("-inf"))',
        "tl.where(column_ok[None, :], scores, -1e4)",
        "float64",
    ),
    forward(
        "offsets of 32 bits",
        "head = tl.program_id(1).to(tl.int64)  #",
        "head = tl.program_id(1)  #",
        "offsets",
    ),
    backward(
        "offsets of dK in 32 bits",
        "    head = tl.program_id(1).to(tl.int64)\n    columns",
        "    head = tl.program_id(1)\n    columns",
        "offsets",
    ),
    tiles("scores in TF32", 'tl.dot(a, tl.trans(b), input_precision="ieee")', "tl.dot(a, tl.trans(b))"),
    tiles(
        "tail of the sums in TF32",
        'tl.dot(weights, b_tail, acc_tail, input_precision="ieee")',
        "tl.dot(weights, b_tail, acc_tail)",
    ),
    forward(
        "a dead program at the edge",
        "(triton.cdiv(L, choice.block_m), B * N)",
        "(L // choice.block_m + 1, B * N)",
        "programs",
    ),
    tiles(
        "a tail of eight channels",
        "max(SMALLEST_TILE, triton.next_power_of_2(rest))",
        "triton.next_power_of_2(rest)",
        "machine code",
    ),
    forward("a last block of one key forgotten", "range(0, S, BLOCK_K)", "range(0, S - (S > 1), BLOCK_K)"),
    tiles(
        "tail stored without its mask",
        "tl.store(row_ptrs[:, None] + dims[None, :], tail.to(dtype), mask=tail_ok)",
        "tl.store(row_ptrs[:, None] + dims[None, :], tail.to(dtype), mask=row_ok[:, None])",
    ),
    forward(
        "the scale that was given ignored",
        "choice = chosen(LAUNCHES, launch)\n",
        "choice = chosen(LAUNCHES, launch)\n    scale = q.shape[-1] ** -0.5\n",
    ),
]
