"""Ways to get cross-attention wrong."""

from minisam_kernels.lab.mutants import Mutant


def forward(name: str, old: str, new: str, found_by: str = "values") -> Mutant:
    return Mutant(name, "cross_attention", old, new, found_by)


def backward(name: str, old: str, new: str, found_by: str = "values") -> Mutant:
    return Mutant(name, "cross_attention_backward", old, new, found_by)


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
    forward("one key too many", "column_ok = columns < last", "column_ok = columns <= last"),
    forward("last key masked away", "column_ok = columns < last", "column_ok = columns < last - 1"),
    forward(
        "only whole blocks of keys",
        "range(first, last, BLOCK_K)",
        "range(first, last - last % BLOCK_K, BLOCK_K)",
    ),
    forward("every part starts at the first key", "first = part * keys_per_part", "first = part * 0"),
    forward("last part past the keys", "tl.minimum(first + keys_per_part, S)", "first + keys_per_part"),
    forward("part and batch swapped", "part.to(tl.int64) * B * L", "batch * B * L"),
    forward("parts written over each other", "asked + part.to(tl.int64) * B * L * num_heads", "asked"),
    forward(
        "heads swapped with tokens",
        "keys = ((batch * S + columns) * num_heads + head) * D",
        "keys = ((batch * num_heads + head) * S + columns) * D",
    ),
    forward("batch of the keys counted by queries", "keys = ((batch * S +", "keys = ((batch * L +"),
    forward(
        "one query too many",
        "row_ok = rows < L\n    asked = (batch * L + rows) * num_heads + head\n\n    q,",
        "row_ok = rows <= L\n    asked = (batch * L + rows) * num_heads + head\n\n    q,",
    ),
    forward("sum not rescaled", "row_sum = row_sum * rescale + tl.sum", "row_sum = row_sum + tl.sum"),
    forward("values not rescaled", "        acc = acc * rescale[:, None]\n", ""),
    forward(
        "tail of the values not rescaled",
        "            acc_tail = acc_tail * rescale[:, None]\n",
        "            pass\n",
    ),
    forward("parts joined by their number", "weight = tl.exp(lse - new_max)", "weight = tl.exp(lse - lse)"),
    forward("joined maximum not subtracted", "weight = tl.exp(lse - new_max)", "weight = tl.exp(lse)"),
    forward("joined parts not rescaled", "acc = acc * rescale[:, None] + weight", "acc = acc + weight"),
    forward(
        "joined tail not rescaled",
        "acc_tail = acc_tail * rescale[:, None] + weight",
        "acc_tail = acc_tail + weight",
    ),
    forward("first part alone is joined", "for _ in range(P)", "for _ in range(1)"),
    forward("first part joined again and again", "        of_part += B * L * num_heads\n", ""),
    forward(
        "join without the sum in the log-sum-exp",
        "tl.store(lse_ptr + asked, row_max + tl.log(row_sum), mask=row_ok)",
        "tl.store(lse_ptr + asked, row_max, mask=row_ok)",
    ),
    forward(
        "parts kept in half precision",
        "part_out = torch.empty((parts, B, L, N, D), dtype=lse.dtype",
        "part_out = torch.empty((parts, B, L, N, D), dtype=torch.float16",
    ),
    forward(
        "memory taken as contiguous",
        "q_blnd.contiguous(), k_bsnd.contiguous(), v_bsnd.contiguous()",
        "q_blnd, k_bsnd, v_bsnd",
    ),
    backward("scale dropped from dQ", "row_ok, grad_q * scale,", "row_ok, grad_q,"),
    backward("scale dropped from dK", "column_ok, grad_k * scale,", "column_ok, grad_k,"),
    backward("scale dropped from the tail of dK", "grad_k_tail * scale", "grad_k_tail"),
    backward(
        "padded keys not masked", '        scores = tl.where(column_ok[None, :], scores, float("-inf"))\n', ""
    ),
    backward("every part starts at the first key", "first = part * keys_per_part", "first = part * 0"),
    backward("every part starts at the first query", "first = part * rows_per_part", "first = part * 0"),
    backward("delta dropped from dQ", "(grad_weights - delta[:, None])", "grad_weights"),
    backward("delta dropped from dK", "(grad_weights - delta[None, :])", "grad_weights"),
    backward(
        "delta without the tail",
        "        delta += tl.sum(out_tail.to(ACC) * grad_out_tail.to(ACC), axis=1)\n",
        "        pass\n",
    ),
    backward("delta never stored", "    if part == 0:\n", "    if part == -1:\n"),
    backward(
        "parts of dQ written over each other", "(own + part.to(tl.int64) * B * L * num_heads) * D", "own * D"
    ),
    backward(
        "parts of dK written over each other", "(own + part.to(tl.int64) * B * S * num_heads) * D", "own * D"
    ),
    backward("first part alone is added", "for _ in range(P)", "for _ in range(1)"),
    backward("first part added again and again", "        of_part += numel\n", ""),
    backward(
        "sum not masked",
        "tl.store(sum_ptr + own, total.to(sum_ptr.dtype.element_ty), mask=inside)",
        "tl.store(sum_ptr + own, total.to(sum_ptr.dtype.element_ty))",
    ),
    backward(
        "only whole blocks of keys", "triton.cdiv(S, by_key.block_k), N", "max(1, S // by_key.block_k), N"
    ),
    backward("gradient taken as contiguous", ", grad_out.contiguous()\n", ", grad_out\n"),
    forward(
        "parts of the keys by queries of the whole batch",
        "tokens_per_part(S, asked_by=L)",
        "tokens_per_part(S, asked_by=B * L)",
        "batches",
    ),
    forward(
        "shorter parts for larger batches",
        "tokens_per_part(S, asked_by=L)",
        "max(1, tokens_per_part(S, asked_by=L) // B)",
        "batches",
    ),
    backward(
        "parts of dQ by queries of the whole batch",
        "tokens_per_part(S, asked_by=L), tokens_per_part",
        "tokens_per_part(S, asked_by=B * L), tokens_per_part",
        "batches",
    ),
    backward(
        "parts of dK by keys of the whole batch",
        "tokens_per_part(L, asked_by=S)",
        "tokens_per_part(L, asked_by=B * S)",
        "batches",
    ),
    forward(
        "16-bit types get the launch for float32",
        "'half' if dtype.itemsize == 2 else 'single'",
        "'half' if dtype.itemsize == 1 else 'single'",
        "launches",
    ),
    forward(
        "backward of another launch",
        "grad_out, ctx.scale, ctx.launch), None",
        "grad_out, ctx.scale, ctx.launch.replace('half', 'single')), None",
        "launches",
    ),
    backward(
        "delta loaded without other",
        "delta = tl.load(delta_ptr + asked, mask=row_ok, other=0.0)",
        "delta = tl.load(delta_ptr + asked, mask=row_ok)",
    ),
    backward(
        "parts of gradients in the inputs' type",
        "dtype=dtype, device=like.device",
        "dtype=like.dtype, device=like.device",
        "sums",
    ),
    forward(
        "padding scored -10000",
        'tl.where(column_ok[None, :], scores, float("-inf"))',
        "tl.where(column_ok[None, :], scores, -1e4)",
        "float64",
    ),
    backward(
        "dead programs that add nothing",
        "(triton.cdiv(total.numel(), ADDED_PER_PROGRAM),)",
        "(triton.cdiv(total.numel(), ADDED_PER_PROGRAM) + 1,)",
        "programs",
    ),
    forward(
        "log-sum-exps of past queries stored",
        "row_max + tl.log(row_sum), mask=row_ok)\n\n\n@triton.jit",
        "row_max + tl.log(row_sum))\n\n\n@triton.jit",
    ),
    forward("offsets of 32 bits", "(tl.program_id(2) % B).to(tl.int64)", "tl.program_id(2) % B", "offsets"),
    forward(
        "the scale that was given ignored",
        "part_out, part_lse, scale, B, L",
        "part_out, part_lse, D**-0.5, B, L",
    ),
]
