"""Ways to get image_to_token wrong."""

from minisam_kernels.lab.mutants import Mutant


def forward(name: str, old: str, new: str, found_by: str = "values") -> Mutant:
    return Mutant(name, "image_to_token", old, new, found_by)


def backward(name: str, old: str, new: str, found_by: str = "values") -> Mutant:
    return Mutant(name, "image_to_token_backward", old, new, found_by)


MUTANTS = [
    forward("scale dropped", "scores * scale, float", "scores, float"),
    forward("offsets dropped", ", TAIL_D) + offsets[None, :]", ", TAIL_D)"),
    forward("positions left out", "located, located_tail = y + e,", "located, located_tail = y,"),
    forward("positions left out of the tail", "y + e, y_tail + e_tail", "y + e, y_tail"),
    forward("positions stay in the image", "updated_tail = y.to(ACC)", "updated_tail = (y + e).to(ACC)"),
    forward("residual dropped", "updated_tail = y.to(ACC)", "updated_tail = 0 * y.to(ACC)"),
    forward("residual of the tail dropped", "y.to(ACC), y_tail.to(ACC)", "y.to(ACC), 0 * y_tail.to(ACC)"),
    forward("positions counted by image", "pe_ptr + places * D", "pe_ptr + (prompt * S + places) * D"),
    forward("one image for all", "(prompt * image_step + places)", "places"),
    forward("a shared image is not shared", "0 if image.shape[0] == 1 else S", "S"),
    forward(
        "padded tokens take part",
        '        scores = tl.where((token < T)[None, :], scores * scale, float("-inf"))\n',
        "        scores *= scale\n",
    ),
    forward("last token masked away", "(token < T)[None, :]", "(token < T - 1)[None, :]"),
    forward("one token too many", "there = (head < N) & (token < T)", "there = (head < N) & (token <= T)"),
    forward("heads that are not there", "there = (head < N) & (token < T)", "there = token < T"),
    forward("one image token too many", "inside = places < S", "inside = places <= S"),
    forward("heads and tokens swapped", "(prompt * N + head) * T + token", "(prompt * T + token) * N + head"),
    forward("tokens of the first prompt", "key_row = (prompt * N + head) * T", "key_row = head * T"),
    forward("first heads again and again", "head = first + columns", "head = columns"),
    forward("only the first heads", "range(0, N, BLOCK_K // BLOCK_T)", "range(0, 1, BLOCK_K // BLOCK_T)"),
    forward("one softmax for all heads", "[BLOCK_M, BLOCK_K // BLOCK_T, BLOCK_T])", "[BLOCK_M, 1, BLOCK_K])"),
    forward(
        "maximum not subtracted", "tl.exp(grouped - tl.max(grouped, axis=2)[:, :, None])", "tl.exp(grouped)"
    ),
    forward(
        "weights not normalised", "exponentials / tl.sum(exponentials, axis=2)[:, :, None]", "exponentials"
    ),
    forward(
        "values without the tail",
        "weights, values, values_tail, TAIL_D",
        "weights, values, 0 * values_tail, TAIL_D",
    ),
    forward("mean without the tail", "        total += tl.sum(x_tail, axis=1)\n", "        pass\n"),
    forward(
        "variance without the tail", "        squares += tl.sum(x_tail * x_tail, axis=1)\n", "        pass\n"
    ),
    forward(
        "padded channels in the variance",
        "tl.where(inside, x_tail - (total / D)[:, None], 0.0)",
        "x_tail - (total / D)[:, None]",
    ),
    forward(
        "mean over the main tile's width", "x -= (total / D)[:, None]", "x -= (total / BLOCK_D)[:, None]"
    ),
    forward("mean not subtracted", "    x -= (total / D)[:, None]\n", ""),
    forward(
        "divided by one channel less", "tl.rsqrt(squares / D + eps)", "tl.rsqrt(squares / (D - 1) + eps)"
    ),
    forward("eps dropped", "tl.rsqrt(squares / D + eps)", "tl.rsqrt(squares / D)"),
    forward("norm without its bias", "[None, :] + tl.load(bias_ptr + dims)[None, :]", "[None, :]"),
    forward("norm of the tail without its weight", "updated_tail * weight[None, :] +", "updated_tail +"),
    forward("prompts written over each other", "out_ptr + (prompt * S + places) * D", "out_ptr + places * D"),
    forward("memory taken as contiguous", "[x.contiguous() for x in", "[x for x in"),
    backward("scale dropped from the scores", "torch.softmax(scale * scores", "torch.softmax(scores"),
    backward("scale dropped from their gradient", "d_scores = scale * weights", "d_scores = weights"),
    backward("offsets left out", " + offsets[b].to(wide)", ""),
    backward("mean weight dropped", "(d_weights - mean)", "d_weights"),
    backward("keys without their positions", "keys = y + positions", "keys = y"),
    backward("norm without what lies along the result", " - normal * along", ""),
    backward("norm without its mean", " - d_normal.mean(dim=-1, keepdim=True)", ""),
    backward("residual dropped", "+= d_attended + d_keys", "+= d_keys"),
    backward("last prompt alone moves the positions", "d_pe += d_keys", "d_pe.copy_(d_keys)"),
    backward(
        "last prompt alone moves a shared image", "d_image[own] += d_attended", "d_image[own] = d_attended"
    ),
    backward(
        "last prompt alone moves the weight",
        "d_weight += (d_out * normal).sum(dim=0)",
        "d_weight.copy_((d_out * normal).sum(dim=0))",
    ),
    forward(
        "offsets loaded without other",
        "tl.load(offsets_ptr + key_row, mask=there, other=0.0)",
        "tl.load(offsets_ptr + key_row, mask=there)",
    ),
    forward(
        "sum with the residual rounded before the norm",
        "normalise(updated, updated_tail, eps, D",
        "normalise(updated.to(y.dtype).to(ACC), updated_tail, eps, D",
        "norm",
    ),
    forward(
        "normal rows rounded before weight and bias",
        "    updated = updated * tl.load(weight_ptr + dims)",
        "    updated = updated.to(y.dtype) * tl.load(weight_ptr + dims)",
        "norm",
    ),
    forward(
        "padding scored -10000",
        'tl.where((token < T)[None, :], scores * scale, float("-inf"))',
        "tl.where((token < T)[None, :], scores * scale, -1e4)",
        "float64",
    ),
    forward(
        "offsets of 32 bits", "prompt = tl.program_id(1).to(tl.int64)", "prompt = tl.program_id(1)", "offsets"
    ),
    forward(
        "the eps that was given ignored",
        "*tensors, out, scale, eps, 0 if",
        "*tensors, out, scale, 1e-5, 0 if",
    ),
    forward(
        "the eps that was given ignored in backward",
        "*ctx.saved_tensors, grad_out, ctx.scale, ctx.eps)",
        "*ctx.saved_tensors, grad_out, ctx.scale, 1e-5)",
    ),
]
