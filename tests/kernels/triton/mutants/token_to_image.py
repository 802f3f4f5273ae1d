"""Ways to get token_to_image wrong."""

from minisam_kernels.lab.mutants import Mutant


def forward(name: str, old: str, new: str, found_by: str = "values") -> Mutant:
    return Mutant(name, "token_to_image", old, new, found_by)


def backward(name: str, old: str, new: str, found_by: str = "values") -> Mutant:
    return Mutant(name, "token_to_image_backward", old, new, found_by)


MUTANTS = [
    forward("scale dropped", "y_tail + e_tail, TAIL_D) * scale", "y_tail + e_tail, TAIL_D)"),
    forward("positions left out of the key", "y + e, y_tail", "y, y_tail"),
    forward("positions left out of the key's tail", "y_tail + e_tail, TAIL_D)", "y_tail, TAIL_D)"),
    forward("positions added to the value", "weights, y, y_tail, TAIL_D", "weights, y + e, y_tail, TAIL_D"),
    forward("positions counted by image", "pe_ptr + tokens * D", "pe_ptr + (image * S + tokens) * D"),
    forward("positions of the part's start", "pe_ptr + tokens * D", "pe_ptr + (tokens - first) * D"),
    forward("maximum not subtracted", "tl.exp(scores - new_max[:, None])", "tl.exp(scores)"),
    forward(
        "padded tokens not masked",
        '        scores = tl.where(token_ok[None, :], scores, float("-inf"))\n',
        "",
    ),
    forward("one token too many", "token_ok = tokens < last", "token_ok = tokens <= last"),
    forward("last token masked away", "token_ok = tokens < last", "token_ok = tokens < last - 1"),
    forward(
        "only whole blocks of tokens",
        "range(first, last, BLOCK_K)",
        "range(first, last - last % BLOCK_K, BLOCK_K)",
    ),
    forward("every part starts at the first token", "first = part * tokens_per_part", "first = part * 0"),
    forward("last part past the tokens", "tl.minimum(first + tokens_per_part, S)", "first + tokens_per_part"),
    forward("one image for all", "image_ptr + (image * S + tokens) * D", "image_ptr + tokens * D"),
    forward("images counted by rows", "image_ptr + (image * S +", "image_ptr + (image * R +"),
    forward("part and image swapped", "part.to(tl.int64) * B * R", "image * B * R"),
    forward("parts written over each other", "own + part.to(tl.int64) * B * R", "own"),
    forward("one row too many", "row_ok = places < R", "row_ok = places <= R"),
    forward("sum not rescaled", "row_sum = row_sum * rescale + tl.sum", "row_sum = row_sum + tl.sum"),
    forward("sums not rescaled", "        acc = acc * rescale[:, None]\n", ""),
    forward(
        "tail of the sums not rescaled",
        "            acc_tail = acc_tail * rescale[:, None]\n",
        "            pass\n",
    ),
    forward("log-sum-exp without its sum", "row_max + tl.log(row_sum)", "row_max"),
    forward("parts joined by their number", "weight = tl.exp(lse - new_max)", "weight = tl.exp(lse - lse)"),
    forward("joined maximum not subtracted", "weight = tl.exp(lse - new_max)", "weight = tl.exp(lse)"),
    forward("joined parts not rescaled", "acc = acc * rescale[:, None] + weight", "acc = acc + weight"),
    forward(
        "joined tail not rescaled",
        "acc_tail = acc_tail * rescale[:, None] + weight",
        "acc_tail = acc_tail + weight",
    ),
    forward("first part alone is joined", "for _ in range(P)", "for _ in range(1)"),
    forward("first part joined again and again", "        of_part += rows\n", ""),
    forward("joins rows that are not there", "row_ok = own < rows", "row_ok = own <= rows"),
    forward(
        "parts kept in half precision",
        "part_out = torch.empty((parts, B, R, E), dtype=part_lse.dtype",
        "part_out = torch.empty((parts, B, R, E), dtype=torch.float16",
    ),
    forward(
        "memory taken as contiguous",
        "rows.contiguous(), image.contiguous(), image_pe.contiguous()",
        "rows, image, image_pe",
    ),
    backward("scale dropped from the scores", "torch.softmax(scale * (r", "torch.softmax(1.0 * (r"),
    backward("scale dropped from their gradient", "grad_scores = scale * weights", "grad_scores = weights"),
    backward("delta dropped", "(grad_weights - delta)", "grad_weights"),
    backward("keys without their positions", "keys = y + positions", "keys = y"),
    backward("image as value alone", "weights.T @ grad_o + grad_keys", "weights.T @ grad_o"),
    backward(
        "positions of the last image alone", "grad_positions += grad_keys", "grad_positions = grad_keys"
    ),
    backward("sums in half precision", "wide = sum_type(rows.dtype)", "wide = torch.float16"),
    forward(
        "longer parts for larger batches",
        "    parts = triton.cdiv(S, TOKENS_PER_PART)\n    part_lse",
        "    TOKENS_PER_PART = 512 * B\n    parts = triton.cdiv(S, TOKENS_PER_PART)\n    part_lse",
        "batches",
    ),
    forward(
        "divided by the sum and a millionth",
        "part.to(tl.int64) * B * R\n    out, out_tail = acc / row_sum[:, None]",
        "part.to(tl.int64) * B * R\n    row_sum += 1e-6\n    out, out_tail = acc / row_sum[:, None]",
        "float64",
    ),
    forward(
        "axes of the grid swapped",
        "(triton.cdiv(R, choice.block_m), parts, B)",
        "(triton.cdiv(R, choice.block_m), B, parts)",
    ),
    forward(
        "a last block of one token forgotten",
        "range(first, last, BLOCK_K)",
        "range(first, last - (last > 1), BLOCK_K)",
    ),
    forward(
        "offsets of 32 bits",
        "tl.program_id(1), tl.program_id(2).to(tl.int64)",
        "tl.program_id(1), tl.program_id(2)",
        "offsets",
    ),
    forward(
        "the scale that was given ignored",
        "part_out, part_lse, scale, R, S",
        "part_out, part_lse, E**-0.5, R, S",
    ),
]
